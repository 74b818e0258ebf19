"""Stored benchmark runs made by hand."""

from __future__ import annotations

from typing import Any

from rnnparity.bench.stored import FORMAT, StoredRun, parse

BLOCKS = [1.0, 1.02, 0.98, 1.01, 0.99]
MACHINE = {"processor": "Abacus 9", "cores": 2, "system": "Linux x86_64", "python": "3.11.7"}
# Seconds of one call at (1, 4, 5, 3) and (32, 50, 64, 128).
TIMES = {
    "LSTM 1x4x5x3": {
        "products float64": 5e-6, "products float32": 5e-6, "reference float64": 5e-5, "reference float32": 4e-5,
        "tf.keras eager": 1e-2, "tf.keras graph": 4e-4,
    },
    "LSTM 32x50x64x128": {
        "products float64": 7e-3, "products float32": 4e-3, "reference float64": 14e-3, "reference float32": 6e-3,
        "tf.keras graph": 5e-3,
    },
}  # fmt: skip


def series(group: str, problem: str, contender: str, seconds: float, **more: Any) -> dict[str, Any]:
    blocks = [seconds * each for each in BLOCKS]
    return {"group": group, "problem": problem, "contender": contender, "seconds": blocks, **more}


def forward(slower: float = 1.0) -> list[dict[str, Any]]:
    """All of TIMES, the reference `slower` times as slow."""
    return [
        series("forward", problem, name, seconds * (slower if name.startswith("reference") else 1))
        for problem, times in TIMES.items()
        for name, seconds in times.items()
    ]


def fields(rows: list[dict[str, Any]] | None = None, **other: Any) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "rnnparity": "0.1.0",
        "commit": "0123456789",
        "quick": True,
        "threads": 1,
        "machine": MACHINE,
        "versions": {"numpy": "2.4.6", "tensorflow": "2.21.0"},
        "left_out": [],
        "series": forward() if rows is None else rows,
        **other,
    }


def run(rows: list[dict[str, Any]] | None = None, **other: Any) -> StoredRun:
    return parse(fields(rows, **other), "by hand")


GROWTH = [
    series(
        "growth",
        f"LSTM T={steps}",
        "reference float64",
        steps * 1e-5,
        axis="T",
        extent=steps,
        peak_bytes=1000,
    )
    for steps in (20, 200, 2000)
]
