"""Pydantic's validation errors as lines for the user: `train.lr: expected a number > 0, got -1`.

Each line says where, what was expected and what came, or which valid key is the nearest.
"""

import difflib
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

__all__ = ["expected", "explain", "model_at", "nearest_key", "show"]


def show(value: object) -> str:
    """Return a value as a recipe would show it, shortened to one line."""
    named = {"None": "null", "True": "true", "False": "false"}
    text = repr(value)
    return named.get(text, text if len(text) <= 60 else text[:57] + "...")


def nearest_key(key: str, valid: Iterable[str], *, prefix: str = "") -> str:
    """Return the complaint about an unknown key, with the nearest valid key or all of them."""
    valid = sorted(valid)
    near = difflib.get_close_matches(key, valid, n=1)
    if near:
        return f"unknown key; nearest valid key: {prefix}{near[0]}"
    if valid:
        return f"unknown key; valid keys: {', '.join(valid)}"
    return "unknown key; no keys are expected here"


def expected(name: str, field: FieldInfo) -> str:
    """Return what a field expects, in words: `a number > 0`, `0 < alpha < 1`, `a mapping`."""
    phrase, rules, optional = _describe(field.annotation)
    lower, upper = _bounds([*rules, *field.metadata])
    if lower and upper:
        phrase = "an integer, " if phrase == "an integer" else ""
        phrase += f"{lower[1]:g} {'<' if lower[0] == '>' else '<='} {name} {upper[0]} {upper[1]:g}"
    elif bound := lower or upper:
        phrase = f"{phrase} {bound[0]} {bound[1]:g}"
    return f"{phrase} or null" if optional else phrase


Bound = tuple[str, float] | None
_PHRASES = {int: "an integer", float: "a number", bool: "true or false", str: "a text"}


def _bounds(rules: Iterable[object]) -> tuple[Bound, Bound]:
    """Return the lower and the upper bound among the rules of a field."""
    lower: Bound = None
    upper: Bound = None
    for rule in rules:
        for key, sign in (("gt", ">"), ("ge", ">=")):
            lower = (sign, getattr(rule, key)) if hasattr(rule, key) else lower
        for key, sign in (("lt", "<"), ("le", "<=")):
            upper = (sign, getattr(rule, key)) if hasattr(rule, key) else upper
    return lower, upper


def _describe(annotation: Any) -> tuple[str, list[object], bool]:  # noqa: ANN401
    """Return a type's words, its rules, and whether it may be null."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if _is_union(annotation):
        phrase, rules, _ = _describe(next(arg for arg in args if arg is not type(None)))
        return phrase, rules, type(None) in args
    if origin is typing.Annotated:
        rules = [part for rule in args[1:] for part in getattr(rule, "metadata", [rule])]
        return _describe(args[0])[0], rules, False
    if origin is Literal:
        return f"one of {list(args)}", [], False
    if origin is list:
        return "a list", [], False
    return _PHRASES.get(annotation, "a mapping"), [], False


def explain(
    error: ValidationError,
    model: type[BaseModel],
    *,
    place: Callable[[str], str] = str,
    prefix: str = "",
) -> list[str]:
    """Return one line per problem that pydantic found.

    Args:
        error: what `model.model_validate` raised.
        model: the model that was validated.
        place: maps the path of a key to the path that the user wrote.
        prefix: path of the model itself, ending in a dot, or empty.
    """
    lines = []
    for item in error.errors():
        loc = [part for part in item["loc"] if part != "[key]"]
        where = place(prefix + ".".join(map(str, loc)))
        if len(loc) < len(item["loc"]):
            lines.append(f"{where}: expected a text as key, got {show(item['input'])}")
        else:
            lines.append(f"{where}: {_sentence(item, model, where)}")
    return lines


def _sentence(item: Mapping[str, Any], model: type[BaseModel], where: str) -> str:
    *parents, key = item["loc"]
    owner = model_at(model, parents)
    kind, value = item["type"], item["input"]
    if kind == "extra_forbidden" and owner is not None:
        head = where[: len(where) - len(str(key))]
        return nearest_key(str(key), owner.model_fields, prefix=head)
    if kind == "value_error":
        return str(item["ctx"]["error"])
    if isinstance(value, float) and not math.isfinite(value):
        return f"expected a finite number, got {value}"
    if kind == "too_short":
        least = item["ctx"]["min_length"]
        return (
            f"expected at least {least} {'entry' if least == 1 else 'entries'}, got {show(value)}"
        )
    field = owner.model_fields.get(str(key)) if owner is not None else None
    if field is None:  # an entry of a list
        rule = item["msg"].replace("Input should be", "expected a value that is")
        return f"{rule}, got {show(value)}"
    wanted = expected(str(key), field)
    return (
        f"missing; expected {wanted}"
        if kind == "missing"
        else (f"expected {wanted}, got {show(value)}")
    )


def model_at(model: type[BaseModel], loc: Sequence[str | int]) -> type[BaseModel] | None:
    """Return the model that holds the key at the end of a path, or None for a plain mapping."""
    here: Any = model
    for part in loc:
        if isinstance(here, type) and issubclass(here, BaseModel):
            field = here.model_fields.get(str(part))
            here = field.annotation if field is not None else None
        else:  # a mapping from names to models
            here = next(iter(typing.get_args(here)[1:]), None)
        for arg in typing.get_args(here) if _is_union(here) else ():
            here = arg if arg is not type(None) else here
    return here if isinstance(here, type) and issubclass(here, BaseModel) else None


def _is_union(annotation: object) -> bool:
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)
