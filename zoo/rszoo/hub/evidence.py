"""The certification log of a bundle: whether it is about that bundle, and how it gets into it."""

from pathlib import Path

from rszoo._folders import alone_with
from rszoo.certificates.kinds import kind as certificate_kind
from rszoo.certificates.protocol import Protocol
from rszoo.errors import DataError, RszooError
from rszoo.evaluation.coverage import check_complete
from rszoo.evaluation.log import LogTable, read_log
from rszoo.evaluation.protocol import protocol_path, read_protocol
from rszoo.hub.bundle import Bundle, open_bundle
from rszoo.hub.catalog import is_own
from rszoo.hub.files import EVIDENCE, PROTOCOL
from rszoo.hub.kinds import kind_of
from rszoo.hub.limits import MOST_ROWS
from rszoo.hub.writing import with_files

__all__ = ["add_evidence", "check_about", "check_of_bundle_alone", "evidence_of", "lost"]


def evidence_of(bundle: Bundle) -> LogTable:
    """Return the certification log of a bundle, the one way by which it is read.

    Guarantee:
        - The radius of every row follows from its counts.
        - The log is about this bundle: its weights, its noise level, its classes, a kind of
          certificate that such a bundle gives, and of what composes it the same.
        - Where it states a digest, its inputs are called by the name of a known data set only if
          that is theirs (`rszoo.evaluation.data_set`).

        It may lack inputs that it is about: see `rszoo.evaluation.coverage`. Whether the counts
        are true, `rszoo.hub.verification` puts to the test.

    Raises:
        RszooError: it is not certified.
        DataError: its log cannot be used, or is about another model.
    """
    if bundle.evidence is None:
        raise RszooError(f"{bundle.id} is not certified: {_remedy(bundle)}")
    _check_stated(bundle.evidence, read_protocol(protocol_path(bundle.evidence)), bundle)
    log = read_log(bundle.evidence, most_rows=MOST_ROWS)
    check_about(log, bundle)
    return log


def check_about(log: LogTable, bundle: Bundle) -> None:
    """Refuse a log that is not about a bundle.

    Raises:
        DataError: other weights, certificates that no such bundle gives, another noise level,
            more classes, or nothing that says so.
    """
    if log.protocol is None:
        raise DataError(f"{log.path}: expected its protocol beside it, got none")
    _check_stated(log.path, log.protocol, bundle)
    classes = len(bundle.config.class_names)
    for name in ("label", "predict", "candidate"):
        column = getattr(log, name)
        if column is not None and column.max(initial=0) >= classes:
            raise DataError(
                f"{log.path} is not about {bundle.path}: expected {name} below {classes}, the "
                f"number of its classes, got {column.max()}"
            )
    stated = log.details.get("classes")
    if stated is not None and any(stated != classes):
        raise DataError(
            f"{log.path} is not about {bundle.path}: expected rows of {classes} classes, got "
            "others"
        )


def _remedy(bundle: Bundle) -> str:
    """Return why a bundle has no evidence, and what to do."""
    if not kind_of(bundle).certificates:
        return "nothing is certified of such a network by itself"
    certify, log = f"rszoo certify --model {bundle.id}", f"certificates/{bundle.config.name}.tsv"
    if not is_own(bundle):
        return f"it came without a log; {certify} writes one, {log}"
    return f"it holds no log; {certify} --attach puts one into it, or name a log itself, as {log}"


