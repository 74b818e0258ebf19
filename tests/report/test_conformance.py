"""The conformance table: its rows, what a cell says, and the page and the Markdown that hold it."""

import re
from collections import Counter

import pytest
from _support.conformance_runs import (
    BOTH_WAYS,
    EXAMPLE,
    HALF,
    MASKED,
    MIXED,
    PLAIN,
    RIGHT,
    STATEFUL,
    WIDE,
    both,
    report,
    subject,
    verdicts,
)

from rnnparity.catalogue import catalogue
from rnnparity.problem.results import Verdict
from rnnparity.report.conformance_page import markdown, page
from rnnparity.report.features import ALL, FEATURES, cases_of
from rnnparity.report.groups import MOST, groups
from rnnparity.report.stored_report import StoredVerdict
from rnnparity.report.table import Cell, columns, headline

# -------------------------------------------------------------------------------------------------------
# rows


def test_every_case_is_in_a_row_and_no_row_is_empty():
    rows = [cases_of(feature) for feature in FEATURES if feature is not ALL]
    assert frozenset().union(*rows) == set(catalogue()) == cases_of(ALL)
    assert all(0 < len(row) < len(catalogue()) for row in rows)
    assert len(set(rows)) == len(rows)


def test_rows_have_names_of_their_own():
    assert len({feature.name for feature in FEATURES}) == len(FEATURES)
    assert 25 <= len(FEATURES) <= 40


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (
            "lstm-spread-sequences-state-mask_interior",
            {"all cases", "LSTM", "forward", "the sequence and states", "a gap inside"},
        ),
        (
            "bi_gru_before-constant-none-last-mask_row-initial",
            {
                *("all cases", "GRU, reset_after=False", "Bidirectional, two outputs", "the last output"),
                *("a row without any step", "several gaps in a row", "initial state given", "constant weights"),
            },
        ),
        (
            "stack-policies",
            {"all cases", "LSTM", "GRU, reset_after=True", "stacks of layers", "the sequence and states", "none",
             "mixed policies"},
        ),
        (
            "zero_output-simple_rnn-backwards-sequences-mask_right",
            {"all cases", "SimpleRNN", "go_backwards", "the sequence and states", "padding on the right",
             "zero_output_for_mask", "initial state given"},
        ),
        (
            "dtype-mixed_float16_around_float32-gru",
            {"all cases", "GRU, reset_after=True", "Bidirectional, concat", "the sequence and states", "none",
             "mixed policies", "initial state given"},
        ),
    ],
)  # fmt: skip
def test_the_rows_of_a_case(case, expected):
    assert {feature.name for feature in FEATURES if case in cases_of(feature)} == expected


def test_a_family_of_the_catalogue_is_a_row():
    sizes = {feature.name: len(cases_of(feature)) for feature in FEATURES}
    tags = Counter(tag for case in catalogue().values() for tag in case.case.tags)
    assert sizes["saturated gates"] == tags["saturation"]
    assert sizes["stateful, several calls"] == tags["stateful"]
    assert sizes["constant weights"] == tags["weights:constant"]
    assert sizes["digits printed in the sources"] == tags["sources"]
    assert sizes["an axis of length one"] == sum(
        count for tag, count in tags.items() if tag.startswith("edge:")
    )
    assert sizes["padding on the left"] == tags["mask:left"]


# ------------------------------------------------------------------------------------------------------
# cells


def cell(**counts):
    return Cell(ALL, Counter({Verdict(kind): count for kind, count in counts.items()}), {})


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({}, ("absent", "–", "not run")),
        ({"unsupported": 7}, ("nothing", "–", "unsupported")),
        ({"agrees": 3026}, ("right", "100 %", "")),
        ({"agrees": 3, "unsupported": 7}, ("right", "100 %", "of 3")),
        ({"agrees": 3}, ("right", "100 %", "of 3")),
        ({"agrees": 1999, "known": 1, "unsupported": 7}, ("known", "99 %", "1 known")),
        ({"agrees": 3, "inconclusive": 1}, ("unclear", "75 %", "1 inconclusive")),
        (
            {"agrees": 1, "diverges": 1, "known": 1, "inconclusive": 1},
            ("wrong", "25 %", "1 diverge"),
        ),
        ({"agrees": 1, "diverges": 999}, ("wrong", "< 1 %", "999 diverge")),
        ({"diverges": 2, "error": 3}, ("wrong", "0 %", "5 fail")),
        ({"agrees": 1, "error": 2}, ("wrong", "33 %", "2 fail")),
    ],
)
def test_what_a_cell_says(counts, expected):
    found = cell(**counts)
    assert (found.state, found.share, found.note) == expected


