"""The `rszoo` command: each sub-command parses, makes one library call, and prints.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted, 143 a training that was terminated.
"""

import gc
import io
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import typer

from rszoo import errors
from rszoo.errors import RecipeError, RszooError
from rszoo_cli import compose, hub, recipe, runs
from rszoo_cli.attack import attack
from rszoo_cli.bundles import ls, show
from rszoo_cli.certify import certify
from rszoo_cli.console import err
from rszoo_cli.data import data
from rszoo_cli.explore import explore
from rszoo_cli.exporting import export
from rszoo_cli.help import Command, Group, LongCommand
from rszoo_cli.hub_models import pull, push
from rszoo_cli.importing import import_checkpoint
from rszoo_cli.leaderboard import leaderboard
from rszoo_cli.merge import merge
from rszoo_cli.predict import predict
from rszoo_cli.report import report
from rszoo_cli.sweep import sweep
from rszoo_cli.train import train
from rszoo_cli.verify import verify

__all__ = ["app", "main"]


_RESUMED = "interrupted; continue with --resume"
_INTERRUPTED = {
    "train": _RESUMED,
    "certify": "interrupted; no log was being written",
    "attack": "interrupted; no log was being written",
    "sweep": "interrupted; the same command continues",
    "compose": "interrupted; the same command continues",
}


_OWN = [Path(__file__).parent, Path(errors.__file__).parent]


class _Commands(Group):
    """The sub-commands; one that is interrupted says how to go on."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, SystemExit) as stop:
            code = stop.code if isinstance(stop, SystemExit) else 130
            if code in (130, 143):
                err.print(_interrupted(ctx.invoked_subcommand or "", stop))
            raise typer.Exit(code if isinstance(code, int) else 1) from None


def _interrupted(command: str, stop: BaseException) -> str:
    """Return how an interrupted command goes on; a log does once its protocol is written."""
    from rszoo.evaluation.row_file import LogInterrupted

    if isinstance(stop, LogInterrupted):
        return _RESUMED
    return _INTERRUPTED.get(command, "interrupted")


app = typer.Typer(
    cls=_Commands,
    name="rszoo",
    help="The model zoo for certified robustness by randomized smoothing.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    epilog="Example: `rszoo train recipes/cat_rs.yaml`, "
    "then `rszoo certify --model runs/digits-cat_rs-0.50`.",
)
app.command(cls=LongCommand)(train)
app.command(cls=LongCommand)(sweep)
app.command(cls=LongCommand)(certify)
app.command(cls=LongCommand)(predict)
app.command(cls=LongCommand)(report)
app.command(cls=LongCommand)(leaderboard)
app.command(cls=LongCommand)(merge)
app.command(cls=LongCommand)(attack)
app.command(cls=LongCommand)(explore)
app.command(cls=LongCommand)(verify)
app.command(cls=LongCommand)(data)
app.command(cls=Command)(ls)
app.command(cls=Command)(show)
app.command(cls=LongCommand)(push)
app.command(cls=LongCommand)(pull)
app.command("import", cls=LongCommand)(import_checkpoint)
app.command(cls=LongCommand)(export)
app.add_typer(compose.app, name="compose", epilog="Example: `rszoo compose dual --help`.")
app.add_typer(recipe.app, name="recipe", epilog="Example: `rszoo recipe show cat_rs`.")
app.add_typer(runs.app, name="runs", epilog="Example: `rszoo runs ls`.")
app.add_typer(hub.app, name="hub", epilog="Example: `rszoo hub serve`.")


def _version(value: bool) -> None:
    if value:
        import rszoo

        typer.echo(f"rszoo {rszoo.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    # A short command is imports above all, which leave nothing to collect: looking for it every
    # few hundred objects, as is usual, takes an eighth of its time.
    gc.set_threshold(10_000)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # in a language without our signs, escapes
            stream.reconfigure(errors="backslashreplace")
    shown = warnings.showwarning
    warnings.showwarning = partial(_warned, shown)
    try:
        app(args=arguments, standalone_mode=True)
    except RszooError as error:
        err.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2 if isinstance(error, RecipeError) else 1)
    except OSError as error:
        # Of a file that no message of ours knows of: a disk that is full, or cannot be written.
        place = "" if error.filename is None else f" {str(error.filename)!r}"
        err.print(
            f"error: cannot use{place}: {error.strerror or error}",
            style="red",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        sys.exit(1)
    finally:
        warnings.showwarning = shown


def _warned(
    otherwise: Callable[..., None],
    message: Warning | str,
    category: type[Warning],
    filename: str,
    *place: Any,
) -> None:
    """Show a warning of rszoo as what it is, a line for the user; any other with its place."""
    own = any(Path(filename).is_relative_to(root) for root in _OWN)
    if category is not UserWarning or not own:
        otherwise(message, category, filename, *place)
        return
    text = f"warning: {message}"
    err.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)
