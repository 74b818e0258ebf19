"""Verdicts on the gradients of random healthy problems: none may diverge, a change must be detected.

`PYTHONPATH=tests python -m validation.gradient_verdicts [--half] FIRST LAST FILE [SUBJECT ...]` appends a
line of JSON for each seed, a layer with DRAWS problems; seeds that the file has are skipped.
`python -m validation.gradient_verdicts [--half] FILE ...` prints the table of stored lines.

Layers and numbers are those of `rnnparity fuzz` in float32, or with `--half` in the types and mixed policies
of 16 bits, with fewer steps: T is at most STEPS. Half of the weights are of the size that initializers
give, half as there, from small to saturating.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rnnparity.problem.answer import Answer
from rnnparity.problem.layers import policies
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.verdicts import FAILING, Verdict
from rnnparity.reference.gradients.tolerance import expect_gradients
from rnnparity.reference.tolerance import Expected
from rnnparity.session.outcome import ask_in_this_process
from rnnparity.session.random_problems import (
    DRAWS,
    random_dropped,
    random_layer,
    random_problem,
    with_random_dropout,
)
from rnnparity.subjects import make_subject
from rnnparity.verdict.judge import judge

SINGLE = frozenset({"float32"})
HALF = frozenset({"float16", "mixed_float16", "bfloat16", "mixed_bfloat16"})
PATHS = ("keras", "keras:graph", "keras:xla")
STEPS = 40
# Relative changes of a gradient, in those that the type must show: 1e-3 in float32.
CHANGES = (1.0, 0.1)
# The weights of problems with an even number, and with an odd one.
WEIGHTS = ("to saturating", "as initialized")
# NumPy's allclose.
RTOL, ATOL = 1e-5, 1e-8


def problems_of_seed(seed: int, allowed: Set[str] = SINGLE) -> Iterator[Problem]:
    """Yield the problems of a seed with cotangents; none where its layer has another policy."""
    rng = np.random.default_rng([seed, STEPS])
    layer, (batch, steps, features) = random_layer(rng)
    masked = bool(rng.random() < 0.4)
    dropped = random_dropped(rng)
    if not policies(layer) <= allowed:
        return
    shape = (batch, min(steps, 1 + steps % STEPS), features)
    for draw in range(DRAWS):
        numbers = np.random.default_rng([seed, draw, STEPS])
        problem = random_problem(numbers, layer, shape, masked, False, f"gradient-{seed}-{draw}")
        if draw % 2:
            problem = _as_initialized(problem, numbers)
        problem = with_random_dropout(numbers, problem, dropped)
        cotangents = tuple(
            Tensor.of(slot.name, numbers.standard_normal(slot.shape), slot.dtype)
            for slot in problem.output_slots()
        )
        yield replace(problem, cotangents=cotangents)


def _as_initialized(problem: Problem, rng: np.random.Generator) -> Problem:
    """Return the problem with kernels in the range of Keras' default initializer, and small biases."""
    weights = []
    for tensor in problem.weights:
        limit = 0.1 if tensor.name.endswith("bias") else np.sqrt(6 / sum(tensor.shape))
        values = rng.uniform(-limit, limit, tensor.shape)
        weights.append(Tensor.of(tensor.name, values, tensor.dtype))
    return replace(problem, weights=tuple(weights))


def records_of_seed(
    seed: int, subjects: Mapping[str, Any], allowed: Set[str] = SINGLE
) -> Iterator[dict[str, Any]]:
    """Yield a record for each verdict."""
    for problem in problems_of_seed(seed, allowed):
        expected = expect_gradients(problem)
        facts = {"id": problem.id, "policy": " and ".join(sorted(policies(problem.layer)))}
        for name, subject in subjects.items():
            yield {**facts, "subject": name, **_record(problem, subject, expected)}


