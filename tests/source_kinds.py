"""Where a source tree asks of what kind a certificate, a log or a bundle is.

A place is an expression that finds out the kind of something, in one of these ways:

    "router" in protocol        a text in (not in) row, protocol, columns, arrays, details, config
    isinstance(x, DualConfig)   a class of details, of configs or of classifiers; as a pattern too
    log.details is None         the details of a certificate or a log compared with None
    kind == "router"            a kind compared with the name of one, or with one: log.kind is DUAL
    getattr(config, "kind")     the same, hidden
    log.nominal                 a property that stands for a kind of log
    if config.parts             whether a bundle is made of others, as a condition

Each kind has a room, where all this is allowed: a file of `rszoo/certificates/kinds/` and one of
`rszoo/hub/kinds/`.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["ROOMS", "asked_kinds"]

#: Below the folder of packages: what may know kinds.
ROOMS = ("rszoo/certificates", "rszoo/hub/kinds")

_TEXTS_IN = {"row", "protocol", "columns", "config", "arrays", "details"}
_DETAILS = {"routing", "alpha_mix", "per_input", "details"}
_FLAGS = {"nominal", "remembered"}
_CLASSES = ("Config", "Classifier", "Experts", "Routing", "PerInput")
_KINDS = {
    *("fixed", "early", "experts", "memory", "nominal", "per_input"),
    *("runner_up", "chosen", "extended", "early_runner_up", "top_k", "mixed_early"),
    *("cascade_early", "dual_early"),
    *("network", "smoothed", "router", "standard", "weight", "cascade", "dual", "mixed"),
    "mixed_standard",
}


def asked_kinds(*packages: Path) -> list[str]:
    """Return the places outside the rooms, as `package/file.py:line: expression`."""
    trees = {
        str(path.relative_to(package.parent)): ast.parse(path.read_text(encoding="utf-8"))
        for package in packages
        for path in sorted(package.rglob("*.py"))
    }
    classes = _subclasses(trees, {"Details"})
    return [
        f"{name}:{place.lineno}: {ast.unparse(place)}"
        for name, tree in trees.items()
        if not name.startswith(tuple(f"{room}/" for room in ROOMS))
        for place in _places(tree, classes)
    ]


def _subclasses(trees: Mapping[str, ast.Module], known: set[str]) -> set[str]:
    """Return the classes with some names, and those that are made from them."""
    found = {
        node.name
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and any(_name(base) in known for base in node.bases)
    }
    return known if found <= known else _subclasses(trees, known | found)


def _places(tree: ast.Module, classes: set[str]) -> Iterator[ast.expr | ast.pattern]:
    conditions = {id(part) for node in ast.walk(tree) for part in _conditions(node)}
    for node in ast.walk(tree):
        match node:
            case ast.Compare() if _compares(node):
                yield node
            case ast.Call() if _looks_up(node) or _is_of(node, classes):
                yield node
            case ast.MatchClass(cls=cls) if _is_class(cls, classes):
                yield node
            case ast.Attribute(attr=name) if name in _FLAGS:
                yield node
            case ast.Attribute(attr="parts") if id(node) in conditions:
                yield node


def _compares(node: ast.Compare) -> bool:
    """Return whether a comparison asks for a kind."""
    left, operation, right = node.left, node.ops[0], node.comparators[0]
    sides = [part for side in (left, right) for part in getattr(side, "elts", [side])]
    if isinstance(operation, ast.In | ast.NotIn) and _is_text(left):
        return _name(right) in _TEXTS_IN
    if isinstance(operation, ast.Is | ast.IsNot) and isinstance(left, ast.Attribute):
        if left.attr in _DETAILS:
            return True
    return any(_is_kind(side) for side in sides) and (
        any(_is_kind_of_config(side) for side in sides) or any(_names_kind(side) for side in sides)
    )


def _is_kind(node: ast.expr) -> bool:
    """Return whether an expression is called a kind: `x.kind`, `kind`, `x["kind"]`."""
    if isinstance(node, ast.Subscript):
        return isinstance(node.slice, ast.Constant) and node.slice.value == "kind"
    return _name(node) == "kind"


def _is_kind_of_config(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and _name(node.value) in {"config", "of_network"}


def _names_kind(node: ast.expr) -> bool:
    """Return whether an expression is the name of a kind, or a public constant."""
    text = isinstance(node, ast.Constant) and node.value in _KINDS
    return text or (isinstance(node, ast.Name) and node.id.isupper() and node.id[0] != "_")


def _looks_up(node: ast.Call) -> bool:
    if _name(node.func) not in {"getattr", "hasattr"} or len(node.args) < 2:
        return False
    wanted = node.args[1]
    return isinstance(wanted, ast.Constant) and wanted.value in {"kind", *_DETAILS}


def _is_of(node: ast.Call, classes: set[str]) -> bool:
    """Return whether a call is `isinstance` of a class of kinds."""
    return _name(node.func) == "isinstance" and any(
        _is_class(one, classes) for one in ast.walk(node.args[1])
    )


def _is_class(node: ast.AST, classes: set[str]) -> bool:
    return _name(node) in classes or _name(node).endswith(_CLASSES)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _conditions(node: ast.AST) -> list[ast.expr]:
    """Return what a node takes as true or false."""
    match node:
        case ast.If() | ast.IfExp() | ast.While() | ast.Assert():
            return [node.test]
        case ast.BoolOp():
            return node.values
        case ast.UnaryOp(op=ast.Not()):
            return [node.operand]
        case ast.comprehension():
            return node.ifs
    return []


def _name(node: ast.AST) -> str:
    """Return the last part of a name: `protocol` for `log.protocol`."""
    return getattr(node, "attr", getattr(node, "id", ""))