def _check_stated(path: Path, protocol: Protocol, bundle: Bundle) -> None:
    """Refuse the protocol of a log that is not about a bundle, before a row of it is read."""
    model, kind = protocol.model, kind_of(bundle)
    stated = {**protocol.values(), "weights": model.weights_sha256 if model else None}
    expected = {"weights": bundle.weights_digest, **kind.stated(bundle.config)}
    if not certificate_kind(protocol.kind).one_sigma:  # it is in the rows
        expected["sigma"] = None
    for name, value in expected.items():
        if stated.get(name) != value:
            raise DataError(
                f"{path} is not about {bundle.path}: expected {name} {value}, got "
                f"{stated.get(name)}"
            )
    if protocol.kind not in kind.certificates:
        raise DataError(
            f"{path} is not about {bundle.path}: expected certificates of a kind that a "
            f"{bundle.config.kind} bundle gives, got {protocol.kind}"
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


def lost(old: LogTable, new: LogTable) -> int:
    """Return of how many inputs of a log another one has no certificate from as many draws.

    A certificate of another bound is another one. An input is one of a data set: number 7 of
    another set, or of images with another digest, is another input.
    """
    if old.bound != new.bound or not _same_inputs(old.protocol, new.protocol):
        return len(old)
    n = dict(zip(new.idx.tolist(), _draws(new), strict=True))
    return sum(
        n.get(idx, -1) < least for idx, least in zip(old.idx.tolist(), _draws(old), strict=True)
    )


def add_evidence(bundle: Bundle, log: Path, *, overwrite: bool = False) -> Bundle:
    """Put a finished certification log into its bundle, replacing an older one.

    Args:
        bundle: what was certified, as it was found before.
        log: its protocol lies beside it.
        overwrite: replace a log that holds certificates which the new one lacks, see `lost`.

    Raises:
        RszooError: the log is of other weights, or lacks certificates of the older one, or is not
            of the bundle alone, or the bundle's folder cannot be written; or another log has come
            into the bundle since it was found, whose certificates the new one does not all hold.
        IntegrityError: the bundle is not what it was.
    """
    with alone_with(bundle.path):
        now = open_bundle(bundle.path)  # others may have changed it since it was opened
        table = read_log(log, most_rows=MOST_ROWS)
        check_of_bundle_alone(table)
        check_about(table, now)
        check_complete(table, remedy="certify the others as well (--resume)")
        there = _readable(now)
        if there is not None:
            if now.manifest.files[EVIDENCE] != bundle.manifest.files.get(EVIDENCE):
                _check_holds(table, there)
            if not overwrite:
                _check_not_less(table, there)
        return with_files(now, {EVIDENCE: log, PROTOCOL: protocol_path(log)})


def _readable(bundle: Bundle) -> LogTable | None:
    """Return the log in a bundle, whatever it is about; None without one that can be read."""
    if bundle.evidence is None:
        return None
    try:
        return read_log(bundle.evidence, most_rows=MOST_ROWS)
    except DataError:  # nobody can use it
        return None


def _same_inputs(one: Protocol | None, other: Protocol | None) -> bool:
    if one is None or other is None or one.inputs is None or other.inputs is None:
        return False
    here, there = one.inputs, other.inputs
    named = (here.name, here.split) == (there.name, there.split)
    return named and (here.digest == there.digest or None in (here.digest, there.digest))


def _draws(log: LogTable) -> list[int]:
    return [0] * len(log) if log.n is None else log.n.tolist()


def _check_holds(new: LogTable, old: LogTable) -> None:
    """Refuse to replace a log that came into the bundle while the new one was being made."""
    rows = {int(idx): row for row, idx in enumerate(new.idx)}
    held = all(
        int(idx) in rows and new.certificate(rows[int(idx)]) == old.certificate(row)
        for row, idx in enumerate(old.idx)
    )
    if not held:
        raise RszooError(
            f"{new.path}: another log of {len(old)} inputs was put into the bundle while this one "
            f"was being made, and stays there; look at it ({old.path}), and to replace it run "
            "rszoo certify again with --resume --attach"
        )


def _check_not_less(new: LogTable, old: LogTable) -> None:
    if less := lost(old, new):
        raise RszooError(
            f"{new.path}: expected a certificate of every input of the log in the bundle, from as "
            f"many draws; {less} of {len(old)} are missing; certify them as well (--resume), or "
            "replace that log with --overwrite"
        )
