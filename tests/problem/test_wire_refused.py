"""Files that are no problem's are refused, each with one line that names the file, the place and
what is wrong."""

import copy
import json

import numpy as np
import pytest
from _support.right_problem import RIGHT, put, refusal, refusal_of
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnparity.problem import file_format as wire
from rnnparity.problem.errors import LONGEST, FormatError


def test_the_right_one_is_read(tmp_path):
    path = tmp_path / "problem.json"
    path.write_text(json.dumps(RIGHT))
    problem = wire.read_problem(path)
    assert problem.case.expect == RIGHT["case"]["expect"]
    assert problem.case.initializers == RIGHT["case"]["initializers"]
    assert np.isnan(problem.outputs[0].data).sum() == 1


# ------------------------------------------------------------------------------------------------------
# no JSON


def test_a_missing_file(tmp_path):
    assert refusal(tmp_path / "gone.json") == "cannot be read: No such file or directory"


def test_a_directory(tmp_path):
    assert refusal(tmp_path) == "cannot be read: Is a directory"


def test_a_path_below_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    assert refusal(tmp_path / "file" / "x.json") == "cannot be read: Not a directory"


def test_an_oversized_file(tmp_path, monkeypatch):
    monkeypatch.setattr(wire, "MAX_BYTES", 2**20)
    text = json.dumps(RIGHT)
    path = tmp_path / "large.json"
    path.write_text(text + " " * (2**20 - len(text)))
    assert wire.read_problem(path).id == "problem"
    path.write_text(text + " " * (2**20 - len(text) + 1))
    assert refusal(path) == "is larger than 1 MiB, too large for a problem file"


TEXT = json.dumps(RIGHT)
LINES = json.dumps(RIGHT, indent=1)
NO_JSON = {
    "empty": ("", "line 1, column 1: is not JSON: Expecting value"),
    "no_json": ("units: 3", "line 1, column 1: is not JSON: Expecting value"),
    "two": (TEXT + TEXT, f"line 1, column {len(TEXT) + 1}: is not JSON: Extra data"),
    "nul": (TEXT + "\0", f"line 1, column {len(TEXT) + 1}: is not JSON: Extra data"),
    "mark": (
        "\ufeff" + TEXT,
        "line 1, column 1: is not JSON: Unexpected UTF-8 BOM (decode using utf-8-sig)",
    ),
    "cut": (TEXT[:80], "line 1, column 76: is not JSON: Unterminated string starting at"),
    "cut_lines": (
        LINES[:-1],
        f"line {LINES.count(chr(10)) + 1}, column 1: is not JSON: Expecting ',' delimiter",
    ),
    "latin": (
        TEXT.replace('"w"', '"\xfc"').encode("latin-1"),
        f"byte {TEXT.index('w' + chr(34))} is no UTF-8",
    ),
    "utf16": (TEXT.encode("utf-16"), "byte 0 is no UTF-8"),
    "twice": (
        TEXT.replace('"id"', '"id": "other", "id"'),
        "the key 'id' stands twice in one object",
    ),
    "deep_twice": (
        TEXT.replace('"units"', '"units": 3, "units"'),
        "the key 'units' stands twice in one object",
    ),
    "nan": (
        TEXT.replace("0.25", "NaN", 1),
        'the literal NaN is not JSON; outputs alone may hold it, as the string "NaN"',
    ),
    "infinity": (
        TEXT.replace("0.25", "-Infinity", 1),
        'the literal -Infinity is not JSON; outputs alone may hold it, as the string "-Infinity"',
    ),
    "deep": ("[" * 100_000, "is nested too deeply"),
    "deep_object": ('{"a":' * 100_000, "is nested too deeply"),
    "deep_list": (
        TEXT.replace('"units"', f'"name": {"[" * 64}{"]" * 64}, "units"'),
        "is nested too deeply",
    ),
    "long_number": (
        TEXT.replace("0.25", "1" * 1_000_000),
        "Exceeds the limit (4300 digits) for integer string conversion: value has 1000000 digits",
    ),
}


@pytest.mark.parametrize("name", NO_JSON)
def test_no_json(tmp_path, name):
    text, expected = NO_JSON[name]
    assert refusal_of(tmp_path, text) == expected


@pytest.mark.parametrize("length", range(0, len(TEXT), 23))
def test_every_truncation(tmp_path, length):
    assert "is not JSON" in refusal_of(tmp_path, TEXT[:length])


@pytest.mark.parametrize("depth", [40, 900, 960, 970, 980, 985, 990, 995, 1000])
@pytest.mark.parametrize("key", ["name", "units", "activation", "dtype"])
def test_no_depth_is_too_much_for_a_message(tmp_path, key, depth):
    text = TEXT.replace('"units": 2', f'"{key}": {"[" * depth}{"]" * depth}')
    expected = "is nested too deeply" if depth > 64 else "layer.config."
    assert refusal_of(tmp_path, text).startswith(expected)


@pytest.mark.parametrize("text", ["null", "3", '"x"', "[]", "[{}]", "{}", "true"])
def test_another_thing(tmp_path, text):
    refused = refusal_of(tmp_path, text)
    assert refused.startswith(
        "format: Field required" if text == "{}" else "the whole file: Input should be"
    )


def test_a_line_stays_short(tmp_path):
    line = refusal_of(tmp_path, json.dumps({**RIGHT, "x" * 100_000: 1}))
    assert len(line) < LONGEST
    assert line.endswith("x: Extra inputs are not permitted")


@pytest.mark.parametrize(
    "key",
    [key for key in RIGHT if key not in ("mask", "initial_state", "calls", "outputs", "case")],
)
def test_every_key_is_needed(tmp_path, key):
    fields = {other: value for other, value in RIGHT.items() if other != key}
    assert refusal_of(tmp_path, json.dumps(fields)) == f"{key}: Field required"


# ------------------------------------------------------------------------------------------------
# anything at all

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["NaN", "float16", "LSTM"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text() | st.sampled_from(sorted(RIGHT)), inner)
    ),
    max_leaves=8,
)


def places(value, way=()):
    """Every place in nested JSON."""
    yield way
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*way, key))


PLACES = [way for way in places(RIGHT) if way]


@given(st.sampled_from(PLACES), ANYTHING)
@settings(derandomize=True, max_examples=500, deadline=None, database=None)
def test_anything_anywhere_is_read_or_refused(way, value):
    fields = copy.deepcopy(RIGHT)
    put(*way, value)(fields)
    content = json.dumps(fields).encode()
    line = "FILE: "
    try:
        problem = wire.parse_problem(wire.load_json(content, "FILE"), "FILE")
    except FormatError as error:
        line = str(error)
    else:
        wire.dump_line(problem).encode()
    assert line.startswith("FILE: ")
    assert line.isprintable()


@given(
    st.binary(max_size=200)
    | st.text(alphabet='{}[]",:0123456789.eE+-NaInfity \\u', max_size=200).map(str.encode)
)
@settings(derandomize=True, max_examples=500, deadline=None, database=None)
def test_any_bytes_are_refused(content):
    with pytest.raises(FormatError) as caught:
        wire.parse_problem(wire.load_json(content, "FILE"), "FILE")
    assert str(caught.value).startswith("FILE: ")
    assert str(caught.value).isprintable()
