"""The commands: exit status, stdout, and one line on stderr if the request is invalid."""

import json
import os
import re
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from _support.command_line import command, here, start
from _support.fixture_folders import change_file, write_folder

from rnnparity import __version__
from rnnparity.catalogue import catalogue
from rnnparity.faults import BACKWARD_FAULTS, FAULTS, TRAINING_FAULTS
from rnnparity.golden.goldens import default_folder
from rnnparity.problem.errors import NO_MEMORY
from rnnparity.problem.format_reading import parse_problem, read_problem
from rnnparity.problem.format_writing import dump_line, dump_pretty
from rnnparity.reference import compute
from rnnparity.subjects import registered_names

__all__ = ["here"]

CASE = "lstm-spread-sequences-state"
COMMANDS = ["check", "list", "show", "run", "explain", "regenerate", "fuzz", "bench"]


def refused(called):
    """Return the message about an invalid request, without the name of the command."""
    status, out, err = called
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert err.startswith("rnnparity: ")
    return err.removeprefix("rnnparity: ").rstrip("\n")


@pytest.fixture
def problem_file(tmp_path):
    path = tmp_path / "problem.json"
    path.write_text(dump_pretty(catalogue()[CASE]), encoding="utf-8")
    return path


# ---------------------------------------------------------------------------------------------------------
# command line


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_lists_commands_or_options(here, name):
    status, out, err = here(*filter(None, [name]), "--help")
    assert (status, err) == (0, "")
    assert out.startswith("Usage: ")
    for word in COMMANDS if not name else ["--help"]:
        assert word in out
    # A first sentence that is too long is cut.
    assert name or "..." not in out.partition("Commands:")[2]


@pytest.mark.parametrize(
    ("words", "expected", "near"),
    [
        ("", "Missing command.", ""),
        ("lst", "No such command 'lst'.", "'list'"),
        ("frobnicate", "No such command 'frobnicate'.", ""),
        ("check --jsn x", "No such option: --jsn", "--json"),
        ("list --subject", "No such option: --subject", "--subjects"),
        ("check -j", "Option '-j' requires an argument.", ""),
        ("show", "Missing argument 'CASE'.", ""),
        ("run", "Missing argument 'FILE|CASE'.", ""),
        (f"show {CASE} {CASE}", f"Got unexpected extra argument(s) ({CASE})", ""),
    ],
)
def test_an_invalid_command_line_names_the_help(here, words, expected, near):
    """`near` is suggested instead, in typer's words."""
    line = refused(here(*words.split()))
    assert line.startswith(expected)
    # About an option without its value typer does not report the command.
    command = (
        words.split()[:1] if words.split()[:1] in (["check"], ["list"], ["show"], ["run"]) else []
    )
    program = " ".join(["rnnparity", *command])
    if "requires an argument" in line:
        program = "rnnparity"
    assert line.endswith(f" See `{program} --help`.")
    assert near in line.removeprefix(expected)


@pytest.mark.parametrize(
    "words", ["check -j 0", "check -j many", "check -j 65", "fuzz -n 0", "fuzz --timeout 0"]
)
def test_an_invalid_number_is_refused(here, words):
    assert refused(here(*words.split())).startswith("Invalid value for '-")


KNOWN_SUBJECTS = (
    "expected one that `rnnparity list --subjects` prints, package.module:callable, or cmd:PROGRAM"
)


@pytest.mark.parametrize(
    ("subject", "near"), [("Keras", "keras"), ("kears", "keras"), ("keras:grahp", "keras:graph")]
)
def test_a_similar_subject_is_suggested(here, subject, near):
    assert (
        refused(here("check", subject))
        == f"subject {subject!r}: unknown name; did you mean {near}?"
    )


@pytest.mark.parametrize("subject", ["mine:x y", "own.functions", "a b:c", ""])
def test_an_unknown_subject_is_refused_with_the_command_that_lists_them(here, subject):
    assert refused(here("check", subject)) == f"subject {subject!r}: unknown name; {KNOWN_SUBJECTS}"


