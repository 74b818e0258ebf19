"""Write the generated parts of README.md and docs/*.md, or check them: `python docs/generate.py [--check]`.

A part stands between `<!-- begin NAME -->` and `<!-- end -->` and is made by the function NAME from the code,
from a run of the command line, or from the stored measurements in docs/measurements.json. Those of `rnnparity fuzz`
come from what it stored: `python docs/generate.py --fuzz FILE ...`.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rnnparity.models.calls import Call
    from rnnparity.session.fuzz import FuzzRun

ROOT = Path(__file__).resolve().parents[1]
PART = re.compile(r"(<!-- begin (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}"]
    for row in rows:
        cells = [" ".join(str(cell).split()).replace("|", "\\|") for cell in row]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def command(*words: str) -> str:
    """Return what a command prints, with docs/ on the path of modules and at 100 columns."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "docs"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": "100", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "rnnparity", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


def measurements() -> dict[str, dict[str, object]]:
    """Return the stored measurements: by name the command, the versions and the rows."""
    stored: dict[str, dict[str, object]] = json.loads(
        (ROOT / "docs" / "measurements.json").read_text("utf-8")
    )
    return stored


def measured(name: str) -> str:
    """Return a stored table and where it comes from."""
    entry = measurements()[name]
    return f"{table(entry['header'], entry['rows'])}\n\nMeasured with {entry['versions']} ({entry['date']})."


def example() -> str:
    """Return the failing case of docs/example.py as the command line prints it."""
    case = "lstm-spread-sequences-state-mask_interior"
    printed = command("check", "example:swapped_lstm", "-k", case)
    (failure,) = [block for block in printed.split("\n\n") if block.startswith(f"{case}: ")]
    failure = failure.strip().replace("example:swapped_lstm", "mylib:my_lstm")
    introduction = "This LSTM has exchanged its input and forget gates:"
    return f"{introduction}\n\n```text\n$ rnnparity check mylib:my_lstm\n{failure}\n```"


def explained() -> str:
    """Return the explanation of the failing case of docs/example.py."""
    words = (
        "explain",
        "lstm-spread-sequences-state-mask_interior",
        "--subject",
        "example:swapped_lstm",
    )
    printed = command(*words).replace("example:swapped_lstm", "mylib:my_lstm")
    return f"```text\n$ rnnparity explain CASE --subject mylib:my_lstm\n{printed}```"


def model() -> str:
    """Return what `rnnparity model` prints of an encoder and a decoder that is docs/example.py's."""
    from rnnparity.models.model_verdicts import judge_calls
    from rnnparity.report.text.model import model_lines

    encoder, _, wrong_decoder = _calls_of_model()
    printed = "\n".join(line.text for line in model_lines(judge_calls([encoder, wrong_decoder])))
    return f"```text\n$ rnnparity model model.keras\n{printed}\n```"


def port() -> str:
    """Return the table of the same model, without the fault, and a port in PyTorch that has it."""
    from rnnparity.models.calls import Recording
    from rnnparity.models.model_verdicts import judge_calls
    from rnnparity.models.port_comparison import compare_port
    from rnnparity.models.ports.port import Port
    from rnnparity.problem.tensor import Tensor
    from rnnparity.report.text.port import port_lines

    encoder, decoder, wrong_decoder = _calls_of_model()
    tensors = [
        Tensor(name, data.data)
        for call in (encoder, wrong_decoder)
        for name, data in (
            (f"{call.layer}.input", call.problem.inputs),
            (f"{call.layer}.output.0", call.outputs[0]),
        )
    ]
    compared = compare_port("port:net", Recording((encoder, decoder), (), ()), Port(tuple(tensors)))
    lines = port_lines("model.keras", judge_calls([encoder, decoder]), compared)
    return "\n".join(["```text", *(line.text for line in islice(lines, 6)), "```"])


