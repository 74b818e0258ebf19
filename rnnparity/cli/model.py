"""`rnnparity model`: every recurrent layer of a saved model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rnnparity.cli.common import Imports, Unsafe, echo
from rnnparity.problem.errors import RequestError

if TYPE_CHECKING:
    from rnnparity.models.calls import ModelResult


def model(
    file: Annotated[Path, typer.Argument(metavar="MODEL", help="A .keras or .h5 file.")],
    inputs: Annotated[
        Path | None,
        typer.Option(
            metavar="X",
            help="Inputs of the model: .npy, .npz by names, .json nested lists. "
            "Default: generated from the model's specs.",
        ),
    ] = None,
    against: Annotated[
        str,
        typer.Option(
            metavar="OTHER",
            help="Compare with a port: an .onnx, .tflite, .npz or .pt file, or package.module:object "
            "(an nn.Module or a function of the model's inputs).",
        ),
    ] = "",
    mapping: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="LAYER=TENSOR",
            help="Name the tensor of the port that is a layer's output, or the module of a state dict "
            "(LAYER=MODULE, or LAYER/forward=MODULE and LAYER/backward=MODULE); repeatable.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write a problem file for each call, with its outputs."),
    ] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write an HTML page.")] = None,
    json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print JSON for programs to stdout; takes no FILE, unlike that of check."
        ),
    ] = False,
    imports: Imports = None,
    unsafe: Unsafe = False,
) -> None:
    """Compare every recurrent layer of a saved model."""
    from json import dumps

    from rnnparity.models.model_files import check_model_file
    from rnnparity.models.ports.naming import check_port
    from rnnparity.models.saved import record_file
    from rnnparity.problem.array_files import read_arrays
    from rnnparity.problem.files import check_writable, write_file

    if html is not None:
        check_writable(html)
    if out is not None and out.exists() and not out.is_dir():
        raise RequestError(f"{out}: cannot be written: it is not a folder")
    check_model_file(file)
    if against:
        check_port(against)
    elif mapping:
        raise RequestError("--map needs --against")
    names = _names(mapping or [])
    arrays = None if inputs is None else read_arrays(inputs)

    # What takes a while to import follows the refusals.
    from rnnparity.models.model_verdicts import judge_recording
    from rnnparity.report.pages.model import model_page
    from rnnparity.report.text.line import COLOURS
    from rnnparity.report.text.model import model_lines
    from rnnparity.report.text.port import model_and_port_json, port_lines
    from rnnparity.session.judging import self_check

    self_check()
    recording = record_file(file, arrays, imports=imports or (), unsafe=unsafe)
    result = judge_recording(recording, against or None, names)
    if json:
        typer.echo(dumps(model_and_port_json(result), indent=1))
    else:
        port = result.port
        for line in port_lines(str(file), result, port) if port else model_lines(result):
            colour, bold = COLOURS[line.style]
            echo(line.text, colour=colour, bold=bold)
    if html is not None:
        write_file(html, model_page(str(file), result))
    if out is not None:
        _write_problems(out, result)
    raise typer.Exit(result.status)


def _names(mapping: list[str]) -> dict[str, str]:
    """Return the tensors by layer in "LAYER=TENSOR"; a tensor's name may have "=" in it."""
    for pair in mapping:
        if not all(pair.partition("=")):
            raise RequestError(f"--map {pair}: expected LAYER=TENSOR")
    return {layer: tensor for layer, _, tensor in (pair.partition("=") for pair in mapping)}


def _write_problems(folder: Path, result: ModelResult) -> None:
    """Write a problem file for each call that is computed, numbered in the order of execution.

    Its inputs and outputs are those of the port, where there is one.
    """
    from rnnparity.problem.files import write_folder
    from rnnparity.problem.format_writing import dump_pretty

    files: dict[str, str | bytes] = {}
    calls = result.port.calls if result.port else result.calls
    for index, call in enumerate(calls, start=1):
        if call.problem is not None:
            name = re.sub(r"[^A-Za-z0-9_]+", "-", call.call.id).strip("-")
            files[f"{index:02}-{name}.json"] = dump_pretty(call.problem)
    write_folder(folder, files)
