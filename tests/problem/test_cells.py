"""The table of cells drives every list of class names."""

from dataclasses import replace

import pytest

from rnnparity.problem import cells, keras_config
from rnnparity.problem.cells import CELLS
from rnnparity.problem.errors import LayerError
from rnnparity.problem.keras_config import layer_spec, parse_layer
from rnnparity.problem.shapes import state_slots, weight_slots

SHAPES = {
    "simple_rnn": [(5, 3), (3, 3), (3,)],
    "lstm": [(5, 12), (3, 12), (12,)],
    "gru": [(5, 9), (3, 9), (2, 9)],
    "gru_before": [(5, 9), (3, 9), (9,)],
}
VARIANTS = [
    (cell.class_name, name, options)
    for cell in CELLS.values()
    for name, options in cell.variants.items()
]


@pytest.mark.parametrize(("class_name", "name", "options"), VARIANTS)
def test_shapes_of_a_variant_are_those_of_keras(class_name, name, options):
    layer = parse_layer({"class_name": class_name, "config": {"units": 3, **options}})
    assert [slot.shape for slot in weight_slots(layer, 5)] == SHAPES[name]


@pytest.mark.parametrize("class_name", CELLS)
def test_an_option_of_another_cell_is_refused(class_name):
    options = {option for cell in CELLS.values() for option in cell.options}
    for option in options - CELLS[class_name].options:
        with pytest.raises(LayerError, match=option):
            parse_layer({"class_name": class_name, "config": {"units": 3, option: True}})


def test_a_new_entry_is_a_class_that_is_read_and_written(monkeypatch):
    """A cell with three states and five gates."""
    cell = replace(CELLS["LSTM"], class_name="NewCell", states=("h", "c", "m"), gates="ifcoq")
    monkeypatch.setattr(cells, "CELLS", {**CELLS, "NewCell": cell})
    for module in ("layers", "keras_config"):
        monkeypatch.setattr(f"rnnparity.problem.{module}.CELLS", cells.CELLS)
    fields = {**keras_config._FIELDS, "NewCell": keras_config._FIELDS["LSTM"]}
    monkeypatch.setattr(keras_config, "_FIELDS", fields)
    layer = parse_layer({"class_name": "NewCell", "config": {"units": 2, "return_state": True}})
    assert parse_layer(layer_spec(layer)) == layer
    assert [slot.name for slot in state_slots(layer, 4)] == ["h", "c", "m"]
    assert [slot.shape[-1] for slot in weight_slots(layer, 3)] == [10, 10, 10]
