"""Rules of CONTRIBUTING.md that no linter knows: circles, kinds, sizes, docstrings.

Where the code does not keep a rule yet, a number here says how far it is from it. It may fall and
must not rise.
"""

from pathlib import Path

import pytest
from source_imports import circles, import_graph
from source_kinds import asked_kinds
from source_sizes import chained_docstrings, file_lengths, function_lengths, short_docstrings

ROOT = Path(__file__).parents[1]
PACKAGES = (ROOT / "zoo/rszoo", ROOT / "cli/rszoo_cli")

LONG_FILES: set[str] = set()
MOST_KINDS = 6  # 101 at 34f3b01
MOST_LONG_FUNCTIONS = 2
LONGEST_FUNCTION = 41
MOST_SHORT_DOCSTRINGS = 0
MOST_CHAINED_DOCSTRINGS = 0


def test_no_circles_among_files() -> None:
    found = circles(import_graph(*PACKAGES))
    print(*found, sep="\n")
    assert found == []


def test_kinds_are_asked_for_in_their_rooms() -> None:
    found = asked_kinds(*PACKAGES)
    print(f"{len(found)} places ask for a kind outside its room:", *found, sep="\n")
    assert len(found) <= MOST_KINDS


def test_files_are_short() -> None:
    assert {name for name, lines in file_lengths(*PACKAGES).items() if lines > 300} <= LONG_FILES


def test_functions_are_short() -> None:
    long = {name: lines for name, lines in function_lengths(*PACKAGES).items() if lines > 40}
    print(f"{len(long)} functions of more than 40 lines:", *sorted(long.items()), sep="\n")
    assert len(long) <= MOST_LONG_FUNCTIONS
    assert max(long.values(), default=0) <= LONGEST_FUNCTION


def test_docstrings_are_sentences() -> None:
    found = short_docstrings(*PACKAGES)
    print(*found, sep="\n")
    assert len(found) <= MOST_SHORT_DOCSTRINGS


def test_docstrings_stand_alone() -> None:
    found = chained_docstrings(*PACKAGES)
    print(*found, sep="\n")
    assert len(found) <= MOST_CHAINED_DOCSTRINGS


def package(folder: Path, files: dict[str, str]) -> Path:
    """Write a package `rszoo`; a file of each folder above another makes it a package too."""
    for name, text in files.items():
        path = folder / "rszoo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "rszoo"


@pytest.mark.parametrize(
    "closing",
    [
        "from rszoo.a import f",
        "import rszoo.a",
        "from rszoo import a",
        "from . import a",
        "from .a import f",
        "def f():\n    from rszoo.a import g",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from rszoo.a import f",
    ],
)
def test_a_circle_is_found(tmp_path: Path, closing: str) -> None:
    files = {"__init__.py": "", "a.py": "from rszoo.b import f", "b.py": closing}
    assert circles(import_graph(package(tmp_path, files))) == [["rszoo.a", "rszoo.b"]]


def test_what_is_no_circle(tmp_path: Path) -> None:
    files = {
        "__init__.py": "from rszoo.sub.a import f",
        "errors.py": "",
        "sub/__init__.py": "from rszoo.sub import a",
        "sub/a.py": "from rszoo import __version__\nfrom rszoo.sub import b",
        "sub/b.py": "from rszoo import errors\nimport os.path",
    }
    graph = import_graph(package(tmp_path, files))
    assert circles(graph) == []
    assert graph["rszoo.sub.a"] == {"rszoo", "rszoo.sub.b"}
    assert graph["rszoo.sub.b"] == {"rszoo.errors"}


def test_a_package_is_in_a_circle_by_what_its_file_imports(tmp_path: Path) -> None:
    files = {
        "__init__.py": "",
        "sub/__init__.py": "from rszoo.sub.a import f",
        "sub/a.py": "from rszoo.sub import build",
    }
    assert circles(import_graph(package(tmp_path, files))) == [["rszoo.sub", "rszoo.sub.a"]]


