"""Measure how well the tests see small mistakes: seeded mutants of the code for reference, verdict, golden and problem.

    python mutants.py --checkout DIR --count 160 --seed 11 --out FILE.json [--only N ...]

Each mutant is one small edit in a copy of the checkout. It is killed when a test fails, or when the tests take four
times as much processor time, or one test four times as long, as on healthy code. (The time of all by the clock would
tell how busy the machine is.) Only tests that pass without TensorFlow, PyTorch and ONNX are run, and one that takes
more than half a second only where its file is named like the mutated module, or with --heavy: the hundred longest
take nine tenths of the time, which every survivor costs.

Every area gives an equal share of mutants. A mutant's rank in the draw depends on its line's text and on its edit,
never on its file, so that code which only moved between files is drawn again: runs before and after a move compare.

The list of tests to leave out, and how long the others take, is kept beside FILE.json (`healthy-LAYOUT.json`) for as
long as package and tests stay the same; so are the results in FILE.json, which an interrupted run continues.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import hashlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass, field, replace
from itertools import islice, zip_longest
from math import inf
from pathlib import Path
from time import monotonic, time
from typing import Any

PACKAGE = "rnnparity"
AREAS = ("reference", "verdict", "golden", "problem")
OLD_FILES = {
    "verdict": ("compare", "judge", "expectations"),
    "golden": ("goldens", "known"),
    "problem": ("problem", "layers", "keras_config", "shapes", "dtypes", "wire", "schema", "files"),
}
PATIENCE = 4  # times the healthy time
START_S = 15.0  # processor time that pytest takes to start and to collect, at most
HEAVY_S = 0.5  # processor time from which on a test is heavy
SILENCE_S = 40.0  # what one test may take by the clock on a busy machine, at least
MEMORY = 8 * 2**30
SHAKY_TRIES = 3
STEADY_S = 0.1  # a test that takes less processor time is not shaky

# ------------------------------------------------------------------------------------------------ which code


def layout_of(checkout: Path) -> str:
    """Tell the layout with one package an area ("new") from the flat one ("old")."""
    return "new" if (checkout / PACKAGE / "verdict").is_dir() else "old"


def area_files(checkout: Path) -> dict[str, list[Path]]:
    """List each area's files, relative to the checkout; `tolerance.py` counts as verdict wherever it lies."""
    root = checkout / PACKAGE
    if layout_of(checkout) == "new":
        found = {area: list((root / area).rglob("*.py")) for area in AREAS}
    else:
        found = {area: [root / f"{name}.py" for name in names] for area, names in OLD_FILES.items()}
        found["reference"] = list((root / "reference").rglob("*.py"))
    tolerance = next(root.rglob("tolerance.py"))
    found = {area: [path for path in paths if path != tolerance] for area, paths in found.items()}
    found["verdict"].append(tolerance)
    return {area: sorted(path.relative_to(checkout) for path in found[area]) for area in AREAS}


# ---------------------------------------------------------------------------------------------- what to mutate


@dataclass(frozen=True)
class Mutant:
    """One edit: the bytes from `start` to `end` of `file` become `after`. `rank` is its place in the draw."""

    area: str
    file: str
    line: int
    operator: str
    before: str
    after: str
    start: int
    end: int
    rank: str = ""


COMPARISONS = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.In: ("in", "not in"),
    ast.NotIn: (r"not\s+in", "in"),
    ast.Is: ("is", "is not"),
    ast.IsNot: (r"is\s+not", "is"),
}
OPPOSITES = (ast.Eq, ast.NotEq, ast.In, ast.NotIn, ast.Is, ast.IsNot)
ARITHMETIC = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
}
LOGIC = {ast.And: ("and", "or"), ast.Or: ("or", "and")}
EXTREMES = {"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum"}
TYPE_WORDS = {"Annotated", "Literal", "TypeVar", "NewType", "cast"}
MESSAGE_CALLS = re.compile(r"(Error|Warning)$|^(warn|print|add_note)$")


def name_of(node: ast.AST | None) -> str:
    """Give the last name of a name or an attribute: "max" for `np.max`."""
    return getattr(node, "attr", getattr(node, "id", ""))


def is_prose(text: str) -> bool:
    """Tell text for a reader from keys, names and formulas: it holds a whole word beside a space."""
    words = text.split(" ")
    return (
        len(words) > 1
        and "==" not in text
        and any(len(word) > 1 and word.isalpha() for word in words)
    )


