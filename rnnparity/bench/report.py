"""The report of a stored run: one HTML page, and the same as Markdown for a CI summary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rnnparity.bench.charts import forward_chart, growth_chart
from rnnparity.bench.ratios import (
    Change,
    Compared,
    paired,
)
from rnnparity.bench.stored import StoredRun
from rnnparity.bench.tables import (
    AXES,
    FLOOR,
    REFERENCE,
    Contenders,
    Curve,
    Problems,
    _curves,
    compared_table,
    growth_table,
    harness_table,
    ratio_table,
    time_table,
)
from rnnparity.bench.wording import (
    listed,
    median_duration,
    problem_name,
    speed,
)
from rnnparity.report.pages.page import render_template

LAYERS = ("LSTM", "GRU", "SimpleRNN", "BiLSTM")
# The small and the middle problem, which the headline is about.
SMALL, MIDDLE = "LSTM 1x4x5x3", "LSTM 32x50x64x128"


def render(
    run: StoredRun, compared: Sequence[Compared], before: StoredRun | None
) -> tuple[str, str]:
    """Return the page and the Markdown."""
    layers = _by_layer(run.find("forward"))
    curves = list(_curves(run))
    changed = [ratio for ratio in compared if ratio.change is not Change.INCONCLUSIVE]
    unchanged = [ratio for ratio in compared if ratio.change is Change.INCONCLUSIVE]
    content: dict[str, object] = {
        "run": run,
        "headline": headline(run),
        "charts": {
            layer: forward_chart(problems, FLOOR)
            for layer, problems in layers.items()
            if any(FLOOR in contenders for contenders in problems.values())
        },
        "ratios": ratio_table(run),
        "times": {layer: time_table(problems) for layer, problems in layers.items()},
        "growth_charts": list(_growth_charts(curves)),
        "growth": growth_table(curves),
        "harness": harness_table(run),
        "changes": compared_table(changed),
        "unchanged": compared_table(unchanged),
        "verdict": verdict(compared) if before else "",
        "differences": _differences(before, run) if before else [],
    }
    page = render_template("bench.html.j2", content)
    markdown = render_template("bench.md.j2", content)
    return page, markdown


def headline(run: StoredRun) -> str:
    """Return the report in a sentence: the small and the middle problem, or else the largest."""
    comparisons: dict[str, str] = {}
    for problem, contenders in run.find("forward").items():
        comparison = _comparison(contenders)
        if comparison:
            comparisons[problem] = comparison
    chosen = [problem for problem in (SMALL, MIDDLE) if problem in comparisons]
    if not chosen:
        chosen = list(comparisons)[-1:]
    if not chosen:
        return f"{len(run.series)} series were timed, none of the reference and another contender."
    passes = [f"at {problem_name(problem)} takes {comparisons[problem]}" for problem in chosen]
    return f"One pass of the reference {'; one '.join(passes)}."


def _comparison(contenders: Contenders) -> str:
    """Return the reference's time compared with its yardsticks, "" where there are none."""
    reference = contenders.get(REFERENCE)
    if reference is None:
        return ""
    parts = []
    for name in ("tf.keras eager", "tf.keras graph", "products float64"):
        if name in contenders:
            yardstick = "its bare matrix products" if name.startswith("products") else name
            ratio = paired(reference, contenders[name]).value
            parts.append(f"{speed(ratio)} than {yardstick}")
    return f"{median_duration(reference)}: {listed(parts)}" if parts else ""


def verdict(compared: Sequence[Compared]) -> str:
    """Return how many ratios became faster, slower or neither."""
    counts = [f"{sum(c.change is change for c in compared)} {change}" for change in Change]
    return f"Of {len(compared)} ratios {', '.join(counts)}."


def _by_layer(forward: Problems) -> dict[str, Problems]:
    """Return the problems by layer, those that were timed."""
    layers: dict[str, Problems] = {}
    for layer in LAYERS:
        problems = {
            name: series for name, series in forward.items() if name.startswith(f"{layer} ")
        }
        if problems:
            layers[layer] = problems
    return layers


def _growth_charts(curves: Sequence[Curve]) -> Iterator[str]:
    for axis, label in AXES.items():
        for quantity, unit in (("time", "s"), ("memory", "B")):
            lines = {
                f"{curve.contender} (exponent {curve.slope:.2f})": (curve.extents, curve.amounts)
                for curve in curves
                if (curve.axis, curve.quantity) == (axis, quantity)
            }
            if lines:
                yield growth_chart(label, lines, quantity, unit)


def _differences(before: StoredRun, now: StoredRun) -> list[str]:
    """Return what else differs between two runs."""
    lines = []
    if before.commit != now.commit:
        lines.append(f"commit {before.commit}, now {now.commit}")
    for name in sorted(before.versions.keys() | now.versions.keys()):
        old, new = before.versions.get(name, "none"), now.versions.get(name, "none")
        if old != new:
            lines.append(f"{name} {old}, now {new}")
    return lines
