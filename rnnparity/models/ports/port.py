"""A port as a frozen value, and what it is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rnnparity.models.calls import Recording
from rnnparity.problem.arrays import as_array
from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.errors import RequestError
from rnnparity.problem.tensor import Tensor

# The tensors inside of all loops of a port, with their values at every step, take at most so much.
LOOP_MIB = 1024


@dataclass(frozen=True, eq=False)
class PortRequest:
    """The inputs of a model, and how many values the tensors have that are to be compared."""

    inputs: tuple[Tensor, ...]
    sizes: frozenset[int]

    @classmethod
    def of(cls, recording: Recording) -> PortRequest:
        """Return the request for what was recorded of a model."""
        tensors = [*recording.inputs, *recording.outputs]
        for call in recording.calls:
            if call.problem is not None:
                states = call.problem.initial_state or ()
                tensors += [call.problem.inputs, *states, *call.outputs]
        return cls(recording.inputs, frozenset(tensor.data.size for tensor in tensors))

    def kept(self, name: str, array: Array) -> list[Tensor]:
        """Return a tensor of a port in a list, where it may be compared."""
        is_float = array.dtype.name in FLOAT_TYPES
        return [Tensor(name, array)] if is_float and array.size in self.sizes else []


@dataclass(frozen=True, eq=False)
class Port:
    """What a port of a model computes from the model's inputs.

    `tensors` are in the order of execution and have any names, unless `by_name`: then they are
    "LAYER/output", "LAYER/h", "LAYER/inputs", and what is missing is not compared. `isolated`: every
    layer was computed from the model's own inputs, which show nothing of the layers before it.
    `outputs` are the final outputs, none where they are unknown. `weights` maps "LAYER/kernel" to
    the keys of a state dict, `reasons` states by layer why there is nothing for it. `absolute` is
    how far the engine's float32 values may be off however small they are.
    """

    tensors: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    by_name: bool = False
    isolated: bool = False
    weights: Mapping[str, str] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    absolute: float = 0.0


# A function of a port's path or name.
RunPort = Callable[[str, PortRequest], Port]


def check_count(name: str, actual: int, expected: int) -> None:
    """Check the number of inputs.

    Raises:
        RequestError: the port has another number of inputs than the model.
    """
    if actual != expected:
        raise RequestError(
            f"{name}: takes {actual} inputs, the model {expected}; the port must take the model's inputs "
            "in their order"
        )


def check_loop_bytes(name: str, count: int) -> None:
    """Check how many bytes the tensors inside of a port's loops take, all steps together.

    Raises:
        RequestError: they are too many.
    """
    if count > LOOP_MIB * 2**20:
        raise RequestError(
            f"{name}: the tensors inside of its loops take {count / 2**20:.0f} MiB, expected at most "
            f"{LOOP_MIB}; use fewer rows or steps as --inputs"
        )


def named_port(name: str, arrays: Mapping[str, object]) -> Port:
    """Return the port of arrays by name: "LAYER/output", "LAYER/h", ..., and "output" for the model's.

    Raises:
        RequestError: an array does not hold numbers.
    """
    tensors = tuple(Tensor(key, _numbers(f"{name}: {key}", value)) for key, value in arrays.items())
    return Port(tensors, tuple(tensor for tensor in tensors if is_final(tensor.name)), by_name=True)


def is_final(key: str) -> bool:
    """Return whether a key is that of a final output: "output", of several "output_0", ..."""
    return key == "output" or key.removeprefix("output_").isdigit()


def _numbers(where: str, value: object) -> Array:
    array = as_array(value)
    if array.dtype.kind not in "biuf" and array.dtype.name not in FLOAT_TYPES:
        raise RequestError(f"{where}: got an array of {array.dtype}, expected numbers")
    return array
