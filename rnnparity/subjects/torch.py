"""PyTorch: nn.RNN, nn.LSTM and nn.GRU, for all of Keras' layers that they can express.

Its weights are (G*H, D) where Keras has (D, G*H), the GRU's gates are r, z, n where Keras has z, r,
h, and every layer has two biases:
https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html, .GRU.html, .RNN.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Any

import numpy as np

from rnnparity.problem.answer import Answer, Subject, Unsupported
from rnnparity.problem.dtypes import FLOAT_TYPES, Array, widened
from rnnparity.problem.errors import MissingFrameworkError
from rnnparity.problem.layers import Bidirectional, Recurrent, Stack
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.subjects import ON_A_GPU

INSTALL = "pip install 'rnnparity[torch]'"
MODULES = {"SimpleRNN": "RNN", "LSTM": "LSTM", "GRU": "GRU"}


def make(path: str) -> Subject:
    """The subject `torch` on the CPU (path "cpu"), or by cuDNN on an NVIDIA GPU without TF32
    ("cuda") or with ("tf32").

    Raises:
        RequestError: PyTorch or the GPU is missing.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingFrameworkError(f"subject 'torch' needs PyTorch ({error}): {INSTALL}") from None
    if path in ON_A_GPU and not torch.cuda.is_available():
        raise MissingFrameworkError(
            f"subject 'torch:{path}' needs an NVIDIA GPU and PyTorch's CUDA build"
        )
    torch.set_num_threads(1)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = path == "tf32"
    return TorchSubject(torch, "cuda" if path in ON_A_GPU else "cpu")


class TorchSubject:
    """One module a layer, made for its shape and kept; its weights are those of the problem in
    hand."""

    def __init__(self, torch: Any, device: str) -> None:
        self.torch, self.device = torch, device
        self.modules: dict[Any, Any] = {}

    def versions(self) -> dict[str, str]:
        return {"torch": str(self.torch.__version__)}

    def answer(self, problem: Problem) -> Answer:
        layers = problem.layer.layers if isinstance(problem.layer, Stack) else (problem.layer,)
        for layer in layers:
            _check(layer, problem)
        start = perf_counter()
        with self.torch.no_grad():
            outputs = self._calls(problem, layers)
        names = [slot.name for slot in problem.output_slots()]
        tensors = tuple(_tensor(name, value) for name, value in zip(names, outputs, strict=True))
        return Answer(tensors, seconds=perf_counter() - start)

    def _calls(self, problem: Problem, layers: tuple[Any, ...]) -> list[Any]:
        """Every call of a stateful run in turn; sequences are joined."""
        torch = self.torch
        weights = {tensor.name: tensor.data for tensor in problem.weights}
        prefixes = (
            [f"{n}/" for n in range(len(layers))] if isinstance(problem.layer, Stack) else [""]
        )
        modules = [
            self._module(layer, weights, prefix)
            for layer, prefix in zip(layers, prefixes, strict=True)
        ]
        given = [tensor.data for tensor in problem.initial_state or ()]
        states = [[given.pop(0) for _ in layer.states] if given else None for layer in layers]
        calls, start = [], 0
        for steps in problem.steps:
            x = torch.from_numpy(
                np.ascontiguousarray(widened(problem.inputs.data[:, start : start + steps]))
            ).to(self.device)
            outputs: list[Any] = []
            for n, layer in enumerate(layers):
                outputs, ends = self._layer(layer, modules[n], x, problem.mask, states[n])
                states[n] = ends if layer.stateful else None
                x = outputs[0]
            calls.append(outputs)
            start += steps
        if len(calls) == 1 or not problem.layer.return_sequences:
            return calls[-1]
        sequences = len(calls[-1]) - (len(layers[-1].states) if problem.layer.return_state else 0)
        return [
            torch.cat(parts, 1) for parts in list(zip(*calls, strict=True))[:sequences]
        ] + calls[-1][sequences:]

    def _module(
        self, layer: Recurrent | Bidirectional, weights: Mapping[str, Array], prefix: str
    ) -> Any:
        torch = self.torch
        two_ways = isinstance(layer, Bidirectional)
        half = layer.forward if isinstance(layer, Bidirectional) else layer
        sides = (("forward/", ""), ("backward/", "_reverse")) if two_ways else (("", ""),)
        features = weights[f"{prefix}{sides[0][0]}kernel"].shape[0]
        dtype = getattr(torch, half.compute_dtype)
        # The layers of a stack each have a module of their own, however alike they are.
        key = (
            prefix,
            half.class_name,
            features,
            half.units,
            half.use_bias,
            half.activation,
            two_ways,
            dtype,
        )
        if key not in self.modules:
            words = {"nonlinearity": half.activation} if half.class_name == "SimpleRNN" else {}
            make_module = getattr(torch.nn, MODULES[half.class_name])
            self.modules[key] = make_module(
                features,
                half.units,
                batch_first=True,
                bias=half.use_bias,
                bidirectional=two_ways,
                device=self.device,
                dtype=dtype,
                **words,
            )
        module = self.modules[key]
        for side, ending in sides:
            own = {
                name: weights.get(f"{prefix}{side}{name}")
                for name in ("kernel", "recurrent_kernel", "bias")
            }
            for name, array in packed(half, own).items():
                kind = FLOAT_TYPES[half.compute_dtype]
                getattr(module, f"{name}_l0{ending}").copy_(
                    torch.from_numpy(np.ascontiguousarray(widened(kind.round(array))))
                )
        return module

    def _layer(
        self,
        layer: Recurrent | Bidirectional,
        module: Any,
        x: Any,
        mask: Array | None,
        states: list[Any] | None,
    ) -> tuple[list[Any], list[Any]]:
        """A layer's outputs in Keras' order, and its last states."""
        torch = self.torch
        half = layer.forward if isinstance(layer, Bidirectional) else layer
        x = x.to(getattr(torch, half.compute_dtype))
        if half.go_backwards:
            x = x.flip(1)
        start = None if states is None else self._start(half, states, x.dtype)
        packing = torch.nn.utils.rnn
        lengths = None if mask is None else torch.from_numpy(mask.sum(axis=1))
        packed_x = (
            x
            if lengths is None
            else packing.pack_padded_sequence(x, lengths, True, enforce_sorted=False)
        )
        y, ends = module(packed_x, start)
        if lengths is not None:
            y, _ = packing.pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])
        ends = list(ends) if isinstance(ends, tuple) else [ends]
        last = [[end[side] for end in ends] for side in range(ends[0].shape[0])]
        flat = [state for side in last for state in side]
        if not isinstance(layer, Bidirectional):
            return [
                y if layer.return_sequences else last[0][0],
                *(flat if layer.return_state else []),
            ], flat
        units = half.units
        pair = (
            (y[..., :units], y[..., units:]) if layer.return_sequences else (last[0][0], last[1][0])
        )
        return [*self._merged(layer.merge_mode, *pair), *(flat if layer.return_state else [])], flat

    def _start(self, half: Recurrent, states: list[Any], dtype: Any) -> Any:
        """Keras' states, half by half, as (directions, B, H) each."""
        tensors = [torch_of(self.torch, state, dtype).to(self.device) for state in states]
        count = len(half.states)
        stacked = [self.torch.stack(tensors[n::count]) for n in range(count)]
        return tuple(stacked) if count > 1 else stacked[0]

    def _merged(self, mode: str | None, y: Any, y_rev: Any) -> list[Any]:
        if mode == "concat":
            return [self.torch.cat([y, y_rev], -1)]
        merged = {
            "sum": lambda: y + y_rev,
            "mul": lambda: y * y_rev,
            "ave": lambda: (y + y_rev) / 2,
        }
        return [y, y_rev] if mode is None else [merged[mode]()]


