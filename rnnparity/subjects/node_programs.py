"""Programs of this package that run on Node.js with a package of npm."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from rnnparity.subjects.declarations import MissingFrameworkError

PROGRAMS = Path(__file__).parent / "programs"


def node_program(subject: str, program: str, package: str) -> tuple[list[str], dict[str, str]]:
    """Return the command that starts a program, and the versions of what computes.

    The npm package is that of the current folder, or of NODE_PATH.

    Raises:
        MissingFrameworkError: Node or the package is missing.
    """
    install = f"install Node.js 18 or newer, and run npm install {package} in this folder"
    node = shutil.which("node")
    if node is None:
        raise MissingFrameworkError(subject, f"node is missing; {install}")
    command = [node, str(PROGRAMS / program)]
    ran = subprocess.run([*command, "--versions"], capture_output=True, text=True, check=False)  # noqa: S603 - a program of this package
    if ran.returncode != 0:
        raise MissingFrameworkError(subject, f"package {package} is missing; {install}")
    return command, json.loads(ran.stdout)
