"""PyTorch: nn.RNN, nn.LSTM and nn.GRU, for all of Keras' layers that they can express."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from time import perf_counter

from rnnparity.problem.answer import Answer
from rnnparity.problem.answer_types import Gradients
from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.layers import Bidirectional, Recurrent
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.subjects.adapters import layer_outputs, lengths_of, with_lengths
from rnnparity.subjects.calls import calls_of, split_states
from rnnparity.subjects.declarations import GPU_PATHS, MissingFrameworkError, Registration
from rnnparity.subjects.torch_layers import (
    Torch,
    TorchLayers,
    TorchModule,
    TorchTensor,
    module_weights,
    trained_parameters,
    weight_gradients,
)
from rnnparity.subjects.torch_limits import check_supported


def make(path: str) -> TorchSubject:
    """Return the subject `torch` on the CPU (path "cpu") or by cuDNN on an NVIDIA GPU.

    Raises:
        ImportError: PyTorch is missing.
        MissingFrameworkError: the GPU is missing.
    """
    import torch

    if path in GPU_PATHS and not torch.cuda.is_available():
        raise MissingFrameworkError(
            f"torch:{path}", "an NVIDIA GPU or PyTorch's CUDA build is missing"
        )
    torch.set_num_threads(1)
    torch.backends.cuda.matmul.allow_tf32 = path == "tf32"
    torch.backends.cudnn.allow_tf32 = path == "tf32"
    return TorchSubject(torch, "cuda" if path in GPU_PATHS else "cpu")


class TorchSubject:
    """PyTorch's modules on one device."""

    def __init__(self, torch: Torch, device: str) -> None:
        self.torch = torch
        self.layers = TorchLayers(torch, device)

    def versions(self) -> dict[str, str]:
        return {"torch": str(self.torch.__version__)}

    def answer(self, problem: Problem) -> Answer:
        check_supported(problem)
        start = perf_counter()
        with self.torch.no_grad():
            outputs = layer_outputs(problem, with_lengths(self._layer))
        return Answer(outputs, seconds=perf_counter() - start)

    def _layer(
        self,
        layer: Recurrent | Bidirectional,
        weights: Mapping[str, Array],
        x: Array,
        lengths: Array | None,
        states: Sequence[Array],
    ) -> tuple[list[Array], list[Array]]:
        """Return the outputs and last states of a layer, see `layer_subject`."""
        outputs, last = self.layers.run(
            layer,
            self.layers.module(layer, weights),
            self.layers.tensor(x),
            None if lengths is None else self.torch.from_numpy(lengths),
            [self.layers.tensor(state) for state in states],
        )
        return [_as_array(output) for output in outputs], [_as_array(state) for state in last]

    def gradients(self, problem: Problem) -> Answer:
        check_supported(problem)
        start = perf_counter()
        gradients = self._gradients(problem)
        return Answer(seconds=perf_counter() - start, gradients=gradients)

    def train(self, problem: Problem) -> Answer:
        """Return the weights after one step of torch.optim.SGD.

        Where Keras has one bias and PyTorch two, only the first is trained: with both, their sum
        would move twice as far.
        """
        check_supported(problem)
        step = problem.training_step
        assert step is not None  # noqa: S101 - only such problems get here
        start = perf_counter()
        with self.torch.no_grad():
            modules = self.layers.of(problem)
        x = self.layers.tensor(problem.inputs.data)
        states = [self.layers.tensor(state.data) for state in problem.initial_state or ()]
        outputs = self._recorded_outputs(problem, modules, x, states)
        loss = sum(
            self.torch.nn.functional.mse_loss(
                output, self.layers.tensor(target.data).to(output.dtype)
            )
            for output, target in zip(outputs, step.targets, strict=True)
        )
        parameters = [p for layer, module in modules for p in trained_parameters(layer, module)]
        optimizer = self.torch.optim.SGD(parameters, lr=step.lr)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        arrays = [
            array
            for layer, module in modules
            for array in module_weights(
                layer, {name: _as_array(p.detach()) for name, p in module.named_parameters()}
            )
        ]
        weights = tuple(
            Tensor.of(slot.name, array, slot.dtype)
            for slot, array in zip(problem.weight_slots(), arrays, strict=True)
        )
        return Answer(weights, seconds=perf_counter() - start)

    def _gradients(self, problem: Problem) -> Gradients:
        """Return the gradients by torch.autograd, through all layers and calls."""
        with self.torch.no_grad():
            modules = self.layers.of(problem)
        x = self.layers.tensor(problem.inputs.data).requires_grad_()
        states = [self.layers.tensor(s.data).requires_grad_() for s in problem.initial_state or ()]
        weights = [weight for _, module in modules for weight in module.parameters()]
        outputs = self._recorded_outputs(problem, modules, x, states)
        cotangents = [
            self.layers.tensor(cotangent.data).to(output.dtype)
            for output, cotangent in zip(outputs, problem.cotangents or (), strict=True)
        ]
        sources = [x, *weights, *states]
        found = iter(self.torch.autograd.grad(outputs, sources, cotangents, allow_unused=True))
        arrays = [_array_if_any(next(found))]
        for layer, module in modules:
            # Those of weights are there, as every call uses them.
            names = dict(module.named_parameters())
            arrays += weight_gradients(layer, {name: _as_array(next(found)) for name in names})
        arrays += map(_array_if_any, found)
        return tuple(
            None if array is None else Tensor.of(slot.name, array, slot.dtype)
            for slot, array in zip(problem.gradient_slots(), arrays, strict=True)
        )

    def _recorded_outputs(
        self,
        problem: Problem,
        modules: Sequence[tuple[Recurrent | Bidirectional, TorchModule]],
        x: TorchTensor,
        states: Sequence[TorchTensor],
    ) -> list[TorchTensor]:
        """Return a problem's outputs, through which gradients flow back to inputs and states.

        `layer_outputs` passes arrays from layer to layer, which would end that.
        """
        by_layer: list[list[TorchTensor] | None] = [None for _ in modules]
        if states:
            by_layer = [*split_states(problem, states)]
        joined: list[list[TorchTensor]] = []
        for call, inputs in zip(calls_of(problem), x.split(problem.steps, 1), strict=True):
            lengths = None if call.mask is None else self.torch.from_numpy(lengths_of(call.mask))
            outputs, kept = [inputs], []
            for (layer, module), start in zip(modules, by_layer, strict=True):
                outputs, ends = self.layers.run(layer, module, outputs[0], lengths, start)
                kept.append(ends if layer.stateful else None)
            by_layer = kept
            count = len(outputs) if problem.layer.return_sequences else 0
            joined.append([*outputs, *(ends if problem.layer.return_state else [])])
        sequences = [self.torch.cat(parts, 1) for parts in list(zip(*joined, strict=True))[:count]]
        return [*sequences, *joined[-1][count:]]


def _array_if_any(value: TorchTensor | None) -> Array | None:
    return None if value is None else _as_array(value)


def _as_array(value: TorchTensor) -> Array:
    dtype = str(value.dtype).removeprefix("torch.")
    if dtype == "bfloat16":
        return FLOAT_TYPES[dtype].round(value.float().cpu().numpy())
    array: Array = value.cpu().numpy().copy()
    return array


def _registration(name: str, path: str, description: str) -> Registration:
    return Registration(
        name,
        partial(make, path),
        description,
        packages=("torch",),
        extra="torch",
        rank=30,
        needs_gpu=path in GPU_PATHS,
    )


SUBJECTS = (
    _registration("torch", "cpu", "PyTorch's nn.RNN, nn.LSTM and nn.GRU"),
    *(
        _registration(f"torch:{path}", path, f"PyTorch, {where}")
        for path, where in GPU_PATHS.items()
    ),
)
