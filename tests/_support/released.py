"""Releases of a small framework as wheels, for pip without a network."""

import zipfile

# A module of the framework, and what its releases do: a fault from 1.2 on that 2.0 fixes, and
# another order of additions in 1.3.
MODULE = """
import numpy as np
from rnnparity import Unsupported
from rnnparity.subjects import half_subject

__version__ = "{version}"
{raises}

@half_subject
def layers(layer, weights, x, mask, states):
    if layer.class_name != "SimpleRNN" or layer.activation != "tanh" or layer.dtype != "float32":
        raise Unsupported("only SimpleRNN with tanh")
    if mask is not None:
        raise Unsupported("no masks")
    (h,), sequence = states, []
    for t in range(x.shape[1]):
        b = weights.get("bias", np.float32(0)) * np.float32({bias})
        z, u = x[:, t] @ weights["kernel"], h @ weights["recurrent_kernel"]
        h = np.tanh({sum})
        sequence.append(h)
    return np.stack(sequence, axis=1), [h]
"""
RELEASES = {
    "1.0.0": {},
    "1.1.0": {},
    "1.1.1": {},
    "1.2.0": {"bias": 2},
    "1.3.0": {"bias": 2, "sum": "z + (u + b)"},
    "1.4.0rc1": {},
    "2.0.0": {"raises": "raise OSError('no library')"},
    "2.1.0": {},
}


def write_wheels(folder):
    """Write a wheel of each release of "littlernn" into a folder, and return their paths."""
    paths = {}
    for version, changes in RELEASES.items():
        fields = {"raises": "", "bias": 1, "sum": "(z + u) + b", **changes}
        info = f"littlernn-{version}.dist-info"
        paths[version] = folder / f"littlernn-{version}-py3-none-any.whl"
        with zipfile.ZipFile(paths[version], "w") as wheel:
            wheel.writestr("littlernn/__init__.py", MODULE.format(version=version, **fields))
            wheel.writestr(
                f"{info}/METADATA", f"Metadata-Version: 2.1\nName: littlernn\nVersion: {version}\n"
            )
            wheel.writestr(
                f"{info}/WHEEL",
                "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            )
            wheel.writestr(f"{info}/RECORD", "")
    return paths


def install(folder, cache):
    """Put every release into a cache as pip would, in no time."""
    for version, path in write_wheels(folder).items():
        with zipfile.ZipFile(path) as wheel:
            wheel.extractall(cache / f"littlernn-{version}")
