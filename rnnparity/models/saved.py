"""Models in files: `.keras` and `.h5`, loaded in a worker process with limits of time and memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

from rnnparity.models.calls import Recording
from rnnparity.models.conversion import with_keras_version
from rnnparity.models.inputs import generated_inputs, prepared_inputs
from rnnparity.models.keras_2 import keras_version, readable
from rnnparity.models.layers import KerasLayer
from rnnparity.models.model_files import (
    check_hdf5_model,
    check_model_file,
    config_text,
    custom_names,
    has_lambda,
)
from rnnparity.models.recording import record
from rnnparity.models.worker import TIMEOUT_S, in_worker, limit_memory
from rnnparity.problem.errors import RequestError
from rnnparity.session.outcome import error_line, is_out_of_memory
from rnnparity.subjects.importing import is_module, user_location
from rnnparity.subjects.registry import check_installed

# Keras ships no types.
KerasModule: TypeAlias = Any


def record_file(
    path: Path,
    inputs: object = None,
    *,
    imports: Sequence[str] = (),
    unsafe: bool = False,
    timeout_s: float = TIMEOUT_S,
) -> Recording:
    """Load a model from a file in a worker process, run it there once, and return what was recorded.

    The file is loaded in Keras' safe mode unless `unsafe`; modules in `imports` are imported
    before, for custom objects. Without `inputs` they are generated.

    Raises:
        RequestError: the file is not a model, is dangerous, cannot be loaded or run, or takes too
        much time or memory.
    """
    check_model_file(path)
    check_installed("keras")
    for name in imports:
        if not is_module(name.partition(".")[0]):
            raise RequestError(f"--import {name}: no module of that name is on the path")
    return in_worker(
        str(path), timeout_s, _recorded_in_worker, str(path), inputs, tuple(imports), unsafe
    )


def _recorded_in_worker(
    path: str, inputs: object, imports: Sequence[str], unsafe: bool
) -> Recording:
    keras = _keras()
    limit_memory()
    return recorded(keras, Path(path), inputs, imports, unsafe)


def recorded(
    keras: KerasModule,
    path: Path,
    inputs: object = None,
    imports: Sequence[str] = (),
    unsafe: bool = False,
) -> Recording:
    """Load a model and run it once in this process; see `record_file`."""
    model = _loaded(keras, path, imports, unsafe)
    if inputs is None:
        inputs = generated_inputs(model)
    recording = record(model, prepared_inputs(model, inputs))
    version = keras_version(path)
    calls = tuple(with_keras_version(call, version) for call in recording.calls)
    return replace(recording, calls=calls)


def _keras() -> KerasModule:
    """Return Keras on TensorFlow's CPU path, which decides where the documentation is silent."""
    from rnnparity.subjects.keras import TensorFlow

    return TensorFlow("eager").keras


def _loaded(keras: KerasModule, path: Path, imports: Sequence[str], unsafe: bool) -> KerasLayer:
    """Return the model in a file.

    Raises:
        RequestError: whatever the file makes Keras raise, in one line.
    """
    if path.suffix != ".keras":
        check_hdf5_model(path)
    custom = {} if path.suffix == ".keras" else _mask_operations()
    for name in imports:
        try:
            custom |= _layer_classes(keras, import_module(name))
        except Exception as error:  # whatever an imported module may raise
            line = f"{error_line(error)}{user_location(error)}"
            raise RequestError(f"--import {name}: cannot be imported: {line}") from None
    try:
        with readable(path) as file:
            return keras.saving.load_model(
                file, custom_objects=custom, compile=False, safe_mode=not unsafe
            )
    except MemoryError:
        raise
    except Exception as error:  # whatever the file makes Keras raise
        errors = list(_chain(error))
        if any(map(is_out_of_memory, errors)):
            raise MemoryError from None
        missing = sorted(
            name
            for name in custom_names(keras, config_text(path))
            if name.rpartition(">")[2] not in custom
        )
        reason = _failure(errors[-1], path, unsafe, missing)
        raise RequestError(f"{path}: cannot be loaded: {reason}") from None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that led to it, the first one last."""
    while error is not None:
        yield error
        error = error.__context__


def _failure(error: BaseException, path: Path, unsafe: bool, missing: Sequence[str]) -> str:
    """Return why a file cannot be loaded, and what to do about it.

    `error` is the first one: Keras reports a class that it cannot find as a model that cannot be
    deserialized. `missing` are the names that nothing defines.
    """
    if isinstance(error, ValueError) and not unsafe and has_lambda(config_text(path)):
        return (
            "a Lambda layer, or another Python lambda, in it is code that loading would execute; pass "
            "--unsafe if you trust the file"
        )
    if missing:
        names = ", ".join(missing)
        return f"{names}: not in Keras; pass --import PKG for the module that defines it"
    return error_line(error)


def _mask_operations() -> dict[str, object]:
    """Return the operations of Keras that make masks in a Functional model.

    Keras does not find them when it opens an .h5 file, not even its own.
    """
    operations = import_module("keras.src.ops.numpy")
    return {name: getattr(operations, name) for name in ("Any", "NotEqual")}


def _layer_classes(keras: KerasModule, module: ModuleType) -> dict[str, object]:
    """Return the layers and cells that a module defines, which may not be registered."""
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, keras.layers.Layer)
        and value.__module__ == module.__name__
    }