def is_off_limits(node: ast.AST) -> bool:
    """Say whether a node, with all below it, is a message, a type or a list of names, which no mutant touches."""
    if isinstance(node, ast.Raise | ast.JoinedStr):
        return True
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)  # docstrings
    if isinstance(node, ast.Call):
        return bool(MESSAGE_CALLS.search(name_of(node.func))) or name_of(node.func) in TYPE_WORDS
    if isinstance(node, ast.Assign):
        return any(name_of(target) == "__all__" for target in node.targets)
    parts = {ast.Subscript: ("value", TYPE_WORDS), ast.AnnAssign: ("annotation", {"TypeAlias"})}
    part, words = parts.get(type(node), ("test", {"TYPE_CHECKING"}))
    return name_of(getattr(node, part, None)) in words


def children(node: ast.AST) -> Iterator[ast.AST]:
    """Walk over the nodes right below one, type annotations left out."""
    for name, value in ast.iter_fields(node):
        if name not in {"annotation", "returns"}:
            yield from (
                part
                for part in (value if isinstance(value, list) else [value])
                if isinstance(part, ast.AST)
            )


def nodes_of(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk over every node that a mutant may touch, from top to bottom."""
    if not is_off_limits(tree):
        yield tree
        for child in children(tree):
            yield from nodes_of(child)


def defaults_of(tree: ast.AST) -> set[ast.AST]:
    """Collect the defaults of arguments and of the fields of classes."""
    found: list[ast.AST | None] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.arguments):
            found += [*node.defaults, *node.kw_defaults]
        elif isinstance(node, ast.ClassDef):
            found += [part.value for part in node.body if isinstance(part, ast.AnnAssign)]
    return {
        node.operand if isinstance(node, ast.UnaryOp) else node
        for node in found
        if node is not None
    }


Edit = tuple[str, int, int, str]  # operator, start, end, text to put there


class Editor:
    """The edits of one file, as byte offsets in its source."""

    def __init__(self, source: bytes) -> None:
        self.source, self.tree = source, ast.parse(source)
        self.defaults = defaults_of(self.tree)
        self.lines = [0]
        for line in source.splitlines(keepends=True):
            self.lines.append(self.lines[-1] + len(line))

    def span(self, node: Any) -> tuple[int, int]:
        """Give a node's first byte and the one after its last."""
        return self.lines[node.lineno - 1] + node.col_offset, self.lines[
            node.end_lineno - 1
        ] + node.end_col_offset

    def text(self, start: int, end: int) -> str:
        """Read the source between two offsets."""
        return self.source[start:end].decode()

    def edits(self) -> Iterator[Edit]:
        """Walk over all edits of the file."""
        ways: dict[type[ast.AST], Callable[[Any], Iterator[Edit]]] = {
            ast.Compare: self.compare,
            ast.BinOp: self.arithmetic,
            ast.AugAssign: self.arithmetic,
            ast.BoolOp: self.logic,
            ast.UnaryOp: self.negation,
            ast.Constant: self.constant,
            ast.Return: self.returned,
            ast.Call: self.extreme,
            **dict.fromkeys((ast.If, ast.IfExp, ast.comprehension), self.condition),
        }
        for node in nodes_of(self.tree):
            yield from ways[type(node)](node) if type(node) in ways else ()

    def between(self, one: ast.AST, other: ast.AST, sign: str) -> tuple[int, int]:
        """Find the operator that matches `sign` between two operands."""
        start, end = self.span(one)[1], self.span(other)[0]
        found = re.search(sign.encode(), self.source[start:end])
        assert found, f"no {sign} in {self.text(start, end)!r}"
        return start + found.start(), start + found.end()

    def compare(self, node: ast.Compare) -> Iterator[Edit]:
        """Exchange each comparison with its neighbour."""
        operands = [node.left, *node.comparators]
        for op, one, other in zip(node.ops, operands, operands[1:], strict=False):
            sign, after = COMPARISONS[type(op)]
            yield "compare", *self.between(one, other, sign), after

    def arithmetic(self, node: ast.BinOp | ast.AugAssign) -> Iterator[Edit]:
        """Exchange + and -, * and /; text that is joined stays."""
        one, other = (
            (node.left, node.right) if isinstance(node, ast.BinOp) else (node.target, node.value)
        )
        joined = any(isinstance(part, ast.JoinedStr) or _is_text(part) for part in (one, other))
        if type(node.op) in ARITHMETIC and not joined:
            sign, after = ARITHMETIC[type(node.op)]
            yield "arithmetic", *self.between(one, other, re.escape(sign)), after

    def logic(self, node: ast.BoolOp) -> Iterator[Edit]:
        """Exchange each `and` and `or`."""
        sign, after = LOGIC[type(node.op)]
        for one, other in zip(node.values, node.values[1:], strict=False):
            yield "logic", *self.between(one, other, sign), after

    def negation(self, node: ast.UnaryOp) -> Iterator[Edit]:
        """Take a `not` away."""
        if _is_negation(node):
            start, end = self.span(node)
            yield "not", start, end, self.text(start, end).removeprefix("not").lstrip()

    def constant(self, node: ast.Constant) -> Iterator[Edit]:
        """Flip a bool, add 1 to a number, add a letter to a text that is no prose."""
        value, default = node.value, "default" if node in self.defaults else ""
        if isinstance(value, bool):
            yield default or "bool", *self.span(node), str(not value)
        elif isinstance(value, int | float):
            more = value + 1 if value + 1 != value else value / 2
            yield default or "number", *self.span(node), repr(more)
        elif isinstance(value, str) and len(value) > 1 and not is_prose(value):
            yield default or "string", *self.span(node), repr(value + "x")

    def returned(self, node: ast.Return) -> Iterator[Edit]:
        """Return None where a value was. False and "" stay: callers mostly ask whether something is true."""
        if node.value is not None and not (
            isinstance(node.value, ast.Constant) and not node.value.value
        ):
            yield "return", *self.span(node.value), "None"

    def extreme(self, node: ast.Call) -> Iterator[Edit]:
        """Exchange min and max."""
        name = name_of(node.func)
        if name in EXTREMES:
            _, end = self.span(node.func)
            yield "minmax", end - len(name), end, EXTREMES[name]

    def condition(self, node: ast.If | ast.IfExp | ast.comprehension) -> Iterator[Edit]:
        """Negate a condition, unless another edit does the same: a `not` taken away, `==` for `!=`."""
        for test in node.ifs if isinstance(node, ast.comprehension) else [node.test]:
            start, end = self.span(test)
            if not (
                _is_negation(test)
                or (isinstance(test, ast.Compare) and type(test.ops[0]) in OPPOSITES)
            ):
                yield "condition", start, end, f"not ({self.text(start, end)})"


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_negation(node: ast.AST) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)


