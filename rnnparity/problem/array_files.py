"""Arrays from a file: `.npy`, `.npz`, nested lists as JSON, or text as arrays are printed."""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from rnnparity.problem.errors import RequestError
from rnnparity.problem.json_text import load_json, read_bytes
from rnnparity.problem.printed_arrays import parse_printed


def read_arrays(path: Path) -> object:
    """Return an array, nested lists, or a mapping of them by name.

    An `.npz` file without names (`arr_0`, `arr_1`, ...) is a list.

    Raises:
        RequestError: the file cannot be read; the message states why.
    """
    if path.suffix == ".json":
        return load_json(read_bytes(path), str(path))
    if path.suffix == ".txt":
        text = read_bytes(path).decode(errors="replace")
        return parse_printed(text, str(path))
    if path.suffix not in (".npy", ".npz"):
        expected = ".npy, .npz, .json or .txt"
        raise RequestError(f"{path}: got suffix {path.suffix!r}, expected {expected}")
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return loaded
            arrays = {name: loaded[name] for name in loaded.files}
    except OSError as error:
        raise RequestError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, EOFError, BadZipFile, MemoryError) as error:
        raise RequestError(f"{path}: cannot be read as an array: {error}") from None
    if set(arrays) == {f"arr_{index}" for index in range(len(arrays))}:
        return [arrays[f"arr_{index}"] for index in range(len(arrays))]
    return arrays
