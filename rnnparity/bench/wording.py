"""Numbers of the benchmark report as text."""

from __future__ import annotations

from math import floor, log10
from statistics import median

from rnnparity.bench.ratios import Ratio
from rnnparity.bench.stored import Series


def number(value: float) -> str:
    """Return three digits, never with an exponent: 0.0047, 1.28, 203, 1,800."""
    decimals = max(0, 2 - floor(log10(value)))
    return f"{value:,.{decimals}f}"


def duration(seconds: float) -> str:
    """Return a time with its unit: 1.20 s, 14.0 ms, 50.0 µs."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{number(seconds / size)} {unit}"
    return f"{number(seconds * 1e6)} µs"


def median_duration(series: Series) -> str:
    """Return the median time of one call."""
    return duration(median(series.seconds))


def speed(ratio: float) -> str:
    """Return a ratio of times as "1,800 times faster" or "2.80 times slower"."""
    if ratio < 1:
        return f"{number(1 / ratio)} times faster"
    return f"{number(ratio)} times slower"


def spread(ratio: Ratio) -> str:
    """Return a ratio of times with the middle half of its blocks."""
    if ratio.value < 1:
        return f"{speed(ratio.value)} ({number(1 / ratio.high)} to {number(1 / ratio.low)})"
    return f"{speed(ratio.value)} ({number(ratio.low)} to {number(ratio.high)})"


def problem_size(problem: str) -> str:
    """Return "(1, 4, 5, 3)" for the problem "LSTM 1x4x5x3"."""
    return "(" + problem.partition(" ")[2].replace("x", ", ") + ")"


def problem_name(problem: str) -> str:
    """Return "LSTM (1, 4, 5, 3)" for the problem "LSTM 1x4x5x3"."""
    return f"{problem.partition(' ')[0]} {problem_size(problem)}"


def listed(words: list[str]) -> str:
    """Join words as in "a, b and c"."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
