"""The inputs of a model: generated from its specs, or checked against them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from inspect import Parameter, signature
from typing import TypeAlias

import numpy as np

from rnnparity.models.layers import KerasLayer, layers_of_class
from rnnparity.problem.dtypes import Array
from rnnparity.problem.errors import RequestError
from rnnparity.problem.keras_config import JsonObject

# Sizes of generated inputs along axes that a model leaves open.
BATCH, STEPS = 3, 7
# The dtype of a model's input, as Keras names it, that holds no numbers.
TEXT = "string"

Shape: TypeAlias = tuple[int | None, ...]


def generated_inputs(model: KerasLayer) -> object:
    """Return random inputs of the shapes and dtypes that a model has, always the same.

    Ids are below the smallest `input_dim` of the Embeddings that they reach. Where an Embedding or
    a Masking makes a mask, the last row ends with masked steps.

    Raises:
        RequestError: the model does not state its inputs.
    """
    rng = np.random.default_rng(0)
    tensors = symbolic_inputs(model)
    if not tensors:
        return _generated_by_shape(model, rng)
    arrays = [
        _generated(model, rng, tuple(tensor.shape), tensor.dtype, list(_embeddings(model, tensor)))
        for tensor in tensors
    ]
    return _packed(model, arrays)


def _generated_by_shape(model: KerasLayer, rng: np.random.Generator) -> object:
    """Return inputs of the shapes for which a model without symbolic inputs was built.

    Those of a model with several arguments are a mapping by their names.
    """
    build: JsonObject = model.get_build_config() or {}
    if _is_shape(build.get("input_shape")) and len(_arguments(model)) < 2:
        return _of_shape(model, rng, build["input_shape"])
    shapes = build.get("shapes_dict") or {}
    if not shapes or not all(map(_is_shape, shapes.values())):
        raise RequestError(
            f"model {model.name!r}: its inputs cannot be generated, because it does not state their "
            f"shapes; pass inputs for {', '.join(_arguments(model))}"
        )
    return {
        name.removesuffix("_shape"): _of_shape(model, rng, shape) for name, shape in shapes.items()
    }


def _arguments(model: KerasLayer) -> list[str]:
    """Return the names of the arguments that every call of a model needs."""
    parameters = signature(model.call).parameters.values()
    return [
        parameter.name
        for parameter in parameters
        if parameter.default is Parameter.empty
        and parameter.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    ]


def _is_shape(value: object) -> bool:
    return isinstance(value, list | tuple) and all(
        size is None or isinstance(size, int) for size in value
    )


def _of_shape(model: KerasLayer, rng: np.random.Generator, shape: Shape) -> Array:
    """Return ids for two axes where there is an Embedding, which one may take them, or numbers."""
    embeddings = list(layers_of_class(model, "Embedding"))
    # The first axis is that of the batch for which it was built, which may be any.
    return _generated(
        model, rng, (None, *shape[1:]), "float32", embeddings if len(shape) == 2 else []
    )


def symbolic_inputs(model: KerasLayer) -> Sequence[KerasLayer]:
    """Return the symbolic inputs of a Functional or built Sequential model, none of any other."""
    return getattr(model, "inputs", None) or []


def _generated(
    model: KerasLayer,
    rng: np.random.Generator,
    shape: Shape,
    dtype: str,
    embeddings: Sequence[KerasLayer],
) -> Array:
    if dtype == TEXT:
        raise RequestError(f"model {model.name!r}: text inputs cannot be generated; pass inputs")
    defaults = [BATCH] + [STEPS] * len(shape)
    sizes = [
        default if size is None else size for size, default in zip(shape, defaults, strict=False)
    ]
    if embeddings:
        limit = min(layer.input_dim for layer in embeddings)
        masked = any(layer.mask_zero for layer in embeddings)
        ids = rng.integers(min(1, limit - 1) if masked else 0, limit, sizes)
        return _with_end(ids, 0) if masked else ids
    if "float" not in dtype:
        return rng.integers(0, 2, sizes)
    values = rng.standard_normal(sizes).astype("float32")
    maskings = list(layers_of_class(model, "Masking"))
    return _with_end(values, maskings[0].mask_value) if maskings and len(sizes) == 3 else values


def _with_end(array: Array, value: float) -> Array:
    """Return an array whose last row has `value` in the last third of its steps."""
    if array.ndim > 1:
        array[-1, array.shape[1] - array.shape[1] // 3 :] = value
    return array


def _embeddings(model: KerasLayer, tensor: KerasLayer) -> Iterator[KerasLayer]:
    """Yield the Embeddings that a symbolic tensor reaches through operations without weights."""
    graph = getattr(model, "_functional", None) or model
    for operation in graph.operations:
        for node in operation._inbound_nodes:
            indices = [index for index, part in enumerate(node.input_tensors) if part is tensor]
            if not indices:
                continue
            if type(operation).__name__ == "Embedding":
                yield operation
            elif symbolic_inputs(operation):
                inner = symbolic_inputs(operation)
                for index in indices:
                    yield from _embeddings(operation, inner[index])
            elif not getattr(operation, "weights", None):
                for output in node.output_tensors:
                    yield from _embeddings(model, output)


def prepared_inputs(model: KerasLayer, inputs: object) -> object:
    """Return inputs as the model is called with them, after a check of their number and shapes.

    `inputs` is an array, a list of them in the order of the model's inputs, or a mapping by the
    names of the inputs. A model without symbolic inputs gets them unchanged, where it has several
    arguments as a mapping by their names.

    Raises:
        RequestError: their number, names, shapes or types are not those of the model.
    """
    tensors = symbolic_inputs(model)
    if not tensors:
        names = _arguments(model)
        if isinstance(inputs, list | tuple) and len(inputs) == len(names) > 1:
            return dict(zip(names, inputs, strict=True))
        return inputs
    arrays = []
    for tensor, value in zip(tensors, _in_order(model, tensors, inputs), strict=True):
        array = _checked_array(tensor.name, value)
        _check_shape(tensor, array)
        arrays.append(array)
    return _packed(model, arrays)


def input_names(model: KerasLayer) -> list[str]:
    """Return the names of a model's inputs, none where it has no symbolic inputs."""
    structure = getattr(model, "_inputs_struct", None)
    if isinstance(structure, dict):
        return sorted(structure)
    return [tensor.name for tensor in symbolic_inputs(model)]


