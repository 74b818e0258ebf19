"""One forward pass, the same weights, every contender."""

import numpy as np
import pytest
from contenders import CONTENDERS, LeftOutError
from problems import LAYERS, SIZES, make_problem, name_of

from conftest import Timed, left_out_key
from rnnparity.problem.dtypes import FLOAT_TYPES
from rnnparity.reference import compute_with_noise

# The frameworks' own warnings are none of ours.
pytestmark = pytest.mark.filterwarnings("default")


def pytest_generate_tests(metafunc):
    if "ready" in metafunc.fixturenames:
        quick = metafunc.config.getoption("--quick")
        rows = [
            (kind, size) for kind in LAYERS for size in SIZES if not quick or size in chosen(kind)
        ]
        metafunc.parametrize(
            "ready", rows, indirect=True, scope="module", ids=[name_of(*row) for row in rows]
        )


def chosen(kind):
    """What a quick run times: all that is short, and one long pass."""
    return SIZES[:4] if kind == "LSTM" else SIZES[:2]


@pytest.fixture(scope="module")
def ready(request):
    """A problem, what its output should be, and the contenders made ready so far, or why they could
    not be."""
    problem = make_problem(*request.param)
    return problem, compute_with_noise(problem), {}


@pytest.mark.parametrize("contender", CONTENDERS)
def test_forward(ready, block, contender, record, request):
    problem, expected, timed = ready
    if contender not in timed:
        try:
            call = CONTENDERS[contender](problem)
        except LeftOutError as error:
            request.config.stash[left_out_key][contender, problem.id] = str(error)
            pytest.skip(str(error))
        compared(contender, call(), expected)
        timed[contender] = Timed(call)
    record(timed[contender], "forward", problem.id, contender, block)


def compared(contender, output, expected):
    """Require that the output is the reference's within the noise of float32, else nothing is timed."""
    if contender.startswith("products"):
        return
    should, sigma = expected.outputs[0].data, expected.sigmas[0]
    assert output.shape == should.shape, (
        f"{contender}: output shape: got {output.shape}, expected {should.shape}"
    )
    worst = float(np.max(np.abs(output - should) / sigma))
    limit = FLOAT_TYPES["float32"].threshold
    assert worst <= limit, (
        f"{contender}: output is off by {worst:.2g} sigma ({limit:g} allowed); nothing was timed"
    )
