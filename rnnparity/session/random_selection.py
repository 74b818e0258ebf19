"""Selecting random problems with the words that select cases of the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rnnparity.catalogue.selection import matches
from rnnparity.problem.errors import RequestError
from rnnparity.problem.layers import (
    Bidirectional,
    Recurrent,
    Stack,
    called_layers,
    halves,
    policies,
)
from rnnparity.problem.problem import Problem
from rnnparity.session.random_problems import problems_of_seed

# Where no range of seeds is stated the search ends after so many in a row that do not match.
SEARCHED = 5000


def matching_seeds(seeds: Iterable[int], expression: str, most: int | None) -> list[int]:
    """Return the seeds whose problems an expression of words matches, the first `most` of them.

    Without `most` all seeds are searched.

    Raises:
        RequestError: a syntax error, or no seed matches.
    """
    found: list[int] = []
    unmatched = 0
    for seed in seeds:
        if matches_problem(expression, next(problems_of_seed(seed))):
            found.append(seed)
            unmatched = 0
        else:
            unmatched += 1
        if most is not None and (len(found) == most or unmatched == SEARCHED):
            break
    if not found:
        message = "matches no seed; the words are those of `rnnparity list --tags`"
        raise RequestError(f"-k {expression!r}: {message}")
    return found


def matches_problem(expression: str, problem: Problem) -> bool:
    """Return whether an expression matches a random problem, and with it the others of its seed.

    It is searched in an id like those of cases, such as bi_lstm-concat-sequences-state-mask, and
    among tags.

    Raises:
        RequestError: a syntax error.
    """
    tags = tags_of(problem)
    names = [tag.partition(":")[2] or tag for tag in tags if not tag.endswith(":none")]
    parts = {
        "initial": problem.initial_state,
        "mask": problem.mask,
        "dropout": problem.dropout_masks,
    }
    names += [name for name, value in parts.items() if value is not None]
    return matches(expression, "-".join(names), tags)


def tags_of(problem: Problem) -> list[str]:
    """Return what a random problem has in common with the others of its seed, as tags of cases."""
    layer = problem.layer
    tags = [tag for called in called_layers(layer) for tag in _tags_of_layer(called)]
    tags += [tag for _, half in halves(layer) for tag in _tags_of_half(half)]
    tags += [f"dtype:{policy}" for policy in sorted(policies(layer))]
    flags = (("sequences", layer.return_sequences), ("state", layer.return_state))
    tags.append(f"flags:{'-'.join(name for name, applies in flags if applies) or 'last'}")
    if problem.mask is None:
        tags.append("mask:none")
    tags.append(f"initial:{'none' if problem.initial_state is None else 'given'}")
    if isinstance(layer, Stack):
        tags.append("stack")
    return list(dict.fromkeys(tags))


def _tags_of_layer(layer: Recurrent | Bidirectional) -> Iterator[str]:
    """Yield the tags of a layer as a whole."""
    if isinstance(layer, Recurrent):
        yield f"direction:{'backwards' if layer.go_backwards else 'forward'}"
        if layer.zero_output_for_mask:  # a Bidirectional sets it by itself
            yield "zero_output"
        return
    yield f"direction:{layer.merge_mode or 'none'}"
    yield from dict.fromkeys(f"bi_{_variant(half)}" for half in (layer.forward, layer.backward))
    if _options(layer.forward) != _options(layer.backward):
        yield "halves"


def _options(half: Recurrent) -> tuple[object, ...]:
    return _variant(half), half.units, half.activation, half.recurrent_activation, half.use_bias


def _tags_of_half(half: Recurrent) -> Iterator[str]:
    yield f"kind:{_variant(half)}"
    if half.activation != "tanh":
        yield f"activation:{half.activation}"
    if half.cell.gated and half.recurrent_activation != "sigmoid":
        yield f"activation:{half.recurrent_activation}"
    if not half.use_bias:
        yield "bias:off"


def _variant(half: Recurrent) -> str:
    """Return the name of a cell with its options, such as gru_before."""
    # Those with options come after the one without.
    for name, options in [*half.cell.variants.items()][::-1]:
        if all(getattr(half, option) == value for option, value in options.items()):
            return name
    raise AssertionError(f"{half.class_name} has no variant without options")