def test_the_cells_of_a_subject():
    right, mixed = columns(both())
    assert [cell.feature for cell in right.cells] == list(FEATURES)
    assert right.total.share == "100 %"
    said = {cell.feature.name: (cell.state, cell.share) for cell in mixed.cells if cell.ran}
    assert said["all cases"] == ("wrong", "20 %")  # one of five, for unsupported is not compared
    assert said["padding on the left"] == ("wrong", "0 %")
    (left,) = [cell for cell in mixed.cells if cell.feature.name == "padding on the left"]
    assert [[verdict.id for verdict in own] for own in left.groups.values()] == [[MASKED]]
    assert said["Bidirectional, sum"] == ("known", "0 %")
    assert said["float16"] == ("unclear", "0 %")
    assert said["float64"] == ("nothing", "–")
    assert said["stateful, several calls"] == ("wrong", "0 %")
    assert "SimpleRNN" not in said


def test_groups_what_fails_first():
    (_, mixed) = columns(both())
    assert [
        (group.kind, [verdict.id for verdict in own]) for group, own in mixed.groups.items()
    ] == [
        (Verdict.DIVERGES, [MASKED]),
        (Verdict.ERROR, [STATEFUL]),
        (Verdict.KNOWN, [BOTH_WAYS]),
        (Verdict.INCONCLUSIVE, [HALF]),
        (Verdict.UNSUPPORTED, [WIDE]),
    ]
    assert [example.id for example in mixed.examples.values()] == [MASKED]


def grouped(*rows):
    cases = dict(zip(catalogue(), rows, strict=False))
    found = groups([StoredVerdict.model_validate(verdict) for verdict in verdicts(cases)])
    return [(group.name, len(own)) for group, own in found.items()]


def test_a_fault_is_one_group_wherever_it_strikes():
    names = [
        "gate-order: LSTM iofc (ONNX)" + place
        for place in ("", " (every half)", " (backward)", " (1/forward)", " (0)")
    ]
    assert grouped(
        *[("diverges", "x", {"cause": "gate-order", "fault": name}) for name in names]
    ) == [(names[0], 5)]
    assert grouped(("diverges", "x", {"cause": "unexplained", "kinds": ["values"]})) == [
        ("unexplained", 1)
    ]


def test_reasons_that_differ_in_a_number_are_one_group():
    errors = [
        ("error", f"ValueError: row {row} of float{bits}") for row in (1, 22) for bits in (16, 32)
    ]
    assert [count for _, count in grouped(*errors)] == [2, 2]
    assert [count for _, count in grouped(*[("unsupported", f"{n} layers") for n in (3, 4)])] == [
        1,
        1,
    ]


def test_what_differs_without_a_cause():
    kinds = [["fact"], ["dtype", "values"], ["values"]]
    found = grouped(*[("diverges", "x", {"kinds": each}) for each in kinds])
    assert {name.split()[0] for name, _ in found} == {"what", "another", "a"}


def test_there_are_only_so_many_groups():
    words = [f"{a}{b}" for a in "abcde" for b in "abcdef"]
    found = grouped(*[("error", f"ValueError: {word}") for word in words])
    assert found[-1] == ("others", len(words) - MOST)
    assert len(found) == MOST + 1


@pytest.mark.parametrize(
    ("subjects", "left_out", "expected"),
    [
        ({"a": RIGHT}, 0, "a passes."),
        ({"a": MIXED}, 0, "a does not pass."),
        ({"a": RIGHT, "b": RIGHT}, 2, "All 2 subjects pass. 2 more could not be run."),
        ({"a": RIGHT, "b": MIXED}, 0, "1 of 2 subjects pass; b does not."),
        ({"a": RIGHT, "b": MIXED, "c": MIXED}, 0, "1 of 3 subjects pass; b and c do not."),
        (
            {"a": RIGHT} | dict.fromkeys("bcdefg", MIXED), 0, "1 of 7 subjects pass; b, c, d and 3 others do not.",
        ),
    ],
)  # fmt: skip
def test_the_headline(subjects, left_out, expected):
    out = [{"subject": f"x{number}", "why": "gone", "asked": False} for number in range(left_out)]
    assert (
        headline(report(*[subject(name, rows) for name, rows in subjects.items()], left_out=out))
        == expected
    )


# ------------------------------------------------------------------------------------------------------
# pages


