"""Find the tensors of a port that belong to the inputs and outputs of a layer, by value or by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from operator import itemgetter
from typing import Protocol, TypeVar

import numpy as np

from rnnparity.models.ports.port import Port
from rnnparity.problem.dtypes import Array
from rnnparity.problem.errors import RequestError
from rnnparity.problem.tensor import Tensor
from rnnparity.problem.text import did_you_mean, listed

Value = TypeVar("Value")

# Arrays of more axes keep the order of these: they have too many.
MOST_AXES = 5


@dataclass(frozen=True, eq=False)
class Match:
    """A tensor of a port, in the axes of the array that it is compared with.

    `index` is its position in the order of execution, `distance` the root of the mean squared
    difference, relative to that of the array.
    """

    index: int
    name: str
    data: Array
    distance: float


class Finder(Protocol):
    """Finds tensors of a port."""

    def candidates(
        self, key: str, target: Array, after: int = -1, before: int | None = None
    ) -> list[Match]:
        """Return what may be the array `key` ("LAYER/output") with values like `target`, nearest first.

        `after` and `before` are positions in the order of execution.
        """

    def has(self, keys: Sequence[str]) -> bool:
        """Return whether there are tensors under all of these names."""


class ByValue:
    """Tensors of equal size, whatever their names and the order of their axes.

    `names` maps "LAYER" or "LAYER/output" to the name of a tensor.

    Raises:
        RequestError: the port has no tensor of such a name.
    """

    def __init__(self, port: Port, names: Mapping[str, str]) -> None:
        self.tensors = port.tensors
        self.names = names
        missing = "the port has no tensor of this name, or of another size than those of the model"
        _check_names(names, [tensor.name for tensor in self.tensors], missing)

    def candidates(
        self, key: str, target: Array, after: int = -1, before: int | None = None
    ) -> list[Match]:
        name = _under(self.names, key)
        if name is not None:
            after, before = -1, None
        matches = [
            nearest(index, tensor, target)
            for index, tensor in enumerate(self.tensors[:before])
            if index > after
            and tensor.data.size == target.size
            and (name is None or tensor.name == name)
        ]
        if name is not None and not matches:
            raise RequestError(f"--map {key}={name}: expected a tensor of shape {target.shape}")
        matches.sort(key=lambda match: (match.distance, match.index))
        return _without_copies(matches)

    def has(self, keys: Sequence[str]) -> bool:
        return all(_under(self.names, key) is not None for key in keys)


class ByName:
    """Tensors under the name of their layer; "LAYER" alone is its output.

    `names` maps "LAYER" or "LAYER/output" to the name that a tensor has instead.

    Raises:
        RequestError: the port has no tensor of such a name.
    """

    def __init__(self, port: Port, names: Mapping[str, str]) -> None:
        self.tensors = {tensor.name: (index, tensor) for index, tensor in enumerate(port.tensors)}
        self.names = names
        _check_names(names, list(self.tensors), "the port has no array of this name")

    def candidates(
        self,
        key: str,
        target: Array,
        after: int = -1,  # noqa: ARG002 - a name needs no position
        before: int | None = None,  # noqa: ARG002 - likewise
    ) -> list[Match]:
        found = self._found(key)
        if found is None:
            return []
        index, tensor = found
        if tensor.data.size != target.size:
            return [Match(index, tensor.name, tensor.data, np.inf)]
        if tensor.shape == target.shape:  # its axes are the layer's, however far off it is
            return [Match(index, tensor.name, tensor.data, distance(tensor.data, target))]
        return [nearest(index, tensor, target)]

    def has(self, keys: Sequence[str]) -> bool:
        return all(self._found(key) is not None for key in keys)

    def _found(self, key: str) -> tuple[int, Tensor] | None:
        name = _under(self.names, key)
        return _under(self.tensors, key) if name is None else self.tensors[name]


def _check_names(names: Mapping[str, str], known: Sequence[str], missing: str) -> None:
    for key, name in names.items():
        if name not in known:
            hint = did_you_mean(name, known, f"it has {listed(known) or 'none'}")
            raise RequestError(f"--map {key}={name}: {missing}{hint}")


def _under(mapping: Mapping[str, Value], key: str) -> Value | None:
    """Return what a mapping has under "LAYER/output", for which "LAYER" stands too."""
    return mapping.get(key, mapping.get(key.removesuffix("/output")))


def nearest(index: int, tensor: Tensor, target: Array) -> Match:
    """Return a tensor in the order of its axes that is nearest to an array of equal size."""
    smallest, data = min(
        ((distance(array, target), array) for array in arrangements(tensor.data, target.shape)),
        key=itemgetter(0),
    )
    return Match(index, tensor.name, data, smallest)


def distance(array: Array, target: Array) -> float:
    """Return the root of the mean squared difference, relative to that of the target."""
    scale = np.sqrt(np.mean(np.square(target, dtype=np.float64))) or 1.0
    with np.errstate(over="ignore", invalid="ignore"):
        difference = array.astype(np.float64) - target
        relative = float(np.sqrt(np.mean(np.square(difference))) / scale)
    return relative if np.isfinite(relative) else np.inf


def arrangements(array: Array, shape: tuple[int, ...]) -> Iterator[Array]:
    """Yield an array with its axes in every order that gives a shape, axes of length 1 left out.

    Where none does, all orders are yielded, each reshaped: the array has joined or split axes.
    """
    squeezed = array.squeeze()
    wanted = tuple(size for size in shape if size != 1)
    axes = tuple(range(squeezed.ndim))
    orders = list(permutations(axes)) if squeezed.ndim <= MOST_AXES else [axes]
    fitting = [order for order in orders if squeezed.transpose(order).shape == wanted]
    for order in fitting or orders:
        yield squeezed.transpose(order).reshape(shape)


def _without_copies(matches: list[Match]) -> list[Match]:
    """Return sorted matches without those whose values are those of the one before."""
    kept: list[Match] = []
    for match in matches:
        if not kept or not np.allclose(
            kept[-1].data, match.data, rtol=1e-6, atol=0, equal_nan=True
        ):
            kept.append(match)
    return kept
