"""One log out of the logs of several shards."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from rszoo._files import write_bytes_atomically
from rszoo.certificates.protocol import Protocol
from rszoo.errors import DataError, RszooError
from rszoo.evaluation.content import read_content
from rszoo.evaluation.coverage import Coverage, coverage_of
from rszoo.evaluation.protocol import (
    check_replaceable,
    differing,
    protocol_path,
    read_protocol,
    write_protocol,
)
from rszoo.evaluation.rows import Content, header_kind, line, parse, row_line
from rszoo.smoothing.differing import described

__all__ = ["merge_logs"]


def merge_logs(paths: Sequence[str | Path], out: str | Path, *, partial: bool = False) -> Coverage:
    """Write the rows of several logs, in the order of their inputs, as one log.

    Guarantee:
        - The rows are those of the logs, each checked against its votes and its protocol.
        - No input is in two of them: of two answers for one input, none may be chosen.
        - Every input that the logs are about is in one of them, unless `partial`.

    Args:
        paths: logs made under one protocol.
        out: the log to write; its protocol goes beside it.
        partial: whether inputs may be missing.

    Returns:
        Which inputs are in the new log.

    Raises:
        DataError: a log or a protocol is broken or unfinished, an input is in two logs, or in
            none.
        RszooError: the protocols differ, `out` exists, or it cannot be written.
    """
    paths, out = [Path(path) for path in paths], Path(out)
    if out.exists():
        raise RszooError(f"expected a new file, got {out}, which exists; name another one")
    contents = {path: _complete(path) for path in paths}
    _check_kinds(contents)
    if len({content.names for content in contents.values()}) != 1:
        raise DataError(f"expected logs with the same columns, got {_listed(paths)}")
    protocol = _common_protocol(paths)
    check_replaceable(out, protocol)
    rows = [(row[0], path, row) for path, content in contents.items() for row in content.rows]
    rows.sort(key=lambda entry: entry[0])
    for (idx, path, _), (other, second, _) in pairwise(rows):
        if idx == other:
            raise DataError(f"expected each input in one log, got {idx} in {path} and in {second}")
    found = coverage_of(protocol.inputs, [row[0] for row in rows])
    if not (found.complete or partial):
        raise DataError(
            f"expected every input that the logs are about, got {found}; add the other logs, or "
            "pass --partial for a log that lacks some"
        )
    first = contents[paths[0]]
    lines = [line(first.names), *(row_line(first.columns, row) for _, _, row in rows)]
    out.parent.mkdir(parents=True, exist_ok=True)
    write_protocol(out, protocol)
    write_bytes_atomically(out, b"".join(lines))
    return found


def _check_kinds(contents: Mapping[Path, Content]) -> None:
    """Refuse to mix nominal radii with certificates, and answers of several memories."""
    kinds = {path: content.kind for path, content in contents.items() if content.kind}
    nominal = [path for path, kind in kinds.items() if not kind.certifies]
    if nominal and len(nominal) < len(contents):
        raise DataError(
            f"expected certificates, got nominal radii in {_listed(nominal)}, which are none; "
            "merge logs of one kind"
        )
    remembered = [path for path, kind in kinds.items() if not kind.independent]
    if remembered:
        raise DataError(
            f"{remembered[0]}: expected a log whose inputs were certified one by one, got one "
            "whose answers depend on each other through a memory; certify all into one log"
        )


def _complete(path: Path) -> Content:
    """Return the rows of a log that is finished and has a protocol's columns."""
    data = read_content(path)
    kind = header_kind(path, data)
    if kind is None or not kind.counted:
        raise DataError(f"{path}: expected a log of rszoo with at least its header")
    content = parse(path, data, protocol=read_protocol(protocol_path(path)))
    if content.end < len(data):
        raise DataError(f"{path} ends in an unfinished row; finish it with --resume")
    return content


def _common_protocol(paths: Sequence[Path]) -> Protocol:
    """Return the protocol of all; machines may differ, and the batch sizes measured there."""
    protocols = [read_protocol(protocol_path(path)) for path in paths]
    for name in ("batch_size", "machine"):
        if any(getattr(one, name) != getattr(protocols[0], name) for one in protocols):
            protocols = [one.model_copy(update={name: None}) for one in protocols]
    first = protocols[0]
    for path, protocol in zip(paths, protocols, strict=True):
        if found := differing(protocol, first):
            keys = [key for key, *_ in found]
            places = {"first": " in the first", "second": " in the second"}
            lines = described(protocol.values(), first.values(), keys, **places)
            raise RszooError(
                f"{path} and {paths[0]} were made differently:\n  " + "\n  ".join(lines) + "\n"
                "merge logs of one command, whose --shard alone differs"
            )
    return first


def _listed(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths))
