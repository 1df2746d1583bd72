"""Print the reference of the command line: `python docs/make_cli.py > docs/reference/cli.md`.

typer writes it; its lists of commands get links, and the summaries that it cuts short.
"""

import re

import typer
from typer.cli import get_docs_for_click

from rszoo_cli import app

INTRODUCTION = """\
# The command line

Made from the command itself, by `python docs/make_cli.py > docs/reference/cli.md`;
`rszoo COMMAND --help` says the same. Exit codes: 0 done, 1 failed, 2 wrong usage,
130 interrupted, 143 a training that was terminated. Wrong usage is an option, a value of one or a
recipe that can never be right; what is wrong with something named, as a model, a log, a data set
or a device, is a failure.

"""


def main() -> None:
    """Print the page."""
    command = typer.main.get_command(app)
    page = get_docs_for_click(obj=command, ctx=typer.Context(command), indent=1, name="rszoo")
    headings = re.findall(r"^#+ `(rszoo [a-z -]+)`\n\n(.+)$", page, flags=re.MULTILINE)
    summaries = dict(headings)

    def linked(entry: re.Match[str]) -> str:
        name = f"{group} {entry[1]}"
        return f"* [`{entry[1]}`](#{name.replace(' ', '-')}): {summaries[name]}"

    sections = re.split(r"(?m)^(?=#)", page)
    for number, section in enumerate(sections):
        group = section.partition("`")[2].partition("`")[0]
        before, heading, entries = section.partition("**Commands**:")
        entries = re.sub(r"^\* `([a-z-]+)`.*$", linked, entries, flags=re.MULTILINE)
        sections[number] = before + heading + entries
    print(INTRODUCTION + "".join(sections).strip())


if __name__ == "__main__":
    main()
