"""What a model's file shows before it is loaded: whether it is one, and what loading it needs."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from types import ModuleType

from rnnparity.models.keras_2 import METADATA, hdf5_config, is_keras_2, keras_version
from rnnparity.models.worker import GIB, MEMORY_LIMIT
from rnnparity.problem.errors import RequestError
from rnnparity.problem.files import MODEL_SUFFIXES

# A member that every .keras archive has beside METADATA, and how each file begins.
CONFIG = "config.json"
# What the code of a lambda is in the configuration, in files of Keras 3 and of Keras 2.
LAMBDA_MARKS = ('"__lambda__"', '"function_type": "lambda"')
# What an .h5 file calls a model, by itself or inside another one.
MODELS = ("Functional", "Model", "Sequential")
# The module of an object that states none; null is that of a script.
_NOT_STATED = object()
ZIP_START, HDF5_START = b"PK", b"\x89HDF\r\n\x1a\n"


def check_model_file(path: Path) -> None:
    """Check what can be known of a model's file without loading it.

    Raises:
        RequestError: it is not a model, or an archive whose members are too large or point outside.
    """
    if path.suffix not in MODEL_SUFFIXES:
        raise RequestError(f"{path}: got suffix {path.suffix!r}, expected a .keras or .h5 file")
    try:
        with path.open("rb") as file:
            start = file.read(len(HDF5_START))
    except OSError as error:
        raise RequestError(f"{path}: cannot be read: {error.strerror or error}") from None
    if path.suffix != ".keras":
        if start != HDF5_START:
            raise RequestError(f"{path}: not an HDF5 file; save the model with model.save")
        return
    if not start.startswith(ZIP_START):
        raise RequestError(f"{path}: not a .keras archive; save the model with model.save")
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive.infolist())
            _ = archive.read(CONFIG)
            version = keras_version(path)
    except (
        zipfile.BadZipFile,
        EOFError,
        NotImplementedError,  # a compression that zipfile does not have
        RuntimeError,  # an encrypted member
        ValueError,
        OSError,
    ) as error:
        raise RequestError(f"{path}: damaged .keras archive: {error}") from None
    if is_keras_2(version):
        raise RequestError(
            f"{path}: a .keras file of Keras {version}, which Keras 3 cannot open; save it as .h5: "
            f"tf_keras.models.load_model({str(path)!r}).save('model.h5')"
        )


def _check_members(path: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    for member in members:
        name = PurePosixPath(member.filename.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts or ":" in name.parts[0]:
            raise RequestError(
                f"{path}: its member {member.filename!r} points outside the archive; do not trust this file"
            )
    size = sum(member.file_size for member in members)
    if size > MEMORY_LIMIT:
        raise RequestError(
            f"{path}: unpacks to {size / GIB:.1f} GiB, expected at most {MEMORY_LIMIT // GIB} GiB"
        )
    missing = {CONFIG, METADATA} - {member.filename for member in members}
    if missing:
        raise RequestError(f"{path}: {min(missing)} is missing; not a .keras archive")


def check_hdf5_model(path: Path) -> None:
    """Check that an .h5 file is whole and has a model.

    Raises:
        RequestError: it is damaged, or has weights only.
    """
    try:
        config = hdf5_config(path)
    except OSError as error:
        raise RequestError(f"{path}: damaged HDF5 file: {error}") from None
    if not config:
        raise RequestError(
            f"{path}: has no model, only weights; save the whole with model.save('model.keras')"
        )


def config_text(path: Path) -> str:
    """Return the configuration of the model in a file, as JSON."""
    if path.suffix != ".keras":
        return hdf5_config(path)
    with zipfile.ZipFile(path) as archive:
        return archive.read(CONFIG).decode(errors="replace")


def has_lambda(config: str) -> bool:
    """Return whether a configuration has the code of a Python lambda."""
    return any(mark in config for mark in LAMBDA_MARKS)


def custom_names(keras: ModuleType, config: str) -> set[str]:
    """Return the names of the classes and functions in a configuration that Keras does not know.

    Every object states its module; the layers in an .h5 file state their names only.
    """

    def is_known(name: str, module: object) -> bool:
        if keras.saving.get_registered_object(name) is not None:
            return True
        if module is _NOT_STATED:
            return name in MODELS or hasattr(keras.layers, name)
        return str(module).partition(".")[0] == "keras"

    try:
        objects = list(_objects(json.loads(config)))
    except ValueError:
        return set()
    return {name for name, module in objects if not is_known(name, module)}


def _objects(config: object) -> Iterator[tuple[str, object]]:
    """Yield the name and the module of every object in a configuration that Keras looks up."""
    if isinstance(config, list):
        for part in config:
            yield from _objects(part)
    elif isinstance(config, dict):
        name = str(config.get("registered_name") or config.get("class_name", "__none__"))
        if name == "function":
            name = str(config.get("config"))
        # Names as `__keras_tensor__` are parts of the format.
        if not name.startswith("__"):
            yield name, config.get("module", _NOT_STATED)
        for part in config.values():
            yield from _objects(part)
