"""Draw a problem and a mistake, run the port, and compare the explanation with the mistake."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from rnnparity.explanation.explain import explain
from rnnparity.problem.answer import Answer
from rnnparity.problem.explanations import Cause, FaultId
from rnnparity.problem.keras_config import JsonObject, parse_layer
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.verdicts import Verdict
from rnnparity.reference.gradients.tolerance import expect_gradients
from rnnparity.session.random_problems import random_problem
from validation.backward.mistakes import RIGHT, WHOLE, Mistake, draw_mistake, mistakes_of
from validation.backward.port import Port

LARGEST_SCALE = 1.5


class Outcome(StrEnum):
    """How an explanation compares with the mistake."""

    NAMED = "named first"
    BESIDE = "named beside an equally consistent one"
    SAME = "another name for the same gradients"
    UNDETECTABLE = "undetectable with these inputs"
    UNEXPLAINED = "unexplained"
    UNCERTAIN = "wrong, with low confidence or beside others"
    WRONG = "wrong with certainty"
    HEALTHY = "healthy and agrees"
    ALARM = "healthy and an alarm"


@dataclass(frozen=True)
class Trial:
    """A trial: the seed, the mistake, and what the explanation answered."""

    seed: int
    mistake: Mistake
    cause: Cause | None
    outcome: Outcome

    @property
    def names_the_cause(self) -> bool:
        """Whether the first name has the right cause, as trials of the forward pass count it."""
        return self.cause is not None and self.cause.names == (self.mistake.cause,)

    @property
    def line(self) -> str:
        m = self.mistake
        named = (
            []
            if self.cause is None
            else [(f.cause, f.variant, f.location) for f in self.cause.faults]
        )
        return f"{self.seed}: {self.outcome}: {m.cause}: {m.variant} in {m.half!r}; got {named}"


def draw_problem(rng: np.random.Generator) -> Problem:
    """Draw a conclusive problem in float32 with cotangents: sizes to 9, any mask and initial state."""
    while True:
        problem = _draw(rng)
        if not expect_gradients(problem).inconclusive:
            return problem


def _draw(rng: np.random.Generator) -> Problem:
    flags = {name: bool(rng.random() < 0.5) for name in ("return_sequences", "return_state")}
    form = rng.choice(["plain", "plain", "backwards", "two ways", "stack"])
    spec = _cell(rng, flags | {"go_backwards": form == "backwards"})
    if form == "two ways":
        mode = [None, "concat", "sum", "mul", "ave"][rng.integers(5)]
        spec = {"class_name": "Bidirectional", "config": {"layer": spec, "merge_mode": mode}}
    if form == "stack":
        layers = [_cell(rng, {"return_sequences": True}), _cell(rng, flags)]
        spec = {"class_name": "Sequential", "config": {"layers": layers}}
    batch, steps, features = (int(rng.integers(*sizes)) for sizes in ((2, 5), (3, 10), (2, 8)))
    masked, with_state = (bool(rng.random() < 0.4) for _ in range(2))
    shape = (batch, steps, features)
    problem = random_problem(rng, parse_layer(spec), shape, masked, with_state, "backward")
    largest = max(float(np.abs(t.data).max()) for t in problem.weights)
    scale = LARGEST_SCALE / max(largest, LARGEST_SCALE)
    if scale < 1:
        weights = [Tensor.of(t.name, t.data * scale, t.dtype) for t in problem.weights]
        problem = replace(problem, weights=tuple(weights))
    cotangents = tuple(
        Tensor.of(slot.name, rng.standard_normal(slot.shape), slot.dtype)
        for slot in problem.output_slots()
    )
    return replace(problem, cotangents=cotangents)


def _cell(rng: np.random.Generator, flags: dict[str, bool]) -> JsonObject:
    class_name = str(rng.choice(["SimpleRNN", "LSTM", "LSTM", "GRU", "GRU"]))
    config: JsonObject = {"units": int(rng.integers(2, 9)), **flags}
    config["use_bias"] = bool(rng.random() < 0.9)
    if class_name == "GRU":
        config["reset_after"] = bool(rng.random() < 0.5)
    return {"class_name": class_name, "config": config}


class Framework(StrEnum):
    """What a port is written in."""

    TORCH = "torch"
    TENSORFLOW = "tensorflow"

    @property
    def port(self) -> type[Port]:
        """The port, whose framework is imported."""
        if self is Framework.TORCH:
            from validation.backward.torch_port import TorchPort

            return TorchPort
        from validation.backward.tensorflow_port import TensorFlowPort

        return TensorFlowPort


def gradients_of(problem: Problem, mistake: Mistake, port: type[Port]) -> tuple[Tensor, ...]:
    """Return the gradients of the port with a mistake."""
    found = port(problem, mistake).gradients()
    pairs = zip(problem.gradient_slots(), found, strict=True)
    return tuple(Tensor(slot.name, array) for slot, array in pairs)


def run_trial(seed: int, framework: Framework, healthy: bool = False) -> Trial:
    """Run one trial."""
    port = framework.port
    rng = np.random.default_rng([seed, 15])
    problem = replace(draw_problem(rng), id=f"backward-{seed}")
    mistake = RIGHT if healthy else draw_mistake(problem, rng)
    gradients = gradients_of(problem, mistake, port)

    def ask(other: Problem) -> Answer:
        return Answer(gradients=gradients_of(other, mistake, port))

    explanation = explain(replace(problem, gradients=gradients), ask).explanation
    if healthy:
        agrees = explanation.verdict is Verdict.AGREES
        return Trial(seed, mistake, explanation.cause, Outcome.HEALTHY if agrees else Outcome.ALARM)
    if explanation.verdict is not Verdict.DIVERGES:
        return Trial(seed, mistake, None, Outcome.UNDETECTABLE)
    cause = explanation.cause or Cause()
    return Trial(seed, mistake, cause, judge(problem, mistake, cause, port))


def judge(problem: Problem, mistake: Mistake, cause: Cause, port: type[Port]) -> Outcome:
    """Compare the cause with the name that the mistake should have, at its location.

    Another name is as good where the port with that mistake has the same gradients.
    """
    if not cause.explained:
        return Outcome.UNEXPLAINED
    if _is(mistake, cause.faults):
        return Outcome.NAMED
    if any(_is(mistake, faults) for faults in cause.also_fits):
        return Outcome.BESIDE
    named = [other for other in mistakes_of(problem) if _is(other, cause.faults)]
    if any(_same_gradients(problem, mistake, other, port) for other in named):
        return Outcome.SAME
    return Outcome.WRONG if cause.unambiguous else Outcome.UNCERTAIN


def _same_gradients(problem: Problem, mistake: Mistake, other: Mistake, port: type[Port]) -> bool:
    first, second = (gradients_of(problem, each, port) for each in (mistake, other))
    pairs = zip(first, second, strict=True)
    return all(np.allclose(a.data, b.data, rtol=1e-5, atol=1e-6) for a, b in pairs)


def _is(mistake: Mistake, faults: tuple[FaultId, ...]) -> bool:
    if len(faults) != 1:
        return False
    (fault,) = faults
    same = fault.cause == mistake.cause and fault.variant.startswith(mistake.variant)
    return same and fault.location == (mistake.half if mistake.half != WHOLE else WHOLE)


def summary(trials: list[Trial]) -> Iterator[str]:
    """Yield the counts of the outcomes, then each trial that is not named first."""
    counts = Counter(trial.outcome for trial in trials)
    for outcome in Outcome:
        if counts[outcome]:
            yield f"{counts[outcome]:6} {outcome}"
    same_cause = sum(trial.names_the_cause for trial in trials)
    yield f"{same_cause:6} with the right cause first, of any variant and location"
    for trial in trials:
        if trial.outcome in (Outcome.UNEXPLAINED, Outcome.UNCERTAIN, Outcome.WRONG, Outcome.ALARM):
            yield trial.line
