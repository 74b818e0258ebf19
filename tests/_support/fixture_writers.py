"""Writers of fixtures in processes of their own, for the tests that kill them or let them meet. Run
as a script.

fixture_writers.py kill FOLDER SEED COUNT    write in turns what is old and what is new; killed COUNT times
fixture_writers.py write FOLDER OLD|NEW N    write one of them N times; read each time what was written
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # a script gets no pythonpath from pytest

from _support.fixture_folders import (
    LEFT_OUT,
    one_step,
    small_catalogue,
    small_rows,
    texts_of,
)

from rnnparity.golden.goldens import read_goldens
from rnnparity.golden.manifest import MANIFEST
from rnnparity.golden.writing import locked, write_fixtures
from rnnparity.problem.errors import FormatError

FEWER = "gru-spread-last"


@cache
def states():
    """Two states of one folder: in the new one every golden is another, and one file is gone."""
    new = tuple(
        row.with_outputs(
            [replace(one_step(output, True), name=output.name) for output in row.outputs]
        )
        for row in small_rows()
        if row.id != FEWER
    )
    left_out = {FEWER: "for the sake of the test", LEFT_OUT: "for the sake of the test"}
    return {"old": texts_of(small_rows()), "new": texts_of(new, left_out=left_out)}


def put(folder, name):
    with locked(folder):
        return write_fixtures(folder, *states()[name])


def found(folder):
    """ "old", "new" or "mixed" (which the reader has seen); anything else ends the run."""
    for path in folder.glob("*.json"):
        whole = [texts.get(path.name, manifest) for texts, manifest in states().values()]
        if path.read_text(encoding="utf-8") not in whole:
            raise AssertionError(f"{path.name} is torn")
    try:
        goldens = read_goldens(folder, small_catalogue())
    except FormatError as error:
        if not str(error).isprintable():
            raise AssertionError("more than one line") from None
        return "mixed"
    manifest = (folder / MANIFEST).read_text(encoding="utf-8")
    name = next(name for name, (_, right) in states().items() if right == manifest)
    if not is_whole(folder, name) or len(goldens.outputs) != len(small_catalogue()) - (
        1 if name == "old" else 2
    ):
        raise AssertionError(
            f"the manifest is the {name} one, other files are not, and the reader took them"
        )
    return name


def is_whole(folder, name):
    """Byte for byte one of the two states, whatever lies about under other names."""
    texts, manifest = states()[name]
    there = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    return there == {**texts, MANIFEST: manifest}


def kill(folder, seed, count):
    """Kill a writer at a random moment, look, and let the next one begin with what was left
    there."""
    rng = random.Random(seed)
    put(folder, "old")
    start = time.monotonic()
    put(folder, "new")
    once = time.monotonic() - start
    outcomes = Counter()
    for _ in range(count):
        writer = os.fork()
        if writer == 0:
            while True:
                for name in ("old", "new"):
                    put(folder, name)
                    time.sleep(once / 3)  # else nearly all are killed in the middle of a change
        time.sleep(rng.uniform(0, 4 * once))
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
        outcomes[found(folder)] += 1
        outcomes["left behind"] += any(folder.glob("*.tmp"))
        if rng.random() < 0.5:
            name = rng.choice(["old", "new"])
            put(folder, name)
            if not is_whole(folder, name) or found(folder) != name or any(folder.glob("*.tmp")):
                raise AssertionError(f"writing the {name} state did not repair the folder")
            outcomes["repaired"] += 1
    return outcomes


def write(folder, name, number):
    """Write one state over and over once both writers are there; inside the lock what is there is
    what was written."""
    (folder / f"{name}.ready").touch()
    while len(list(folder.glob("*.ready"))) < 2:
        time.sleep(0.01)
    changed = 0
    for _ in range(number):
        with locked(folder):
            changed += bool(write_fixtures(folder, *states()[name]))
            if not is_whole(folder, name):
                raise AssertionError(f"another writer was at it while the {name} state was written")
        time.sleep(0.06)  # the other one looks for the lock every 0.05 s
    return {"changed": changed}


if __name__ == "__main__":
    what, where, *rest = sys.argv[1:]
    if what == "kill":
        print(json.dumps(kill(Path(where), int(rest[0]), int(rest[1]))))
    else:
        print(json.dumps(write(Path(where), rest[0], int(rest[1]))))
