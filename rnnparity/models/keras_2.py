"""Files of Keras 2, which Keras 3 opens once they state nothing that it no longer knows."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from rnnparity.problem.keras_config import JsonObject

# The attributes of an .h5 file that hold the configuration, and the version of Keras.
CONFIG, VERSION = "model_config", "keras_version"
METADATA = "metadata.json"


def keras_version(path: Path) -> str:
    """Return the version of Keras that has saved a model, "" where the file has none.

    Raises:
        OSError: the file is damaged.
    """
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            metadata = json.loads(archive.read(METADATA))
        return str(metadata.get(VERSION, ""))
    import h5py

    with h5py.File(path) as file:
        version = file.attrs.get(VERSION, "")
    return version.decode() if isinstance(version, bytes) else str(version)


def is_keras_2(version: str) -> bool:
    """Whether a version of Keras is from before Keras 3."""
    return version.startswith("2.")


@contextmanager
def readable(path: Path) -> Iterator[Path]:
    """Yield a file that Keras 3 reads: of an .h5 file of Keras 2 a copy without `time_major`.

    Keras 3 refuses the argument even where it is false, its only meaning in Keras 3.
    """
    if path.suffix == ".keras" or not is_keras_2(keras_version(path)):
        yield path
        return
    import h5py

    with TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        shutil.copyfile(path, copy)
        with h5py.File(copy, "r+") as file:
            if CONFIG in file.attrs:
                config = json.loads(file.attrs[CONFIG], object_hook=_without_time_major)
                file.attrs[CONFIG] = json.dumps(config)
        yield copy


def _without_time_major(config: JsonObject) -> JsonObject:
    if config.get("time_major") is False:
        del config["time_major"]
    return config
