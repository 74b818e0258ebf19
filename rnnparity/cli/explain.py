"""`rnnparity explain`: the cause of wrong outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shlex import join
from typing import TYPE_CHECKING, Annotated

import typer

from rnnparity.cli.common import Imports, Precision, Unsafe, echo, problem_of
from rnnparity.cli.progress import show_progress
from rnnparity.problem.errors import RequestError
from rnnparity.problem.files import MODEL_SUFFIXES

if TYPE_CHECKING:
    from rnnparity.explanation.pairs import Progress
    from rnnparity.explanation.reading_diagnosis import Diagnosis
    from rnnparity.models.calls import Call
    from rnnparity.problem.problem import Problem


@dataclass(frozen=True)
class _ModelOptions:
    """Which layer of a saved model is explained, and how the model is loaded and run."""

    layer: str = ""
    inputs: Path | None = None
    imports: tuple[str, ...] = ()
    unsafe: bool = False


def explain(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE|CASE|MODEL",
            help="A problem file with somebody's outputs, - for stdin; with --subject or --outputs "
            "also the id of a case, or a .keras or .h5 file.",
        ),
    ],
    subject: Annotated[
        str,
        typer.Option(
            metavar="S",
            help="Run this subject for the outputs, and for further problems if needed.",
        ),
    ] = "",
    outputs: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The outputs to explain: .npy, .npz by name, .json nested lists in Keras' order, "
            ".txt as NumPy or PyTorch prints them.",
        ),
    ] = None,
    layer: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="The layer of a saved model, as `rnnparity model` lists it."
        ),
    ] = "",
    inputs: Annotated[
        Path | None,
        typer.Option(metavar="X", help="The inputs of a saved model: .npy, .npz by names, .json."),
    ] = None,
    imports: Imports = None,
    unsafe: Unsafe = False,
    gradients: Annotated[
        bool,
        typer.Option(
            "--gradients",
            help="With --subject: explain its gradients, too, if its outputs are right.",
        ),
    ] = False,
    precision: Precision = "",
    json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print JSON for programs to stdout; takes no FILE, unlike that of check."
        ),
    ] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write an HTML page.")] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write the problem and a script for an issue tracker."),
    ] = None,
    separate: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a problem that separates the causes that fit."),
    ] = None,
) -> None:
    """Find the cause of wrong outputs."""
    from json import dumps

    from rnnparity.problem.errors import SubjectFailedError
    from rnnparity.problem.files import check_writable, write_file
    from rnnparity.problem.format_writing import dump_pretty
    from rnnparity.report.bundles.bundle import write_bundle
    from rnnparity.report.bundles.explained import explained_files, write_explained
    from rnnparity.report.explanation_json import as_json
    from rnnparity.report.pages.explanation import page
    from rnnparity.report.text.explanation import lines
    from rnnparity.report.text.line import COLOURS

    for path in (html, separate):
        if path is not None:
            check_writable(path)
    model = _ModelOptions(layer, inputs, tuple(imports or ()), unsafe)
    problem = _problem(file, model, _arrays(outputs, subject))
    try:
        with show_progress("searching the cause") as report:
            progress = partial(report, "trying pairs of faults")
            diagnosis = _diagnosis(problem, subject, gradients, precision, progress)
    except SubjectFailedError as error:  # nothing to explain, but a script shows it
        if bundle is not None:
            write_bundle(bundle, problem, error.failure, subject, None)
        raise
    explanation = diagnosis.explanation
    if json:
        typer.echo(dumps(as_json(explanation), indent=1))
    else:
        for line in lines(explanation):
            colour, bold = COLOURS[line.style]
            echo(line.text, colour=colour, bold=bold)
        words = _words(file, model, subject, outputs, gradients, precision)
        _print_commands(diagnosis, words)
    if html is not None:
        write_file(html, page(explanation, explained_files(diagnosis, subject)))
    if bundle is not None:
        written = ", ".join(map(str, write_explained(bundle, diagnosis, subject)))
        echo(f"  bundle: {written}", err=json)  # stdout is the JSON's
    if separate is not None:
        write_file(separate, dump_pretty(_separating(diagnosis, separate)))
    raise typer.Exit(explanation.verdict.status)


def _diagnosis(
    problem: Problem, subject: str, gradients: bool, precision: str, progress: Progress
) -> Diagnosis:
    from rnnparity.session.ask import explain_outputs, explain_subject

    if subject:
        return explain_subject(
            problem, subject, gradients=gradients, progress=progress, precision=precision
        )
    if gradients:
        raise RequestError("--gradients asks a subject; add --subject")
    if precision:
        raise RequestError("--precision is that of a subject; add --subject")
    return explain_outputs(problem, progress)


def _arrays(outputs: Path | None, subject: str) -> object:
    """Return the arrays in the file of outputs, None without one."""
    from rnnparity.problem.array_files import read_arrays

    if outputs is None:
        return None
    if subject:
        raise RequestError("--outputs and --subject: give one of them")
    return read_arrays(outputs)


def _problem(file: str, model: _ModelOptions, arrays: object) -> Problem:
    """Return the problem that is named, or that of a layer of a saved model.

    Its outputs are `arrays`, if there are any. Of a model these may have the keys of
    `model --against`: "LAYER/output", "LAYER/h", also "LAYER/inputs".
    """
    from rnnparity.problem.short_form import outputs_of

    if not file.endswith(MODEL_SUFFIXES):
        if model != _ModelOptions():
            names = "--layer, --inputs, --import and --unsafe"
            raise RequestError(f"{file}: {names} are for a .keras or .h5 file")
        problem = problem_of(file)
    else:
        from rnnparity.models.named_arrays import (
            has_arrays_of,
            has_inputs,
            problem_with_arrays,
        )

        if arrays is not None and model.inputs is None and not has_inputs(model.layer, arrays):
            raise RequestError(
                f"{file}: the inputs of the outputs are missing; pass those of the model as --inputs FILE"
            )
        call = _call(file, model)
        if isinstance(arrays, Mapping) and has_arrays_of(call, arrays):
            return problem_with_arrays(call, "--outputs", arrays)
        assert call.problem is not None  # noqa: S101 - `_call` has checked it
        problem = call.problem.with_outputs(call.outputs)
    if arrays is None:
        return problem
    return problem.with_outputs(outputs_of(arrays, problem.output_slots()))


def _call(file: str, model: _ModelOptions) -> Call:
    """Return the call of the layer of a saved model that is named, which has a problem."""
    from rnnparity.models.saved import record_file
    from rnnparity.problem.array_files import read_arrays

    layer, inputs = model.layer, model.inputs
    arrays = None if inputs is None else read_arrays(inputs)
    recording = record_file(Path(file), arrays, imports=model.imports, unsafe=model.unsafe)
    calls = recording.calls
    if not layer and len(calls) == 1:
        layer = calls[0].id
    found = {call.id: call for call in calls}.get(layer)
    if found is None:
        known = ", ".join(call.id for call in calls)
        raise RequestError(f"{file}: --layer {layer or 'is missing'}: expected one of {known}")
    if found.problem is None:
        raise RequestError(f"{file}: --layer {layer}: not computed: {found.reason}")
    return found


def _separating(diagnosis: Diagnosis, file: Path) -> Problem:
    if diagnosis.separating is not None:
        return diagnosis.separating
    cause = diagnosis.explanation.cause
    several = cause is not None and cause.also_fits
    reason = "no input separates them" if several else "there are no causes to separate"
    raise RequestError(f"{file}: not written: {reason}")


def _words(
    file: str,
    model: _ModelOptions,
    subject: str,
    outputs: Path | None,
    gradients: bool,
    precision: str,
) -> list[str]:
    """Return the arguments that ask for the same explanation, none where it came from stdin."""
    options = {
        "--layer": model.layer,
        "--inputs": model.inputs,
        "--subject": subject,
        "--outputs": outputs,
        "--precision": precision,
    }
    chosen = [word for name, value in options.items() if value for word in (name, str(value))]
    chosen += [word for name in model.imports for word in ("--import", name)]
    chosen += ["--unsafe"] if model.unsafe else []
    chosen += ["--gradients"] if gradients else []
    return [] if file == "-" else [file, *chosen]


def _print_commands(diagnosis: Diagnosis, words: list[str]) -> None:
    from rnnparity.problem.verdicts import Verdict

    if diagnosis.separating is not None:
        echo("  separate: --separate FILE writes a problem on which these causes differ")
    if diagnosis.explanation.verdict is Verdict.DIVERGES and words:
        echo(f"  rerun: rnnparity explain {join(words)}")