def _calls_of_model() -> Iterator[Call]:
    """Yield the calls of an encoder, a decoder, and a decoder that is docs/example.py's."""
    from example import swapped_lstm

    from rnnparity.catalogue import catalogue
    from rnnparity.golden.goldens import golden_outputs
    from rnnparity.models.calls import Call
    from rnnparity.problem.keras_config import layer_spec
    from rnnparity.problem.tensor import Tensor

    encoder = catalogue()["bi_gru-spread-concat-sequences-mask_right"]
    decoder = catalogue()["lstm-spread-sequences-state-mask_interior"]
    names = [slot.name for slot in decoder.output_slots()]
    for name, problem, outputs in (
        ("encoder", encoder, golden_outputs(encoder)),
        ("decoder", decoder, golden_outputs(decoder)),
        ("decoder", decoder, tuple(map(Tensor, names, swapped_lstm(decoder)))),
    ):
        shapes = problem.inputs.shape, problem.mask.shape, outputs[0].shape
        named = replace(problem, id=name, case=None)
        class_name = layer_spec(problem.layer)["class_name"]
        yield Call(name, class_name, 1, *shapes, named, outputs)


def counts() -> str:
    """Return the size of the catalogue and of the list of faults in a sentence."""
    from rnnparity.catalogue import catalogue
    from rnnparity.catalogue.core import core
    from rnnparity.faults import FAULTS, TRAINING_FAULTS
    from rnnparity.subjects import registered_names

    faults = (*FAULTS, *TRAINING_FAULTS)
    causes = {fault.cause for fault in faults}
    return (
        f"The catalogue has {len(catalogue()):,} cases. `check` and `pytest` run the core set of them "
        f"by default: {len(core())} cases that detect what all of them detect; `-k` selects among all. "
        "The mutation score is the number of listed faults "
        f"({len(faults)} of {len(causes)} causes) that the compared cases would detect, of those that "
        f"apply to them. {len(registered_names())} implementations are registered as subjects."
    )


def verdicts() -> str:
    """Return the table of verdicts."""
    from rnnparity.problem.verdicts import MEANINGS

    return table(["verdict", "meaning"], list(MEANINGS.items()))


def commands() -> str:
    """Return the commands with their first help line."""
    listed = command("--help").partition("Commands:")[2]
    rows = re.findall(r"^  (\w+) {2,}(.+)$", listed, re.MULTILINE)
    return table(["command", "does"], [(f"`rnnparity {name}`", text) for name, text in rows])


def packages() -> str:
    """Return the packages from the bottom up with the first line of their docstrings."""
    import tomllib

    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    names = [name.strip() for layer in reversed(layers) for name in layer.split("|")]
    rows = []
    for name in names:
        package = ROOT / name.replace(".", "/") / "__init__.py"
        if package.exists():
            docstring = ast.get_docstring(ast.parse(package.read_text("utf-8"))) or ""
            rows.append((f"`{name.removeprefix('rnnparity.')}/`", docstring.split("\n\n")[0]))
    return table(["package", "holds"], rows)


def subjects() -> str:
    """Return the registered subjects."""
    listed = command("list", "--subjects")
    rows = [line.split(None, 1) for line in listed.splitlines() if line]
    return table(["subject", "what runs"], [(f"`{name}`", text) for name, text in rows])


def faults() -> str:
    """Return the causes with the number of their variants and one example each."""
    from rnnparity.faults import FAULTS

    counted = Counter(fault.cause for fault in FAULTS)
    first = {fault.cause: fault for fault in reversed(FAULTS)}
    rows = [(cause, count, first[cause].description) for cause, count in counted.items()]
    return table(["cause", "variants", "for example"], rows)


def findings() -> str:
    """Return the known differences."""
    from rnnparity.golden.goldens import KNOWN, default_folder
    from rnnparity.golden.known_differences import read_known
    from rnnparity.report.bundles.known import version_ranges

    rows = []
    for entry in read_known(default_folder() / KNOWN):
        versions = version_ranges(entry)
        bundle = f"[{entry.name}](../fixtures/bundles/{entry.name}/)"
        rows.append((bundle, entry.subject, versions, entry.standing, entry.reason))
    return table(["difference", "subjects", "versions", "standing", "description"], rows)


def finding_examples() -> str:
    """Return each finding of an explanation with the sentence of an example."""
    from finding_examples import sentences

    return table(
        ("finding", "for example"), ((f"`{type_}`", text) for type_, text in sentences().items())
    )


def thresholds() -> str:
    """Return the threshold and the fault size of every dtype."""
    from rnnparity.problem.dtypes import FLOAT_TYPES

    rows = [
        (name, f"{dtype.threshold:g}", f"{dtype.fault:g}") for name, dtype in FLOAT_TYPES.items()
    ]
    return table(["dtype", "threshold in sigma", "relative change that must be detected"], rows)