def _record(problem: Problem, subject: Any, expected: Expected) -> dict[str, Any]:
    outcome = ask_in_this_process(subject, problem)
    if outcome.answer is None:
        verdict = Verdict.ERROR if outcome.error else Verdict.UNSUPPORTED
        return {"verdict": verdict, "reason": outcome.error or outcome.unsupported}
    result = judge(problem, outcome.answer, expected)
    record = {"verdict": result.verdict, "sigma": min(result.sigma, 1e15), "reason": result.reason}
    if result.verdict is Verdict.AGREES:
        record["allclose"] = _all_close(outcome.answer, expected)
        rng = np.random.default_rng(len(problem.weights))
        filled = [i for i, g in enumerate(outcome.answer.gradients or ()) if g and g.data.any()]
        if filled:
            index = int(rng.choice(filled))
            record["detected"] = [
                _detects(problem, outcome.answer, expected, expected.dtype.fault * change, index)
                for change in CHANGES
            ]
    return record


def _all_close(answer: Answer, expected: Expected) -> bool:
    pairs = zip(answer.gradients or (), expected.outputs, strict=True)
    return all(g is None or np.allclose(g.data, e.data, RTOL, ATOL) for g, e in pairs)


def _detects(
    problem: Problem, answer: Answer, expected: Expected, change: float, index: int
) -> bool:
    """Return whether a relative change of the gradient with that index diverges."""
    gradients = list(answer.gradients or ())
    tensor = gradients[index]
    assert tensor is not None
    gradients[index] = Tensor.of(tensor.name, tensor.data * (1 + change), tensor.dtype)
    changed = replace(answer, gradients=tuple(gradients))
    return judge(problem, changed, expected).verdict is Verdict.DIVERGES


def table(
    records: Sequence[Mapping[str, Any]], group: Callable[[Mapping[str, Any]], str]
) -> Iterator[list[str]]:
    """Yield a row for each subject and group of records: verdicts, failing, inconclusive and so on."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for record in records:
        if record["verdict"] != Verdict.UNSUPPORTED:
            groups.setdefault((record["subject"], group(record)), []).append(record)
    for (subject, name), of in sorted(groups.items()):
        agrees = [record for record in of if record["verdict"] == Verdict.AGREES]
        failing = sum(record["verdict"] in FAILING for record in of)
        share = sum(record["verdict"] == Verdict.INCONCLUSIVE for record in of) / len(of)
        worst = max((record["sigma"] for record in agrees), default=0.0)
        changed = [r["detected"] for r in agrees if "detected" in r]
        detected = [sum(each[i] for each in changed) for i in range(len(CHANGES))]
        rejected = sum(not record["allclose"] for record in agrees)
        yield [
            subject, name, str(len(of)), str(failing), f"{100 * share:.1f} %", f"{worst:.1f}",
            *(f"{count}/{len(changed)}" for count in detected), f"{rejected}/{len(agrees)}",
        ]  # fmt: skip


def weights_of(record: Mapping[str, Any]) -> str:
    """Return what weights the problem of a record has."""
    return WEIGHTS[int(record["id"].rpartition("-")[2]) % 2]


def policy_of(record: Mapping[str, Any]) -> str:
    """Return the dtype policy of the problem of a record."""
    return str(record["policy"])


HEADER = (
    "verdicts", "fail", "inconclusive", "max error", "a fault's change detected",
    "a tenth of it", "rejected by np.allclose",
)  # fmt: skip


def main(arguments: list[str]) -> None:
    """Run seeds and store their records, or print the table of stored ones."""
    half = arguments[:1] == ["--half"]
    first, *rest = arguments[half:]
    if not first.isdigit():
        lines = [line for file in (first, *rest) for line in Path(file).read_text().splitlines()]
        records = [record for line in lines for record in json.loads(line)["records"]]
        name, group = ("policy", policy_of) if half else ("weights", weights_of)
        for row in (("subject", name, *HEADER), *table(records, group)):
            print(" | ".join(row))
        return
    last, file, *names = rest
    path = Path(file)
    stored = path.read_text().splitlines() if path.exists() else []
    done = {json.loads(line)["seed"] for line in stored}
    subjects = {name: make_subject(name) for name in names or PATHS}
    allowed = HALF if half else SINGLE
    for seed in range(int(first), int(last) + 1):
        if seed not in done:
            records = list(records_of_seed(seed, subjects, allowed))
            with path.open("a") as stream:
                stream.write(f"{json.dumps({'seed': seed, 'records': records})}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
