"""What `check` writes while a run goes on."""

import os
from pathlib import Path

import pytest
from _support.conformance_runs import AGREEING, report, subject

from rnnparity.report.outputs import Outputs
from rnnparity.report.stored.reports import load


def test_a_run_that_is_not_finished_is_written_to_the_json_file(tmp_path):
    file = tmp_path / "a.json"
    file.write_text("old")
    stopped = report(subject("a", AGREEING[:2], unfinished=4), interrupted=True)
    Outputs(json=file).save(stopped)
    assert load(file) == stopped


@pytest.mark.parametrize("file", [None, Path("-"), Path(os.devnull)])
def test_what_cannot_be_replaced_is_written_once_at_the_end(file):
    assert Outputs(json=file).save is None


def test_a_pipe_gets_the_report_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert Outputs(json=tmp_path / "pipe").save is None
