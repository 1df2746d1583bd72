"""The certification log of a bundle: whether it is about that bundle, and how it gets into it."""

import json
import shutil
from pathlib import Path

from rszoo._files import folder_replaced
from rszoo.errors import DataError, RszooError
from rszoo.evaluation.log import LogTable, read_log
from rszoo.hub.bundle import Bundle, open_bundle
from rszoo.hub.files import EVIDENCE, PROTOCOL
from rszoo.hub.kinds import kind_of
from rszoo.hub.manifest import Manifest

__all__ = ["add_evidence", "check_about", "check_of_bundle_alone", "evidence_of"]


def evidence_of(bundle: Bundle, *, called: str) -> LogTable:
    """Return the certification log of a bundle.

    Args:
        bundle: what is certified.
        called: what messages call it.

    Raises:
        RszooError: it is not certified, or its log cannot be used.
        DataError: its log is about another model.
    """
    if bundle.evidence is None:
        raise RszooError(
            f"{called} is not certified; rszoo certify --model {called} --attach does it"
        )
    log = read_log(bundle.evidence)
    check_about(log, bundle)
    return log


def check_about(log: LogTable, bundle: Bundle) -> None:
    """Refuse a log that is not about a bundle.

    Raises:
        DataError: other weights, certificates that no such bundle gives, another noise level, or
            nothing that says so.
    """
    if log.protocol is None:
        raise DataError(f"{log.path}: expected its protocol beside it, got none")
    model, kind = log.protocol.model, kind_of(bundle)
    stated = {**log.protocol.values(), "weights": model.weights_sha256 if model else None}
    expected = {"weights": bundle.weights_digest, **kind.stated(bundle.config)}
    if not log.kind.one_sigma:  # it is in the rows
        expected["sigma"] = None
    for name, value in expected.items():
        if stated.get(name) != value:
            raise DataError(
                f"{log.path} is not about {bundle.path}: expected {name} {value}, got "
                f"{stated.get(name)}"
            )
    if log.kind.name not in kind.certificates:
        raise DataError(
            f"{log.path} is not about {bundle.path}: expected certificates of a kind that a "
            f"{bundle.config.kind} bundle gives, got {log.kind.name}"
        )


def check_of_bundle_alone(log: LogTable) -> None:
    """Refuse certificates of a model together with a memory, which no bundle holds.

    Raises:
        RszooError: the log has such.
    """
    if not log.kind.of_bundle:
        raise RszooError(
            f"{log.path}: expected certificates of a bundle alone, got those of one with a memory "
            "of earlier answers, which it does not hold; certify without --per-input-sigma"
        )


def add_evidence(bundle: Bundle, *, log: Path, protocol: Path, overwrite: bool = False) -> Bundle:
    """Put a finished certification log into its bundle, replacing an older one.

    Args:
        bundle: what was certified.
        log, protocol: the two files of the log.
        overwrite: replace a log that holds inputs which the new one lacks.

    Raises:
        RszooError: the log is of other weights, or lacks inputs of the older one, or is not of the
            bundle alone, or the bundle's folder cannot be written.
        IntegrityError: the bundle is not what it was.
    """
    bundle = open_bundle(bundle.path)  # it may have been trained again since it was opened
    certified = json.loads(protocol.read_bytes()).get("model", {}).get("weights_sha256")
    if certified != bundle.weights_digest:
        raise RszooError(
            f"{log}: expected certificates of the weights {bundle.weights_digest}, got those of "
            f"{certified}; certify the bundle again"
        )
    table = read_log(log)
    check_of_bundle_alone(table)
    if bundle.evidence is not None and not overwrite:
        _check_not_less(table, read_log(bundle.evidence))
    with folder_replaced(bundle.path) as draft:
        for name in bundle.manifest.files:
            shutil.copyfile(bundle.path / name, draft / name)
        shutil.copyfile(log, draft / EVIDENCE)
        shutil.copyfile(protocol, draft / PROTOCOL)
        Manifest.of(draft, origin=bundle.manifest.origin).write(draft)
    return open_bundle(bundle.path)


def _check_not_less(new: LogTable, old: LogTable) -> None:
    lost = len(set(old.idx.tolist()) - set(new.idx.tolist()))
    if lost:
        raise RszooError(
            f"{new.path}: expected every input of the log in the bundle, {lost} of {len(old)} are "
            "missing; certify them as well (--resume), or replace that log with --overwrite"
        )
