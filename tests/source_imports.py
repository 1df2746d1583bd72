"""Which file of a source tree imports which, and the circles among them."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["circles", "import_graph"]

#: Re-exports the public names; who reads a name that it defines does not import those through it.
_FACADE = "rszoo"


def import_graph(*packages: Path) -> dict[str, set[str]]:
    """Return the modules of some packages, and for each the modules among them that it imports.

    Every import counts: at the top, inside a function, and under TYPE_CHECKING. Only files do: to
    import `a.b` from `a.c` is no import of `a/__init__.py`.
    """
    files = {
        _module(path, package): path for package in packages for path in package.rglob("*.py")
    }
    graph = {
        module: {name for name in _imported(path, module, files) if name != module}
        for module, path in files.items()
    }
    return {module: set() if module == _FACADE else names for module, names in graph.items()}


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the groups of modules that reach each other, each sorted, the largest first."""
    reach = {module: _reached(graph, module) for module in graph}
    groups = {
        frozenset(other for other in reach[module] if module in reach[other])
        for module in graph
        if module in reach[module]
    }
    return sorted((sorted(group) for group in groups), key=lambda group: (-len(group), group))


def _reached(graph: Mapping[str, set[str]], start: str) -> set[str]:
    """Return what can be reached from a module in one step or more."""
    found: set[str] = set()
    todo = [start]
    while todo:
        new = graph[todo.pop()] - found
        found |= new
        todo += new
    return found


def _module(path: Path, package: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(path: Path, module: str, files: Mapping[str, Path]) -> Iterator[str]:
    """Yield the files that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in files)
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, module, is_package=path.name == "__init__.py")
            for alias in node.names:
                name = f"{base}.{alias.name}"
                if name in files or base in files:
                    yield name if name in files else base


def _base(node: ast.ImportFrom, module: str, *, is_package: bool) -> str:
    """Return the module that a `from ... import` names, relative ones resolved."""
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    parts = parts[: len(parts) - node.level + is_package]
    return ".".join([*parts, *([node.module] if node.module else [])])
