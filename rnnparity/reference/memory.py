"""Whether a problem fits in memory, asked before it is computed: a full memory ends the process."""

from __future__ import annotations

import os
from pathlib import Path

from rnnparity.problem.errors import RequestError
from rnnparity.problem.layers import describe_layer, halves
from rnnparity.problem.problem import Problem

# Upper bounds of the bytes for each number of weights, inputs and sequences of a problem, measured
# with tracemalloc: outputs, outputs with every gate, outputs with noise, one set of weights more,
# and gradients (everything that the forward pass computed is kept for the backward pass).
PLAIN, TRACE, NOISE, VARIANT, GRADIENT = 40, 80, 80, 32, 240
# And of the search for a cause: of each number, and of each weight besides, which is kept once for
# every fault that changes its array.
EXPLANATION, FAULTY_WEIGHT = 200, 1500
# Variants of the weights are computed together up to so many values of weights and outputs: 64 MB.
BATCH_VALUES = 2**23
# A smaller problem is not worth asking the system: 256 MiB.
ALWAYS_FITS = 2**28
GB = 10**9


def check_memory(problem: Problem, bytes_per_number: int, bytes_per_weight: int = 0) -> None:
    """Refuse a problem that would not fit in the memory that is available.

    `bytes_per_weight` are those that a weight takes besides.

    Raises:
        RequestError: the message states the shape, the estimate and what to do.
    """
    weights = sum(tensor.data.size for tensor in problem.weights)
    needed = bytes_per_number * numbers_of(problem) + bytes_per_weight * weights
    if needed < ALWAYS_FITS:
        return
    available = available_memory()
    if available is not None and needed > available:
        batch, steps, features = problem.inputs.shape
        raise RequestError(
            f"{problem.id}: {describe_layer(problem.layer)} with B={batch} T={steps} D={features} "
            f"needs about {needed / GB:.1f} GB of memory, {available / GB:.1f} GB are available; "
            "use fewer rows, steps or units, or a machine with more memory"
        )


def numbers_of(problem: Problem) -> int:
    """Return how many numbers weights, inputs and the sequences of all halves have."""
    batch, steps, _ = problem.inputs.shape
    weights = sum(tensor.data.size for tensor in problem.weights)
    units = sum(half.units for _, half in halves(problem.layer))
    return weights + problem.inputs.data.size + batch * steps * units


def available_memory() -> int | None:
    """Return the bytes that the system and a container's limit leave; None if neither is known."""
    limits = [limit for limit in (_left_by_system(), _left_by_container()) if limit is not None]
    return min(limits, default=None)


def _left_by_system() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not a POSIX system
        return None


def _left_by_container() -> int | None:
    folder = Path("/sys/fs/cgroup")
    try:
        limit = int((folder / "memory.max").read_text(encoding="ascii"))
        return limit - int((folder / "memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):  # no cgroup, or no limit: "max"
        return None
