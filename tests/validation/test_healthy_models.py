"""Random models of Keras with which nothing is wrong: none is reported as different."""

import pytest
from _support.frameworks import keras

from validation.healthy_models import results

__all__ = ["keras"]


@pytest.mark.slow
def test_no_call_of_a_random_model_is_reported(keras):
    found = list(results(keras, range(12)))
    assert [failure for _, failure in found if failure] == []
    assert len(found) >= 12
