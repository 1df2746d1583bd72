"""Who has a place on a leaderboard: what was certified alike, under a protocol that nobody sets.

Of the entries of a group only those of one protocol are ranked: the same images by their digest,
the same of them, at least a hundred and none left out, one n, one alpha,
and every radius or the same few. Whoever could
choose that protocol could take the places of all others. It is that of most owners, each of whom
counts once, however much is published: a hundred logs of one image are one voice. Of equally many,
it is that with more inputs, then one that certifies every radius, then the n nearest to that of
the published results, and of two as near the smaller.
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence

from rszoo.evaluation.leaderboard.entry import Entry
from rszoo.evaluation.log import LogTable
from rszoo.theory.rounding import as_radius, as_stated

__all__ = ["FEWEST", "LARGEST_ALPHA", "USUAL_N", "differing", "reference", "unfit", "usual"]

#: Of the published results; a larger alpha certifies more of any model.
LARGEST_ALPHA = 0.001
USUAL_N = 100_000
#: Fewer inputs rank chance.
FEWEST = 100


def reference(entries: Sequence[Entry]) -> Entry | None:
    """Return an entry under the protocol whose entries have places; None where none can have one.

    Args:
        entries: of models at hand.
    """
    fit = [entry for entry in entries if not unfit(entry)]
    return usual(fit) if fit else None


def usual(entries: Sequence[Entry]) -> Entry:
    """Return an entry under the protocol of most owners; of equally many see the module.

    Args:
        entries: at least one.
    """
    owners: dict[Hashable, set[str]] = defaultdict(set)
    for entry in entries:
        owners[_protocol(entry)].add(entry.owner)

    def rank(entry: Entry) -> tuple[object, ...]:
        one, n = entry.summary, entry.summary.n or 1
        return (
            len(owners[_protocol(entry)]),
            one.images,
            one.undecided is None,
            -abs(math.log(n / USUAL_N)),
            -n,
            str(_protocol(entry)),
        )

    return max(entries, key=rank)


def unfit(entry: Entry) -> list[str]:
    """Return why an entry can have no place, whatever stands beside it; empty where it can."""
    log, one = entry.log, entry.summary
    if log is None:
        return ["published numbers are for reference"]
    found = [log.kind.note] if log.kind.note is not None else []
    if one.collapsed is not None:
        found.append(f"collapsed: {one.collapsed}")
    if log.unfinished:
        found.append("the log ends in an unfinished row, which was left out")
    if not one.coverage.complete:
        found.append(str(one.coverage))
    elif one.images < FEWEST:
        found.append(f"fewer than {FEWEST} inputs")
    found.extend(_unstated(log))
    if one.n is None:
        found.append("n not stated")
    if one.alpha is None:
        found.append("alpha not stated")
    elif one.alpha > LARGEST_ALPHA:
        found.append(f"alpha = {as_stated(one.alpha)}, above {as_stated(LARGEST_ALPHA)}")
    return found


def differing(entry: Entry, other: Entry) -> Iterator[str]:
    """Yield in what the protocol of an entry differs from another's, but for what is `unfit`."""
    one, its = entry.summary, other.summary
    if one.images != its.images and one.coverage.complete:
        yield f"{one.images:,} inputs, not {its.images:,}"
    elif one.images == its.images and entry.inputs not in (None, other.inputs):
        yield f"other inputs, if as many ({one.images:,})"
    if one.n is not None and one.n != its.n:
        yield f"n = {one.n:,}" + ("" if its.n is None else f", not {its.n:,}")
    if one.alpha is not None and one.alpha <= LARGEST_ALPHA and one.alpha != its.alpha:
        stated = "" if its.alpha is None else f", not {as_stated(its.alpha)}"
        yield f"alpha = {as_stated(one.alpha)}{stated}"
    tested, tolerance = _radii(entry)
    if tested != _radii(other)[0]:
        yield _decided(tested)
    if tolerance != _radii(other)[1]:
        yield f"up to {as_radius(tolerance)} of a radius was given up to save draws"


def _unstated(log: LogTable) -> Iterator[str]:
    """Yield what the log does not say of its images, or that they are no test images."""
    inputs = None if log.protocol is None else log.protocol.inputs
    if inputs is None or inputs.digest is None:
        yield "the digest of the images is not stated"
    if inputs is not None and inputs.split not in (None, "test"):
        yield "no test images"


def _protocol(entry: Entry) -> Hashable:
    return entry.inputs, entry.summary.n, entry.summary.alpha, _radii(entry)


def _radii(entry: Entry) -> tuple[tuple[float, ...] | None, float]:
    """Return the only radii that could be certified, if any, and how much of one was given up."""
    return (None, 0.0) if entry.log is None else (entry.log.tested, entry.log.tolerance)


def _decided(tested: Sequence[float] | None) -> str:
    if tested is None:
        return "every radius, not some radii only"
    return f"decided at {len(tested)} radii only: between them everything is a lower bound"
