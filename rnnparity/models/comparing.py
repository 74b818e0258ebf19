"""From a model and a port of it to the first recurrent layer that differs, and the cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rnnparity.models.calls import Call, OutputComparison, PortCall, PortResult, Recording
from rnnparity.models.locating import Located, locate
from rnnparity.models.matching import ByName, ByValue, Finder, nearest
from rnnparity.models.ports.port import Port
from rnnparity.problem.answer import Answer
from rnnparity.problem.dtypes import FLOAT_TYPES
from rnnparity.problem.errors import RequestError
from rnnparity.problem.problem import Tensor
from rnnparity.problem.results import CaseResult, Explanation, Verdict
from rnnparity.session.ask import explained
from rnnparity.session.processes import one_blas_thread
from rnnparity.verdict.judge import judge

NOT_FOUND = "the port has no tensor for it"
NO_INPUTS = "a layer before it differs, and the port's own inputs of this layer are unknown"

# A final output may be off by so many units of rounding of its largest value, or by so many times
# what the outputs of the recurrent layers are off (which is relative to their root mean square).
ROUNDINGS, AMPLIFICATION = 1000, 100


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
    finder: Finder = ByName(port) if port.by_name else ByValue(port, names or {})
    with one_blas_thread():
        located = locate(recording.calls, finder)
        calls = _judged(recording.calls, located)
        calls, explanation = _with_first_cause(calls)
    differs = any(call.result.failing for call in calls)
    propagated = 0.0 if differs else max(map(_propagated, calls), default=0.0)
    outputs = _compared_outputs(name, recording.outputs, port.outputs, propagated, differs)
    return PortResult(name, tuple(calls), outputs, explanation, port.weights)


def _check_layers(calls: Sequence[Call], names: Mapping[str, str]) -> None:
    layers = [call.id for call in calls]
    for key in names:
        if not any(key == layer or key.startswith(f"{layer}/") for layer in layers):
            raise RequestError(f"--map {key}: no such layer; expected {', '.join(layers)}")


def _judged(calls: Sequence[Call], located: Sequence[Located | None]) -> list[PortCall]:
    judged: list[PortCall] = []
    differs = False
    for call, found in zip(calls, located, strict=True):
        if found is None:
            judged.append(_not_compared(call, call.reason or NOT_FOUND))
        elif found.start is None and differs:
            judged.append(_not_compared(call, NO_INPUTS))
        else:
            result = judge(found.problem, Answer(found.problem.outputs or ()))
            differs |= result.failing
            judged.append(PortCall(call, result, found.problem, found.end.name))
    return judged


def _not_compared(call: Call, reason: str) -> PortCall:
    return PortCall(call, CaseResult(call.id, Verdict.UNSUPPORTED, reason=reason))


def _with_first_cause(calls: list[PortCall]) -> tuple[list[PortCall], Explanation | None]:
    """Explain the first call that differs; one that agrees to the printed digits does not."""
    for index, call in enumerate(calls):
        if not call.result.failing or call.problem is None:
            continue
        explanation = explained(call.problem).explanation
        if explanation.verdict is Verdict.DIVERGES:
            return calls, explanation
        result = CaseResult(call.call.id, explanation.verdict, explanation.sigma)
        calls[index] = PortCall(call.call, result, call.problem, call.tensor)
    return calls, None


def _propagated(call: PortCall) -> float:
    """Return how far a port's first output is from the model's, relative to the latter."""
    if call.problem is None or call.problem.outputs is None:
        return 0.0
    return nearest(0, call.problem.outputs[0], call.call.outputs[0].data).distance


def _compared_outputs(
    name: str,
    expected: Sequence[Tensor],
    actual: Sequence[Tensor],
    propagated: float,
    follows: bool,
) -> tuple[OutputComparison, ...]:
    """Compare the final outputs; none where the port's are unknown.

    Raises:
        RequestError: their number or sizes differ.
    """
    if not actual:
        return ()
    shapes = [tensor.shape for tensor in expected], [tensor.shape for tensor in actual]
    if [np.prod(shape) for shape in shapes[0]] != [np.prod(shape) for shape in shapes[1]]:
        raise RequestError(
            f"{name}: its outputs have the shapes {shapes[1]}, the model's {shapes[0]}"
        )
    return tuple(
        _compared_output(mine, theirs, propagated, follows)
        for mine, theirs in zip(expected, actual, strict=True)
    )


def _compared_output(
    expected: Tensor, actual: Tensor, propagated: float, follows: bool
) -> OutputComparison:
    target = expected.data.astype(np.float64)
    found = nearest(0, actual, target).data.astype(np.float64)
    unit = FLOAT_TYPES.get(expected.dtype, FLOAT_TYPES["float32"]).u
    relative = max(ROUNDINGS * unit, AMPLIFICATION * propagated)
    largest = float(np.max(np.abs(found - target), initial=0.0))
    scale = float(np.max(np.abs(target), initial=0.0))
    return OutputComparison(actual.name, largest, relative * scale, relative, follows)
