"""The public names are those of docs/reference/python.md, and what the docs use is public."""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
from docs_pages import PAGES, ROOT, blocks

import rszoo

PAGE = ROOT / "docs/reference/python.md"
ROW = re.compile(r"\| `(rszoo[\w.]*)` \| (.+) \|")
PUBLIC = {match[1]: re.findall(r"`(\w+)`", match[2]) for match in ROW.finditer(PAGE.read_text())}
NAMES = [(module, name) for module, names in PUBLIC.items() for name in names]
DOTTED = re.compile(r"\brszoo(?:\.[A-Za-z]\w*)+")


def test_the_page_has_all_of_the_package() -> None:
    assert sorted(PUBLIC["rszoo"]) == rszoo.__all__
    assert len(NAMES) == len({*NAMES})


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_a_public_name_is_there(module: str, name: str) -> None:
    assert name in import_module(module).__all__
    assert hasattr(import_module(module), name)


def used() -> Iterator[tuple[str, str]]:
    """Yield module and name of what the code of users' pages imports from below `rszoo`."""
    pages = [page for page in PAGES if page.name != "CONTRIBUTING.md"]
    code = [block.text for page in pages for block in blocks(page) if block.language == "python"]
    for node in (node for text in code for node in ast.walk(ast.parse(text))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("rszoo."):
            yield from ((node.module, name.name) for name in node.names)


def test_the_docs_use_what_is_public() -> None:
    found = {(module, name) for module, name in used() if "._" not in module}
    assert found
    assert found <= {*NAMES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_is_there(page: Path) -> None:
    named = {*DOTTED.findall(page.read_text())}
    assert {name for name in named if not exists(name)} == set()


def exists(name: str) -> bool:
    """Return whether a dotted name is a module, or a name in one."""
    module, _, last = name.rpartition(".")
    if not module:
        return True
    try:
        if find_spec(name) is not None:
            return True
    except ModuleNotFoundError:
        pass
    return exists(module) and hasattr(import_module(module), last)


def test_what_is_not_there() -> None:
    assert exists("rszoo.load")
    assert exists("rszoo.theory.mixing")
    assert exists("rszoo.theory.mixing.mixed_radius")
    assert not exists("rszoo.lod")
    assert not exists("rszoo.theory.mixing.lod")
    assert not exists("rszoo.no.such")
