"""Reference gradients in float64 beside those of three frameworks' own differentiation.

`PYTHONPATH=tests python -m validation.float64_gradients [-n N] [--seed S] [FRAMEWORK ...]` differentiates
plain cells, written here once more, in jax, torch and tensorflow on N random problems, and prints the largest
relative difference of any gradient array. The exit status is 1 if one is beyond 1e-12 (issue 15).

Axis letters: B batch, T time, D features, H units, G gates.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
import typer

from rnnparity.problem.dtypes import Array
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.reference.gradients import compute_gradients
from rnnparity.session.processes import one_blas_thread

LARGEST = 1e-12
B, T, D, H = 3, 7, 4, 5
GATES = {"SimpleRNN": 1, "LSTM": 4, "GRU": 3}
SCALES = (0.3, 1.0, 3.0)

# A framework's arrays.
X = Any
Gradients = Callable[[Callable[..., X], Sequence[Array], Sequence[Array]], list[Array]]


@dataclass(frozen=True)
class Framework:
    """The functions that the cells need, and what differentiates them."""

    tanh: Callable[[X], X]
    sigmoid: Callable[[X], X]
    where: Callable[[X, X, X], X]
    stack: Callable[[Sequence[X], int], X]
    array: Callable[[Array], X]
    gradients: Gradients


def jax() -> Framework:
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)

    def gradients(
        f: Callable[..., X], leaves: Sequence[Array], cotangents: Sequence[Array]
    ) -> list[Array]:
        _, backward = jax.vjp(f, *map(jnp.asarray, leaves))
        return [np.asarray(each) for each in backward(tuple(map(jnp.asarray, cotangents)))]

    return Framework(jnp.tanh, jax.nn.sigmoid, jnp.where, jnp.stack, jnp.asarray, gradients)


def torch() -> Framework:
    import torch

    def gradients(
        f: Callable[..., X], leaves: Sequence[Array], cotangents: Sequence[Array]
    ) -> list[Array]:
        inputs = [torch.tensor(leaf, requires_grad=True) for leaf in leaves]
        grads = torch.autograd.grad(f(*inputs), inputs, [torch.tensor(each) for each in cotangents])
        return [each.numpy() for each in grads]

    return Framework(
        torch.tanh, torch.sigmoid, torch.where, torch.stack, torch.as_tensor, gradients
    )


def tensorflow() -> Framework:
    import tensorflow as tf

    def gradients(
        f: Callable[..., X], leaves: Sequence[Array], cotangents: Sequence[Array]
    ) -> list[Array]:
        inputs = [tf.constant(leaf) for leaf in leaves]
        with tf.GradientTape() as tape:
            for each in inputs:
                tape.watch(each)
            outputs = f(*inputs)
        return [each.numpy() for each in tape.gradient(outputs, inputs, list(cotangents))]

    return Framework(tf.tanh, tf.sigmoid, tf.where, tf.stack, tf.constant, gradients)


FRAMEWORKS = {"jax": jax, "torch": torch, "tensorflow": tensorflow}


def run(xp: Framework, kind: str, mask: Array, x: X, W: X, U: X, b: X, *states: X) -> tuple[X, ...]:
    """Return the sequence (B, T, H) and the last states of a layer; masked steps keep all."""
    h, *others = states
    c = others[0] if others else h
    y, sequence = h * 0, []
    for t in range(T):
        new_h, new_c = step(xp, kind, x[:, t], h, c, W, U, b)
        used = xp.array(mask[:, t, None])
        h, c, y = xp.where(used, new_h, h), xp.where(used, new_c, c), xp.where(used, new_h, y)
        sequence.append(y)
    return (xp.stack(sequence, 1), h, c) if others else (xp.stack(sequence, 1), h)


def step(xp: Framework, kind: str, x: X, h: X, c: X, W: X, U: X, b: X) -> tuple[X, X]:
    """Return h and c after a step."""
    if kind == "SimpleRNN":
        return xp.tanh(x @ W + h @ U + b), c
    gates = [slice(number * H, (number + 1) * H) for number in range(GATES[kind])]
    if kind == "LSTM":
        i, f, g, o = ((x @ W + h @ U + b)[:, gate] for gate in gates)
        c = xp.sigmoid(f) * c + xp.sigmoid(i) * xp.tanh(g)
        return xp.sigmoid(o) * xp.tanh(c), c
    (xz, xr, xg), (hz, hr, hg) = (
        [product[:, gate] for gate in gates] for product in (x @ W + b[0], h @ U + b[1])
    )
    z, g = xp.sigmoid(xz + hz), xp.tanh(xg + xp.sigmoid(xr + hr) * hg)
    return z * h + (1 - z) * g, c


def draw(seed: int) -> tuple[str, Problem]:
    """Draw a layer with its numbers and cotangents; every other one has a mask."""
    rng = np.random.default_rng(seed)
    kind, scale = list(GATES)[seed % 3], SCALES[seed // 3 % 3]
    columns = GATES[kind] * H
    weights = [
        scale * rng.standard_normal((D, columns)),
        scale / 2 * rng.standard_normal((H, columns)),
        0.3 * rng.standard_normal((2, columns) if kind == "GRU" else columns),
    ]
    flags = {"return_sequences": True, "return_state": True, "dtype": "float64"}
    problem = Problem.from_arrays(
        {"class_name": kind, "config": {"units": H, **flags}},
        weights,
        rng.standard_normal((B, T, D)),
        mask=rng.random((B, T)) < 0.75 if seed % 2 else np.ones((B, T), bool),
        initial_state=[rng.standard_normal((B, H)) / 2 for _ in range(1 + (kind == "LSTM"))],
        id=f"float64-{seed}",
    )
    cotangents = tuple(
        Tensor.of(slot.name, rng.standard_normal(slot.shape), "float64")
        for slot in problem.output_slots()
    )
    return kind, replace(problem, cotangents=cotangents)


def largest_difference(framework: Framework, seed: int) -> float:
    """Return the largest difference of a gradient array in units of its largest value."""
    kind, problem = draw(seed)
    states = problem.initial_state or ()
    leaves = [tensor.data for tensor in (problem.inputs, *problem.weights, *states)]
    mask = np.ones((B, T), bool) if problem.mask is None else problem.mask
    cotangents = [tensor.data for tensor in problem.cotangents or ()]

    def layer(*arrays: X) -> tuple[X, ...]:
        return run(framework, kind, mask, *arrays)

    theirs = framework.gradients(layer, leaves, cotangents)
    return max(_relative(theirs, [tensor.data for tensor in compute_gradients(problem)]))


def _relative(theirs: Sequence[Array], ours: Sequence[Array]) -> Iterator[float]:
    for their, our in zip(theirs, ours, strict=True):
        yield float(np.abs(their - our).max() / np.abs(our).max())


def main(
    names: Annotated[list[str] | None, typer.Argument(metavar="FRAMEWORK")] = None,
    n: Annotated[int, typer.Option("-n", min=1, help="Random problems for each framework.")] = 30,
    seed: Annotated[int, typer.Option(min=0, help="The first seed.")] = 0,
) -> None:
    """Print the largest relative difference of the gradients for each framework."""
    beyond = 0
    with one_blas_thread():
        for name in names or FRAMEWORKS:
            framework = FRAMEWORKS[name]()
            worst = [largest_difference(framework, number) for number in range(seed, seed + n)]
            wrong = sum(each > LARGEST for each in worst)
            typer.echo(f"{name}: {n} problems, largest {max(worst):.1e}, {wrong} beyond {LARGEST}")
            beyond += wrong
    raise typer.Exit(1 if beyond else 0)


if __name__ == "__main__":
    sys.exit(typer.run(main))
