"""What the last layer of a stack gets, other problems that are computed, and other starts."""

import pytest
from validation.mistakes.trials import Outcome, mistakes, run_trial

NAMES = [
    "last step of the layer below repeated",
    "c of the layer below",
    "relu between layers",
    "residual between layers",
    "output of the layer below reversed",
    "output of the first layer",
    "weights of the other half",
    "backward output reversed within lengths",
    "initial state of row 0 for all rows",
    "initial states in other rows",
    "initial states read from (H, B) memory",
    "states of other rows in the next call",
    "one row reset between calls",
    "zero steps before",
    "zero steps after",
    "inputs of the layer below",
    "second layer over the batch",
    "dropout between layers left on",
    "initial states read from (B, L, H) memory",
]


@pytest.mark.parametrize("name", NAMES)
def test_wiring_is_stated(name):
    (mistake,) = [m for m in mistakes() if m.name == name]
    assert run_trial(mistake, 4)[0] is Outcome.STATED
