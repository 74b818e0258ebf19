"""The results of `rnnparity fuzz` on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rnnparity.report.messages import sigma_text
from rnnparity.report.screen import aligned
from rnnparity.session.fuzz import CHANGES, Summary

_NUMBERS = (
    "verdicts",
    "false alarms",
    "inconclusive",
    "max error",
    "detected, scaled",
    "detected, signs",
    "smallest",
)


def fuzz_lines(summaries: Mapping[str, Summary]) -> Iterator[str]:
    """Yield a row for each dtype, then what fixed tolerances would have rejected.

    The columns are: the largest error in sigma of conclusive verdicts; detected changes of a weight
    array, all of it scaled or each element up or down; and the relative change that is detected in
    99 of 100 problems.
    """
    rows = [[dtype, *_numbers(summary)] for dtype, summary in summaries.items()]
    yield from aligned([["dtype", *_NUMBERS], *rows])
    for dtype, summary in summaries.items():
        conclusive = summary.verdicts - summary.inconclusive
        for name, count in summary.rejected_elsewhere.items():
            yield f"{name} rejects {count} of {conclusive} {dtype} outputs"
        for record in summary.examples:
            sigma = sigma_text(record.sigma)
            yield f"false alarm: {record.description} {record.path}: {sigma} sigma"


def _numbers(summary: Summary) -> list[str]:
    return [
        str(summary.verdicts),
        str(summary.false_alarms),
        f"{100 * summary.inconclusive / summary.verdicts:.1f} %",
        sigma_text(summary.worst),
        *(f"{summary.detected[change]}/{summary.changed[change]}" for change in CHANGES),
        f"{summary.smallest_detected.get('scaled', 0):.1e}",
    ]
