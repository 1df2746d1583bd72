"""The logs of attacks in a bundle: whether they are about it, and how they get into it.

They are files of their own kind, `attack-NAME-NORM-EPS.tsv` and `.json`, and no evidence: nothing
that reads certificates reads them.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from rszoo._files import write_json_atomically
from rszoo._folders import alone_with
from rszoo.errors import DataError, RszooError
from rszoo.evaluation.attack_log import AttackRow, read_attack_log
from rszoo.evaluation.protocol import protocol_path
from rszoo.evaluation.under_attack import UnderAttack, under_attack
from rszoo.hub.bundle import Bundle, open_bundle
from rszoo.hub.files import CONFIG, is_of_attack
from rszoo.hub.limits import MOST_ROWS
from rszoo.hub.writing import with_files
from rszoo.smoothing.differing import differing_values
from rszoo.theory.rounding import as_stated

__all__ = ["add_attack", "attacks_of", "has_attacks", "restate_attacks"]

_Log = tuple[list[AttackRow], dict[str, object]]


def has_attacks(bundle: Bundle) -> bool:
    """Return whether a bundle holds a log of an attack."""
    return bool(_names(bundle))


def attacks_of(bundle: Bundle) -> list[UnderAttack]:
    """Return what the logs of attacks in a bundle say, by the names of their files.

    Raises:
        DataError: one cannot be used, or is about another model.
    """
    return [_checked(bundle.path / name, bundle)[0] for name in _names(bundle)]


def add_attack(bundle: Bundle, log: Path, *, overwrite: bool = False) -> Bundle:
    """Put a finished log of an attack into its bundle, replacing one of the same attack.

    Args:
        bundle: what was attacked.
        log: its protocol lies beside it.
        overwrite: replace a log that was made otherwise, or has inputs that this one lacks.

    Raises:
        DataError: the log is of other weights, or lacks inputs that it is about.
        RszooError: another log would be lost; or the bundle's folder cannot be written.
        IntegrityError: the bundle is not what it was, or would hold too much.
    """
    with alone_with(bundle.path):
        now = open_bundle(bundle.path)  # others may have changed it since it was opened
        found, read = _checked(log, now)
        if not found.coverage.complete:
            raise DataError(
                f"{log}: expected every input that it is about, got {found.coverage}; attack the "
                "others as well (--resume)"
            )
        attacked = found.attacked
        eps = as_stated(attacked.eps).replace("+", "")
        name = f"attack-{attacked.name}-{attacked.norm}-{eps}.tsv"
        if name in now.manifest.files and not overwrite:
            _check_not_less(log, read, now.path / name)
        return with_files(now, {name: log, protocol_path(name).name: protocol_path(log)})


def restate_attacks(folder: Path, digest: str) -> None:
    """Let the logs of attacks in a folder state another digest of the same model.

    Args:
        folder: of a bundle whose parts have other names now, and are the same.
        digest: of the list of its parts.
    """
    for path in sorted(folder.iterdir()):
        if is_of_attack(path.name) and path.suffix == ".json":
            values = json.loads(path.read_bytes())
            values["model"]["weights_sha256"] = digest
            write_json_atomically(path, values)


def _names(bundle: Bundle) -> list[str]:
    return sorted(
        name for name in bundle.manifest.files if is_of_attack(name) and name.endswith(".tsv")
    )


def _checked(path: Path, bundle: Bundle) -> tuple[UnderAttack, _Log]:
    """Return a log that is about a bundle: its weights, its noise, its classes."""
    rows, stated = read_attack_log(path, most_rows=MOST_ROWS)
    _check_stated(path, stated, bundle)
    classes = len(bundle.config.class_names)
    if any(max(row.label, row.clean, row.attacked) >= classes for row in rows):
        raise DataError(
            f"{path} is not about {bundle.path}: expected answers below {classes}, the number of "
            "its classes"
        )
    return under_attack(path, rows, stated), (rows, stated)


def _check_stated(path: Path, stated: Mapping[str, object], bundle: Bundle) -> None:
    model = stated.get("model")
    weights = model.get("weights_sha256") if isinstance(model, dict) else None
    expected: dict[str, object] = {"weights": bundle.weights_digest}
    if bundle.config.identified_by != CONFIG:  # else the digest stands for the noise as well
        expected["sigma"] = bundle.config.noise or None  # what answers without noise states none
    for name, value in expected.items():
        got = weights if name == "weights" else stated.get(name)
        if got != value:
            raise DataError(
                f"{path} is not about {bundle.path}: expected {name} {value}, got {got!r:.200}"
            )


def _check_not_less(new: Path, read: _Log, old: Path) -> None:
    """Refuse to replace a log of the same attack that says more, or was made otherwise."""
    try:
        rows, stated = read_attack_log(old, most_rows=MOST_ROWS)
    except DataError:  # nobody can use it
        return
    if found := differing_values(_essence(stated), _essence(read[1])):
        lines = "".join(f"\n  {key}: {mine} there, {its} now" for key, mine, its in found)
        raise RszooError(
            f"{new}: another log of this attack is in the bundle, made otherwise:{lines}\n"
            "replace it with --overwrite"
        )
    if less := len({row.idx for row in rows} - {row.idx for row in read[0]}):
        raise RszooError(
            f"{new}: expected every input of the log of this attack in the bundle, {less} of "
            f"{len(rows)} are missing; attack them as well, or replace that log with --overwrite"
        )


def _essence(stated: Mapping[str, object]) -> dict[str, object]:
    """Return a protocol without where it ran and how many inputs there are."""
    inputs = stated.get("inputs")
    of_set = {k: v for k, v in inputs.items() if k != "count"} if isinstance(inputs, dict) else {}
    return {**stated, "inputs": of_set, "machine": None}
