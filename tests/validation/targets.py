"""The project's own speed targets as ratios within one run (issue 3), and what was measured.

`PYTHONPATH=tests python -m validation.targets report.json` prints them for a stored run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rnnparity.bench.ratios import Ratio, paired
from rnnparity.bench.stored import StoredRun

TINY, MIDDLE, LARGE = "LSTM 1x4x5x3", "LSTM 32x50x64x128", "LSTM 32x100x256x512"
SMALL = "LSTM 8x16x16x32"
LONG, WIDE = "LSTM 1x500x64x256", "LSTM 128x100x128x256"
FROM_MIDDLE, HUNDRED_UNITS = (MIDDLE, LARGE, LONG, WIDE), (MIDDLE, LARGE, LONG, WIDE)
EVERY = (TINY, SMALL, *FROM_MIDDLE)

# Contender, yardstick, the largest ratio that is accepted, and the problems.
TARGETS: tuple[tuple[str, str, float, tuple[str, ...]], ...] = (
    ("reference float64", "tf.keras eager", 1 / 300, (TINY,)),
    ("reference float32", "tf.keras eager", 1 / 300, (TINY,)),
    ("reference float64", "tf.keras graph", 1 / 10, (TINY,)),
    ("reference float32", "tf.keras graph", 1 / 10, (TINY,)),
    ("reference float64", "tf.keras graph", 2.5, FROM_MIDDLE),
    ("reference float32", "tf.keras graph", 1.0, FROM_MIDDLE),
    ("reference float64", "ONNX ReferenceEvaluator", 1.0, (TINY, SMALL)),
    ("reference float32", "ONNX ReferenceEvaluator", 1 / 1.5, EVERY),
    ("reference float32", "ONNX Runtime", 2.0, (TINY,)),
    ("reference float32", "ONNX Runtime", 1.5, HUNDRED_UNITS),
    ("reference float32", "products float32", 1.25, (LARGE,)),
)


@dataclass(frozen=True)
class Figure:
    """A target and what was measured; `floor` is the ratio of the bare matrix products."""

    problem: str
    contender: str
    yardstick: str
    wanted: float
    measured: Ratio
    floor: Ratio | None

    @property
    def met(self) -> bool:
        return self.measured.value <= self.wanted

    @property
    def reason(self) -> str:
        """Why a target is missed, as far as the run shows it."""
        if self.met:
            return ""
        if self.measured.low <= self.wanted:
            return "within the spread"
        if self.floor and self.floor.value > self.wanted:
            return f"its matrix products alone take {self.floor.value:.2g} times as long"
        if self.floor is None and not self.yardstick.startswith("products"):
            return ""
        products = self.floor.value if self.floor else 1.0  # else the yardstick is the products
        return f"{products / self.measured.value:.0%} of it are matrix products"


def figures(run: StoredRun) -> Iterator[Figure]:
    """Yield every target whose contenders the run has timed."""
    forward = run.find("forward")
    for contender, yardstick, wanted, problems in TARGETS:
        for problem in problems:
            series = forward.get(problem, {})
            if contender not in series or yardstick not in series:
                continue
            products = series.get(contender.replace("reference", "products"))
            own = yardstick.startswith("products") or products is None
            floor = None if own or products is None else paired(products, series[yardstick])
            measured = paired(series[contender], series[yardstick])
            yield Figure(problem, contender, yardstick, wanted, measured, floor)


def main() -> None:
    """Print every target of a stored run, what was measured, and why a target was missed."""
    import sys

    from rnnparity.bench.stored import load
    from rnnparity.bench.wording import speed

    for figure in figures(load(Path(sys.argv[1]))):
        result = "reached" if figure.met else f"missed: {figure.reason}"
        name = f"{figure.contender}, {figure.problem}, compared with {figure.yardstick}"
        print(f"{name}: {speed(figure.measured.value)}, target {speed(figure.wanted)}: {result}")


if __name__ == "__main__":
    main()