ASKING = [
    "'router' in protocol",
    "'draws' not in row",
    "'order' in log.columns",
    "isinstance(config, MixedConfig)",
    "isinstance(details, (Experts, hub.Routing))",
    "isinstance(x, CascadeConfig | DualConfig)",
    "isinstance(details, Early)",
    "log.details is None",
    "certificate.per_input is not None",
    "config.kind == 'router'",
    "bundle.of_network.kind != wanted",
    "kind in ('router', 'standard')",
    "protocol['kind'] == 'dual'",
    "content.kind is ORIGINAL",
    "content.kind in (None, ORIGINAL)",
    "(config.kind, config.sigma) != (kind, sigma)",
    "'order' in log.details",
    "getattr(config, 'kind', None)",
    "hasattr(log, 'details')",
    "log.nominal",
]
NOT_ASKING = [
    "name in protocol",
    "'a' in names",
    "isinstance(value, dict)",
    "isinstance(value, Certificate)",
    "log.protocol is None",
    "repo.kind == 'models'",
    "array.dtype.kind != 'f'",
    "kinds[kind]",
    "config.parts",
    "log.details.columns",
    "alpha_mix is not None",
    "content.kind is not stated",
    "content.kind is None",
    "log.kind.certifies",
]
DETAILS = "class Details: ...\nclass Fixed(Details): ...\nclass Early(Fixed): ...\n"


@pytest.mark.parametrize("expression", ASKING)
def test_a_place_that_asks_for_a_kind_is_found(tmp_path: Path, expression: str) -> None:
    files = {"a/b.py": f"1\nf({expression})\n", "certificates/base.py": DETAILS}
    assert asked_kinds(package(tmp_path, files)) == [f"rszoo/a/b.py:2: {expression}"]


@pytest.mark.parametrize("expression", NOT_ASKING)
def test_a_place_that_asks_for_no_kind(tmp_path: Path, expression: str) -> None:
    files = {"a.py": f"f({expression})\n", "certificates/base.py": DETAILS}
    assert asked_kinds(package(tmp_path, files)) == []


def test_kinds_as_conditions_and_patterns(tmp_path: Path) -> None:
    text = (
        "if not config.parts:\n    f()\n"
        "for part in config.parts:\n    f()\n"
        "match details:\n    case Early(draws=1):\n        f()\n"
    )
    files = {"a.py": text, "certificates/base.py": DETAILS}
    found = [place.partition(": ") for place in asked_kinds(package(tmp_path, files))]
    assert [(where, what) for where, _, what in found] == [
        ("rszoo/a.py:1", "config.parts"),
        ("rszoo/a.py:6", "Early(draws=1)"),
    ]


@pytest.mark.parametrize("room", ["certificates/kinds/dual.py", "hub/kinds/mixed.py"])
def test_a_room_may_ask(tmp_path: Path, room: str) -> None:
    assert asked_kinds(package(tmp_path, {room: "'router' in protocol\n"})) == []
    outside = {"certificates_too/a.py": "'router' in protocol\n"}
    assert len(asked_kinds(package(tmp_path, outside))) == 1


FUNCTIONS = '''
"""A module."""
import typer

app = typer.Typer()


class A:
    """A class of some kind."""

    def method(self) -> None:
        """Do this.

        And that.
        """
        first()
        second()


@app.command()
def by_decorator(
    one: int,
    two: int,
) -> None:
    """Say it."""
    first()


def by_call(
    one: int,
) -> None:
    first()


def no_command(
    one: int,
) -> None:
    def within() -> None:
        """Hidden."""

    first()


app.command("name")(by_call)
'''


def test_lengths(tmp_path: Path) -> None:
    folder = package(tmp_path, {"a.py": FUNCTIONS, "b.py": "def by_call(\n) -> None:\n    f()\n"})
    assert file_lengths(folder) == {"rszoo/a.py": len(FUNCTIONS.splitlines()), "rszoo/b.py": 3}
    lengths = function_lengths(folder)
    assert lengths.pop("rszoo/b.py:by_call") == 1  # the names of a package's commands are its own
    assert lengths == {
        "rszoo/a.py:A.method": 3,
        "rszoo/a.py:by_decorator": 1,
        "rszoo/a.py:by_call": 1,
        "rszoo/a.py:no_command": 7,
        "rszoo/a.py:no_command.<locals>.within": 1,
    }


def test_docstrings_that_are_too_short(tmp_path: Path) -> None:
    text = FUNCTIONS.replace("def no_command", "def _private")
    assert short_docstrings(package(tmp_path, {"a.py": text})) == [
        "rszoo/a.py: A module.",
        "rszoo/a.py:A.method: Do this.\n\nAnd that.",
        "rszoo/a.py:by_decorator: Say it.",
    ]


def test_docstrings_that_refer_to_others_twice(tmp_path: Path) -> None:
    once = 'def f():\n    """Do it as in `g`."""\n'
    twice = 'def g():\n    """Do it as in `f`.\n\n    More as\n    in `h`.\n    """\n'
    assert chained_docstrings(package(tmp_path, {"a.py": once + twice})) == ["rszoo/a.py:g"]
