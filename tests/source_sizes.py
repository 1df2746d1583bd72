"""Sizes of a source tree's files and functions, and the words of its docstrings."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["chained_docstrings", "file_lengths", "function_lengths", "short_docstrings"]

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Documented = _Function | ast.ClassDef | ast.Module

_FEWEST_WORDS = 5
_COMMANDS = {"command", "callback"}


def file_lengths(*packages: Path) -> dict[str, int]:
    """Return the lines of each file, by its path from the folder of packages."""
    return {name: len(text.splitlines()) for name, text in _files(packages)}


def function_lengths(*packages: Path) -> dict[str, int]:
    """Return the lines of each function, by `package/file.py:Class.function`.

    They are counted from `def` to the end, without the docstring; of a Typer command without its
    signature too, which has a parameter for each option.
    """
    trees = {name: ast.parse(text) for name, text in _files(packages)}
    commands = {_package(name): set[str]() for name in trees}
    for name, tree in trees.items():
        commands[_package(name)] |= _commands(tree)
    return {
        f"{name}:{path}": _length(node, is_command=path in commands[_package(name)])
        for name, tree in trees.items()
        for path, node in _documented(tree)
        if isinstance(node, _Function)
    }


def short_docstrings(*packages: Path) -> list[str]:
    """Return the public docstrings of fewer than five words, as `package/file.py:name: text`."""
    return [
        f"{place}: {text}"
        for place, text in _docstrings(packages)
        if len(text.split()) < _FEWEST_WORDS
    ]


def chained_docstrings(*packages: Path) -> list[str]:
    """Return the docstrings that refer to another with "as in" more than once."""
    return [
        place
        for place, text in _docstrings(packages)
        if len(re.findall(r"\bas\s+in\b", text, re.IGNORECASE)) > 1
    ]


def _files(packages: tuple[Path, ...]) -> Iterator[tuple[str, str]]:
    for package in packages:
        for path in sorted(package.rglob("*.py")):
            yield str(path.relative_to(package.parent)), path.read_text(encoding="utf-8")


def _docstrings(packages: tuple[Path, ...]) -> Iterator[tuple[str, str]]:
    """Yield place and text of every docstring of a name without `_`, outside of functions."""
    for name, text in _files(packages):
        tree = ast.parse(text)
        for path, node in [("", tree), *_documented(tree)]:
            docstring = ast.get_docstring(node)
            public = not any(part.startswith(("_", "<")) for part in path.split("."))
            if docstring is not None and public:
                yield f"{name}:{path}".rstrip(":"), docstring


def _documented(node: ast.AST, path: str = "") -> "Iterator[tuple[str, _Function | ast.ClassDef]]":
    """Yield the functions and classes of a tree, nested ones too, with their dotted names."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _Function | ast.ClassDef):
            name = f"{path}.{child.name}".lstrip(".")
            yield name, child
            within = "" if isinstance(child, ast.ClassDef) else ".<locals>"
            yield from _documented(child, name + within)
        else:
            yield from _documented(child, path)


def _length(node: _Function, *, is_command: bool) -> int:
    assert node.end_lineno is not None
    body = node.body
    docstring = 0
    if ast.get_docstring(node) is not None:
        assert body[0].end_lineno is not None
        docstring = body[0].end_lineno - body[0].lineno + 1
    start = body[0].lineno if is_command else node.lineno
    return node.end_lineno - start + 1 - docstring


def _package(name: str) -> str:
    return name.partition("/")[0]


def _commands(tree: ast.Module) -> set[str]:
    """Return the functions that a Typer application gets, by decorators or by calls."""
    decorated = {
        node.name for _, node in _documented(tree) if any(map(_registers, node.decorator_list))
    }
    given = {
        argument.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and _registers(node.func)
        for argument in node.args
        if isinstance(argument, ast.Name)
    }
    return decorated | given


def _registers(node: ast.expr) -> bool:
    """Return whether an expression is `app.command(...)`, or `app.callback(...)`."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in _COMMANDS
    )
