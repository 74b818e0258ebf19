"""How time and memory grow with T, H and B: an LSTM, one axis at a time."""

import tracemalloc

import pytest
from contenders import CONTENDERS
from problems import make_problem

from conftest import Timed

pytestmark = pytest.mark.filterwarnings("default")  # TensorFlow's own

# Axis -> sizes (B, T, D, H); the last T is left to full runs.
AXES = {
    "T": [(1, steps, 8, 16) for steps in (20, 200, 2000, 20000)],
    "H": [(8, 20, 32, units) for units in (16, 64, 256, 1024)],
    "B": [(batch, 20, 32, 64) for batch in (1, 8, 64, 512)],
}
ROWS = [(axis, size) for axis, sizes in AXES.items() for size in sizes]


def names(row):
    axis, size = row
    return f"{axis}={size['BTDH'.index(axis)]}"


@pytest.fixture(scope="module", params=ROWS, ids=names)
def place(request):
    axis, size = request.param
    if request.config.getoption("--quick") and size[1] > 2000:
        pytest.skip("left to full runs")
    return axis, size, {}


@pytest.mark.parametrize(
    "contender", ["reference float64", "reference float64, last output", "tf.keras graph"]
)
def test_growth(place, block, contender, record):
    axis, size, kept = place
    if contender not in kept:
        name, _, last = contender.partition(", ")
        call = CONTENDERS[name](make_problem("LSTM", size, sequences=not last))
        kept[contender] = Timed(call), peak_memory(call) if name.startswith("reference") else None
    timed, peak = kept[contender]
    extent = size["BTDH".index(axis)]
    record(
        timed,
        "growth",
        f"LSTM {axis}={extent}",
        contender,
        block,
        axis=axis,
        extent=extent,
        peak_bytes=peak,
    )


def peak_memory(call):
    """What one call has allocated at most; NumPy reports it to tracemalloc, TensorFlow does not."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
