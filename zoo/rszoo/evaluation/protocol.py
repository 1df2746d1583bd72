"""The protocol of a certification log as a JSON file beside it; what it states is checked."""

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from rszoo._files import write_json_atomically
from rszoo._json import read_json_bytes
from rszoo.certificates.kinds import protocol_of
from rszoo.certificates.protocol import Protocol
from rszoo.errors import DataError, RszooError
from rszoo.smoothing.differing import described, differing_values

__all__ = [
    "OF_ATTACKS",
    "another_protocol",
    "check_replaceable",
    "continued",
    "differing",
    "protocol_path",
    "read_protocol",
    "write_protocol",
]

#: What the protocol of a log of attacks, which are no certificates, says of its kind.
OF_ATTACKS = "attack"

# What says which inputs of a data set a log is about.
_WHICH = ("inputs.size", "inputs.step", "inputs.count")


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
        values = json.loads(read_json_bytes(path, error=DataError))
    except OSError as error:
        raise DataError(f"{expected}; {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"{expected}; {error}") from error
    if not isinstance(values, dict):
        raise DataError(f"{expected}, got {values!r}")
    if values.get("kind") == OF_ATTACKS:
        raise DataError(
            f"{path}: expected the protocol of certificates, got that of a log of attacks (rszoo "
            "attack), which certifies nothing; name another log"
        )
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
    if beside.exists() and not path.exists() and differing(read_protocol(beside), protocol):
        raise RszooError(
            f"{beside} exists and would be overwritten; move it away, or name another log "
            "with --out"
        )


def continued(path: Path, wanted: Protocol, listed: Collection[int]) -> Protocol:
    """Return the protocol under which the log at `path` goes on.

    It is the log's own, and may be about more inputs from now on than it was, and of no machine
    where it goes on on another one.

    Args:
        path: the log.
        wanted: the protocol to go on under.
        listed: the indices of its inputs.

    Raises:
        RszooError: the log was made under another protocol, or is about inputs that are not
            wanted and lacks some that are.
    """
    stored = read_protocol(protocol_path(path))
    if stored.values().get("batch_size", "absent") is None:  # it was another in parts of the log
        wanted = wanted.model_copy(update={"batch_size": None})
    if stored.machine is not None and stored.machine != wanted.machine:
        stored = stored.model_copy(update={"machine": None})
    found = [entry for entry in differing(stored, wanted) if entry[0] not in _WHICH]
    if not found:
        own, more = _indices(stored), _indices(wanted)
        if more is None or (own is not None and _within(more, own)):
            return stored
        if (own is None or _within(own, more)) and all(idx in more for idx in listed):
            return stored.model_copy(update={"inputs": wanted.inputs})
        if own is None:
            return stored
        found = [entry for entry in differing(stored, wanted) if entry[0] in _WHICH]
    keys = [key for key, *_ in found]
    raise another_protocol(path, stored.values(), wanted.values(), keys)


def another_protocol(
    path: Path, mine: Mapping[str, Any], its: Mapping[str, Any], keys: Iterable[str]
) -> RszooError:
    """Return the error for a log that cannot be continued.

    Args:
        path: the log.
        mine: its protocol, as JSON values.
        its: that to go on under.
        keys: where they differ, of `differing_values`.
    """
    lines = described(mine, its, keys, first=" in the log", second=" now")
    return RszooError(
        f"{path} was made under another protocol:\n  " + "\n  ".join(lines) + "\n"
        "continue it with the values of the log, or name another log with --out"
    )


def _indices(protocol: Protocol) -> range | None:
    return None if protocol.inputs is None else protocol.inputs.indices


def _within(some: range, others: range) -> bool:
    """Return whether one of two ranges from 0 is part of the other."""
    return len(some) < 2 or (some.step % others.step == 0 and some[-1] in others)


def differing(first: Protocol, second: Protocol) -> list[tuple[str, str, str]]:
    """Return where two protocols differ: key, and the value of each as JSON text.

    Where it ran is left out: a log may be continued, or merged, on another machine.
    """
    return differing_values(*({**of.values(), "machine": None} for of in (first, second)))