def mutants_of(checkout: Path, area: str, files: list[Path], seed: int) -> list[Mutant]:
    """List all mutants of an area, each with its rank."""
    found, same = [], Counter[str]()
    for path in files:
        editor = Editor((checkout / path).read_bytes())
        lines = editor.source.decode().splitlines()
        for operator, start, end, after in editor.edits():
            line, before = editor.source.count(b"\n", 0, start) + 1, editor.text(start, end)
            key = json.dumps(
                [
                    operator,
                    " ".join(before.split()),
                    " ".join(after.split()),
                    lines[line - 1].strip(),
                ]
            )
            same[key] += 1
            rank = hashlib.sha256(f"{seed} {same[key]} {key}".encode()).hexdigest()
            found.append(
                Mutant(area, path.as_posix(), line, operator, before, after, start, end, rank)
            )
    return found


def apply(mutant: Mutant, source: bytes) -> bytes:
    """Make the edit."""
    return source[: mutant.start] + mutant.after.encode() + source[mutant.end :]


def by_rank(checkout: Path, mutants: list[Mutant]) -> Iterator[Mutant]:
    """Walk over mutants in the order of the draw, those left out that change nothing or the same as one before."""
    seen: set[str] = set()
    for mutant in sorted(mutants, key=lambda mutant: mutant.rank):
        source = (checkout / mutant.file).read_bytes()
        seen.add(mutant.file + ast.dump(ast.parse(source)))
        changed = mutant.file + ast.dump(ast.parse(apply(mutant, source)))
        if changed not in seen:
            seen.add(changed)
            yield mutant


def draw(checkout: Path, count: int, seed: int) -> list[Mutant]:
    """Draw `count` mutants, the areas in turn, so that the first of a long draw are a shorter draw."""
    areas = area_files(checkout).items()
    ranked = [by_rank(checkout, mutants_of(checkout, area, files, seed)) for area, files in areas]
    return list(
        islice((mutant for turn in zip_longest(*ranked) for mutant in turn if mutant), count)
    )


# ----------------------------------------------------------------------------------------------- running tests

