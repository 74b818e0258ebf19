"""Profiles: what common engines can run, so that the core set is as strong for each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import policies
from rnnparity.problem.problem import Problem


@dataclass(frozen=True)
class Profile:
    """The problems that a kind of engine supports."""

    name: str
    description: str
    accepts: Callable[[Problem], bool]


def _in_training(problem: Problem) -> bool:
    return problem.dropout_masks is not None or problem.training_step is not None


def _everything(problem: Problem) -> bool:
    return not _in_training(problem)


def _float32_only(problem: Problem) -> bool:
    return _everything(problem) and policies(problem.layer) == {"float32"}


def _lengths_only(problem: Problem) -> bool:
    return _float32_only(problem) and (problem.mask is None or _is_right_padded(problem.mask))


def _plain(problem: Problem) -> bool:
    return (
        _float32_only(problem)
        and problem.mask is None
        and problem.initial_state is None
        and problem.calls is None
        and not problem.layer.return_state
    )


def _is_right_padded(mask: Array) -> bool:
    """Return whether no used step follows a masked one, in any row of a mask (B, T)."""
    return not (mask[:, 1:] & ~mask[:, :-1]).any()


# Cases of training are apart: few engines have it, and no such case stands for one without. Each of
# the others accepts only what those before it accept.
PROFILES = (
    Profile("training", "dropout masks or a training step", _in_training),
    Profile("everything", "all options without training", _everything),
    Profile("float32", "float32 only", _float32_only),
    Profile("lengths", "float32, lengths instead of masks", _lengths_only),
    Profile("plain", "float32, no mask, no states in or out", _plain),
)
