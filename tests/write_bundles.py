"""Write the bundles of the known differences anew: `python tests/write_bundles.py REPORT.json [REPORT.json ...]`.

The reports are what `rnnparity check ... --json` wrote. A bundle is of the plainest case that an entry covers in them,
and is left as it is where no report has one. A second run leaves no difference.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from rnnparity.catalogue import catalogue
from rnnparity.conformance.stored import StoredReport, load
from rnnparity.explain.bundle import write_bundle
from rnnparity.goldens import KNOWN, default_folder
from rnnparity.known import KnownDifference, read_known

FIRST = ("error", "count", "values", "dtype", "fact")  # of the kinds of one entry, the one that a script shows best


def covered(entry: KnownDifference, reports: list[StoredReport]) -> Iterator[tuple[str, str, str]]:
    """The cases that an entry covers, each with its subject and the kind of difference."""
    for report in reports:
        for subject in report.subjects:
            for verdict in subject.verdicts:
                if verdict.known == [entry.name]:
                    kinds = set(verdict.kinds or ["error"])
                    yield verdict.id, subject.name, next(kind for kind in FIRST if kind in kinds)


def main(files: list[str]) -> None:
    reports = [load(Path(file)) for file in files]
    for entry in read_known(default_folder() / KNOWN):
        found = sorted(covered(entry, reports), key=lambda one: (":" in one[1], len(one[0]), *one))
        if not found:
            print(f"{entry.name}: left as it is: no report has a case of it")
            continue
        case, subject, kind = found[0]
        headline = (
            f"{' '.join(entry.reason.split())} ({subject}, {', '.join(f'{n} {v}' for n, v in entry.versions.items())})"
        )
        write_bundle(default_folder() / "bundles" / entry.name, catalogue()[case], headline, subject, kind)
        print(f"{entry.name}: {case} in {subject} ({kind})")


if __name__ == "__main__":
    main(sys.argv[1:])
