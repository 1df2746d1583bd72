"""The protocol of a certification log: a JSON file beside it, what was certified and how."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rszoo.errors import DataError, RszooError

__all__ = [
    "check_replaceable",
    "check_same",
    "differing",
    "is_other",
    "protocol_path",
    "read_protocol",
]


def protocol_path(path: str | Path) -> Path:
    """Return where a log's protocol lies: beside `a.tsv` `a.json`, beside `b-0.5` `b-0.5.json`."""
    path = Path(path)
    return path.with_suffix(".json") if path.suffix == ".tsv" else Path(f"{path}.json")


def read_protocol(path: Path) -> dict[str, Any]:
    """Return the content of a protocol; `DataError` when it is missing or broken."""
    expected = f"{path}: expected the protocol of a log, a JSON object"
    try:
        protocol = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{expected}; {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"{expected}; {error}") from error
    if not isinstance(protocol, dict):
        raise DataError(f"{expected}, got {protocol!r}")
    stopping = [protocol.get("tolerance", 0.0), *(protocol.get("radii") or ())]
    if not all(isinstance(value, int | float) and value >= 0.0 for value in stopping):
        raise DataError(f"{path}: expected radii and tolerance as numbers >= 0, got {stopping}")
    return protocol


def check_replaceable(path: Path, protocol: Mapping[str, Any]) -> None:
    """Refuse to overwrite a JSON file that belongs to something else."""
    beside = protocol_path(path)
    if beside.exists() and not path.exists() and read_protocol(beside) != protocol:
        raise RszooError(
            f"{beside} exists and would be overwritten; move it away, or name another log "
            "with --out"
        )


def is_other(path: Path, protocol: Mapping[str, Any]) -> bool:
    """Return whether the log at `path` was made under another protocol."""
    return bool(differing(read_protocol(protocol_path(path)), protocol))


def check_same(path: Path, protocol: Mapping[str, Any]) -> None:
    """Refuse to continue the log at `path` under another protocol than its own."""
    found = differing(read_protocol(protocol_path(path)), protocol)
    if found:
        lines = [f"  {key}: {stored} in the log, {wanted} now" for key, stored, wanted in found]
        raise RszooError(
            f"{path} was made under another protocol:\n" + "\n".join(lines) + "\n"
            "continue it with the values of the log, or name another log with --out"
        )


def differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return where two protocols differ: key, and the value of each as JSON text."""
    one, other = _flat(first), _flat(second)
    values = [(k, one.get(k, "absent"), other.get(k, "absent")) for k in sorted({*one, *other})]
    return [entry for entry in values if entry[1] != entry[2]]


def _flat(protocol: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return the values as JSON text; the keys of nested ones are joined by dots."""
    flat: dict[str, str] = {}
    for key, value in protocol.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = json.dumps(value, ensure_ascii=False)
    return flat