# Lies on PYTHONPATH as `sitecustomize`, so that the processes which tests start are without frameworks as well.
BLOCKER = '''
import sys


class Blocker:
    """Refuses every framework, as if none were installed."""

    names = {"tensorflow", "keras", "tf_keras", "torch", "jax", "jaxlib", "onnx", "onnxruntime", "onnxscript",
             "tf2onnx", "openvino", "ai_edge_litert"}

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


sys.meta_path.insert(0, Blocker())
'''
# A pytest plugin: leaves out the tests that are named in one file, and writes to another how each test went.
RECORDER = '''
import json
import os
import time
from pathlib import Path

import pytest

OUT = Path(os.environ["MUTANTS_RECORD"])
BEGUN = sum(os.times()[:4])
LEFT_OUT = set(json.loads(Path(os.environ["MUTANTS_LEFT_OUT"]).read_text()))


def write(report):
    """Note the test, how it went, and the processor time that went by until now, that of children included."""
    with OUT.open("a") as file:
        file.write(json.dumps([report.nodeid, report.outcome, sum(os.times()[:4]) - BEGUN, time.time()]) + "\\n")


def pytest_collection_modifyitems(config, items):
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in LEFT_OUT])
    items[:] = [item for item in items if item.nodeid not in LEFT_OUT]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item, call):
    item.repr_failure = lambda excinfo, style=None: ""  # nobody reads it, and it takes longer than most tests


def pytest_collectreport(report):
    if report.failed:
        write(report)


def pytest_runtest_logreport(report):
    write(report)
'''


@dataclass(frozen=True)
class Limit:
    """What a run of pytest may take: processor time in all, and time by the clock from one test to the next."""

    cpu: float = 3600.0
    silence: float = 900.0


@dataclass
class Ran:
    """How tests went: ids in the order of their failing, processor time by test, the longest silence by the clock,
    and why there is no more, if so.
    """

    failed: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    silence: float = 0.0
    stopped: str = ""