def test_a_module_instead_of_a_function_is_refused(here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").touch()
    for name in ("mine", "mine.lstm"):
        message = (
            f"subject {name!r}: unknown name; write module:function for a function of your module"
        )
        assert refused(here("check", name)) == message


def test_show_and_run_refuse_an_unknown_subject(here, problem_file):
    for words in (("show", CASE), ("run", str(problem_file))):
        assert (
            refused(here(*words, "--subject", "nobody"))
            == f"subject 'nobody': unknown name; {KNOWN_SUBJECTS}"
        )


def test_run_takes_the_id_of_a_case_and_of_a_random_problem(here):
    for id_ in (CASE, "fuzz-17-3"):
        status, out, _ = here("run", id_)
        assert status == 0
        assert json.loads(out)["id"] == id_
        assert json.loads(out)["outputs"]


def test_lists_are_given_one_at_a_time(here):
    assert refused(here("list", "--faults", "--tags")).endswith("lists of their own: give one")


def test_an_unknown_case_is_refused_with_a_suggestion(here):
    assert refused(here("show", "lstm-spread-sequence-state")) == (
        "case 'lstm-spread-sequence-state' is unknown; did you mean lstm-spread-sequences-state?"
    )
    assert refused(here("show", "x")) == "case 'x' is unknown; see `rnnparity list`"


@pytest.mark.parametrize("words", [["list"], ["check", "reference"]])
def test_an_invalid_expression_is_refused(here, words):
    assert (
        refused(here(*words, "-k", "nothing"))
        == "-k 'nothing': matches no case; run `rnnparity list --tags` for the words"
    )
    line = refused(here(*words, "-k", "lstm and"))
    assert line.startswith("-k 'lstm and': expected a word at the end; write words joined by ")


# ----------------------------------------------------------------------------------------------------------
# files


@pytest.mark.parametrize("subject", ["reference", "keras"])
def test_an_invalid_problem_file_is_refused(here, tmp_path, subject):
    missing, broken = tmp_path / "gone.json", tmp_path / "broken.json"
    broken.write_text('{"format": 1')
    words = ("--subject", subject)
    assert (
        refused(here("run", str(missing), *words))
        == f"{missing}: cannot be read: No such file or directory"
    )
    assert (
        refused(here("run", str(tmp_path), *words)) == f"{tmp_path}: cannot be read: Is a directory"
    )
    assert refused(here("run", str(broken), *words)).startswith(
        f"{broken}: line 1, column 13: invalid JSON: "
    )
    broken.write_text("{}")
    assert refused(here("run", str(broken), *words)) == f"{broken}: format: is missing (and 4 more)"


def test_invalid_fixtures_are_refused(here, tmp_path):
    remedy = "restore the file from version control or run `rnnparity regenerate`"
    called = here("check", "reference", "--fixtures", str(tmp_path))
    assert refused(called) == f"{tmp_path}/manifest.json: not found; {remedy}"
    write_folder(tmp_path)
    change_file(tmp_path, "edge.json", lambda rows: rows[0]["case"]["tags"].reverse())
    called = here("check", "reference", "-k", "edge-D1", "--fixtures", str(tmp_path))
    expected = f"{tmp_path}/edge.json: edge-D1-simple_rnn-forward: case differs from the catalogue; {remedy}"
    assert refused(called) == expected


def test_invalid_known_differences_are_refused(here, tmp_path):
    for path in default_folder().glob("*.json"):
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "known_differences.toml").write_text("[[difference")
    called = here("check", "reference", "--fixtures", str(tmp_path), "-k", CASE)
    assert refused(called).startswith(f"{tmp_path}/known_differences.toml: Expected ']]'")


def test_a_report_that_cannot_be_written_is_refused_before_the_run(here, tmp_path):
    path = tmp_path / "gone" / "report.json"
    status, out, err = here("check", "reference", "-k", "lstm-spread-last", "--json", str(path))
    assert (status, err) == (
        2,
        f"rnnparity: {path}: cannot be written: folder {path.parent} not found\n",
    )
    assert out == ""


# -------------------------------------------------------------------------------------------------
# list and show


