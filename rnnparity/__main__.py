"""The command line. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rnnparity.errors import MistrustedRunError, RequestError

# What typer says of a wrong word: click's own class, or, since typer carries a click inside, that one's.
UsageError: Any = typer.BadParameter.__base__

if TYPE_CHECKING:
    from rich.console import Console

    from rnnparity.problem import Problem
    from rnnparity.runner import Progress

INTERRUPTED = 130

app = typer.Typer(
    name="rnnparity",
    help="Prove that a recurrent layer computes what Keras specifies, or learn where it does not.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Expression = Annotated[
    str, typer.Option("-k", metavar="EXPR", help="Choose cases: parts of ids and tags, and, or, not, parentheses.")
]
Fixtures = Annotated[
    Path | None,
    typer.Option("--fixtures", metavar="DIR", help="Where the goldens are; default: the project's own."),
]
Jobs = Annotated[int | None, typer.Option("-j", min=1, max=64, metavar="N", help="Worker processes a subject.")]
Case = Annotated[str, typer.Argument(metavar="CASE", help="A case's id, as `rnnparity list` shows it.")]


def _print_version(asked: bool) -> None:
    if asked:
        from rnnparity import __version__

        typer.echo(f"rnnparity {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Every command's own options follow it."""


@app.command()
def check(
    subjects: Annotated[list[str] | None, typer.Argument(metavar="[SUBJECT]...", help="Default: keras.")] = None,
    k: Expression = "",
    all_: Annotated[bool, typer.Option("--all", help="Every registered subject that can be run here.")] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the conformance table as a page.")] = None,
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the conformance table as Markdown, - for stdout.")
    ] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the verdicts as JSON, - for stdout.")] = None,
    from_: Annotated[
        list[Path] | None, typer.Option("--from", metavar="FILE", help="Run nothing: merge what --json wrote.")
    ] = None,
    j: Jobs = None,
    timeout: Annotated[float, typer.Option(min=1, metavar="S", help="Seconds a case may take in a worker.")] = 120,
    fixtures: Fixtures = None,
) -> None:
    """Hold subjects against the catalogue.

    A SUBJECT is a name that `rnnparity list --subjects` shows, package.module:callable, a function of yours, or
    cmd:PROGRAM. Exit status: 0 all agree or are known, 1 something differs or fails, 2 the request is at fault, 130
    Ctrl-C.
    """
    from rnnparity import conformance, runner
    from rnnparity.report import not_run, print_report

    out = conformance.Outputs(html, markdown, json)
    out.check()
    if from_ and (subjects or all_ or k):
        raise RequestError("--from takes stored runs as they are: leave out subjects, --all and -k")
    stored: conformance.StoredReport | None = None
    if from_:
        stored = conformance.merged(from_, fixtures)
        report = conformance.as_report(stored)
    else:
        with _progress() as progress:
            report = runner.check(
                *(subjects or []),
                k=k,
                fixtures=fixtures,
                jobs=j,
                timeout_s=timeout,
                progress=progress,
                all_subjects=all_,
            )
            if out.asked:
                stored = conformance.stored_report(report, fixtures, progress)
    with suppress(BrokenPipeError):  # who reads the first lines alone shall have the right exit status
        if stored and (said := out.write(stored)):
            typer.echo(said, nl=False)
        else:
            print_report(report, _console())
    for line in not_run(report):
        typer.echo(line, err=True)
    raise typer.Exit(report.status)


@app.command("list")
def list_(
    k: Expression = "",
    subjects: Annotated[bool, typer.Option("--subjects", help="List the subjects instead of the cases.")] = False,
    faults: Annotated[bool, typer.Option("--faults", help="List the faults that the cases are there to show.")] = False,
    tags: Annotated[bool, typer.Option("--tags", help="List the words for -k, and how many cases each has.")] = False,
) -> None:
    """List the cases, the subjects, the tags or the faults."""
    from collections import Counter

    from rnnparity.catalogue import catalogue
    from rnnparity.selection import select
    from rnnparity.subjects import registered_names, registration

    if subjects:
        for name in registered_names():
            found = registration(name)
            typer.echo(f"{name:24} {found.says}{', takes the cases tagged ' + found.cases if found.cases else ''}")
        typer.echo(f"{'package.module:callable':24} any function from a Problem to its outputs")
        typer.echo(f"{'cmd:PROGRAM':24} any program: one problem a line in, one answer a line back")
        return
    if faults:
        from rnnparity.faults import FAULTS

        for fault in FAULTS:
            typer.echo(f"{fault.cause}: {fault.which}\n  {fault.says} {fault.mend}")
        return
    chosen = select(catalogue().values(), k)
    if tags:
        counts = Counter(tag for case in chosen if case.case for tag in case.case.tags)
        for tag, count in sorted(counts.items()):
            typer.echo(f"{tag:32} {count:5}")
        return
    width = max(len(case.id) for case in chosen)
    for case in chosen:
        typer.echo(f"{case.id:{width}}  {case.case.why if case.case else ''}")


