"""`rnnparity history` and `bisect`: what released versions of a framework compute."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rnnparity.cli.common import Expression, echo, fail, problem_of, sigterm_interrupts
from rnnparity.cli.progress import show_progress
from rnnparity.problem.errors import INTERRUPTED, USAGE, RequestError

if TYPE_CHECKING:
    from rnnparity.session.history import ReleaseResult
    from rnnparity.session.releases import Release

Package = Annotated[
    str, typer.Option(metavar="P", help="Package whose releases are run, as pip names it.")
]
Subject = Annotated[
    str, typer.Option(metavar="S", help="Subject that uses it. Default: that of the same name.")
]
Cache = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="Folder of installed releases. Default: in ~/.cache/rnnparity."
    ),
]
Timeout = Annotated[float, typer.Option(min=1, metavar="S", help="Seconds allowed for each case.")]


def history(
    releases: Annotated[
        str,
        typer.Option(
            metavar="A..B",
            help="First and last release: the last of each minor version; or versions with commas.",
        ),
    ],
    package: Package = "keras",
    k: Expression = "",
    full: Annotated[
        bool, typer.Option("--full", help="Run all cases instead of the core set.")
    ] = False,
    subject: Subject = "",
    cache: Cache = None,
    timeout: Timeout = 120,
    json: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the table as JSON, for `check --site`."),
    ] = None,
) -> None:
    """Compare the releases of a framework.

    The test cases are run on each, and what changed is marked. For each known difference the
    releases that show it are printed, and where its stated range has others. Each release is installed without its
    dependencies into a cache and runs in a worker process with the other packages of this
    environment.
    """
    from rnnparity.problem.files import check_writable, write_file
    from rnnparity.report.stored import history as history_store
    from rnnparity.report.text.history import history_lines, occurrence_lines
    from rnnparity.session.fixtures import read_fixtures
    from rnnparity.session.history import history as run_history
    from rnnparity.session.occurrence import occurrences
    from rnnparity.session.releases import default_cache, select_versions
    from rnnparity.session.selection import Selection

    _check_subject(subject or package)
    if json is not None:
        check_writable(json)
    cases = Selection(k, full).cases()
    folder = (cache or default_cache()).resolve()
    fixtures = read_fixtures(None, [case.id for case in cases])
    results: list[ReleaseResult] = []
    interrupted = False
    name = subject or package
    with show_progress() as progress, sigterm_interrupts():
        versions = select_versions(package, releases)
        install = partial(_install, package, cache=folder, quiet=sys.stderr.isatty())
        try:
            for result in run_history(name, versions, install, cases, fixtures, timeout, progress):
                results.append(result)  # what is finished is kept
        except KeyboardInterrupt:
            interrupted = True
    echo(*history_lines(package, results))
    echo(*occurrence_lines(package, list(occurrences(package, fixtures.known, results))))
    if json is not None and results:
        write_file(json, history_store.dump(package, name, results))
    if interrupted:
        raise typer.Exit(INTERRUPTED)
    if not any(case.verdict.compared for result in results for case in result.cases):
        raise typer.Exit(fail("nothing was compared", USAGE))


def bisect(
    case: Annotated[str, typer.Argument(metavar="CASE|FILE", help="Id of a case, or a problem.")],
    good: Annotated[str, typer.Option(metavar="A", help="Release to compare with.")],
    bad: Annotated[str, typer.Option(metavar="B", help="Later release that differs from it.")],
    package: Package = "keras",
    subject: Subject = "",
    cache: Cache = None,
    timeout: Timeout = 120,
) -> None:
    """Find the first release that answers differently.

    A release answers a problem differently if the verdict differs, or a number by more than the
    tolerance.
    """
    from rnnparity.report.text.history import first_difference_lines, tried_line
    from rnnparity.session.first_difference import first_difference
    from rnnparity.session.releases import default_cache, list_releases

    _check_subject(subject or package)
    problem = problem_of(case)
    folder = (cache or default_cache()).resolve()
    versions = [str(version) for version in list_releases(package, good, bad)]
    if len(versions) < 2:
        raise RequestError(f"{package}: got {versions[0]} only, expected two releases or more")
    with sigterm_interrupts():
        found = first_difference(
            problem,
            subject or package,
            versions,
            partial(_install, package, cache=folder),
            timeout,
            lambda tried: echo(tried_line(tried, versions[0])),
        )
    echo(*first_difference_lines(package, found))


def _install(package: str, version: str, *, cache: Path, quiet: bool = False) -> Release:
    """Return a release that is run next, which takes a while; that is printed unless `quiet`."""
    from rnnparity.session.releases import install_release, is_installed

    if not quiet:
        installed = is_installed(package, version, cache)
        echo(f"{package} {version}: {'running' if installed else 'installing'}", err=True)
    return install_release(package, version, cache)


def _check_subject(subject: str) -> None:
    """Refuse a subject that is unknown before anything is installed."""
    from rnnparity.session.session import REFERENCE, check_name

    check_name(subject)
    if subject == REFERENCE:
        raise RequestError(f"subject {subject!r}: uses no release of a framework")
