"""The type that the equations are written in."""

from __future__ import annotations

from collections.abc import Callable
from types import EllipsisType
from typing import Protocol, Self, TypeAlias, TypeVar

# An index begins with an ellipsis, since variants or sources of noise may lead the axes.
Index: TypeAlias = tuple[EllipsisType | slice | int, ...]


class Number(Protocol):
    """An array that the cells compute with: what NumPy's arrays and `NoisyArray` have in common."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __add__(self, other: Self, /) -> Self: ...

    def __rsub__(self, other: int, /) -> Self: ...

    def __mul__(self, other: Self, /) -> Self: ...

    def __truediv__(self, other: int, /) -> Self: ...

    def __matmul__(self, other: Self, /) -> Self: ...

    def __getitem__(self, index: Index, /) -> Self: ...

    def reshape(self, shape: tuple[int, ...], /) -> Self: ...

    def swapaxes(self, axis1: int, axis2: int, /) -> Self: ...


N = TypeVar("N", bound=Number)
Function: TypeAlias = Callable[[N], N]