@app.command()
def show(
    case: Case,
    subject: Annotated[str, typer.Option(metavar="S", help="Whose outputs to look at.")] = "reference",
    json: Annotated[bool, typer.Option("--json", help="Its problem file, for `rnnparity run` or any program.")] = False,
) -> None:
    """Show one case, step by step."""
    from rnnparity import parity, show, wire
    from rnnparity.judge import FAILING

    problem = _case(case)
    if json:
        typer.echo(wire.dump_pretty(problem))
        return
    outcome, verdict = parity.check_case(problem, subject)
    typer.echo(show.show(problem, subject, outcome, verdict))
    raise typer.Exit(1 if verdict.kind in FAILING else 0)


@app.command()
def run(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="A problem file, as `show CASE --json` writes one; - for one a line on stdin."
        ),
    ],
    subject: Annotated[str, typer.Option(metavar="S", help="Who computes.")] = "reference",
) -> None:
    """Compute the outputs of a problem file."""
    from rnnparity import parity, wire

    dump = wire.dump_pretty if sys.stdout.isatty() else wire.dump_line
    if file != "-":
        typer.echo(dump(parity.run(wire.read_problem(Path(file)), subject)))
        return
    lines = [(number, line) for number, line in enumerate(sys.stdin.buffer, 1) if line.strip()]
    if not lines:
        raise RequestError("stdin: is empty; give one problem a line")
    for number, line in lines:
        problem = wire.parse_problem(wire.load_json(line, f"stdin, line {number}"), f"stdin, line {number}")
        typer.echo(wire.dump_line(parity.run(problem, subject)))


@app.command()
def explain(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="A problem file with somebody's outputs, - for stdin; with --subject also a case."
        ),
    ],
    subject: Annotated[str, typer.Option(metavar="S", help="Ask it for the outputs, and again if need be.")] = "",
    json: Annotated[bool, typer.Option("--json", help="The same for programs.")] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the same as a page.")] = None,
    bundle: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the problem and a script for a framework's tracker.")
    ] = None,
    separate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a problem that would tell apart what fits alike.")
    ] = None,
) -> None:
    """Name the cause of wrong outputs, or say that none is known."""
    from json import dumps

    from rnnparity import wire
    from rnnparity.errors import SubjectFailedError
    from rnnparity.explain import screen
    from rnnparity.explain.bundle import plainest_kind, write_bundle
    from rnnparity.explain.pages import page
    from rnnparity.files import check_writable, write_where_asked
    from rnnparity.parity import explain_subject, explained

    for path in (html, separate):
        if path is not None:
            check_writable(path)
    problem = _problem(file)
    try:
        told = explain_subject(problem, subject) if subject else explained(problem)
    except SubjectFailedError as error:  # nothing to explain, but a script shows it
        if bundle is None:
            raise
        write_bundle(bundle, problem, str(error).removeprefix(f"{problem.id}: "), subject, "error")
        raise typer.Exit(_fail(str(error), 1)) from None
    typer.echo(dumps(screen.as_json(told), indent=1) if json else screen.coloured(screen.text(told)))
    if not json and told.verdict == "diverges" and file != "-":
        typer.echo(f"  again: rnnparity explain {file}{f' --subject {quote(subject)}' if subject else ''}")
    if html is not None:
        write_where_asked(html, page(told))
    if bundle is not None:
        kind = plainest_kind(difference.kind for difference in told.differences)
        said = told.differences[0].text if kind == "fact" else screen.headline(told)
        write_bundle(bundle, told.problem, said, subject, kind)
    if separate is not None:
        if told.apart is None:
            why = "no input was found that would" if told.also_fits else "there is nothing to tell apart"
            raise RequestError(f"{separate}: not written: {why}")
        write_where_asked(separate, wire.dump_pretty(told.apart))
    raise typer.Exit(1 if told.verdict == "diverges" else 0)