def test_list_shows_ids_and_reasons(here):
    status, out, err = here("list")
    assert (status, err) == (0, "")
    rows = [line.split(maxsplit=1) for line in out.splitlines()]
    assert dict(rows) == {case.id: case.case.why for case in catalogue().values()}
    status, out, err = here("list", "-k", "lstm-spread-last and not bi_lstm and mask:left")
    ids = ["lstm-spread-last-mask_left", "lstm-spread-last-mask_left-initial"]
    assert [line.split()[0] for line in out.splitlines()] == ids


def test_list_subjects_shows_all_names(here):
    status, out, err = here("list", "--subjects")
    assert (status, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == [
        *registered_names(),
        "package.module:callable",
        "cmd:PROGRAM",
    ]


@pytest.mark.parametrize(
    ("case", "letters"),
    [
        (CASE, ["i", "f", "g", "o", "h", "c"]),
        ("gru-spread-sequences-state", ["z", "r", "g", "h"]),
        ("simple_rnn-spread-sequences-state", ["h"]),
    ],
)
def test_show_prints_every_gate_and_state_at_every_step(here, case, letters):
    status, out, err = here("show", case)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == case
    assert lines[1] == f"  {catalogue()[case].case.why}"
    steps = [line.strip() for line in lines if line.startswith("  t=")]
    assert steps == ["t=0", "t=1", "t=2", "t=3"]
    for letter in letters:
        assert sum(line.startswith(f"    {letter}  ") for line in lines) == 4, letter
    for tensor in catalogue()[case].weights:
        assert f"{tensor.name} {tensor.shape} float32" in lines
        assert any(line.startswith(f"  {tensor.name}: ") for line in lines)
    h = compute(catalogue()[case])[1].data
    assert f"    h  {' | '.join(' '.join(f'{value:9.6f}' for value in row) for row in h)}" in lines
    assert lines[-1] == "reference agrees (max error: 0 sigma)"


# -----------------------------------------------------------------------------------------------------------
# run


def assert_is_the_answer(text, problem):
    answer = parse_problem(json.loads(text), "stdout")
    assert (answer.id, answer.layer) == (problem.id, problem.layer)
    for actual, expected in zip(answer.outputs, compute(problem), strict=True):
        assert (actual.name, actual.dtype) == (expected.name, "float64")
        np.testing.assert_array_equal(actual.data, expected.data, strict=True)


def test_run_prints_the_outputs_of_a_file(here, problem_file):
    status, out, err = here("run", str(problem_file))
    assert (status, err, out.count("\n")) == (0, "", 1)
    assert_is_the_answer(out, catalogue()[CASE])


def test_run_reads_one_problem_per_line_of_a_pipe(tmp_path):
    cases = [
        catalogue()[case] for case in (CASE, "dtype-float16-gru-forward", "stack-two_rnn_last")
    ]
    status, out, err = command("run", "-", input="".join(f"{dump_line(case)}\n" for case in cases))
    assert (status, err) == (0, "")
    for line, case in zip(out.splitlines(), cases, strict=True):
        assert_is_the_answer(line, case)


def test_run_answers_the_lines_before_an_invalid_one():
    line = dump_line(catalogue()[CASE])
    status, out, err = command("run", "-", input=f"{line}\n{line[:50]}\n")
    assert status == 2
    assert_is_the_answer(out, catalogue()[CASE])
    assert err.startswith("rnnparity: stdin, line 2: line 1, column ")
    assert err.count("\n") == 1


# ---------------------------------------------------------------------------------------------------------
# pipes


def test_a_closed_pipe_exits_with_0_and_no_message():
    lister = start("list")
    head = subprocess.run(
        ["head", "-1"], stdin=lister.stdout, capture_output=True, text=True, check=True
    )
    lister.stdout.close()
    assert head.stdout.startswith(f"{next(iter(catalogue()))} ")
    assert lister.stderr.read() == ""
    assert lister.wait() == 0
    lister.stderr.close()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no full device")
def test_a_full_disk_is_reported_in_one_line():
    with open("/dev/full", "w") as full:
        lister = start("list", stdout=full)
    _, err = lister.communicate()
    assert (lister.returncode, err) == (2, "rnnparity: stdout: No space left on device\n")


def test_run_prints_unicode_where_python_has_chosen_ascii(tmp_path):
    path = tmp_path / "case.json"
    path.write_text(dump_line(replace(catalogue()[CASE], id="é")), encoding="utf-8")
    runner = start("run", str(path), encoding="utf-8", variables={"PYTHONIOENCODING": "ascii"})
    out, err = runner.communicate()
    assert (runner.returncode, err) == (0, "")
    assert json.loads(out)["id"] == "é"


def test_run_reads_what_show_json_prints(here, tmp_path):
    status, out, _ = here("show", CASE, "--json")
    (tmp_path / "case.json").write_text(out)
    assert status == 0
    assert read_problem(tmp_path / "case.json").id == CASE
    assert here("run", str(tmp_path / "case.json"))[0] == 0


def test_list_tags_counts_the_selected_cases(here):
    status, out, _ = here("list", "--tags", "-k", "lstm-spread-last")
    assert status == 0
    counts = {line.split()[0]: int(line.split()[1]) for line in out.splitlines()}
    assert {"flags:last", "initial:given"} <= counts.keys()
    assert counts["kind:lstm"] == max(counts.values())


def test_run_refuses_an_empty_stdin():
    assert (
        refused(command("run", "-", input="\n")) == "stdin: got no problem, expected one per line"
    )


def test_the_version_is_printed(here):
    assert here("--version") == (0, f"rnnparity {__version__}\n", "")


def test_sweep_names_its_successor(here):
    line = refused(here("sweep", "-n", "5"))
    assert line.startswith("`sweep` was renamed to `rnnparity fuzz keras`")


def test_list_takes_a_word(here):
    _, out, _ = here("list", "--faults", "Gate-Order")
    names, sentences = out.splitlines()[::2], out.splitlines()[1::2]
    assert names
    assert all(name.startswith("gate-order: ") for name in names)
    assert all(line.startswith("  ") for line in sentences)
    assert here("list", "--subjects", "reference")[1].startswith("reference ")
    assert refused(here("list", "--faults", "xyz")) == "nothing in the list contains 'xyz'"


def test_without_a_word_every_cause_is_one_line_with_its_number_of_faults(here):
    _, out, _ = here("list", "--faults")
    lines = out.splitlines()
    assert [line.split()[0] for line in lines].count("gate-order") == 1
    listed = (*FAULTS, *BACKWARD_FAULTS, *TRAINING_FAULTS)
    assert sum(int(re.search(r"  +(\d+)  ", line)[1]) for line in lines) == len(listed)


def test_the_only_variant_of_a_fault_is_not_listed(here):
    _, out, _ = here("list", "--faults", "bias-missing")
    assert out.splitlines()[0] == "bias-missing"


def test_faults_of_the_backward_pass_are_listed_as_such(here):
    _, out, _ = here("list", "--faults", "backward pass")
    names = out.splitlines()[::2]
    assert "gradient-doubled: bias (backward pass)" in names
    assert sum(name.endswith(" (backward pass)") for name in names) == len(BACKWARD_FAULTS)


def test_a_renamed_option_names_its_successor(here):
    assert refused(here("bench", "--against", "x")) == "--against was renamed to --baseline"


def test_the_help_of_explain_names_file_and_case(here):
    assert "FILE|CASE" in here("explain", "--help")[1]


def test_an_unknown_module_is_refused_with_a_suggestion(here, tmp_path, monkeypatch):
    (tmp_path / "my_engine.py").touch()
    monkeypatch.chdir(tmp_path)
    message = refused(here("show", "lstm-spread-last", "--subject", "my_engin:f"))
    assert message.endswith(
        "No module named 'my_engin', in the current folder or installed; did you mean my_engine?"
    )


def test_memory_that_the_system_refuses_is_reported_in_one_line(here, problem_file, monkeypatch):
    def refuses(*_, **__):
        raise MemoryError("Unable to allocate 3.1 GiB")

    monkeypatch.setattr("rnnparity.session.reference_subject.compute", refuses)
    status, out, err = here("run", str(problem_file))
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "out of memory; use fewer rows" in err
    monkeypatch.setattr("rnnparity.session.ask.run", refuses)
    assert here("run", str(problem_file)) == (2, "", f"rnnparity: {NO_MEMORY}\n")
