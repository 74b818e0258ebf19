"""The conformance table as a site."""

import re
from dataclasses import replace
from html import unescape

import pytest
from _support.conformance_runs import AGREEING, KNOWN, MASKED, MIXED, PLAIN, both, report, subject

from rnnparity.catalogue.features import FEATURES
from rnnparity.golden.goldens import KNOWN as KNOWN_FILE
from rnnparity.problem.results import Skipped
from rnnparity.problem.verdicts import Verdict
from rnnparity.report.changes import changes_since
from rnnparity.report.pages.site import (
    DIFFERENCES,
    HISTORY,
    INDEX,
    REPORT,
    TABLE,
    file_names,
    write_site,
)
from rnnparity.report.stored.history import StoredHistory, StoredRelease
from rnnparity.report.stored.reports import load

SCRIPT = "print('<shown>')\n"


@pytest.fixture
def fixtures(tmp_path):
    """Return a folder of fixtures with one bundle."""
    folder = tmp_path / "fixtures"
    bundle = folder / "bundles" / KNOWN.name
    bundle.mkdir(parents=True)
    (bundle / "reproduce.py").write_text(SCRIPT)
    (bundle / "problem.json").write_text("{}")
    (folder / KNOWN_FILE).write_text("")
    return folder


@pytest.fixture
def site(tmp_path, fixtures):
    folder = tmp_path / "site"
    write_site(both(), folder, fixtures=fixtures)
    return folder


def test_every_link_leads_to_a_file_and_a_place_in_it(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) == 2 + len(both().subjects) + len(both().known)
    for page in pages:
        for link in re.findall(r'href="([^"]+)"', page.read_text()):
            if link.startswith("https://example.org/"):
                continue
            file, _, anchor = unescape(link).partition("#")
            target = page.parent / file if file else page
            assert target.is_file(), (page.name, link)
            assert not anchor or f'id="{anchor}"' in target.read_text(), (page.name, link)


def test_index_has_every_subject_and_feature_without_a_script(site):
    html = (site / INDEX).read_text()
    assert '<form class="filter" id="filter" hidden>' in html
    for subject_ in both().subjects:
        assert f">{subject_.name}</a>" in html
    assert html.count('class="feature"') == len(FEATURES)
    assert html.count("<td ") == len(FEATURES) * len(both().subjects)
    assert not re.search(r"\bsrc=|url\(|@import|<link", html)


def test_page_of_a_difference_has_its_script_and_where_it_occurs(site):
    html = (site / DIFFERENCES / f"{KNOWN.name}.html").read_text()
    assert "print(&#39;&lt;shown&gt;&#39;)" in html
    assert (site / DIFFERENCES / KNOWN.name / "reproduce.py").read_text() == SCRIPT
    assert "It &lt;was&gt; decided." in html
    users = [each.name for each in both().subjects if any(case.known for case in each.cases)]
    assert users
    for each in both().subjects:
        assert (f">{each.name}</a>" in html) == (each.name in users)


def test_page_of_a_difference_without_a_bundle_has_no_script(tmp_path, fixtures):
    for path in (fixtures / "bundles" / KNOWN.name).iterdir():
        path.unlink()
    write_site(both(), tmp_path / "site", fixtures=fixtures)
    html = (tmp_path / "site" / DIFFERENCES / f"{KNOWN.name}.html").read_text()
    assert "Reproduce it" not in html


def test_report_of_the_site_can_be_merged(site):
    assert load(site / REPORT) == both()
    assert "<h1>rnnparity check</h1>" in (site / TABLE).read_text()


def test_subjects_that_could_not_run_are_on_the_index(tmp_path, fixtures):
    skipped = Skipped("torch", "torch is <missing>", requested=False)
    write_site(replace(both(), skipped=(skipped,)), tmp_path / "site", fixtures=fixtures)
    assert (
        "<dt>torch</dt><dd>torch is &lt;missing&gt;</dd>" in (tmp_path / "site" / INDEX).read_text()
    )


def test_file_names_are_plain_and_different():
    names = ("keras:graph", "keras graph", "cmd:../../engine <b>", "\u202e", "é")
    files = file_names(report(*(subject(name, AGREEING) for name in names)))
    assert list(files) == list(names)
    assert files["keras:graph"] == "keras-graph.html"
    assert files["keras graph"] == "keras-graph-2.html"
    assert len({*files.values()}) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9.-]+\.html", file) for file in files.values())
    assert not any(file.startswith((".", "-")) for file in files.values())


def test_name_of_a_subject_is_text_on_every_page(tmp_path, fixtures):
    hostile = '"><script>alert(1)</script>\x1b[31m'
    write_site(
        report(subject(hostile, MIXED), known=(KNOWN,)), tmp_path / "site", fixtures=fixtures
    )
    for page in (tmp_path / "site").rglob("*.html"):
        text = page.read_text()
        assert "<script>alert" not in text
        assert "\x1b" not in text


# ------------------------------------------------------------------------------------------------
# the history of releases


