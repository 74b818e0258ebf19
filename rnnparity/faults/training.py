"""Faults of a training step whose outputs and gradients are right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from rnnparity.faults.backward_edit import EditTrainingStep
from rnnparity.faults.fault import Fault, Mutant
from rnnparity.faults.injection import placements
from rnnparity.faults.training_run import TrainingRun
from rnnparity.problem.dtypes import Array
from rnnparity.problem.problem import Problem, Tensor

LOSS = "Use the mean of the squared errors of each output, and add the losses of all outputs."
SGD = "Subtract the learning rate times the gradient, without momentum, decay or clipping."
DECAY = 0.01


_Edit = Callable[[TrainingRun], list[Array] | None]


def training_mutants(problem: Problem, faults: Iterable[Fault] | None = None) -> Iterator[Mutant]:
    """Yield the mutants of a problem's training step; `outputs` are the weights after it.

    Raises:
        RequestError: the problem has no training step.
    """
    run = TrainingRun(problem)
    for fault in TRAINING_FAULTS if faults is None else faults:
        for placed in placements(problem, fault):
            edit = placed.edit
            arrays = edit.function(run) if isinstance(edit, EditTrainingStep) else None
            if arrays is not None:
                pairs = zip(run.names, arrays, strict=True)
                yield Mutant((placed,), tuple(Tensor(name, array) for name, array in pairs))


def _scaled(factor: Callable[[TrainingRun], float]) -> _Edit:
    """Return the edit that multiplies the step; it does not apply where the factor is 1."""

    def edit(run: TrainingRun) -> list[Array] | None:
        by = factor(run)
        return None if by == 1 else run.moved([by * change for change in run.change])

    return edit


def _of_arrays(name: str, factor: float) -> _Edit:
    """Return the edit that multiplies the step of the weights with this name, of every half."""

    def edit(run: TrainingRun) -> list[Array] | None:
        chosen = [each.rpartition("/")[2] == name for each in run.names]
        if not any(chosen):
            return None
        pairs = zip(run.change, chosen, strict=True)
        return run.moved([factor * change if found else change for change, found in pairs])

    return edit


def _summed(run: TrainingRun) -> list[Array]:
    return run.moved(run.change_of(run.sizes))


def _first_output_only(run: TrainingRun) -> list[Array] | None:
    if len(run.sizes) == 1:
        return None
    return run.moved(run.change_of([1, *[0] * (len(run.sizes) - 1)]))


def _decayed(run: TrainingRun) -> list[Array]:
    decay = [run.step.lr * DECAY * before for before in run.before]
    return run.moved([by + more for by, more in zip(run.change, decay, strict=True)])


# fmt: off
TRAINING_FAULTS = (
    Fault("step-negated", "all",
        "The weights move along the gradient, not against it.",
        SGD,
        edit=EditTrainingStep(_scaled(lambda _: -1))),
    Fault("step-scaled", "learning rate twice",
        "The step is multiplied by the learning rate twice.",
        SGD,
        edit=EditTrainingStep(_scaled(lambda run: run.step.lr))),
    Fault("step-scaled", "half of the mean square",
        "The loss is half of the mean of the squared errors.",
        LOSS,
        edit=EditTrainingStep(_scaled(lambda _: 0.5))),
    Fault("step-scaled", "mean over the outputs",
        "The losses of the outputs are averaged, not added.",
        LOSS,
        edit=EditTrainingStep(_scaled(lambda run: 1 / len(run.sizes)))),
    Fault("step-scaled", "sum of squares",
        "The loss is the sum of the squared errors, not their mean.",
        LOSS,
        seen_in="PyTorch's reduction='sum'",
        edit=EditTrainingStep(_summed)),
    Fault("step-scaled", "sum over rows",
        "The squared errors are summed over the rows of the batch, not averaged.",
        LOSS,
        edit=EditTrainingStep(_scaled(lambda run: run.problem.inputs.shape[0]))),
    Fault("step-scaled", "bias twice",
        "The bias moves twice as far.",
        "Train one of two biases that stand for one of Keras, or halve their learning rate.",
        seen_in="PyTorch's bias_ih and bias_hh, each of which gets the whole gradient",
        edit=EditTrainingStep(_of_arrays("bias", 2))),
    *(
        Fault("step-missing", name,
            f"The {name.replace('_', ' ')} is not trained.",
            "Pass every trainable array to the optimizer.",
            edit=EditTrainingStep(_of_arrays(name, 0)))
        for name in ("kernel", "recurrent_kernel", "bias")
    ),
    Fault("step-of-first-output", "states left out",
        "Only the first output is in the loss.",
        LOSS,
        edit=EditTrainingStep(_first_output_only)),
    Fault("step-decayed", f"{DECAY:g}",
        f"The weights decay by {DECAY:g} times the learning rate besides.",
        SGD,
        seen_in="the argument weight_decay of an optimizer",
        edit=EditTrainingStep(_decayed)),
)
# fmt: on
