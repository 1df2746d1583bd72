"""What `rszoo verify` says of a log."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rszoo.evaluation.coverage import coverage
from rszoo.evaluation.data_set import data_set
from rszoo.evaluation.log import LogTable, printable
from rszoo.hub.verification import EXCESSES, Verification
from rszoo.theory.rounding import as_stated, floor_digits

__all__ = ["as_json", "lines"]

_NEVER = (
    "no draws can tell whether alpha, n, radii or inputs were chosen after a look at the votes"
)


def as_json(found: Verification) -> dict[str, Any]:
    """Return what was found as JSON values."""
    log, stated, together = found.log, found.log.protocol, found.together
    inputs = stated.inputs if stated else None
    return {
        "log": str(log.path),
        "rows": len(log),
        "level": found.level,
        "seed": found.seed,
        "agrees": found.agrees,
        "findings": [asdict(finding) for finding in found.findings],
        "inputs": inputs.model_dump(mode="json") if inputs else None,
        "coverage": asdict(coverage(log)),
        "alpha": stated.alpha if stated else None,
        "n": stated.n if stated else None,
        "n0": stated.n0 if stated else None,
        "log_seed": stated.seed if stated else None,
        "replay": {
            "rows": len(found.replay.rows),
            "draws": found.replay.draws,
            "flips": found.replay.flips,
            "because": found.replay.because,
            "total_p": found.replay.total_p,
            "disagreeing": [asdict(row) for row in found.replay.disagreeing],
        },
        "together": None
        if together is None
        else {
            "rows": together.rows,
            "excess": together.excess,
            "pooled_p": together.pooled_p,
            "too_high": found.too_high,
            "dispersion_p": together.dispersion_p,
            "too_scattered": found.too_scattered,
            "simulations": together.simulations,
        },
        "power": [
            {"excess": excess, "found": share}
            for excess, share in zip(EXCESSES, found.powers, strict=False)
        ],
    }


def lines(found: Verification) -> Iterator[str]:
    """Yield what was found as lines of text; nothing that a log states begins another line."""
    yield from map(printable, _lines(found))


def _lines(found: Verification) -> Iterator[str]:
    yield f"{found.log.path}: {len(found.log)} rows, every radius follows from its counts"
    yield _stated(found.log)
    yield from _replayed(found)
    yield from _alone(found)
    yield from _together(found)
    if found.findings and found.agrees:
        yield _NEVER
    if not found.complete:
        yield "the log is not complete: what it says of all inputs together is not what it claims"


def _stated(log: LogTable) -> str:
    """Return what the log is about: inputs, and what its votes are false without."""
    stated = log.protocol
    assert stated is not None  # or it would not have been found to be about the bundle
    inputs = stated.inputs
    named = "own inputs" if inputs and inputs.own is not None else data_set(stated)
    digest = f" (images {inputs.digest[:12]})" if inputs and inputs.digest else ""
    numbers = ", ".join(
        f"{name} {_number(getattr(stated, name))}" for name in ("alpha", "n0", "n")
    )
    seed = "unknown" if stated.seed is None else stated.seed
    return f"about {named}{digest}: {coverage(log)}; {numbers}, seed {seed}"


def _number(value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"{value:,}" if isinstance(value, int) else as_stated(value)


def _replayed(found: Verification) -> Iterator[str]:
    replay, log = found.replay, found.log
    seed = log.protocol.seed if log.protocol else None
    if not replay.rows:
        yield f"no rows drawn again under the log's seed: {replay.because}"
        return
    for row in replay.disagreeing:
        yield (
            f"input {row.idx} disagrees: {row.what} {row.logged} in the log, {row.drawn} when "
            f"seed {seed} is drawn again (p = {row.p_value:.1g})"
        )
    if not replay.total_agrees:
        yield f"the votes disagree with seed {seed}, all together (p = {replay.total_p:.1g})"
    if replay.disagreeing or not replay.total_agrees:
        return
    again = f"{len(replay.rows)} of {len(log)} rows drawn again under the log's seed {seed}: "
    if not replay.flips:
        yield f"{again}the same certificates"
        return
    yield (
        f"{again}the same votes, but for {sum(row.flips for row in replay.rows):,} of "
        f"{replay.draws:,} draws ({replay.flips:g} of them may differ: {replay.because})"
    )


def _alone(found: Verification) -> Iterator[str]:
    for one in found.disagreeing:
        yield (
            f"input {one.idx} disagrees: {one.votes:,} of {one.draws:,} draws in the log, "
            f"{one.new_votes:,} of {one.new_draws:,} now (p = {one.p_value:.1g})"
        )
    if found.findings and not found.contradicted:
        yield (
            f"{len(found.findings)} inputs certified again, with seed {found.seed}: all agree "
            f"(a true log fails with probability {as_stated(found.level)})"
        )


def _together(found: Verification) -> Iterator[str]:
    both = found.together
    if both is None:
        if found.findings:
            yield "no row rests on all of its draws: nothing is tested of all rows together"
        return
    what = f"{100 * both.excess:+.2g} percentage points of votes (p = {both.pooled_p:.1g})"
    if found.too_high:
        yield f"all rows together disagree: {what} above fresh draws"
    if found.too_scattered:
        yield (
            "all rows together disagree: votes farther from fresh draws than so many draws can be "
            f"(p = {both.dispersion_p:.1g})"
        )
    if not (found.too_high or found.too_scattered):
        yield f"{both.rows} rows together: {what}, scatter p = {both.dispersion_p:.1g}"
    shares = ", ".join(
        f"{100 * excess:g} % with probability {floor_digits(share, 2)}"
        for excess, share in zip(EXCESSES, found.powers, strict=True)
    )
    yield f"votes too high in every row would have been found: {shares}"
