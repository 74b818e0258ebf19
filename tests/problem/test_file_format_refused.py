"""Files that are no problem's are refused, each with one line that names the file, the place and
what is wrong."""

import copy
import json
import tracemalloc

import numpy as np
import pytest
from _support.valid_problem import VALID, put, refusal, refusal_of
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnparity.problem import json_text
from rnnparity.problem.errors import LONGEST, FormatError
from rnnparity.problem.format_reading import parse_problem, read_problem
from rnnparity.problem.format_writing import dump_line
from rnnparity.problem.json_text import BLOCK, _has_deep_brackets, load_json


def test_the_valid_problem_is_read(tmp_path):
    path = tmp_path / "problem.json"
    path.write_text(json.dumps(VALID))
    problem = read_problem(path)
    assert problem.case.expect == VALID["case"]["expect"]
    assert problem.case.initializers == VALID["case"]["initializers"]
    assert np.isnan(problem.outputs[0].data).sum() == 1


# ------------------------------------------------------------------------------------------------------
# no JSON


def test_a_missing_file_is_refused(tmp_path):
    assert refusal(tmp_path / "gone.json") == "cannot be read: No such file or directory"


def test_a_directory_as_problem_file_is_refused(tmp_path):
    assert refusal(tmp_path) == "cannot be read: Is a directory"


def test_a_path_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    assert refusal(tmp_path / "file" / "x.json") == "cannot be read: Not a directory"


def test_an_oversized_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(json_text, "MAX_BYTES", 2**20)
    text = json.dumps(VALID)
    path = tmp_path / "large.json"
    path.write_text(text + " " * (2**20 - len(text)))
    assert read_problem(path).id == "problem"
    path.write_text(text + " " * (2**20 - len(text) + 1))
    assert refusal(path) == "larger than 1 MiB, the limit"


TEXT = json.dumps(VALID)
LINES = json.dumps(VALID, indent=1)
NO_JSON = {
    "empty": ("", "line 1, column 1: invalid JSON: Expecting value"),
    "no_json": ("units: 3", "line 1, column 1: invalid JSON: Expecting value"),
    "two": (TEXT + TEXT, f"line 1, column {len(TEXT) + 1}: invalid JSON: Extra data"),
    "nul": (TEXT + "\0", f"line 1, column {len(TEXT) + 1}: invalid JSON: Extra data"),
    "mark": (
        "\ufeff" + TEXT,
        "line 1, column 1: invalid JSON: Unexpected UTF-8 BOM (decode using utf-8-sig)",
    ),
    "cut": (TEXT[:80], "line 1, column 76: invalid JSON: Unterminated string starting at"),
    "cut_lines": (
        LINES[:-1],
        f"line {LINES.count(chr(10)) + 1}, column 1: invalid JSON: Expecting ',' delimiter",
    ),
    "latin": (
        TEXT.replace('"w"', '"\xfc"').encode("latin-1"),
        f"invalid UTF-8 at byte {TEXT.index('w' + chr(34))}",
    ),
    "utf16": (TEXT.encode("utf-16"), "invalid UTF-8 at byte 0"),
    "twice": (
        TEXT.replace('"id"', '"id": "other", "id"'),
        "duplicate key 'id'",
    ),
    "deep_twice": (
        TEXT.replace('"units"', '"units": 3, "units"'),
        "duplicate key 'units'",
    ),
    "nan": (
        TEXT.replace("0.25", "NaN", 1),
        'invalid literal NaN: write it as the string "NaN", in outputs only',
    ),
    "infinity": (
        TEXT.replace("0.25", "-Infinity", 1),
        'invalid literal -Infinity: write it as the string "-Infinity", in outputs only',
    ),
    "surrogate": (
        TEXT.replace('"units"', r'"name": ["\\u0061\ud834\udd1e", "\uDD1E"], "units"'),
        r"layer.config.name.1: got '\udd1e', expected a string of valid Unicode",
    ),
    "surrogate_key": (
        TEXT.replace('"units"', r'"x\ud834": 1, "units"'),
        r"layer.config: got 'x\ud834', expected a string of valid Unicode",
    ),
    "deep": ("[" * 100_000, "nested too deeply"),
    "deep_object": ('{"a":' * 100_000, "nested too deeply"),
    "deep_list": (
        TEXT.replace('"units"', f'"name": {"[" * 64}{"]" * 64}, "units"'),
        "nested too deeply",
    ),
    "long_number": (
        TEXT.replace("0.25", "1" * 1_000_000),
        "Exceeds the limit (4300 digits) for integer string conversion: value has 1000000 digits",
    ),
}