@app.command()
def regenerate(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="With --bundles: of these known differences alone.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing, fail on drift.")] = False,
    bundles: Annotated[
        bool, typer.Option("--bundles", help="Instead the bundles of the known differences whose framework is here.")
    ] = False,
    j: Jobs = None,
    fixtures: Fixtures = None,
) -> None:
    """Write the goldens anew."""
    from rnnparity.catalogue import catalogue
    from rnnparity.goldens import default_folder
    from rnnparity.messages import failure
    from rnnparity.regenerate import regenerate as regenerate_fixtures

    folder = fixtures or default_folder()
    if bundles:
        raise typer.Exit(_regenerate_bundles(folder, names or [], check))
    if names:
        raise RequestError("names of known differences go with --bundles")
    with _progress() as progress:
        done = regenerate_fixtures(folder, check=check, jobs=j or min(os.cpu_count() or 1, 4), progress=progress)
    for verdict in done.refused[:10]:
        typer.echo(failure(catalogue()[verdict.id], verdict, "keras") + "\n", err=True)
    if done.refused:
        typer.echo(
            f"{folder}: nothing written: {len(done.refused)} cases differ and are not listed in "
            f"known_differences.toml; candidates kept as .rej: {', '.join(done.changed) or 'none changed'}"
            if not check
            else f"{folder}: {len(done.refused)} cases differ and are not listed in known_differences.toml",
            err=True,
        )
        raise typer.Exit(1)
    if check and done.changed:
        typer.echo(f"{folder}: drifted: {', '.join(done.changed)}; run `rnnparity regenerate`", err=True)
        raise typer.Exit(1)
    written = "up to date" if not done.changed else f"{len(done.changed)} files written"
    typer.echo(f"{folder}: {done.rows} goldens, {len(done.left_out)} cases left out, {written}")


def _regenerate_bundles(folder: Path, names: list[str], check: bool) -> int:
    """A line an entry; 1 where `check` finds one that is not what would be written."""
    from rnnparity.bundles import write_bundles

    drifted = False
    for line, changed in write_bundles(folder, names, check):
        typer.echo(line)
        drifted |= changed
    return 1 if check and drifted else 0


