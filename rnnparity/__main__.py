"""The command line: the commands, and errors as one line on stderr and an exit status."""

from __future__ import annotations

import gc
import sys
from typing import Annotated, Protocol, cast

import typer

from rnnparity.cli.bench import bench
from rnnparity.cli.cases import list_, run, show
from rnnparity.cli.check import check
from rnnparity.cli.common import discard_stdout, echo, fail
from rnnparity.cli.explain import explain
from rnnparity.cli.export import export
from rnnparity.cli.fuzz import fuzz, sweep
from rnnparity.cli.history import bisect, history
from rnnparity.cli.model import model
from rnnparity.cli.regenerate import regenerate
from rnnparity.problem.errors import (
    DIFFERS,
    INTERRUPTED,
    NO_MEMORY,
    USAGE,
    RequestError,
    SelfCheckError,
    SubjectFailedError,
)

# What typer raises for an invalid command line. Its class is click's in one version of typer and
# typer's own in another; the base class of a public one is the same in both.
_USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]

app = typer.Typer(
    name="rnnparity",
    help="Test whether recurrent layers compute what Keras specifies, and find out why not.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
_COMMANDS = (
    *(check, list_, show, run, explain, model),
    *(regenerate, fuzz, history, bisect, bench, export),
)
for command in _COMMANDS:
    app.command(command.__name__.rstrip("_"))(command)
app.command(
    hidden=True, context_settings={"ignore_unknown_options": True, "allow_extra_args": True}
)(sweep)


def _print_version(requested: bool) -> None:
    if requested:
        from rnnparity import __version__

        echo(f"rnnparity {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Define the options before the command's name; the docstring is not shown."""


def main() -> None:
    """Run a command and exit with its status."""
    # Thousands of cases are many objects in no cycles: to look for these takes a tenth of the time.
    gc.set_threshold(50_000, 50, 100)
    try:
        status = app(standalone_mode=False)
        if status == INTERRUPTED:  # typer has caught Ctrl-C without a message
            fail("interrupted", INTERRUPTED)
    except SystemExit:  # typer exits like this when the reader of a pipe has gone
        status = 0
    except SubjectFailedError as error:
        status = fail(str(error), DIFFERS)
    except RequestError as error:
        status = fail(str(error), USAGE)
    except _USAGE_ERROR as error:
        status = fail(_usage(cast("_UsageError", error)), USAGE)
    except (KeyboardInterrupt, typer.Abort):
        status = fail("interrupted", INTERRUPTED)
    except OSError as error:
        status = _output_failed(error)
    except SelfCheckError as error:
        status = fail(str(error), DIFFERS)
    except MemoryError:
        status = fail(NO_MEMORY, USAGE)
    sys.exit(status)


def _output_failed(error: OSError) -> int:
    """Return the status after stdout has failed: the reader of a pipe has gone, or a disk is full."""
    discard_stdout()
    if isinstance(error, BrokenPipeError):
        return 0
    return fail(f"{error.filename or 'stdout'}: {error.strerror or error}", USAGE)


class _Context(Protocol):
    """The part of click's context that is used here."""

    info_name: str
    parent: object


class _UsageError(Protocol):
    """The part of click's UsageError that is used here."""

    ctx: _Context | None

    def format_message(self) -> str:
        """Return the message with its hint, such as "Did you mean --json?"."""


def _usage(error: _UsageError) -> str:
    """Return typer's message, followed by the command that shows the help."""
    message = error.format_message()
    end = "" if message.endswith((".", "?")) else "."
    context = error.ctx
    command = f" {context.info_name}" if context is not None and context.parent else ""
    return f"{message}{end} See `rnnparity{command} --help`."


if __name__ == "__main__":
    main()
