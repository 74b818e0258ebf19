"""The inverses of the activations."""

import numpy as np
import pytest

from rnnparity.explanation.findings.seen.inverse import invert
from rnnparity.problem.layers import ACTIVATIONS
from rnnparity.reference import activations


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_inverses_are_exact_or_missing(name):
    function = activations.ACTIVATIONS[name]
    x = np.linspace(-6, 60, 661)
    y = function(x)
    inverse = invert(name, y)
    invertible = ~np.isnan(inverse)
    assert invertible.any()
    with np.errstate(divide="ignore", invalid="ignore"):
        error = 4 * np.finfo(float).eps * (1 + np.abs(y) / np.abs(function.slope(x, y)))
    assert (np.abs(inverse - x) <= error * (1 + np.abs(x)))[invertible].all()
    assert np.isnan(invert("relu", np.array([0.0, -1.0]))).all()
    assert np.isnan(invert("hard_sigmoid", np.array([0.0, 1.0]))).all()
