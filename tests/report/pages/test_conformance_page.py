"""The conformance table as HTML and as Markdown."""

import re
from dataclasses import replace

from _support.conformance_runs import (
    AGREEING,
    BOTH_WAYS,
    EXPLANATION,
    MASKED,
    MIXED,
    PLAIN,
    STATEFUL,
    WIDE,
    both,
    only,
    report,
    subject,
)

from rnnparity.catalogue import catalogue
from rnnparity.catalogue.features import FEATURES, cases_of
from rnnparity.problem.results import CaseResult, Score, Skipped, Stale, StaleReason
from rnnparity.problem.verdicts import Verdict
from rnnparity.report.pages.conformance import markdown, page

NAMES = [feature.name for feature in FEATURES]


def test_a_page_needs_no_other_resource():
    html = page(both())
    assert "<script" not in html
    assert not re.search(r'(?:src|href)="(?!#|https://example\.org/1")', html)
    assert not re.search(r"url\(|@import", html)
    assert "prefers-color-scheme: dark" in html


def test_every_link_of_a_page_has_a_target():
    html = page(both())
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(set(ids)) == len(ids)
    targets = set(re.findall(r'href="#([^"]+)"', html))
    assert targets <= set(ids)
    assert len(targets) > 20


def test_a_cell_links_to_its_groups():
    html = page(both())
    row = NAMES.index("padding on the left")
    cell = (
        rf'<td class="failed" id="c1-{row}"><a href="#p1-{row}">'
        "<b>0/1</b> <small>1 diverges</small></a>"
    )
    assert re.search(cell, html)
    block = html[html.index(f'id="p1-{row}"') :].partition("</article>")[0]
    assert "mask-ignored: every step counts" in block
    assert f"rnnparity explain {MASKED} --subject a:mixed" in block
    assert "First mismatch: output at row 0, unit 3." in block
    (drawn,) = re.findall(r'<use href="#([^"]+)"/>', block)
    assert html.count(f'<g class="squares" id="{drawn}">') == 1


def test_picture_and_command_of_a_cell_are_those_of_one_of_its_cases():
    wrong = replace(MIXED[1], explanation=None)
    cases = (wrong, replace(wrong, id=PLAIN), replace(wrong, id=BOTH_WAYS))
    explained = replace(MIXED[1], id=WIDE, explanation=replace(EXPLANATION, id=WIDE))
    html = page(report(subject("a:mixed", (*cases, explained))))
    for feature, example in (("padding on the left", MASKED), ("float64", WIDE)):
        block = html[html.index(f'id="p0-{NAMES.index(feature)}"') :].partition("</article>")[0]
        assert f"<code>rnnparity explain {example} --subject a:mixed</code>" in block
        assert ("<figure" in block) is (example == WIDE)
        assert block.count(WIDE) == (2 if example == WIDE else 0)
    every = html[html.index('id="p0-0"') :].partition("</article>")[0]
    assert f"<code>rnnparity explain {WIDE} --subject a:mixed</code>" in every


def test_a_cell_without_groups_has_no_link():
    assert '<td class="passed"><span><b>6/6</b>' in page(both())


def test_a_page_has_a_section_for_each_group():
    html = page(both())
    for line in (
        "Masked steps are &lt;computed&gt;. Keep the state.",
        "max error: 1e6 sigma vs. the reference, 0.25 with this fault",
        "It &lt;was&gt; decided.",
        "ValueError: no such &lt;gate&gt; (port.py, line 12)",
        f"rnnparity show {STATEFUL} --subject a:mixed",
        f"rnnparity show {BOTH_WAYS} --subject a:mixed",
        "a relative change of 0.03 would be hidden",
        "float64 | is not built in",
        "port 1.0",
        "2026-07-30 12:34 UTC",
        "Abacus 9, 2 cores, Linux x86_64, Python 3.11.7",
        "6: 1 agrees, 1 diverges, 1 known, 1 inconclusive, 1 unsupported, 1 errs",
    ):
        assert line in html, line


