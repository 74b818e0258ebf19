"""A layer written as a call of its class."""

import pytest

from rnnparity.catalogue import catalogue
from rnnparity.problem.errors import FormatError
from rnnparity.problem.layer_text import parse_layer_text
from rnnparity.problem.layers import describe_layer

LAYERS = {describe_layer(case.layer): case.layer for case in catalogue().values()}


def test_the_text_of_every_layer_of_the_catalogue_is_read_again():
    for text, layer in LAYERS.items():
        assert parse_layer_text(text) == layer


def test_keras_own_spelling_is_accepted():
    text = "keras.layers.LSTM(units=4, dropout=0.1, name='mine', recurrent_activation=\"sigmoid\")"
    assert describe_layer(parse_layer_text(text)) == "LSTM(4)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("LSTM(4", "got 'LSTM(4', expected a call such as LSTM(4, return_sequences=True)"),
        ("LSTM", "got 'LSTM', expected a call such as"),
        ("LSTM(4, True)", "LSTM takes one argument without a name, then name=value"),
        ("LSTM(4, **options)", r"layer: \*\*: got 'options', expected a value"),
        ("LSTM(n)", "units: got 'n', expected a value"),
        ("Dense(4)", "class_name: got 'Dense', expected SimpleRNN, LSTM"),
        ("LSTM(4, return_seq=True)", "return_seq: unsupported argument for LSTM; did you mean"),
        ("(" * 500 + ")" * 500, "expected a call such as"),
        ("__import__('os').system('true')", "class_name: got 'system'"),
    ],
)
def test_anything_else_is_refused_in_one_line(text, message):
    message = message.replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(FormatError, match=message):
        parse_layer_text(text)