@pytest.mark.parametrize("name", NO_JSON)
def test_invalid_json_is_refused(tmp_path, name):
    text, expected = NO_JSON[name]
    assert refusal_of(tmp_path, text) == expected


@pytest.mark.parametrize("length", range(0, len(TEXT), 23))
def test_truncated_json_is_refused(tmp_path, length):
    assert "invalid JSON" in refusal_of(tmp_path, TEXT[:length])


@pytest.mark.parametrize("before", [BLOCK - 40, BLOCK - 1, BLOCK])
def test_nesting_is_counted_across_blocks(before):
    """Brackets are counted in parts of a file."""
    for depth, deep in ((60, False), (70, True)):
        text = f'["{"x" * (before - 4)}", {"[" * depth}{"]" * depth}]'.encode()
        assert _has_deep_brackets(text) == deep


def test_reading_takes_no_more_memory_than_the_values():
    content = b"[" + b", ".join([b"0.123456789"] * 300_000) + b"]"
    tracemalloc.start()
    try:
        load_json(content, "x")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6 * len(content)


@pytest.mark.parametrize("depth", [40, 900, 960, 970, 980, 985, 990, 995, 1000])
@pytest.mark.parametrize("key", ["name", "units", "activation", "dtype"])
def test_deep_nesting_does_not_break_the_message(tmp_path, key, depth):
    fields = copy.deepcopy(VALID)
    fields["layer"]["config"] = {key: "DEEP"}
    text = json.dumps(fields).replace('"DEEP"', f"{'[' * depth}{']' * depth}")
    expected = "nested too deeply" if depth > 64 else "layer.config."
    assert refusal_of(tmp_path, text).startswith(expected)


@pytest.mark.parametrize("text", ["null", "3", '"x"', "[]", "[{}]", "{}", "true"])
def test_json_that_is_not_a_problem_is_refused(tmp_path, text):
    refused = refusal_of(tmp_path, text)
    assert refused.startswith("format: is missing" if text == "{}" else "the whole file: got ")


def test_a_huge_key_is_cut_off_in_the_message(tmp_path):
    line = refusal_of(tmp_path, json.dumps({**VALID, "x" * 100_000: 1}))
    assert len(line) < LONGEST
    assert line.endswith("x: unknown key")


@pytest.mark.parametrize(
    "key",
    ["format", "id", "layer", "weights", "inputs"],
)
def test_a_missing_key_is_refused(tmp_path, key):
    fields = {other: value for other, value in VALID.items() if other != key}
    assert refusal_of(tmp_path, json.dumps(fields)) == f"{key}: is missing"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('"weights"', '"weigths"', "weigths: unknown key; did you mean weights? (and 1 more)"),
        (
            '"units"',
            '"unit"',
            "layer.config.unit: unsupported argument for LSTM; did you mean units?",
        ),
        ('"config"', '"confg"', "layer: unknown key 'confg'; did you mean config?"),
        ('"id"', '"xyz", "id"', "line 1"),
    ],
)
def test_a_misspelled_key_is_refused_with_a_suggestion(tmp_path, old, new, expected):
    assert expected in refusal_of(tmp_path, TEXT.replace(old, new, 1))


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
        | st.dictionaries(st.text() | st.sampled_from(sorted(VALID)), inner)
    ),
    max_leaves=8,
)


def places(value, way=()):
    """Every place in nested JSON."""
    yield way
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*way, key))


PLACES = [way for way in places(VALID) if way]


@given(st.sampled_from(PLACES), ANYTHING)
@settings(derandomize=True, max_examples=500, deadline=None, database=None)
def test_anything_anywhere_is_read_or_refused(way, value):
    fields = copy.deepcopy(VALID)
    put(*way, value)(fields)
    content = json.dumps(fields).encode()
    line = "FILE: "
    try:
        problem = parse_problem(load_json(content, "FILE"), "FILE")
    except FormatError as error:
        line = str(error)
    else:
        dump_line(problem).encode()
    assert line.startswith("FILE: ")
    assert line.isprintable()


@given(
    st.binary(max_size=200)
    | st.text(alphabet='{}[]",:0123456789.eE+-NaInfity \\u', max_size=200).map(str.encode)
)
@settings(derandomize=True, max_examples=500, deadline=None, database=None)
def test_random_bytes_are_refused(content):
    with pytest.raises(FormatError) as caught:
        parse_problem(load_json(content, "FILE"), "FILE")
    assert str(caught.value).startswith("FILE: ")
    assert str(caught.value).isprintable()
