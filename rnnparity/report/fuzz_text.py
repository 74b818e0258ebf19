"""The results of `rnnparity fuzz` on the terminal."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from rnnparity.report.messages import sigma_text
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


def print_fuzz(summaries: Mapping[str, Summary], console: Console) -> None:
    """Print a row for each dtype, then what fixed tolerances would have rejected.

    The columns are: the largest error in sigma of conclusive verdicts; detected changes of a weight
    array, all of it scaled or each element up or down; and the relative change that is detected in
    99 of 100 problems.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("dtype", no_wrap=True)
    for column in _NUMBERS:
        table.add_column(column, justify="right")
    for dtype, summary in summaries.items():
        table.add_row(dtype, *_numbers(summary))
    console.print(table)
    for dtype, summary in summaries.items():
        conclusive = summary.verdicts - summary.inconclusive
        for name, count in summary.rejected_elsewhere.items():
            line = f"{name} rejects {count} of {conclusive} {dtype} outputs"
            console.out(line, highlight=False)
        for record in summary.examples:
            sigma = sigma_text(record.sigma)
            line = f"false alarm: {record.description} {record.path}: {sigma} sigma"
            console.out(line, highlight=False)


def _numbers(summary: Summary) -> list[str]:
    return [
        str(summary.verdicts),
        str(summary.false_alarms),
        f"{100 * summary.inconclusive / summary.verdicts:.1f} %",
        sigma_text(summary.worst),
        *(f"{summary.detected[change]}/{summary.changed[change]}" for change in CHANGES),
        f"{summary.smallest_detected.get('scaled', 0):.1e}",
    ]