def packed(half: Recurrent, own: Mapping[str, Array | None]) -> dict[str, Array]:
    """Keras' weights of a half under PyTorch's names and in its layout."""
    kernel, recurrent, bias = own["kernel"], own["recurrent_kernel"], own["bias"]
    named = {"weight_ih": _gates(half, kernel).T, "weight_hh": _gates(half, recurrent).T}
    if bias is not None:
        rows = np.atleast_2d(bias)
        named["bias_ih"] = _gates(half, rows[0])
        named["bias_hh"] = _gates(half, rows[1]) if len(rows) > 1 else np.zeros_like(rows[0])
    return named


def _gates(half: Recurrent, array: Array | None) -> Array:
    """Blocks along the last axis in PyTorch's order: the GRU's r, z, n; the LSTM's are Keras'
    own."""
    array = np.asarray(array)
    if half.class_name != "GRU":
        return array
    z, r, h = np.split(array, 3, axis=-1)
    return np.concatenate([r, z, h], axis=-1)


def torch_of(torch: Any, value: Any, dtype: Any) -> Any:
    """A tensor of an array or a tensor."""
    return (
        torch.from_numpy(np.ascontiguousarray(widened(value)))
        if isinstance(value, np.ndarray)
        else value
    ).to(dtype)


def _tensor(name: str, value: Any) -> Tensor:
    dtype = str(value.dtype).removeprefix("torch.")
    if dtype != "bfloat16":
        return Tensor(name, value.cpu().numpy().copy())
    return Tensor.of(name, value.float().cpu().numpy(), dtype)


def _check(layer: Recurrent | Bidirectional, problem: Problem) -> None:
    """What PyTorch's layers cannot express.

    Raises:
        Unsupported: with the reason.
    """
    both = (layer.forward, layer.backward) if isinstance(layer, Bidirectional) else (layer,)
    for half in both:
        plain = ("tanh", "relu") if half.class_name == "SimpleRNN" else ("tanh",)
        if half.activation not in plain or (
            half.cell.gated and half.recurrent_activation != "sigmoid"
        ):
            raise Unsupported(f"nn.{MODULES[half.class_name]} has its own activations alone")
        if half.class_name == "GRU" and not half.reset_after:
            raise Unsupported("nn.GRU is the one with reset_after")
        if half.dtype.startswith("mixed_"):
            raise Unsupported("mixed policies are Keras' own")
    if len(both) == 2 and (
        _direction_free(both[0]) != _direction_free(both[1]) or layer.dtype != both[0].dtype
    ):
        raise Unsupported("the two directions of a PyTorch layer are alike")
    if problem.mask is not None:
        _check_mask(both[0], problem)


def _direction_free(half: Recurrent) -> tuple[Any, ...]:
    """What two directions must share."""
    return (
        half.class_name,
        half.units,
        half.activation,
        half.recurrent_activation,
        half.use_bias,
        half.dtype,
    )


def _check_mask(half: Recurrent, problem: Problem) -> None:
    """PyTorch has lengths: steps at the end of a row are left out, their outputs are zero."""
    mask = np.asarray(problem.mask)
    lengths = mask.sum(axis=1)
    right = all(mask[row, :length].all() for row, length in enumerate(lengths))
    if not right or not lengths.all():
        raise Unsupported("a packed sequence has used steps first, and some in every row")
    if half.go_backwards or isinstance(problem.layer, Stack) or problem.calls is not None:
        raise Unsupported(
            "packed sequences are read forward or in both directions, in one layer and one call"
        )
    if half.return_sequences and not half.zero_output_for_mask:
        raise Unsupported(
            "the outputs of a packed sequence are zero where Keras repeats the last one"
        )
