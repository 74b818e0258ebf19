"""What has come in of a run is saved while it runs."""

from threading import Event

from _support.conformance_runs import AGREEING, report, subject

from rnnparity.problem.errors import RequestError
from rnnparity.session import record
from rnnparity.session.record import saving

WAIT_S = 10


def test_a_report_is_saved_while_the_run_waits_and_only_where_it_has_changed(monkeypatch):
    monkeypatch.setattr(record, "SAVE_S", 0.001)
    reports = [report(subject("a", AGREEING[:count])) for count in (1, 1, 2)]
    coming, saved, end = [None, *reports], [], Event()

    def next_report():
        if len(coming) == 1:
            end.set()
            return coming[0]
        return coming.pop(0)

    with saving(saved.append, next_report):
        assert end.wait(WAIT_S)
    assert saved == [reports[0], reports[2]]


def test_what_cannot_be_saved_does_not_end_the_run(monkeypatch):
    monkeypatch.setattr(record, "SAVE_S", 0.001)
    tried = Event()

    def save(_):
        tried.set()
        raise RequestError("no space left")

    with saving(save, lambda: report(subject("a", AGREEING))):
        assert tried.wait(WAIT_S)


def test_saving_takes_a_small_share_of_the_time(monkeypatch):
    """A save that takes 5 s of the processor is repeated after more than four minutes."""
    times = iter([0.0, 5.0])
    monkeypatch.setattr(record, "thread_time", lambda: next(times))
    pauses = []

    class Pauses:
        def wait(self, pause):
            pauses.append(pause)
            return len(pauses) == 2

    record._save_until(Pauses(), lambda _: None, lambda: report(subject("a", AGREEING)))
    assert pauses == [record.SAVE_S, 5 / record.SAVE_SHARE]
