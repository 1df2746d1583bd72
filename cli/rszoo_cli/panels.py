"""The panels in which a command's help lists its options, the same names for all commands.

Each of these makes an option of its panel, as `typer.Option` does one of no panel.
"""

from functools import partial

import typer

__all__ = ["PANELS", "advanced", "budget", "data", "output", "where"]

#: In the order in which they are shown; those of no panel come before them.
PANELS = ("Budget", "Data", "Where", "Output", "Advanced")

#: Draws, confidence and seed: what a certificate rests on, and what it costs.
budget = partial(typer.Option, rich_help_panel="Budget")
#: Which inputs, and where their files are.
data = partial(typer.Option, rich_help_panel="Data")
#: The devices and machines that do the work.
where = partial(typer.Option, rich_help_panel="Where")
#: What is written and printed, and whether earlier work goes on.
output = partial(typer.Option, rich_help_panel="Output")
#: What few need.
advanced = partial(typer.Option, rich_help_panel="Advanced")