def test_a_cause_that_is_ambiguous_is_marked():
    cause = replace(EXPLANATION.cause, also_fits=(EXPLANATION.cause.faults,))
    mixed = tuple(replace(case, cause=cause) if case.cause else case for case in MIXED)
    assert "or an equally consistent fault" in page(report(subject("a", mixed)))
    assert "or an equally consistent fault" not in page(both())


def test_names_are_escaped_and_quoted():
    html = page(report(subject("cmd:./a <b>", MIXED)))
    assert "./a <b>" not in html
    assert "--subject &#39;cmd:./a &lt;b&gt;&#39;" in html


def test_skipped_subjects_and_stale_entries_are_shown():
    stale = (Stale("old", StaleReason.ALL_AGREE, 3),)
    skipped = (Skipped("torch", "is not installed", False),)
    table = report(subject("a", AGREEING, stale=stale), skipped=skipped, score=Score(3, 4))
    html = page(table)
    assert "known difference old: all of its 3 cases agree now" in html
    assert "<dt>torch</dt><dd>is not installed</dd>" in html
    assert re.search(r"mutation score\s+3/4", html)
    assert "- torch was not run: is not installed\n" in markdown(table)


def test_a_subject_without_date_and_machine_is_shown():
    html = page(report(subject("a", AGREEING, date="", machine=None)))
    assert "<dt>run</dt>" not in html
    assert "<dt>machine</dt>" not in html


def test_a_page_on_which_everything_fails_stays_small():
    """Five subjects that fail in every case, each case with another message."""
    cases = tuple(
        CaseResult(case, Verdict.ERROR, reason=f"ValueError: no {case}") for case in catalogue()
    )
    failing = subject("a", cases)
    table = report(*[replace(failing, name=f"a{number}") for number in range(5)])
    assert len(page(table)) < 120_000 * 5


def test_a_table_that_does_not_fit_shows_that_it_scrolls():
    wide = report(*[replace(subject("a", AGREEING), name=f"a{number}") for number in range(9)])
    widths = [
        float(re.search(r"@media \(max-width: ([\d.]+)rem\) {\s*\.hint", page(table))[1])
        for table in (both(), wide)
    ]
    # In rem of 16 pixels: two subjects fit on a telephone, nine do not fit on a tablet.
    assert widths[0] < 400 / 16
    assert widths[1] > 1000 / 16


def test_the_markdown_is_one_table():
    lines = markdown(both()).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == len(FEATURES) + 2
    assert len({line.count("|") for line in table}) == 1
    assert table[0] == "| feature | cases | agreeing | a:mixed |"
    sizes = {feature.name: len(cases_of(feature)) for feature in FEATURES}
    for title, name, counts in (
        ("Mask: padding on the left", "padding on the left", "1/1 | 0/1 ✗"),
        ("Direction: Bidirectional, sum", "Bidirectional, sum", "1/1 | 0/1 †"),
        ("Dtype: float16", "float16", "1/1 | – ?"),
        ("Dtype: float64", "float64", "1/1 | –"),
    ):
        assert f"| {title} | {sizes[name]} | {counts} |" in table
    assert "- agreeing passed: 6 agree (port 1.0, 2026-07-30)" in lines
    assert lines[0].startswith("1 of 2 subjects passes; a:mixed fails. 6 of ")


def test_a_name_with_a_bar_does_not_end_a_cell():
    table = [
        line
        for line in markdown(report(subject("cmd:a | b", only(PLAIN)))).splitlines()
        if line.startswith("|")
    ]
    assert table[0] == "| feature | cases | cmd:a \\| b |"


def test_the_command_quotes_the_case():
    """The id of an explanation in a stored report may be anything."""
    explanation = replace(EXPLANATION, id="x; echo y")
    result = replace(MIXED[1], explanation=explanation)
    html = page(report(subject("a:mixed", (result,))))
    assert "rnnparity explain &#39;x; echo y&#39; --subject a:mixed" in html
