"""The machine of a run, as reports state it."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from rnnparity.problem.results import Machine


def this_machine() -> Machine:
    """Return the machine of this process: no name of a host or a user, no path."""
    return Machine(
        processor=_processor() or platform.processor() or platform.machine() or "unknown",
        cores=os.cpu_count() or 1,
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
    )


def _processor() -> str:
    """Return the name of the processor that Linux reports; `platform` does not read it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return ""
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "")
