"""The kinds of certificates. One file, one kind; the file's name is that of the kind.

A log says which kind its rows are in its protocol. Logs of before that do not: what marks their
kind is known here, and nowhere else.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import ValidationError

from rszoo import _registry
from rszoo.certificates.columns import INPUT
from rszoo.certificates.kind import Kind
from rszoo.certificates.protocol import Protocol
from rszoo.errors import DataError

__all__ = ["kind", "kind_of_bound", "kind_of_columns", "kinds", "names", "protocol_of"]

#: What a log states only if it is of a kind, the most special first.
_MARKS = (
    ("router", "dual"),
    ("experts", "cascade"),
    ("alpha_mix", "mixed"),
    ("per_input_sigma", "nominal"),
    ("radii", "early"),
    ("n_max", "extended"),
    ("top_k", "top_k"),
)
_UNMARKED = "fixed"


@cache
def names() -> tuple[str, ...]:
    """Return the names of all kinds: the files of this folder."""
    return tuple(_registry.names(__name__))


@cache
def kind(name: str) -> Kind:
    """Return the kind of certificates with a name.

    Raises:
        RszooError: there is none.
    """
    return _registry.load(__name__, name, kind="kind of certificate").KIND


def kinds() -> list[Kind]:
    """Return all kinds of certificates, by name."""
    return [kind(name) for name in names()]


def kind_of_bound(bound: str) -> Kind:
    """Return the kind of certificates of one network from all its draws that have a bound.

    Args:
        bound: one of `rszoo.certificates.kind.BOUNDS`.
    """
    return next(one for one in kinds() if one.of_counts is not None and one.bound == bound)


def kind_of_columns(columns: tuple[str, ...]) -> Kind | None:
    """Return the kind whose logs have these columns, with or without names of inputs, or None."""
    of_rows = columns[:-1] if columns and columns[-1] == INPUT.name else columns
    return next((one for one in kinds() if one.names == of_rows), None)


def protocol_of(values: Mapping[str, Any]) -> Protocol:
    """Return the protocol that JSON values state, checked; its kind is inferred where it is old.

    Raises:
        DataError: there is no such kind, or what is stated is not that of one.
    """
    stated, inferred = values.get("kind"), _inferred(values)
    name = inferred if stated is None else stated
    known = isinstance(name, str) and name in names()
    marked = (kind(name).marked or name) if known else name
    if not isinstance(name, str) or (inferred != _UNMARKED and marked != inferred):
        raise DataError(f"expected kind {inferred!r} by what else is stated, got {stated!r}")
    if not known:
        raise DataError(
            f"expected a kind of certificate ({', '.join(names())}), got {name!r}; the log may "
            "come from a newer rszoo"
        )
    try:
        return kind(name).protocol.model_validate({**values, "kind": name})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"])) or "the protocol"
        raise DataError(
            f"expected the protocol of certificates of kind {name!r}, got {key}: {first['msg']}"
        ) from error


def _inferred(values: Mapping[str, Any]) -> str:
    """Return the kind by what a protocol states beside."""
    if values.get("per_input_sigma") == "memory":
        return "memory"
    return next((name for mark, name in _MARKS if values.get(mark) is not None), _UNMARKED)