def test_a_page_stands_alone():
    html = page(both())
    assert "<script" not in html
    assert not re.search(r'(?:src|href)="(?!#|https://example\.org/1")', html)
    assert not re.search(r"url\(|@import", html)
    assert "prefers-color-scheme: dark" in html


def test_every_link_of_a_page_has_a_place_to_go():
    html = page(both())
    places = re.findall(r'\bid="([^"]+)"', html)
    assert len(set(places)) == len(places)
    wanted = set(re.findall(r'href="#([^"]+)"', html))
    assert wanted <= set(places)
    assert len(wanted) > 20


def test_a_cell_leads_to_what_is_in_it():
    html = page(both())
    row = next(
        number for number, feature in enumerate(FEATURES) if feature.name == "padding on the left"
    )
    assert re.search(
        rf'<td class="wrong" id="c1-{row}"><a href="#p1-{row}"><b>0 %</b> <small>1 diverge</small></a>',
        html,
    )
    block = html[html.index(f'id="p1-{row}"') :].partition("</article>")[0]
    assert "mask-ignored: every step counts" in block
    assert f"rnnparity explain {MASKED} --subject a:mixed" in block
    assert "First mismatch: output at row 0, step 1" in block
    (drawn,) = re.findall(r'<use href="#([^"]+)"/>', block)
    assert html.count(f'<g class="squares" id="{drawn}">') == 1
    assert '<td class="right"><span><b>100 %</b>' in html  # nothing to tell, no link


def test_a_page_tells_each_group():
    html = page(both())
    for said in (
        *EXAMPLE["says"],
        "the whole &lt;evidence&gt;",
        "It &lt;was&gt; decided.",
        "ValueError: no such &lt;gate&gt; (port.py, line 12)",
        f"rnnparity show {STATEFUL} --subject a:mixed",
        "a relative change of 0.03 would stay under the threshold",
        "float64 | is not built in",
        "port 1.0",
        "2026-07-30 12:34 UTC",
        "Abacus 9, 2 cores, Linux x86_64, Python 3.11.7",
        "6: 1 agree, 1 diverge, 1 known, 1 inconclusive, 1 unsupported, 1 fail",
    ):
        assert said in html, said


def test_names_are_escaped_and_quoted():
    html = page(report(subject("cmd:./a <b>", MIXED)))
    assert "./a <b>" not in html
    assert "--subject &#39;cmd:./a &lt;b&gt;&#39;" in html


def test_what_was_left_out_and_what_is_stale_are_told():
    stale = [{"name": "old", "why": "its 3 cases all agree now"}]
    stored = report(
        subject("a", RIGHT, stale=stale),
        left_out=[{"subject": "torch", "why": "is not installed", "asked": False}],
    )
    assert "the known difference old: its 3 cases all agree now" in page(stored)
    assert "<dt>torch</dt><dd>is not installed</dd>" in page(stored)
    assert "- torch was not run: is not installed\n" in markdown(stored)


def test_a_page_of_everything_that_fails_is_no_book():
    """25 subjects that fail everywhere, each case in a way of its own."""
    rows = {case: ("error", f"ValueError: no {case}") for case in catalogue()}
    one = report(subject("a", rows))
    table = one.model_copy(
        update={
            "subjects": [one.subjects[0].model_copy(update={"name": f"a{n}"}) for n in range(25)]
        }
    )
    assert len(page(table)) < 120_000 * 25


def test_the_markdown_is_one_table():
    lines = markdown(both()).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == len(FEATURES) + 2
    assert len({line.count("|") for line in table}) == 1
    assert table[0] == "| feature | cases | right | a:mixed |"
    assert "| Mask: padding on the left | 464 | 100 % | 0 % ✗ |" in table
    assert "| Direction: Bidirectional, sum | 326 | 100 % | 0 % † |" in table
    assert "| Type: float16 | 32 | 100 % | 0 % ? |" in table
    assert "| Type: float64 | 33 | 100 % | – |" in table
    assert "- right passes: 6 agree (port 1.0, 2026-07-30)" in lines
    assert (
        lines[0] == "1 of 2 subjects pass; a:mixed does not. Only 6 of the 3026 cases were chosen."
    )


def test_a_name_with_a_bar_breaks_no_table():
    table = [
        line
        for line in markdown(report(subject("cmd:a | b", RIGHT))).splitlines()
        if line.startswith("|")
    ]
    assert table[0] == "| feature | cases | cmd:a \\| b |"
    assert PLAIN not in table[0]
