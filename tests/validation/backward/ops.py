"""The array functions that the hand-written layers need, in PyTorch and in TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

# A tensor of the framework.
T: TypeAlias = Any
Arrays: TypeAlias = list[T]


class Ops(Protocol):
    """Functions of tensors; axes are as in NumPy."""

    def tensor(self, array: Any) -> T: ...
    def tanh(self, x: T) -> T: ...
    def sigmoid(self, x: T) -> T: ...
    def where(self, condition: T, x: T, y: T) -> T: ...
    def split(self, x: T, parts: int) -> Sequence[T]:
        """Return parts of the last axis of the same size."""

    def join(self, parts: Sequence[T]) -> T:
        """Join parts along the last axis."""

    def stack(self, parts: Sequence[T], axis: int) -> T: ...
    def transpose(self, x: T) -> T: ...
    def reverse(self, x: T) -> T:
        """Return x with axis 1 reversed."""

    def sum_rows(self, x: T) -> T:
        """Return the sum over axis 0, (1, ...)."""

    def repeat(self, x: T, shape: tuple[int, ...]) -> T:
        """Return x in a shape that it can be broadcast to."""


class TorchOps:
    def __init__(self) -> None:
        import torch

        self.torch = torch
        self.tanh, self.sigmoid, self.where = torch.tanh, torch.sigmoid, torch.where

    def tensor(self, array: Any) -> T:
        return self.torch.from_numpy(array.copy())

    def split(self, x: T, parts: int) -> Sequence[T]:
        chunks: Sequence[T] = x.chunk(parts, dim=-1)
        return chunks

    def join(self, parts: Sequence[T]) -> T:
        return self.torch.cat(list(parts), dim=-1)

    def stack(self, parts: Sequence[T], axis: int) -> T:
        return self.torch.stack(list(parts), dim=axis)

    def transpose(self, x: T) -> T:
        return x.T

    def reverse(self, x: T) -> T:
        return x.flip(1)

    def sum_rows(self, x: T) -> T:
        return x.sum(0, keepdim=True)

    def repeat(self, x: T, shape: tuple[int, ...]) -> T:
        return x.expand(*shape)


class TensorFlowOps:
    def __init__(self) -> None:
        import tensorflow as tf

        self.tf = tf
        self.tensor, self.tanh, self.sigmoid = tf.constant, tf.tanh, tf.sigmoid
        self.where, self.transpose, self.repeat = tf.where, tf.transpose, tf.broadcast_to

    def split(self, x: T, parts: int) -> Sequence[T]:
        chunks: Sequence[T] = self.tf.split(x, parts, axis=-1)
        return chunks

    def join(self, parts: Sequence[T]) -> T:
        return self.tf.concat(parts, axis=-1)

    def stack(self, parts: Sequence[T], axis: int) -> T:
        return self.tf.stack(parts, axis=axis)

    def reverse(self, x: T) -> T:
        return self.tf.reverse(x, [1])

    def sum_rows(self, x: T) -> T:
        return self.tf.reduce_sum(x, axis=0, keepdims=True)
