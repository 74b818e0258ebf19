"""The command line: the commands, and what is wrong with a request in one line and a status."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer

from rnnparity.cli.bench import bench
from rnnparity.cli.cases import list_, run, show
from rnnparity.cli.check import check
from rnnparity.cli.common import fail
from rnnparity.cli.explain import explain
from rnnparity.cli.fuzz import fuzz, sweep
from rnnparity.cli.regenerate import regenerate
from rnnparity.problem.errors import RequestError, SelfCheckError

# What typer says of a wrong word: click's own class, or, since typer carries a click inside, that
# one's.
UsageError: Any = typer.BadParameter.__base__

INTERRUPTED = 130

app = typer.Typer(
    name="rnnparity",
    help="Prove that a recurrent layer computes what Keras specifies, or learn where it does not.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for command in (check, list_, show, run, explain, regenerate, fuzz, bench):
    app.command(command.__name__.rstrip("_"))(command)
app.command(
    hidden=True, context_settings={"ignore_unknown_options": True, "allow_extra_args": True}
)(sweep)


def _print_version(asked: bool) -> None:
    if asked:
        from rnnparity import __version__

        typer.echo(f"rnnparity {__version__}")
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
    """Every command's own options follow it."""


def main() -> None:
    """Run a command and turn what is wrong with the request into one line and a status."""
    try:
        status = app(standalone_mode=False)
        if status == INTERRUPTED:  # typer has caught Ctrl-C and said nothing
            fail("interrupted", INTERRUPTED)
    except SystemExit:  # typer's own answer to a pipe whose reader has gone, which is no fault
        status = 0
    except RequestError as error:
        status = fail(str(error), 2)
    except UsageError as error:
        status = fail(_usage(error), 2)
    except (KeyboardInterrupt, typer.Abort):
        status = fail("interrupted", INTERRUPTED)
    except OSError as error:
        # The reader of a pipe has gone, which is no fault, or the disk is full: neither is said
        # again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        what = f"{error.filename or 'the output'}: {error.strerror or error}"
        status = 0 if isinstance(error, BrokenPipeError) else fail(what, 2)
    except SelfCheckError as error:
        status = fail(str(error), 1)
    sys.exit(status)


def _usage(error: Any) -> str:
    """What typer says of the words, and where help for them is."""
    said, context = error.format_message(), getattr(error, "ctx", None)
    command = f" {context.info_name}" if context is not None and context.parent else ""
    return (
        f"{said}{'' if said.endswith(('.', '?')) else '.'} `rnnparity{command} --help` tells more."
    )


if __name__ == "__main__":
    main()
