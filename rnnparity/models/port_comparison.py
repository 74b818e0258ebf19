"""From a model and a port of it to the recurrent layers that differ, and the causes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from rnnparity.explanation.digits import MARGIN, PrintedDigits, printed_digits
from rnnparity.models.call_causes import with_causes
from rnnparity.models.calls import Call, OutputComparison, PortCall, PortResult, Recording
from rnnparity.models.port_calls import Located
from rnnparity.models.port_inputs import AMPLIFICATION, applied_function, inputs_differ
from rnnparity.models.port_search import locate
from rnnparity.models.ports.port import Port
from rnnparity.models.tensor_matching import ByName, ByValue, Finder, nearest
from rnnparity.problem.dtypes import FLOAT_TYPES
from rnnparity.problem.errors import RequestError
from rnnparity.problem.problem import Tensor
from rnnparity.problem.results import CaseResult
from rnnparity.problem.text import listed
from rnnparity.problem.verdicts import Verdict
from rnnparity.session.processes import one_blas_thread

NOT_FOUND = "the port has no array of its name"
NOT_RECOGNIZED = (
    "no tensor of the port is near it or explained by a known fault; name one with --map"
)
NO_INPUTS = "something before it differs, and the port's own inputs of this layer are unknown"

# A final output may be off by so many units of rounding of its largest value, or by AMPLIFICATION times
# what the outputs of the recurrent layers are off (which is relative to their root mean square).
ROUNDINGS = 1000


def compare_port(
    name: str, recording: Recording, port: Port, names: Mapping[str, str] | None = None
) -> PortResult:
    """Compare every call of a model, and its final outputs, with those of a port.

    Each layer is judged on the port's own inputs. `names` maps layers to tensors of the port.

    Raises:
        RequestError: `names` has a layer or a tensor that there is not, or a layer's tensor is
        ambiguous.
    """
    _check_layers(recording.calls, names or {})
    finder = _finder(port, names or {})
    outputs = _compared_outputs(name, recording.outputs, port.outputs)
    same = bool(outputs) and not any(output.differs for output in outputs)
    with one_blas_thread():
        located = locate(recording.calls, finder, same, port)
        calls = _judged(recording.calls, located, port)
        result = PortResult(with_causes(calls), name, tuple(outputs), port.weights)
    if result.first_difference or result.changed_inputs:
        outputs = [replace(output, follows=True) for output in outputs]
    else:
        known = [call.printed for call in result.calls if call.printed is not None]
        outputs = _compared_outputs(name, recording.outputs, port.outputs, known)
        propagated = max(map(_propagated, result.calls), default=0.0)
        outputs = [_with_propagated(output, propagated) for output in outputs]
    return replace(result, outputs=tuple(outputs))


def _finder(port: Port, names: Mapping[str, str]) -> Finder:
    """Return what finds the tensors of a port; the names of modules have found their weights before."""
    if port.by_name:
        return ByName(port, {} if port.isolated else names)
    return ByValue(port, names)


def _check_layers(calls: Sequence[Call], names: Mapping[str, str]) -> None:
    layers = [call.id for call in calls]
    for key in names:
        if not any(key == layer or key.startswith(f"{layer}/") for layer in layers):
            raise RequestError(f"--map {key}: no such layer; expected {', '.join(layers)}")


def _judged(calls: Sequence[Call], located: Sequence[Located | None], port: Port) -> list[PortCall]:
    judged: list[PortCall] = []
    differs = False
    for call, in_port in zip(calls, located, strict=True):
        if in_port is None:
            reason = call.reason or port.reasons.get(call.layer) or _not_found(call, port)
            judged.append(_not_compared(call, reason))
        elif in_port.input_match is None and differs:
            judged.append(_not_compared(call, NO_INPUTS))
        else:
            changed = inputs_differ(call, in_port.problem)
            differs |= in_port.result.failing or changed
            tensor = in_port.output_match.name
            judged.append(
                PortCall(
                    call,
                    in_port.result,
                    in_port.problem,
                    tensor,
                    changed,
                    in_port.hidden,
                    in_port.printed,
                    in_port.padding_differs,
                    applied_function(call, in_port.problem) if changed else None,
                )
            )
    return judged


def _not_found(call: Call, port: Port) -> str:
    if not port.by_name:
        return NOT_RECOGNIZED
    names = listed([tensor.name for tensor in port.tensors])
    return f"{NOT_FOUND}, {call.id}/output; it has {names or 'none'}"


def _not_compared(call: Call, reason: str) -> PortCall:
    return PortCall(call, CaseResult(call.id, Verdict.UNSUPPORTED, reason=reason))


def _propagated(call: PortCall) -> float:
    """Return how far a port's first output is from the model's, relative to the latter.

    The digits that were not printed do not count: the port itself has them. Nor do masked steps, where
    only these differ.
    """
    if call.problem is None or call.problem.outputs is None or call.padding_differs:
        return 0.0
    match = nearest(0, call.problem.outputs[0], call.call.outputs[0].data)
    printed = call.printed
    if printed is not None and printed.is_printed_from(match.data, call.call.outputs[0].data):
        return 0.0
    return match.distance


def _with_propagated(output: OutputComparison, propagated: float) -> OutputComparison:
    """Return a comparison with what the differences of the recurrent layers may have become."""
    relative = max(output.relative, AMPLIFICATION * propagated)
    return replace(
        output, relative=relative, tolerance=output.tolerance * relative / output.relative
    )


def _compared_outputs(
    name: str,
    expected: Sequence[Tensor],
    actual: Sequence[Tensor],
    formats: Sequence[PrintedDigits] = (),
) -> list[OutputComparison]:
    """Compare the final outputs; none where the port's are unknown.

    `formats` are those in which other outputs of the port were printed.

    Raises:
        RequestError: the port has none of the size of an output.
    """
    in_order = len(actual) == len(expected)
    compared: list[OutputComparison] = []
    for index, output in enumerate(expected if actual else ()):
        candidates = actual[index : index + 1] if in_order else actual
        same_size = [tensor for tensor in candidates if tensor.data.size == output.data.size]
        if not same_size:
            shapes = ", ".join(str(tensor.shape) for tensor in candidates)
            raise RequestError(
                f"{name}: final output {index}: got {shapes}, expected {output.shape}"
            )
        compared.append(
            min((_compared_output(output, tensor, formats) for tensor in same_size), key=_largest)
        )
    return compared


def _largest(output: OutputComparison) -> float:
    return output.largest if np.isfinite(output.largest) else np.inf


def _compared_output(
    expected: Tensor, actual: Tensor, formats: Sequence[PrintedDigits]
) -> OutputComparison:
    target = expected.data.astype(np.float64)
    matched = Tensor(actual.name, nearest(0, actual, target).data)
    values = matched.data.astype(np.float64)
    relative = ROUNDINGS * FLOAT_TYPES.get(expected.dtype, FLOAT_TYPES["float32"]).u
    largest = float(np.max(np.abs(values - target), initial=0.0))
    scale = float(np.max(np.abs(target), initial=0.0))
    printed = _format(matched, expected, formats)
    unit = 0.0 if printed is None else _largest_unit(printed, matched)
    tolerance = relative * scale + MARGIN * unit / 2
    return OutputComparison(
        actual.name,
        largest,
        tolerance,
        tolerance / scale if scale else relative,
        printed=printed,
    )


def _format(
    actual: Tensor, expected: Tensor, formats: Sequence[PrintedDigits]
) -> PrintedDigits | None:
    """Return how an output was printed, None where it was not.

    It may have too few values to show that; then the formats of the other outputs are tried.
    """
    own = printed_digits([actual], [expected]) if actual.dtype in FLOAT_TYPES else None
    if own is not None:
        return own
    values = actual.data.astype(np.float64)
    fitting = [
        printed
        for printed in formats
        if np.allclose(printed.rounded(values), values, rtol=FLOAT_TYPES["float32"].u, atol=0)
    ]
    return max(fitting, key=lambda printed: _largest_unit(printed, actual), default=None)


def _largest_unit(printed: PrintedDigits, actual: Tensor) -> float:
    return float(np.max(printed.unit(actual.data.astype(np.float64)), initial=0.0))
