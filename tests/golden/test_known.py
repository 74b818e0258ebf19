"""known_differences.toml: how it is read, what it covers, and when an entry no longer states the
truth."""

import re
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version

import pytest

from rnnparity.catalogue import catalogue
from rnnparity.faults import FAULTS
from rnnparity.golden.goldens import KNOWN, default_folder
from rnnparity.golden.known_differences import covering, of_outputs, read_known, stale
from rnnparity.problem.errors import FormatError
from rnnparity.problem.results import CaseResult, Stale, StaleReason
from rnnparity.problem.verdicts import Difference, DifferenceType, Verdict
from rnnparity.session.fixtures import read_fixtures
from rnnparity.verdict.judge import with_known

ENTRY = {
    "name": "one",
    "subject": "keras*",
    "cases": ["lstm-*", "gru-?"],
    "kinds": ["values", "error"],
    "versions": {"keras": ">=3.15,<3.16"},
    "cause": "gate-order: LSTM",
    "standing": "mistake",
    "reason": "for the sake of the test",
    "link": "https://example.org",
}
VERSIONS = {"keras": "3.15.1", "tensorflow": "2.21.0"}


def toml(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items()) + " }"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def text_of(*tables, name="difference"):
    return "\n".join(
        f"[[{name}]]\n" + "\n".join(f"{key} = {toml(value)}" for key, value in table.items())
        for table in tables
    )


def entries_of(tmp_path, *tables):
    path = tmp_path / KNOWN
    path.write_text(text_of(*tables))
    return read_known(path)


def entry_of(tmp_path, **changed):
    (entry,) = entries_of(tmp_path, {**ENTRY, **changed})
    return entry


# -------------------------------------------------------------------------------------------------------
# reading


def test_an_entry_is_read(tmp_path):
    entry = entry_of(tmp_path)
    assert (entry.name, entry.subject, entry.reason, entry.link) == (
        "one",
        "keras*",
        ENTRY["reason"],
        ENTRY["link"],
    )
    assert (entry.cases, entry.kinds) == (("lstm-*", "gru-?"), ("values", "error"))
    assert {package: str(wanted) for package, wanted in entry.versions.items()} == {
        "keras": "<3.16,>=3.15"
    }


@pytest.mark.parametrize(("key", "value"), [("standing", "sad"), ("cause", "")])
def test_an_entry_needs_a_standing_and_a_cause(tmp_path, key, value):
    with pytest.raises(FormatError, match=key):
        entry_of(tmp_path, **{key: value})


def test_a_missing_file_has_no_entries(tmp_path):
    assert read_known(tmp_path / KNOWN) == ()
    (tmp_path / KNOWN).write_text("# nothing yet\n")
    assert read_known(tmp_path / KNOWN) == ()


def without(key):
    return {other: value for other, value in ENTRY.items() if other != key}


