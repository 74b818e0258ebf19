"""The sources of the project (Korean notes on Keras RNNs): what they print is a case.

Numbers from constant initializers are cases with the printed digits. Those from random initializers
cannot be reproduced; their shapes, relations and parameter counts can, and are cases with spread
weights. Sources by number: 000 (wikidocs 106473), 001 (RNN in Keras and in
Python), 002 (velog, 2021-08-25), 003 (dl_practice, 2021-04-05), 004 (LSTM notes). Digits are
written here by hand, as printed; `regenerate` does not touch them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rnnparity.catalogue.build import CONSTANTS, TRAIN_X, CaseSpec
from rnnparity.catalogue.configs import (
    BOTH,
    SEQUENCES,
    SOURCE_UNITS,
    STATE,
    bidirectional,
    recurrent,
    stack,
)
from rnnparity.problem.keras_config import JsonObject

SENTENCE = np.array([TRAIN_X])

# Source 001, cell 11: the random inputs of the textbook loop, as printed.
TEXTBOOK_INPUTS = np.array(
    [
        [
            [0.71072179, 0.32029377, 0.87679573, 0.11836379],
            [0.13137235, 0.45305515, 0.72336449, 0.46044652],
            [0.26463364, 0.9135067, 0.2381111, 0.89380745],
            [0.09226061, 0.0529971, 0.2089529, 0.57551961],
            [0.44166061, 0.62480188, 0.9919051, 0.58835693],
            [0.21591783, 0.39786446, 0.54834123, 0.04378464],
            [0.39075854, 0.92740593, 0.57468076, 0.21537265],
            [0.49634097, 0.52986372, 0.08590758, 0.14702445],
            [0.84874538, 0.59172122, 0.88595492, 0.65169358],
            [0.62202523, 0.02104251, 0.60368395, 0.63626015],
        ]
    ]
)

# Printed output rows: three forward units, then three backward units, one row for each step.
PRINTED_LAST = {
    "000": ["0.6303138"] * 3 + ["0.7038734"] * 3,
    "003": ["0.6303139"] * 3 + ["0.70387346"] * 3,
    "004": ["0.6303139"] * 3 + ["0.70387346"] * 3,
}
PRINTED_STEPS = {
    "000": [
        ["0.35906473"] * 3 + ["0.7038734"] * 3,
        ["0.55111325"] * 3 + ["0.58863586"] * 3,
        ["0.59115744"] * 3 + ["0.3951699"] * 3,
        ["0.6303138"] * 3 + ["0.21942244"] * 3,
    ],
    "004": [
        ["0.3590648"] * 3 + ["0.70387346"] * 3,
        ["0.5511133"] * 3 + ["0.5886358"] * 3,
        ["0.5911575"] * 3 + ["0.39516988"] * 3,
        ["0.6303139"] * 3 + ["0.21942243"] * 3,
    ],
}


def source_cases() -> Iterator[CaseSpec]:
    """Yield every number, shape, relation and parameter count that the sources print."""
    yield from _bilstm_digits()
    yield from _zero_bias()
    yield from _random_initializers()
    yield from _summaries()
    yield from _textbook()


def _bilstm(source: str, label: str, flags: JsonObject, expect: JsonObject) -> CaseSpec:
    return CaseSpec(
        f"sources-{source}-bilstm-{label}",
        bidirectional(recurrent("LSTM", SOURCE_UNITS, **flags)),
        "The notes' bidirectional LSTM with kernel 0.1, recurrent kernel 0.1, bias 0 and the forget block at 1.",
        tags=["sources", f"source:{source}"],
        source=f"seed {source}",
        inputs=SENTENCE,
        initializers=CONSTANTS,
        expect=expect,
    )


def _bilstm_digits() -> Iterator[CaseSpec]:
    for source, row in PRINTED_LAST.items():
        states = {"forward_h": [row[:3]], "backward_h": [row[3:]]}
        yield _bilstm(
            source,
            "state",
            STATE,
            {
                "digits": {"output": [row], **states},
                "shapes": {"output": [1, 6], "forward_h": [1, 3], "backward_h": [1, 3]},
                "returned": 5,
                "relations": ["output == concat(forward_h, backward_h)"],
            },
        )
        yield _bilstm(
            source,
            "last",
            {},
            {"digits": {"output": [row]}, "shapes": {"output": [1, 6]}, "returned": 1},
        )
    for source, rows in PRINTED_STEPS.items():
        states = {"forward_h": [rows[-1][:3]], "backward_h": [rows[0][3:]]}
        relations = ["output[:, -1, :H] == forward_h", "output[:, 0, H:] == backward_h"]
        yield _bilstm(
            source,
            "sequences-state",
            BOTH,
            {
                "digits": {"output": [rows], **states},
                "shapes": {"output": [1, 4, 6], "forward_h": [1, 3], "backward_h": [1, 3]},
                "returned": 5,
                "relations": relations,
            },
        )
        yield _bilstm(
            source,
            "sequences",
            SEQUENCES,
            {"digits": {"output": [rows]}, "shapes": {"output": [1, 4, 6]}, "returned": 1},
        )
    yield _bilstm(
        "002",
        "state",
        STATE,
        {
            "shapes": {"output": [1, 6]},
            "returned": 5,
            "relations": ["output == concat(forward_h, backward_h)"],
        },
    )
    yield _bilstm("002", "last", {}, {"shapes": {"output": [1, 6]}, "returned": 1})


def _zero_bias() -> Iterator[CaseSpec]:
    yield CaseSpec(
        "sources-000-bilstm-literal_zero_bias",
        bidirectional(recurrent("LSTM", SOURCE_UNITS, **STATE)),
        "The notes' initializers taken literally, without Keras' forget block at 1: an engine that gives this number "
        "ignores unit_forget_bias.",
        tags=["sources", "source:000"],
        source="seed 000, read without unit_forget_bias",
        inputs=SENTENCE,
        initializers={**CONSTANTS, "unit_forget_bias": False},
        expect={"digits": {"forward_h": [["0.5650549"] * 3]}},
    )


def _random_initializers() -> Iterator[CaseSpec]:
    """Yield layers that the notes build with random weights: shapes and relations."""
    rows: list[tuple[str, str, JsonObject, JsonObject]] = []
    for source in ("000", "002"):
        rows += [
            (source, "SimpleRNN", {}, {"shapes": {"output": [1, 3]}, "returned": 1}),
            (source, "SimpleRNN", SEQUENCES, {"shapes": {"output": [1, 4, 3]}, "returned": 1}),
            (source, "SimpleRNN", STATE, _both_last("h", 2)),
            (source, "SimpleRNN", BOTH, _last_step(2)),
            (source, "LSTM", STATE, _both_last("c", 3)),
            (source, "LSTM", BOTH, _last_step(3)),
        ]
    rows += [
        ("002", "LSTM", {}, {"shapes": {"output": [1, 3]}, "returned": 1}),
        ("003", "LSTM", STATE, _both_last("c", 3)),
        ("004", "LSTM", STATE, _both_last("c", 3)),
        ("004", "LSTM", BOTH, _last_step(3)),
    ]
    for source, class_name, flags, expect in rows:
        label = "-".join(name.removeprefix("return_") for name in sorted(flags)) or "last"
        yield _random(
            source,
            f"{class_name.lower()}-{label}",
            recurrent(class_name, SOURCE_UNITS, **flags),
            expect,
        )
    four_units = recurrent("SimpleRNN", units=4)
    yield _random(
        "000", "simplernn-four_units", four_units, {"shapes": {"output": [1, 4]}, "returned": 1}
    )


def _random(source: str, label: str, spec: JsonObject, expect: JsonObject) -> CaseSpec:
    return CaseSpec(
        f"sources-{source}-{label}",
        spec,
        "The notes print random numbers here; their shapes and relations hold for any weights.",
        tags=["sources", f"source:{source}"],
        source=f"seed {source}",
        inputs=SENTENCE,
        expect=expect,
    )


def _both_last(last_state: str, returned: int) -> JsonObject:
    shapes = {"output": [1, 3], "h": [1, 3], last_state: [1, 3]}
    return {"shapes": shapes, "returned": returned, "relations": ["output == h"]}


def _last_step(returned: int) -> JsonObject:
    shapes = {"output": [1, 4, 3], "h": [1, 3]}
    return {"shapes": shapes, "returned": returned, "relations": ["output[:, -1] == h"]}


def _summaries() -> Iterator[CaseSpec]:
    """Yield what `model.summary()` prints in source 001."""
    eight = recurrent("SimpleRNN", units=8, **SEQUENCES)
    two_ways = bidirectional(eight)
    rows: list[tuple[str, list[JsonObject], list[int | None], list[tuple[str, int]]]] = [
        ("no_batch", [recurrent("SimpleRNN", SOURCE_UNITS)], [None, 2, 10], [("(None, 3)", 42)]),
        ("batch", [recurrent("SimpleRNN", SOURCE_UNITS)], [8, 2, 10], [("(8, 3)", 42)]),
        (
            "batch-sequences",
            [recurrent("SimpleRNN", SOURCE_UNITS, **SEQUENCES)],
            [8, 2, 10],
            [("(8, 2, 3)", 42)],
        ),
        ("deep", [eight, eight], [None, 10, 5], [("(None, 10, 8)", 112), ("(None, 10, 8)", 136)]),
        ("bidirectional", [two_ways], [None, 10, 5], [("(None, 10, 16)", 224)]),
        (
            "deep_bidirectional",
            [two_ways] * 4,
            [None, 10, 5],
            [("(None, 10, 16)", 224)] + [("(None, 10, 16)", 400)] * 3,
        ),
    ]
    for label, layers, batch_shape, summary in rows:
        batch, steps, features = batch_shape
        yield CaseSpec(
            f"sources-001-summary-{label}",
            stack(*layers),
            "What the notes' model.summary() prints: shapes without or with a batch size, parameters per layer.",
            tags=["sources", "source:001"],
            source="seed 001",
            shape=(batch or 2, steps or 2, features or 1),
            weight_exponent=-1,
            expect={
                "batch_shape": batch_shape,
                "summary": [list(row) for row in summary],
                "parameters": sum(count for _, count in summary),
            },
        )


def _textbook() -> Iterator[CaseSpec]:
    yield CaseSpec(
        "sources-001-textbook",
        recurrent("SimpleRNN", units=8, **SEQUENCES),
        "The notes' loop in plain Python, on the inputs that they print: eight hidden units over ten steps. The loop "
        "is in the tests as a second reference.",
        tags=["sources", "source:001"],
        source="seed 001",
        inputs=TEXTBOOK_INPUTS,
        expect={"shapes": {"output": [1, 10, 8]}},
    )