@app.command()
def sweep(
    n: Annotated[
        int | None,
        typer.Option("-n", min=1, help="How many verdicts or trials; with --subject, of every fault. [20000; 5]"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Which problems are drawn.")] = 0,
    j: Jobs = None,
    faults: Annotated[
        bool, typer.Option("--faults", help="Instead make faults on purpose, and count how many are named.")
    ] = False,
    subject: Annotated[str, typer.Option(metavar="S", help="With --faults: make them in ports around S.")] = "",
) -> None:
    """Judge tf.keras on random problems; or, with --faults, the explanations of faults in them."""
    from rnnparity.report import print_sweep
    from rnnparity.sweep import summarize
    from rnnparity.sweep import sweep as run_sweep

    jobs = j or min(os.cpu_count() or 1, 4)
    if subject and not faults:
        raise RequestError("--subject: goes with --faults; `rnnparity check SUBJECT` judges a subject as it is")
    if faults:
        raise typer.Exit(
            _carry_faults(subject, n or 5, seed, jobs) if subject else _sweep_faults(n or 20_000, seed, jobs)
        )
    with _progress() as progress:
        records = run_sweep(n or 20_000, seed, jobs, progress)
    found = summarize(records)
    print_sweep(found, _console())
    raise typer.Exit(1 if any(part.false_alarms for part in found.values()) else 0)


def _sweep_faults(n: int, seed: int, jobs: int) -> int:
    """Trials of every kind; 1 where something was blamed that was not there."""
    from rnnparity.report import print_trials
    from rnnparity.trial import FALSE, KINDS, summary, trials

    with _progress() as progress:
        done = [one for kind in KINDS for one in trials(kind, n, seed, jobs, progress)]
    print_trials(done, _console())
    return 1 if any(counts[result] for counts in summary(done).values() for result in FALSE) else 0


def _carry_faults(subject: str, n: int, seed: int, jobs: int) -> int:
    """Trials of every fault in ports around an engine; 1 where something was blamed that was not there."""
    from rnnparity.carried import carried_trials, lines
    from rnnparity.report import print_trials
    from rnnparity.trial import FALSE

    with _progress() as progress:
        found = carried_trials(subject, n, seed, jobs, progress)
    trials = [trial for one in found for trial in one.trials]
    print_trials(trials, _console())
    for line in lines(found):
        typer.echo(line)
    return 1 if any(trial.result in FALSE for trial in trials) else 0


@app.command()
def bench(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where report.html, .md and .json go.")] = Path("benchmarks"),
    quick: Annotated[bool, typer.Option("--quick", help="Within two minutes: fewer and smaller problems.")] = False,
    k: Annotated[str, typer.Option("-k", metavar="EXPR", help="Choose benchmarks by name, as pytest does.")] = "",
    against: Annotated[Path | None, typer.Option(metavar="FILE", help="Compare with an earlier report.json.")] = None,
    fail_above: Annotated[
        float | None, typer.Option(metavar="RATIO", min=1, help="Exit 1 where a ratio is slower by more than that.")
    ] = None,
    from_: Annotated[
        list[Path] | None, typer.Option("--from", metavar="FILE", help="Run nothing: merge these report.json.")
    ] = None,
    any_machine: Annotated[
        bool, typer.Option("--any-machine", help="Compare and merge what different machines have run.")
    ] = False,
) -> None:
    """Run the benchmarks and write their report."""
    from rnnparity.bench import bench as run_bench

    with _progress() as progress:
        done = run_bench(out, quick, k, against, fail_above, from_ or [], any_machine, progress)
    for line in done.lines:
        typer.echo(line)
    raise typer.Exit(0 if done.passed else 1)


def _problem(file: str) -> Problem:
    """What a file, stdin or a case's name holds."""
    from rnnparity import wire

    if file == "-":
        return wire.parse_problem(wire.load_json(sys.stdin.buffer.read(), "stdin"), "stdin")
    return wire.read_problem(Path(file)) if Path(file).exists() or "." in file or "/" in file else _case(file)


def _case(id: str) -> Problem:
    from difflib import get_close_matches

    from rnnparity.catalogue import catalogue

    if id not in catalogue():
        near = get_close_matches(id, catalogue(), n=1)
        hint = f"did you mean {near[0]}?" if near else "`rnnparity list` shows them all"
        raise RequestError(f"case {id!r} is unknown; {hint}")
    return catalogue()[id]


def _console() -> Console:
    """As wide as the terminal; a pipe has no width, and what is printed there is not to be cut."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=1000)


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on a terminal, nothing in a pipe."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        tasks = {"": bar.add_task("loading", total=None)}

        def tell(subject: str, done: int, total: int) -> None:
            bar.update(tasks[""], visible=False)
            if subject not in tasks:
                tasks[subject] = bar.add_task(subject, total=total)
            bar.update(tasks[subject], completed=done)

        yield tell


def main() -> None:
    """Run a command and turn what is wrong with the request into one line and a status."""
    try:
        status = app(standalone_mode=False)
        if status == INTERRUPTED:  # typer has caught Ctrl-C and said nothing
            _fail("interrupted", INTERRUPTED)
    except RequestError as error:
        status = _fail(str(error), 2)
    except UsageError as error:
        status = _fail(_usage(error), 2)
    except (KeyboardInterrupt, typer.Abort):
        status = _fail("interrupted", INTERRUPTED)
    except OSError as error:
        # The reader of a pipe has gone, which is no fault, or the disk is full: neither is said again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        what = f"{error.filename or 'the output'}: {error.strerror or error}"
        status = 0 if isinstance(error, BrokenPipeError) else _fail(what, 2)
    except MistrustedRunError as error:
        status = _fail(str(error), 1)
    sys.exit(status)


def _usage(error: Any) -> str:
    """What typer says of the words, and where help for them is."""
    said, context = error.format_message(), getattr(error, "ctx", None)
    command = f" {context.info_name}" if context is not None and context.parent else ""
    return f"{said}{'' if said.endswith(('.', '?')) else '.'} `rnnparity{command} --help` tells more."


def _fail(text: str, status: int) -> int:
    print(f"rnnparity: {' '.join(text.split())}", file=sys.stderr)  # noqa: T201 - the one line on stderr
    return status


if __name__ == "__main__":
    main()