def _in_order(model: KerasLayer, tensors: Sequence[KerasLayer], inputs: object) -> Sequence[object]:
    """Return one value for each input of a model."""
    names = input_names(model)
    if isinstance(inputs, Mapping):
        if set(inputs) != set(names):
            actual, expected = ", ".join(map(str, inputs)), ", ".join(names)
            raise RequestError(f"inputs: got the names {actual}, expected {expected}")
        return [inputs[name] for name in names]
    if len(tensors) == 1:
        rank = len(tensors[0].shape)
        if isinstance(inputs, list | tuple) and len(inputs) == 1 and np.ndim(inputs[0]) == rank:
            return inputs
        return [inputs]
    if not isinstance(inputs, list | tuple) or len(inputs) != len(tensors):
        count = len(inputs) if isinstance(inputs, list | tuple) else 1
        raise RequestError(
            f"inputs: got {count} arrays, expected {len(tensors)}: {', '.join(names)}"
        )
    return inputs


def _checked_array(name: str, value: object) -> Array:
    """Return a value as an array of numbers or text.

    Raises:
        RequestError: it is ragged, or holds something else.
    """
    try:
        array = np.asarray(value)
    except ValueError:
        raise RequestError(
            f"inputs {name}: got lists of different lengths, expected those of one array; pad the shorter"
        ) from None
    if array.dtype.kind not in "biufU" and array.dtype.name != "bfloat16":
        raise RequestError(f"inputs {name}: got an array of {array.dtype}, expected numbers")
    return array


def _check_shape(tensor: KerasLayer, array: Array) -> None:
    expected = tuple(tensor.shape)
    fits = len(expected) == array.ndim and all(
        size in (None, actual) for size, actual in zip(expected, array.shape, strict=True)
    )
    if not fits:
        shown = str(expected).replace("None", "any")
        raise RequestError(f"inputs {tensor.name}: got shape {array.shape}, expected {shown}")
    if 0 in array.shape:
        raise RequestError(f"inputs {tensor.name}: got shape {array.shape}, expected no empty axis")


def _packed(model: KerasLayer, arrays: Sequence[Array]) -> object:
    """Return arrays in the structure in which a model takes its inputs."""
    structure = getattr(model, "_inputs_struct", None)
    if isinstance(structure, dict):
        return dict(zip(sorted(structure), arrays, strict=True))
    return arrays[0] if len(arrays) == 1 else list(arrays)