def release(version, differing=0, **fields):
    return StoredRelease(
        version=version,
        counts={"agrees": 9 - differing, "known": differing, "unsupported": 1},
        listed={KNOWN.name: differing} if differing else {},
        agreeing={} if differing else {KNOWN.name: 3},
        **fields,
    )


def history(subject="mine", *releases):
    return StoredHistory(
        format="rnnparity-history/1",
        package="p<1>",
        subject=subject,
        date="2026-11-29",
        rnnparity="0.2",
        catalogue="abc",
        releases=list(releases)
        or [
            release("1.0"),
            release("1.1", 2, moved={"bits": 4, "far": 2, "sigma": 1e6}),
            release("1.2", 2, moved={"bits": 0, "far": 0, "sigma": 0.0}),
            StoredRelease(version="2.0", error="no <library>"),
        ],
    )


ENTRY = """
[[difference]]
name = "{name}"
subject = "mine"
cases = ["lstm-spread-last"]
kinds = ["values"]
versions = {{ "p<1>" = "{range}" }}
cause = "gate-order"
standing = "mistake"
reason = "It."
link = ""
"""


def test_history_is_beside_the_table(tmp_path, fixtures):
    (fixtures / KNOWN_FILE).write_text(ENTRY.format(name=KNOWN.name, range=">=1.1"))
    write_site(both(), tmp_path, fixtures=fixtures, histories=[history(), history("x<y>")])
    html = (tmp_path / HISTORY).read_text()
    assert "<y>" not in html
    assert "2.0 was not run: no &lt;library&gt;" in html
    rows = {
        re.sub("<[^>]+>", "", row).split("</th>")[0]: re.findall(r"<td[^>]*>([^<]*)</td>", row)
        for row in re.findall(r"<tr><th scope=\"row\">(.*?)</tr>", html, re.DOTALL)
    }
    cells = {name.rstrip("0123456789-*"): row for name, row in rows.items()}
    assert cells["agree"] == ["9", "7*", "7"]
    assert cells[KNOWN.name] == ["-", "2*", "2"]
    assert cells["numbers moved"] == ["-", "4*", "0*"]
    assert cells["not compared"] == ["1", "1", "1"]
    assert "stated:" not in html
    assert f'href="{HISTORY}#history-1"' in (tmp_path / INDEX).read_text()
    page = (tmp_path / DIFFERENCES / f"{KNOWN.name}.html").read_text()
    assert f'<a href="../{HISTORY}#history-0">mine</a>: 1.1, 1.2, not in 1.0' in page
    for anchor in ("history-0", "history-1"):
        assert f'id="{anchor}"' in html


def test_range_that_the_history_contradicts_is_marked(tmp_path, fixtures):
    (fixtures / KNOWN_FILE).write_text(ENTRY.format(name=KNOWN.name, range="<1.2"))
    write_site(both(), tmp_path, fixtures=fixtures, histories=[history()])
    html = (tmp_path / HISTORY).read_text()
    assert "stated: &lt;1.2; also seen in 1.2; not seen in 1.0" in html


# ------------------------------------------------------------------------------------------------
# changes since an earlier run


def changed(id_, verdict):
    return tuple(replace(case, verdict=verdict) if case.id == id_ else case for case in AGREEING)


def test_equal_reports_have_no_changes():
    assert not changes_since(both(), both()).any


def test_verdicts_and_versions_that_changed_are_found():
    before = report(
        replace(subject("mine", changed(PLAIN, Verdict.DIVERGES)), versions={"a": "1", "b": "2"})
    )
    now = report(replace(subject("mine", AGREEING), versions={"a": "1", "b": "3", "c": "4"}))
    (changes,) = changes_since(before, now).subjects
    assert changes.verdicts == {(Verdict.DIVERGES, Verdict.AGREES): (PLAIN,)}
    assert changes.versions == {"b": ("2", "3"), "c": ("", "4")}
    assert (changes.added, changes.removed) == (0, 0)


def test_cases_and_subjects_of_one_report_only_are_counted():
    before = report(subject("mine", AGREEING[:2]), subject("old", AGREEING))
    now = report(subject("mine", AGREEING[1:]), subject("new", AGREEING))
    changes = changes_since(before, now)
    assert (changes.added, changes.removed) == (("new",), ("old",))
    (mine,) = changes.subjects
    assert (mine.added, mine.removed) == (len(AGREEING) - 2, 1)
    assert mine.verdicts == {}


def test_index_shows_the_changes(tmp_path, fixtures):
    before = report(subject("mine", changed(MASKED, Verdict.ERROR)))
    now = report(subject("mine", AGREEING))
    write_site(now, tmp_path, changes=changes_since(before, now), fixtures=fixtures)
    html = (tmp_path / INDEX).read_text()
    assert f"1 case: error, now agrees: {MASKED}" in html
    write_site(now, tmp_path, changes=changes_since(now, now), fixtures=fixtures)
    assert "every verdict and every version is the same" in (tmp_path / INDEX).read_text()
