"""The texts of faults."""

import pytest
from _support.random_problems import spec_of, two_ways

from rnnparity.faults import BACKWARD_FAULTS, FAULTS, TRAINING_FAULTS
from rnnparity.problem.keras_config import parse_layer
from rnnparity.problem.layers import halves

VERBS = (
    "Add Apply Choose Compare Compute Differentiate Do Feed Join Keep Leave Let Load Look Merge "
    "Multiply Order Pass Remove Reorder Repeat Return Reverse Run Set Start Store Subtract Sum Switch "
    "Take Train Transpose Use"
)
LAYERS = [
    parse_layer(spec)
    for spec in (
        spec_of("lstm", return_sequences=True, zero_output_for_mask=True),
        spec_of("gru", reset_after=True, recurrent_activation="hard_sigmoid"),
        spec_of("gru", reset_after=False, go_backwards=True),
        two_ways(spec_of("lstm", return_sequences=True)),
    )
]


def fixes(fault):
    """Yield the fix without a layer, and those for the halves of some layers."""
    yield fault.fix
    if fault.fix_at is not None:
        for layer in LAYERS:
            yield from (fault.fix_at(half, prefix) for prefix, half in halves(layer))


@pytest.mark.parametrize(
    "faults", [FAULTS, BACKWARD_FAULTS, TRAINING_FAULTS], ids=["forward", "backward", "training"]
)
def test_every_fix_is_an_instruction(faults):
    texts = {text for fault in faults for text in fixes(fault)}
    assert [text for text in texts if text.split()[0] not in VERBS.split() or text[-1] != "."] == []