class Bench:
    """A temporary folder: a `clean` copy of the checkout, the copy at `work` that is mutated, and pytest's plugins."""

    def __init__(self, folder: Path, checkout: Path) -> None:
        self.clean, self.work, self.plugins = folder / "clean", folder / "work", folder / "plugins"
        self.scratch, self.record, self.left_out = (
            folder / "tmp",
            folder / "record",
            folder / "left_out.json",
        )
        self.plugins.mkdir()
        (self.plugins / "sitecustomize.py").write_text(BLOCKER)
        (self.plugins / "mutants_recorder.py").write_text(RECORDER)
        unwanted = shutil.ignore_patterns(".?*", "__pycache__")
        shutil.copytree(checkout, self.work, ignore=unwanted, symlinks=True)
        self.run(["--collect-only"], Limit())  # which leaves compiled files for all runs to come
        shutil.copytree(self.work, self.clean, symlinks=True)

    def renew(self, mutant: Mutant | None = None) -> None:
        """Make the copy clean again, whatever the last mutant did to it, and apply the next one."""
        shutil.rmtree(self.work)
        shutil.copytree(self.clean, self.work, symlinks=True)
        if mutant:
            path = self.work / mutant.file
            path.write_bytes(apply(mutant, path.read_bytes()))
            for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
                compiled.unlink()

    def run(self, words: list[str], limit: Limit, left_out: list[str] | None = None) -> Ran:
        """Run pytest with further arguments in the copy until it ends or is over a limit."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir()
        self.record.write_text("")
        self.left_out.write_text(json.dumps(left_out or []))
        plugins = ["-p", "no:cacheprovider", "-p", "no:xdist", "-p", "mutants_recorder"]
        options = ["-q", "--no-summary", "--tb=no", *plugins, "-m", "not slow"]
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *options, *words],
            cwd=self.work,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        with contextlib.suppress(
            OSError
        ):  # Linux counts a new session as nice as any other, whatever its processes say
            Path(f"/proc/{process.pid}/autogroup").write_text("19")
        try:
            stopped = self.watch(process, limit)
        finally:
            end_group(process)
        return replace(self.read_record(), stopped=stopped)

    def watch(self, process: subprocess.Popen[bytes], limit: Limit) -> str:
        """Wait for pytest; say why it has not run to its end, if so."""
        while True:
            try:
                status = process.wait(1)
            except subprocess.TimeoutExpired:
                if cpu_seconds(process.pid) > limit.cpu:
                    return f"timeout: more than {limit.cpu:.0f} s of processor time"
                if time() - self.record.stat().st_mtime > limit.silence:
                    return f"timeout: a test took more than {limit.silence:.0f} s"
            else:
                return (
                    "" if status in {0, 1, 5} else f"pytest ended with status {status}"
                )  # 5: no test is left

    def environment(self) -> dict[str, str]:
        """Make the variables of a test run: one thread, the copy first on the path, and the plugins."""
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        own = {"PYTHONPATH": f"{self.work}{os.pathsep}{self.plugins}", "TMPDIR": str(self.scratch)}
        files = {"MUTANTS_RECORD": str(self.record), "MUTANTS_LEFT_OUT": str(self.left_out)}
        compiled = {"PYTHONDONTWRITEBYTECODE": ""}  # what is compiled once serves all runs
        return {**os.environ, **one_thread, **own, **files, **compiled}

    def read_record(self) -> Ran:
        """Read what the recorder wrote."""
        ran = Ran()
        begun, last = 0.0, inf
        for line in self.record.read_text().splitlines():
            test, outcome, seconds, now = json.loads(line)
            ran.seconds[test] = ran.seconds.get(test, 0.0) + seconds - begun
            ran.silence = max(ran.silence, now - last)
            begun, last = seconds, now
            if outcome == "failed" and test not in ran.failed:
                ran.failed.append(test)
        return ran


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def cpu_seconds(pid: int) -> float:
    """Read the processor time of a process and of its children that have ended (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


# ---------------------------------------------------------------------------------------------- healthy tests


def fingerprint(checkout: Path) -> str:
    """Hash the package and the tests: what is known of healthy code holds for these alone."""
    digest = hashlib.sha256()
    for path in sorted([*(checkout / PACKAGE).rglob("*.py"), *(checkout / "tests").rglob("*.py")]):
        digest.update(f"{path.relative_to(checkout)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def healthy_tests(bench: Bench, stored: Path, mark: str) -> dict[str, Any]:
    """Read, or find out, which tests fail without frameworks on healthy code, and what the others take."""
    known: dict[str, Any] = json.loads(stored.read_text()) if stored.exists() else {}
    if known.get("fingerprint") == mark:
        return known
    ran = bench.run([], Limit())
    failed = ran.failed
    heavy = [
        test for test, seconds in ran.seconds.items() if seconds > HEAVY_S and test not in failed
    ]
    say(
        f"healthy code: {len(failed)} tests fail without frameworks, {len(heavy)} are heavy {ran.stopped}"
    )
    light = bench.run(
        [f"--ignore={test}" for test in failed if "::" not in test], Limit(), failed + heavy
    )
    if light.failed or light.stopped:
        raise SystemExit(f"healthy code does not pass: {light.failed[:9]} {light.stopped}")
    seconds = {
        test: round(light.seconds.get(test, ran.seconds[test]), 3)
        for test in [*light.seconds, *heavy]
    }
    silence = round(max(ran.silence, light.silence), 1)
    known = {
        "fingerprint": mark,
        "silence": silence,
        "heavy": heavy,
        "left_out": sorted(failed),
        "seconds": seconds,
    }
    stored.write_text(json.dumps(known, indent=1) + "\n")
    return known


def by_file(seconds: dict[str, float], left_out: Collection[str] = ()) -> dict[str, float]:
    """Add up what the tests of each file take."""
    sums: dict[str, float] = {}
    for test, each in seconds.items():
        name = test.partition("::")[0]
        sums[name] = sums.get(name, 0.0) + each * (test not in left_out)
    return sums


def distance(test: Path, module: Path) -> int:
    """Say how far a test file is from a module: 0 named alike, 1 imports it, 2 names its package, 3 neither."""
    parts = module.with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    package, stem = ".".join(parts[:-1]), parts[-1]
    text = test.read_text()
    if f"_{stem}_" in f"_{test.stem}_":
        return 0
    if re.search(
        rf"\b{re.escape('.'.join(parts))}\b|from {re.escape(package)} import .*\b{stem}\b", text
    ):
        return 1
    return 2 if package != PACKAGE and (package in text or parts[-2] in test.as_posix()) else 3


# ---------------------------------------------------------------------------------------------------- judging


Run = tuple[list[str], Limit, list[str]]  # files, what they may take, tests to leave out


def try_mutant(
    bench: Bench, mutant: Mutant, healthy: dict[str, Any], heavy: bool
) -> dict[str, Any]:
    """Run the tests on a mutant, the nearest first; say whether it is killed, by what, and what was shaky."""
    bench.renew(mutant)
    seconds = by_file(healthy["seconds"])
    far = {name: distance(bench.clean / name, Path(mutant.file)) for name in seconds}
    shaky: list[str] = []
    for near in sorted(set(far.values())):
        too_heavy = [] if heavy or near == 0 else healthy["heavy"]
        seconds = by_file(healthy["seconds"], set(too_heavy))
        files = sorted((name for name in far if far[name] == near), key=lambda name: seconds[name])
        cpu = START_S + sum(seconds[name] for name in files)
        limit = Limit(PATIENCE * cpu, PATIENCE * max(SILENCE_S, healthy["silence"]))
        killer = first_failure(
            bench, (files, limit, healthy["left_out"] + too_heavy), healthy["seconds"], shaky
        )
        if killer:
            return {"killed": True, "by": killer, "shaky": shaky}
    return {"killed": False, "by": "", "shaky": shaky}


def first_failure(bench: Bench, run: Run, seconds: dict[str, float], shaky: list[str]) -> str:
    """Give the test that fails first, or why pytest stopped; "" where all pass.

    A test of some length may fail because the machine is busy. Where it passes alone it is noted as shaky, left out,
    and the files are run again.
    """
    files, limit, left_out = run
    for _ in range(SHAKY_TRIES):
        ran = bench.run(["-x", *files], limit, left_out + shaky)
        if not ran.failed:
            return ran.stopped
        test = ran.failed[0]
        if seconds.get(test, 0.0) < STEADY_S:
            return test
        again = bench.run(["-x", test], limit, left_out)
        if again.failed or again.stopped:
            return test
        shaky.append(test)
    return ""


def totals(results: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Count mutants and killed ones by area and by operator."""
    counts: dict[str, dict[str, Any]] = {}
    for key in ("area", "operator"):
        for name in sorted({result[key] for result in results.values()}):
            killed = [result["killed"] for result in results.values() if result[key] == name]
            counts[f"{key} {name}"] = {"killed": sum(killed), "of": len(killed)}
    killed = [result["killed"] for result in results.values()]
    return {**counts, "all": {"killed": sum(killed), "of": len(killed)}}


def say(text: str) -> None:
    """Tell how far the run is."""
    print(text, flush=True)


def main() -> None:
    """Draw, try each mutant, and write what came of it after each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--checkout", type=Path, required=True)
    parser.add_argument("--count", type=int, default=160)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--only", type=int, nargs="+", default=[], help="numbers of mutants, from 1 on"
    )
    parser.add_argument("--heavy", action="store_true", help="run the heavy tests of all files")
    parser.add_argument("--list", action="store_true", help="print the mutants and try none")
    given = parser.parse_args()
    checkout = given.checkout.resolve()
    drawn = {
        str(number): mutant
        for number, mutant in enumerate(draw(checkout, given.count, given.seed), 1)
    }
    if given.list:
        for number, mutant in drawn.items():
            say(
                f"{number} {mutant.file}:{mutant.line} {mutant.operator}: {mutant.before} -> {mutant.after}"
            )
        return
    os.nice(19)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))  # for the tests, which inherit it
    try_all(given, checkout, drawn)


