"""Keras configurations of the catalogue's layers, spelled short, and the tags that go with them."""

from __future__ import annotations

from collections.abc import Sequence

from rnnparity.problem.cells import CELLS
from rnnparity.problem.keras_config import JsonObject

# Every variant of a cell by its short name: simple_rnn, lstm, gru, gru_before.
VARIANTS = {
    name: (cell.class_name, dict(options))
    for cell in CELLS.values()
    for name, options in cell.variants.items()
}
# Neither of the numbers of gates, 3 and 4; the sources have 3.
UNITS, SOURCE_UNITS = 5, 3
SEQUENCES: JsonObject = {"return_sequences": True}
STATE: JsonObject = {"return_state": True}
BOTH: JsonObject = {**SEQUENCES, **STATE}
# The end of an id, what the case returns, and whether it has an initial state (and a mask). Many
# engines have neither and return no states: they run only the last two.
FORMS: Sequence[tuple[str, JsonObject, bool]] = (
    ("", BOTH, True),
    ("last", {}, False),
    ("sequences", SEQUENCES, False),
)


def recurrent(class_name: str, units: int = UNITS, **config: object) -> JsonObject:
    """Return the configuration of a recurrent layer."""
    return {"class_name": class_name, "config": {"units": units, **config}}


def variant(name: str, **config: object) -> JsonObject:
    """Return the configuration of a variant with more arguments."""
    class_name, options = VARIANTS[name]
    values: JsonObject = {**options, **config}
    return recurrent(class_name, **values)


def configured(layer: JsonObject, **config: object) -> JsonObject:
    """Return the configuration of a layer with more arguments."""
    return {**layer, "config": {**layer["config"], **config}}


def bidirectional(layer: JsonObject, **config: object) -> JsonObject:
    """Return the configuration of a Bidirectional around a layer."""
    return {"class_name": "Bidirectional", "config": {"layer": layer, **config}}


def merged(layer: JsonObject, mode: str, **config: object) -> JsonObject:
    """Return a Bidirectional with a merge mode; "none" keeps two outputs."""
    return bidirectional(layer, merge_mode=None if mode == "none" else mode, **config)


def stack(*layers: JsonObject) -> JsonObject:
    """Return the configuration of a Sequential."""
    return {"class_name": "Sequential", "config": {"layers": list(layers)}}


def directed(name: str, direction: str, **config: object) -> JsonObject:
    """Return a variant forward, backwards, or in a Bidirectional with that merge mode."""
    if direction == "forward":
        return variant(name, **config)
    if direction == "backwards":
        return variant(name, go_backwards=True, **config)
    return merged(variant(name, **config), direction)


def tags_of(name: str, direction: str, *more: str) -> list[str]:
    """Return the tags of a case."""
    return [f"kind:{name}", f"direction:{direction}", *more]


def id_of(*parts: str, **suffixes: bool) -> str:
    """Return an id: the parts that are not empty, and the names of the suffixes that apply."""
    return "-".join(
        [*filter(None, parts), *(name for name, applies in suffixes.items() if applies)]
    )