def problem_keys() -> str:
    """Return the keys of a problem file with their descriptions in the schema."""
    from rnnparity.problem.schema import ProblemFields

    schema = ProblemFields.model_json_schema()
    required = schema["required"]
    rows = [
        (f"`{name}`", "yes" if name in required else "no", entry.get("description", ""))
        for name, entry in schema["properties"].items()
    ]
    return table(["key", "required", "content"], rows)


def defaults() -> str:
    """Return Keras' defaults of the config keys."""
    from rnnparity.problem.layers import Recurrent

    rows = [
        (f"`{field.name}`", json.dumps(field.default))
        for field in fields(Recurrent)
        if field.name not in ("class_name", "units")
    ]
    return table(["key", "default"], rows)


def numbers() -> str:
    """Return the formula of the catalogue's numbers, as its module states it."""
    from rnnparity.catalogue import numbers as module

    docstring = (module.__doc__ or "").partition("\n\n")[2]
    return f"```text\n{docstring.strip()}\n```"


GENERATED = (
    example,
    explained,
    model,
    port,
    counts,
    verdicts,
    commands,
    packages,
    subjects,
    faults,
    findings,
    finding_examples,
    thresholds,
    problem_keys,
    defaults,
    numbers,
)
PARTS: dict[str, Callable[[], str]] = {function.__name__: function for function in GENERATED}
PARTS |= {
    name: partial(measured, name)
    for name in (
        "trials",
        "off_list",
        "around_layer",
        "mistakes",
        "engines",
        "explain_costs",
        "fuzz",
        "core_costs",
        "fuzz_engines",
        "gradient_conventions",
        "gradient_verdicts",
        "gradient_verdicts_16_bits",
        "backward_ports",
        "ratios",
        "model_ports",
        "healthy_models",
    )
}


def rendered(text: str) -> str:
    """Return a document with its parts regenerated."""
    return PART.sub(lambda match: f"{match[1]}{PARTS[match[2]]()}\n{match[3]}", text)


def _origin(runs: Sequence[FuzzRun]) -> str:
    """Return how many verdicts each subject gave, the range of all seeds, and the versions."""
    from rnnparity.session.fuzz_tally import merged

    verdicts: Counter[str] = Counter()
    for run in runs:
        verdicts[run.subject] += run.tally.problems
    counts = ", ".join(f"{subject} ({count:,} verdicts)" for subject, count in verdicts.items())
    first, last = merged(run.tally for run in runs).seeds or runs[0].seeds
    versions = {f"{name} {version}": None for run in runs for name, version in run.versions.items()}
    return f"{counts} on seeds from {first} to {last}, with {', '.join(versions)}"


def fuzz_entry(files: Sequence[str]) -> dict[str, object]:
    """Return the table of stored runs of `rnnparity fuzz`, as it is in the measurements."""
    from rnnparity.report.stored.fuzz import load_runs
    from rnnparity.report.text.fuzz import HEADER, summary_rows
    from rnnparity.session.fuzz_tally import merged

    runs = load_runs([Path(file) for file in files])
    summaries = merged(run.tally for run in runs).summaries()
    rows = summary_rows(summaries)
    for dtype, summary in summaries.items():
        for name, count in summary.rejected_elsewhere.items():
            numbers = [str(summary.compared), str(count)]
            rows.append([f"{dtype}, rejected by {name}", *numbers, *[""] * (len(HEADER) - 3)])
    return {
        "command": f"rnnparity fuzz --from {' '.join(Path(file).name for file in files)}",
        "date": max(run.date for run in runs),
        "versions": _origin(runs),
        "header": list(HEADER),
        "rows": rows,
    }


def main() -> int:
    """Write the documents, or with --check report those that differ."""
    if sys.argv[1:2] == ["--fuzz"]:
        stored = measurements() | {"fuzz": fuzz_entry(sys.argv[2:])}
        content = json.dumps(stored, indent=1, ensure_ascii=False)
        (ROOT / "docs" / "measurements.json").write_text(content + "\n", "utf-8")
    check = "--check" in sys.argv[1:]
    differ = []
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = path.read_text("utf-8")
        new = rendered(text)
        if new != text:
            differ.append(path.name)
            if not check:
                path.write_text(new, "utf-8")
    print(f"{'differ' if check else 'written'}: {', '.join(differ) or 'none'}")
    if check and differ:
        print("run `python docs/generate.py`", file=sys.stderr)
    return 1 if check and differ else 0


if __name__ == "__main__":
    sys.exit(main())