def try_all(given: argparse.Namespace, checkout: Path, drawn: dict[str, Mutant]) -> None:
    """Try the mutants that are asked for and have no result yet."""
    mark, layout = fingerprint(checkout), layout_of(checkout)
    head = {
        "fingerprint": mark,
        "layout": layout,
        "count": given.count,
        "seed": given.seed,
        "heavy": given.heavy,
    }
    before = json.loads(given.out.read_text()) if given.out.exists() else {}
    results = before["mutants"] if {key: before.get(key) for key in head} == head else {}
    wanted = [str(number) for number in given.only] or [
        number for number in drawn if number not in results
    ]
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        bench = Bench(Path(folder), checkout)
        healthy = healthy_tests(bench, given.out.with_name(f"healthy-{layout}.json"), mark)
        for number in wanted:
            begun = monotonic()
            result = try_mutant(bench, drawn[number], healthy, given.heavy)
            results[number] = {
                **asdict(drawn[number]),
                **result,
                "seconds": round(monotonic() - begun, 1),
            }
            ordered = {each: results[each] for each in sorted(results, key=int)}
            whole = {**head, "totals": totals(results), "mutants": ordered}
            given.out.write_text(json.dumps(whole, indent=1) + "\n")
            fate = f"killed by {result['by']}" if result["killed"] else "SURVIVED"
            say(
                f"{number} {drawn[number].file}:{drawn[number].line} {fate} ({monotonic() - begun:.0f} s)"
            )


if __name__ == "__main__":
    main()