REFUSED = {
    "no_toml": ("[[difference]", "Expected ']]' at the end of an array declaration"),
    "no_text": (
        b"\xff\xfe",
        "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
    ),
    "other_table": (
        text_of(ENTRY, name="diference"),
        "diference: unknown key",
    ),
    "other_key": ("difference = []\nx = 1", "x: unknown key"),
    "one_table": ("[difference]\nname = 'x'", "difference: got {'name': 'x'}, expected a list"),
    "number": ("difference = 3", "difference: got 3, expected a list"),
    "numbers": ("difference = [3]", "difference.0: got 3, expected an object"),
    "long_number": (
        f"difference = {'1' * 10_000}",
        "Exceeds the limit (4300 digits) for integer string conversion",
    ),
    "deep": (f"difference = {'[' * 100_000}", "nested too deeply"),
    "missing": (text_of(without("link")), "difference.0.link: is missing"),
    "extra": (text_of(ENTRY, {**ENTRY, "why": "x"}), "difference.1.why: unknown key"),
    "misspelt": (
        text_of({**without("cases"), "case": []}),
        "difference.0.case: unknown key; did you mean cause? (and 1 more)",
    ),
    "cases": (
        text_of({**ENTRY, "cases": "lstm-*"}),
        "difference.0.cases: got 'lstm-*', expected a list",
    ),
    "cases_2": (
        text_of({**ENTRY, "cases": ["lstm-*", 3]}),
        "difference.0.cases.1: got 3, expected a string",
    ),
    "kinds": (
        text_of({**ENTRY, "kinds": {"values": "x"}}),
        "difference.0.kinds: got {'values': 'x'}, expected a list",
    ),
    "kind": (
        text_of({**ENTRY, "kinds": ["values", "value"]}),
        "difference.0.kinds.1: got 'value', expected 'count', 'names', ",
    ),
    "versions": (
        text_of({**ENTRY, "versions": ["keras"]}),
        "difference.0.versions: got ['keras'], expected an object",
    ),
    "versions_2": (
        text_of({**ENTRY, "versions": {"keras": 3}}),
        "difference.0.versions.keras: got 3, expected a string",
    ),
    "range": (
        text_of({**ENTRY, "versions": {"keras": "3.15"}}),
        "difference.0.versions: got '3.15', expected a range like '>=3.0,<3.16'",
    ),
    "name": (text_of({**ENTRY, "name": 3}), "difference.0.name: got 3, expected a string"),
    "subject": (
        text_of({**ENTRY, "subject": ["keras"]}),
        "difference.0.subject: got ['keras'], expected a string",
    ),
    "reason": (
        text_of({**ENTRY, "reason": True}),
        "difference.0.reason: got true, expected a string",
    ),
    "link": (text_of({**ENTRY, "link": {}}), "difference.0.link: got {}, expected a string"),
    "twice": (text_of(ENTRY, {**ENTRY, "subject": "x"}), "2 entries are named 'one', expected one"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_invalid_entry_is_refused(tmp_path, name):
    text, expected = REFUSED[name]
    path = tmp_path / KNOWN
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(FormatError) as caught:
        read_known(path)
    assert str(caught.value).startswith(f"{path}: {expected}")
    assert str(caught.value).isprintable()


def test_a_directory_is_refused(tmp_path):
    with pytest.raises(FormatError) as caught:
        read_known(tmp_path)
    assert str(caught.value) == f"{tmp_path}: cannot be read: Is a directory"


# ------------------------------------------------------------------------------------------------------
# covering


@pytest.mark.parametrize(
    ("subject", "applies"),
    [("keras", True), ("keras:graph", True), ("KERAS", False), ("my.keras:run", False)],
)
def test_subjects_are_patterns(tmp_path, subject, applies):
    assert entry_of(tmp_path).applies(subject, VERSIONS) is applies


@pytest.mark.parametrize(
    ("case", "matches"), [("lstm-", True), ("gru-1", True), ("gru-12", False), ("bi_lstm-x", False)]
)
def test_cases_are_patterns(tmp_path, case, matches):
    assert entry_of(tmp_path).matches(case) is matches


@pytest.mark.parametrize(
    ("wanted", "version", "applies"),
    [
        (">=3.15,<3.16", "3.15.0", True),
        (">=3.15,<3.16", "3.15.99", True),
        (">=3.15,<3.16", "3.16.0", False),
        (">=3.15,<3.16", "3.14.9", False),
        (">=3.15,<3.16", "3.15.1.dev2025", True),
        ("==3.*", "3.99", True),
        ("!=3.15.1", "3.15.1", False),
        ("", "1.0", True),
    ],
)
def test_an_entry_applies_within_its_range_of_versions(tmp_path, wanted, version, applies):
    assert (
        entry_of(tmp_path, versions={"keras": wanted}).applies("keras", {"keras": version})
        is applies
    )


def test_every_range_must_contain_an_installed_version(tmp_path):
    both = entry_of(tmp_path, versions={"keras": ">=3", "tensorflow": "<2.21"})
    assert both.applies("keras", {"keras": "3.15.1", "tensorflow": "2.20.0"})
    assert not both.applies("keras", VERSIONS)
    assert not both.applies("keras", {"keras": "3.15.1"})
    assert entry_of(tmp_path, versions={}).applies("keras", {})


def test_several_entries_cover_together(tmp_path):
    entries = entries_of(
        tmp_path,
        {**ENTRY, "name": "values", "kinds": ["values"]},
        {**ENTRY, "name": "facts", "kinds": ["fact", "shape"]},
        {**ENTRY, "name": "elsewhere", "kinds": ["values", "fact"], "cases": ["gru-*"]},
        {**ENTRY, "name": "another", "kinds": ["values", "fact"], "subject": "torch"},
    )

    def cover(*kinds):
        return covering(entries, "keras", VERSIONS, "lstm-x", kinds)

    assert cover("values") == ("values",)
    assert cover("values", "fact") == ("values", "facts")
    assert cover("shape") == ("facts",)
    assert cover("values", "finiteness") == ()
    assert cover("error") == ()
    assert covering(entries, "keras", {"keras": "3.16.0"}, "lstm-x", ["values"]) == ()


VALUES = Difference(DifferenceType.VALUES, "output")
DIVERGES = CaseResult("lstm-x", Verdict.DIVERGES, 99.0, differences=(VALUES,))


def test_a_covered_verdict_is_known(tmp_path):
    verdict = with_known(DIVERGES, [entry_of(tmp_path)], "keras", VERSIONS)
    assert (verdict.verdict, verdict.known) == (Verdict.KNOWN, ("one",))
    assert (verdict.differences, verdict.sigma) == (DIVERGES.differences, DIVERGES.sigma)


def test_an_error_can_be_covered(tmp_path):
    error = CaseResult("lstm-x", Verdict.ERROR, reason="TypeError: x")
    covered = with_known(error, [entry_of(tmp_path)], "keras", VERSIONS)
    assert covered == replace(error, verdict=Verdict.KNOWN, known=("one",))
    assert with_known(error, [entry_of(tmp_path, kinds=["values"])], "keras", VERSIONS) == error


@pytest.mark.parametrize("kind", [Verdict.AGREES, Verdict.INCONCLUSIVE, Verdict.UNSUPPORTED])
def test_a_verdict_that_does_not_fail_is_unchanged(tmp_path, kind):
    verdict = CaseResult("lstm-x", kind, reason="so")
    assert (
        with_known(
            verdict,
            [entry_of(tmp_path, kinds=[*map(str, DifferenceType), "error"])],
            "keras",
            VERSIONS,
        )
        == verdict
    )


@pytest.mark.parametrize("kind", ["count", "names", "shape", "dtype", "finiteness", "fact"])
def test_a_difference_of_another_type_is_not_covered(tmp_path, kind):
    verdict = replace(DIVERGES, differences=(VALUES, Difference(DifferenceType(kind))))
    assert with_known(verdict, [entry_of(tmp_path)], "keras", VERSIONS) == verdict


# ---------------------------------------------------------------------------------------------------------
# stale

CASES = ["lstm-a", "lstm-b", "bi_lstm-a"]


def stale_words(entry, *, subject="keras", versions=VERSIONS, used=(), ran=CASES):
    return stale([entry], subject, versions, used, ran, CASES)


def test_an_entry_that_matches_no_case_is_stale(tmp_path):
    assert stale_words(entry_of(tmp_path, cases=["gru-?"])) == [Stale("one", StaleReason.NO_CASE)]
    assert stale_words(entry_of(tmp_path, cases=[])) == [Stale("one", StaleReason.NO_CASE, 0)]
    # whoever it is for
    assert stale_words(entry_of(tmp_path, cases=["gru-?"], subject="torch")) == [
        Stale("one", StaleReason.NO_CASE)
    ]


def test_an_entry_that_a_random_problem_shows_needs_no_case(tmp_path):
    entry = entry_of(tmp_path, cases=["fuzz-17-3"])
    assert entry.random_problems == ("fuzz-17-3",)
    assert stale([entry], "keras", VERSIONS, (), CASES, CASES) == []
    pattern = entry_of(tmp_path, cases=["fuzz-*"])
    assert pattern.random_problems == ()
    assert [each.reason for each in stale([pattern], "keras", VERSIONS, (), CASES, CASES)] == [
        StaleReason.NO_CASE
    ]


@pytest.mark.parametrize("text", ["float32", "2**-23"])
def test_an_entry_may_state_a_coarser_arithmetic(tmp_path, text):
    assert entry_of(tmp_path, precision=text).precision.name == text
    assert entry_of(tmp_path).precision is None
    with pytest.raises(
        FormatError, match=r"difference\.0\.precision: got 'int8', expected float16"
    ):
        entry_of(tmp_path, precision="int8")


def test_an_entry_whose_cases_all_agree_is_stale(tmp_path):
    entry = entry_of(tmp_path)
    assert stale_words(entry) == [Stale("one", StaleReason.ALL_AGREE, 2)]
    assert stale_words(entry, used=["one"]) == []
    assert stale_words(entry, used=["other"]) == [Stale("one", StaleReason.ALL_AGREE, 2)]


def test_an_entry_is_not_stale_if_its_cases_did_not_run(tmp_path):
    entry = entry_of(tmp_path)
    assert stale_words(entry, ran=["lstm-a", "bi_lstm-a"]) == []
    assert stale_words(entry, ran=[]) == []
    assert stale_words(entry, subject="torch") == []
    assert stale_words(entry, versions={"keras": "3.16.0"}) == []


# ------------------------------------------------------------------------------------------- the
# project's own file

OWN = read_known(default_folder() / KNOWN)


def test_the_list_of_the_project_is_read():
    assert len(OWN) > 0
    assert stale(OWN, "none", {}, (), (), catalogue()) == []


@pytest.mark.parametrize("entry", OWN, ids=lambda entry: entry.name)
def test_every_entry_has_a_cause_a_reason_and_a_link(entry):
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", entry.name)
    for pattern in set(entry.cases) - set(entry.random_problems):
        assert any(
            re.fullmatch(pattern.replace("*", ".*").replace("?", "."), case) for case in catalogue()
        ), pattern
    assert entry.versions
    for wanted in entry.versions.values():
        operators = {specifier.operator for specifier in wanted}
        assert operators == {">=", "<"}, "the first affected release, and where to look again"
    assert entry.cases
    assert len(entry.reason) > 40
    named, colon, rest = entry.cause.partition(": ")
    assert colon, "a fault by its name, or the place: what is wrong there"
    if named in {fault.cause for fault in FAULTS}:
        assert rest in {fault.variant for fault in FAULTS if fault.cause == named}
    else:
        assert len(rest) > 20
    if entry.link.startswith("https://"):
        assert re.fullmatch(r"https://[a-z0-9.-]+\.[a-z]{2,}/\S+", entry.link)
    else:
        assert (default_folder().parent / entry.link).is_file()


@pytest.mark.parametrize("entry", OWN, ids=lambda entry: entry.name)
def test_the_range_of_an_entry_contains_the_installed_version(entry):
    installed = {package: installed_version(package) for package in entry.versions}
    outside = [name for name, at in installed.items() if at and at not in entry.versions[name]]
    assert outside == []


def installed_version(package):
    """Return the version of a package, None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def test_an_entry_of_gradients_covers_no_outputs_and_is_not_stale_where_these_agree(tmp_path):
    of_gradients = entry_of(tmp_path, gradients=True)
    assert of_gradients.gradients
    assert of_outputs((of_gradients,)) == ()
    both = entry_of(tmp_path)
    assert of_outputs((both, of_gradients)) == (both,)
    cases = ["lstm-1", "gru-1"]
    assert stale((both,), "keras", VERSIONS, (), cases, cases) == [
        Stale("one", StaleReason.ALL_AGREE, 2)
    ]
    assert stale((of_gradients,), "keras", VERSIONS, (), cases, cases) == []
    assert stale((of_gradients,), "keras", VERSIONS, (), [], ["none"]) == [
        Stale("one", StaleReason.NO_CASE)
    ]


def test_outputs_are_compared_without_the_entries_of_gradients():
    names = [
        {entry.name for entry in read_fixtures(only=[], gradients=gradients).known}
        for gradients in (False, True)
    ]
    assert names[1] - names[0] == {"selu-slope-at-zero-under-xla", "selu-slope-at-zero"}
    assert names[0] <= names[1]
