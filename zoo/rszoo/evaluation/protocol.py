"""The protocol of a certification log as a JSON file beside it; what it states is checked."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rszoo._files import write_json_atomically
from rszoo.certificates.kinds import protocol_of
from rszoo.certificates.protocol import Protocol
from rszoo.errors import DataError, RszooError

__all__ = [
    "check_replaceable",
    "check_same",
    "differing",
    "is_other",
    "protocol_path",
    "read_protocol",
    "write_protocol",
]


def protocol_path(path: str | Path) -> Path:
    """Return where a log's protocol lies: beside `a.tsv` `a.json`, beside `b-0.5` `b-0.5.json`."""
    path = Path(path)
    return path.with_suffix(".json") if path.suffix == ".tsv" else Path(f"{path}.json")


def read_protocol(path: Path) -> Protocol:
    """Read the protocol of a log from its JSON file.

    Raises:
        DataError: it is missing or broken, or states what no kind of certificate has.
    """
    expected = f"{path}: expected the protocol of a log, a JSON object"
    try:
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{expected}; {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"{expected}; {error}") from error
    if not isinstance(values, dict):
        raise DataError(f"{expected}, got {values!r}")
    try:
        return protocol_of(values)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def write_protocol(path: Path, protocol: Protocol) -> None:
    """Write the protocol of the log at `path` beside it, whole or not at all.

    Raises:
        RszooError: it cannot be written.
    """
    write_json_atomically(protocol_path(path), protocol.values())


def check_replaceable(path: Path, protocol: Protocol) -> None:
    """Refuse to overwrite a JSON file that belongs to something else."""
    beside = protocol_path(path)
    if beside.exists() and not path.exists() and read_protocol(beside) != protocol:
        raise RszooError(
            f"{beside} exists and would be overwritten; move it away, or name another log "
            "with --out"
        )


def is_other(path: Path, protocol: Protocol) -> bool:
    """Return whether the log at `path` was made under another protocol."""
    return bool(differing(read_protocol(protocol_path(path)), protocol))


def check_same(path: Path, protocol: Protocol) -> None:
    """Refuse to continue the log at `path` under another protocol than its own."""
    found = differing(read_protocol(protocol_path(path)), protocol)
    if found:
        lines = [f"  {key}: {stored} in the log, {wanted} now" for key, stored, wanted in found]
        raise RszooError(
            f"{path} was made under another protocol:\n" + "\n".join(lines) + "\n"
            "continue it with the values of the log, or name another log with --out"
        )


def differing(first: Protocol, second: Protocol) -> list[tuple[str, str, str]]:
    """Return where two protocols differ: key, and the value of each as JSON text."""
    one, other = _flat(first.values()), _flat(second.values())
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
