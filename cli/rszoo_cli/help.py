"""The help of commands: what they do, examples, then their options in panels."""

import inspect
import os
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from rszoo_cli.console import err
from rszoo_cli.panels import PANELS

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

__all__ = ["Command", "Group", "LongCommand"]


_Param = TyperOption | TyperArgument

_GENERAL = "Options"
_WIDEST = 28  # columns of an option's name; what is longer has a line of its own
_FEW = 8  # options that are listed together

# How others call what a command of ours does; a mistyped name is recognised by its letters.
_MEANT = {
    "describe": "show",
    "download": "pull",
    "eval": "certify",
    "evaluate": "certify",
    "info": "show",
    "inspect": "show",
    "list": "ls",
    "models": "ls",
    "plot": "report --plot",
    "publish": "push",
    "search": "ls --hub",
    "test": "certify",
    "upload": "push",
}
# What lists the values of an argument, by its metavar.
_LISTED = {"ID": "rszoo ls", "RECIPE": "rszoo recipe ls"}


class Command(TyperCommand):
    """A command whose help is short, whose flags take no value, and that knows `-h`."""

    def get_help_option_names(self, ctx: Any) -> list[str]:  # noqa: ANN401
        return ["-h", "--help"]

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ANN401
        arguments = (one for one in self.params if isinstance(one, TyperArgument))
        return ["[OPTIONS]", *map(_called, arguments)]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            if isinstance(error.param, _Param) and not error.message:  # it is missing
                error.message = _wanted(error.param)
            raise

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401
        _print(self, ctx)


class LongCommand(Command):
    """A command that takes more than a second, and says at once that it has begun."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401
        if os.environ.get("RANK", "0") == "0":  # torchrun's first process, or alone
            err.wait(f"{ctx.command_path}: starting")
        try:
            return super().invoke(ctx)
        finally:
            err.end_wait()


class Group(TyperGroup):
    """A command of sub-commands, with the help of any."""

    def get_help_option_names(self, ctx: Any) -> list[str]:  # noqa: ANN401
        return ["-h", "--help"]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401
        name = args[0]
        if name not in self.commands and name in _MEANT and not ctx.resilient_parsing:
            ctx.fail(f"No such command {name!r}. Did you mean {_MEANT[name]!r}?")
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401
        _print(self, ctx)


def _print(command: TyperCommand | TyperGroup, ctx: typer.Context) -> None:
    """Print usage, summary, examples, and the panels."""
    from rich.console import Console
    from rich.padding import Padding

    console = Console(highlight=False, markup=False, emoji=False)
    console.print(command.get_usage(ctx), style="bold")
    text, _, examples = inspect.cleandoc(command.help or "").partition("Example:")
    summary, *others = [" ".join(one.split()) for one in text.strip().split("\n\n")]
    console.print(Padding(_marked("\n".join([summary, *others])), (1, 0, 1, 0)))
    if command.epilog:
        console.print(Padding(_marked(command.epilog), (0, 0, 1, 0)))
    if examples:
        console.print("Example:", style="bold")
        console.print(Padding(inspect.cleandoc(re.sub(r"\n\n+", "\n", examples)), (0, 0, 1, 2)))
    for panel in _panels(command, ctx):
        console.print(panel)


def _panels(command: TyperCommand | TyperGroup, ctx: typer.Context) -> "Iterable[RenderableType]":
    """Yield arguments, options and sub-commands, each under its title."""
    arguments = [one for one in command.params if isinstance(one, TyperArgument)]
    options = [one for one in command.get_params(ctx) if isinstance(one, TyperOption)]
    listed: list[tuple[str, Sequence[_Param]]] = [("Arguments", arguments)]
    if len(options) <= _FEW:
        listed.append((_GENERAL, options))
    else:
        titles = [one.rich_help_panel or _GENERAL for one in options]
        for title in (_GENERAL, *PANELS):
            of_title = [one for one, its in zip(options, titles, strict=True) if its == title]
            listed.append((title, of_title))
    names = map(_names, (*arguments, *options))
    width = max((len(name) for name in names if len(name) <= _WIDEST), default=0)
    for title, ones in listed:
        yield from _panel(title, [(_names(one), _explained(one)) for one in ones], width)
    if isinstance(command, TyperGroup):
        commands = [command.get_command(ctx, name) for name in command.list_commands(ctx)]
        rows = [(one.name or "", _marked(_summary(one.help))) for one in commands if one]
        yield from _panel("Commands", rows, max(len(name) for name, _ in rows))


def _panel(
    title: str, rows: "Sequence[tuple[str, Text]]", width: int
) -> "Iterable[RenderableType]":
    """Yield a title and rows, the second column of which begins after `width`; none for none."""
    from rich.padding import Padding
    from rich.rule import Rule
    from rich.table import Table
    from rich.text import Text

    if rows:
        yield Rule(Text(title, style="bold"), align="left", style="dim")
    for name, text in rows:
        shown = Text(name, style="bold cyan")
        if len(name) > width:
            yield Padding(shown, (0, 0, 0, 1))
            shown = Text()
        table = Table.grid(padding=(0, 2))
        table.add_column(width=width)
        table.add_column()
        table.add_row(shown, text)
        yield Padding(table, (0, 0, 0, 1))


def _called(argument: TyperArgument) -> str:
    """Return what stands for an argument in the usage."""
    name = (argument.name or "").upper()
    return argument.metavar or (name if argument.required else f"[{name}]")


def _names(param: _Param) -> str:
    """Return the names of an option, and of the value that it takes if it takes one."""
    if isinstance(param, TyperArgument):
        return _called(param)
    *short, long = sorted(param.opts, key=len)
    names = f"{short[0]}, {long}" if short else f"    {long}"
    names = "/".join([names, *param.secondary_opts])
    value = long.removeprefix("--").replace("-", "_").upper()
    return names if param.is_flag else f"{names} {param.metavar or value}"


def _wanted(param: _Param) -> str:
    """Return what a missing argument or option is, and where its values are to be seen."""
    listing = _LISTED.get((param.metavar or "").partition("...")[0])
    return (param.help or "") + (f" {listing} lists them." if listing else "")


def _explained(param: _Param) -> "Text":
    """Return what an option is for, and what holds where it is not given."""
    text = _marked(param.help or "")
    if getattr(param, "show_envvar", False) and param.envvar:
        text.append(f" [env: {param.envvar}]", style="yellow")
    if isinstance(param.show_default, str):
        default = param.show_default
    elif param.default is None or param.default is False or not param.show_default:
        default = ""
    else:
        default = f"{param.default:,}" if type(param.default) is int else str(param.default)
    if default:
        text.append(f" [default: {default}]", style="dim")
    if param.required and isinstance(param, TyperOption):
        text.append(" [required]", style="red")
    return text


def _summary(text: str | None) -> str:
    return " ".join(inspect.cleandoc(text or "").partition("\n\n")[0].split())


def _marked(text: str) -> "Text":
    """Return a text in which what stands in backticks is code."""
    from rich.text import Text

    shown = Text()
    for number, part in enumerate(text.split("`")):
        shown.append(part, style="bold cyan" if number % 2 else "")
    return shown
