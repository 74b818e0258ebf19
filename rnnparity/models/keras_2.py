"""Files of Keras 2, which Keras 3 opens once they state nothing that it no longer knows."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

from rnnparity.problem.keras_config import JsonObject

# The attributes of an .h5 file that hold the configuration, and the version of Keras.
CONFIG, VERSION = "model_config", "keras_version"
METADATA = "metadata.json"
# [layer, number of the call, number of the output, arguments], as JSON.
Source: TypeAlias = list[Any]
# The layers that Keras 2 lists with their initial states as further inputs.
RECURRENT = ("RNN", "SimpleRNN", "LSTM", "GRU", "Bidirectional")


def keras_version(path: Path) -> str:
    """Return the version of Keras that has saved a model, "" where the file has none.

    Raises:
        OSError, ValueError: the file is damaged.
    """
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            metadata = json.loads(archive.read(METADATA))
        return str(metadata.get(VERSION, "")) if isinstance(metadata, dict) else ""
    import h5py

    with h5py.File(path) as file:
        version = file.attrs.get(VERSION, "")
    return version.decode() if isinstance(version, bytes) else str(version)


def hdf5_config(path: Path) -> str:
    """Return the configuration of the model in an .h5 file, "" where the file has none."""
    import h5py

    with h5py.File(path) as file:
        config = file.attrs.get(CONFIG, "")
    return config.decode(errors="replace") if isinstance(config, bytes) else str(config)


def is_keras_2(version: str) -> bool:
    """Whether a version of Keras is from before Keras 3."""
    return version.startswith("2.")


@contextmanager
def readable(path: Path) -> Iterator[Path]:
    """Yield a file that Keras 3 reads: of an .h5 file of Keras 2 a copy with its configuration changed.

    Keras 3 refuses `time_major` even where it is false, its only meaning in Keras 3, and initial
    states that are further inputs of a layer.
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
                config = json.loads(file.attrs[CONFIG], object_hook=_converted)
                file.attrs[CONFIG] = json.dumps(config)
        yield copy


def _converted(config: JsonObject) -> JsonObject:
    """Return a part of a configuration as Keras 3 writes it."""
    if config.get("time_major") is False:
        del config["time_major"]
    if config.get("class_name") in RECURRENT and "inbound_nodes" in config:
        config["inbound_nodes"] = [_with_initial_state(node) for node in config["inbound_nodes"]]
    return config


def _with_initial_state(node: list[Source]) -> list[Source] | JsonObject:
    """Return one call of a layer: its inputs, each [layer, number of the call, output, arguments]."""
    if len(node) < 2:
        return node
    inputs, *states = map(_tensor, node)
    return {"args": [inputs], "kwargs": {**node[0][3], "initial_state": states}}


def _tensor(source: Source) -> JsonObject:
    """Return a tensor by the layer that it comes from; Keras ignores its shape here."""
    config = {"shape": [1], "dtype": "float32", "keras_history": source[:3]}
    return {"class_name": "__keras_tensor__", "config": config}
