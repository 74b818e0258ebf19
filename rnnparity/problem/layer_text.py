"""A layer written as a call of its class, as in Python: `LSTM(4, return_sequences=True)`."""

from __future__ import annotations

import ast

from rnnparity.problem.errors import FormatError
from rnnparity.problem.keras_config import JsonObject, parse_layer
from rnnparity.problem.layers import Layer

# The argument that stands first, by class; the others are named.
_FIRST = {"Bidirectional": "layer", "Sequential": "layers"}
_EXAMPLE = "expected a call such as LSTM(4, return_sequences=True)"


def parse_layer_text(text: str, where: str = "layer") -> Layer:
    """Return the layer of a call; nothing is evaluated. The inverse of `describe_layer`.

    Raises:
        FormatError: it is no call of a layer's class, or has an option that is not computed.

    >>> parse_layer_text("Bidirectional(GRU(3), merge_mode='sum')").merge_mode
    'sum'
    """
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise FormatError(f"{where}: got {text!r:.60}, {_EXAMPLE}") from None
    return parse_layer(_spec(node, where), where)


def _spec(node: ast.expr, where: str) -> JsonObject:
    """Return Keras' configuration of a call."""
    if not isinstance(node, ast.Call):
        raise FormatError(f"{where}: got {ast.unparse(node)!r:.60}, {_EXAMPLE}")
    class_name = ast.unparse(node.func).rpartition(".")[2]  # layers.LSTM is LSTM
    if len(node.args) > 1:
        raise FormatError(
            f"{where}: {class_name} takes one argument without a name, then name=value"
        )
    config = {_FIRST.get(class_name, "units"): argument for argument in node.args}
    config |= {keyword.arg or "**": keyword.value for keyword in node.keywords}
    fields = {name: _value(value, f"{where}: {name}") for name, value in config.items()}
    return {"class_name": class_name, "config": fields}


def _value(node: ast.expr, where: str) -> object:
    if isinstance(node, ast.Call):
        return _spec(node, where)
    if isinstance(node, ast.List):
        return [_value(element, where) for element in node.elts]
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError):
        raise FormatError(f"{where}: got {ast.unparse(node)!r:.60}, expected a value") from None
