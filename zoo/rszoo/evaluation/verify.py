"""Is a certification log true? Draw anew for its inputs, with other noise.

That every radius follows from its row's counts is checked whenever a log is read; the counts
themselves are what is put to the test here. What the log's own noise gives is for
`rszoo.evaluation.replay`.
"""

import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rszoo.errors import DataError
from rszoo.evaluation.inputs import Input
from rszoo.evaluation.log import LogTable
from rszoo.evaluation.voting import voting
from rszoo.smoothing.interface import Classifier
from rszoo.theory.agreement import Counts, agreeing

__all__ = ["Finding", "chosen_seed", "counted", "recertify", "sample"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The verdict of certifying one input again on its row of a log.

    Attributes:
        idx: the input.
        votes, draws: of the log's row, on its candidate.
        new_votes, new_draws: of the repetition, on the same class.
        p_value: small if the row is false, see `recertify`.
        agrees: whether the p-value is no smaller than this input's share of the level.
    """

    idx: int
    votes: int
    draws: int
    new_votes: int
    new_draws: int
    p_value: float
    agrees: bool


def chosen_seed(log: LogTable, seed: int | None) -> int:
    """Return the seed to verify a log with: the one given, or else a random one.

    Raises:
        ValueError: it is the one that the log was made with, whose noise is not fresh.
    """
    used = log.protocol.seed if log.protocol else None
    if seed is not None and seed == used:
        raise ValueError(f"expected another --seed than the log's, got {seed}")
    while seed is None or seed == used:
        seed = secrets.randbelow(2**31)
    return seed


def sample(log: LogTable, inputs: Sequence[Input], *, count: int | None, seed: int) -> list[Input]:
    """Return inputs that a log lists, all or at most `count` of them, drawn at random.

    Raises:
        DataError: the log holds no counts, or lists an input that is not given, or another label
            of it than the true one.
    """
    if log.votes is None:
        raise DataError(f"{log.path}: expected a log with counts, got one without")
    given = {one.idx: one for one in inputs}
    missing = [idx for idx in log.idx.tolist() if idx not in given]
    if missing:
        raise DataError(f"{log.path}: expected inputs of the data set, got idx {missing[0]}")
    for idx, label in zip(log.idx.tolist(), log.label.tolist(), strict=True):
        if given[idx].label != label:
            raise DataError(
                f"{log.path}: expected label={given[idx].label} of input {idx}, got {label}"
            )
    redrawn = [log.kind.redrawn(log.certificate(row)) for row in range(len(log))]
    chosen = np.random.default_rng(seed).permutation(log.idx[redrawn])[:count]
    return [given[idx] for idx in sorted(chosen.tolist())]


def recertify(
    classifier: Classifier,
    log: LogTable,
    inputs: Sequence[Input],
    *,
    draws: int,
    level: float,
    seed: int,
    on_draws: Callable[[int], None] | None = None,
) -> list[Finding]:
    """Draw anew for inputs of a log; return what that says of each.

    What each kind of certificate claims of its voters is tested, see `Kind.voters`: votes that
    rest on all n draws by Fisher's exact test, against the new ones; votes that stopped early by
    the bound that they give, see `rszoo.theory.agreement.stopped_p_value`.

    Guarantee:
        If all rows are true, the probability that any of them is found to disagree is at most
        `level`, by Bonferroni's inequality over the inputs, and over the claims of each. It is
        about the noise of the log and of these draws, and assumes that the networks answer here
        with the same probabilities as where the log was made.

    Args:
        classifier: the one that the log is about.
        log: with counts.
        inputs: those to certify again, from `sample`.
        draws: fresh draws per input.
        level: of the whole family of tests, in (0, 1).
        seed: other than the log's.
        on_draws: called with the number of draws as they are done.
    """
    rows = {idx: row for row, idx in enumerate(log.idx.tolist())}
    found: list[tuple[int, int, float]] = []
    for one in inputs:
        row = rows[one.idx]
        old, image, new, p_values = log.certificate(row), one.image(), 0, []
        for network, stream, voter in voting(classifier, log.kind, old):
            shown = None if p_values else on_draws
            votes = network.votes(image, n=draws, stream=stream, seed=seed, on_progress=shown)
            new = new if p_values else votes[old.candidate]
            p_values += [p for claim in voter.claims for p in claim.p_values(votes)]
        found.append((row, new, min(1.0, len(p_values) * min(p_values))))
    agrees = agreeing([p_value for _, _, p_value in found], level=level)
    return [
        _finding(log, row, new, draws, p_value, fine)
        for (row, new, p_value), fine in zip(found, agrees, strict=True)
    ]


def _finding(
    log: LogTable, row: int, new: int, draws: int, p_value: float, agrees: bool
) -> Finding:
    old = log.certificate(row)
    return Finding(
        idx=int(log.idx[row]),
        votes=old.votes,
        draws=old.draws,
        new_votes=new,
        new_draws=draws,
        p_value=p_value,
        agrees=agrees,
    )


def counted(log: LogTable, inputs: Sequence[Input], findings: Sequence[Finding]) -> Counts:
    """Return the counts of the rows that can be tested together.

    These are the votes of the network that answers, of n draws that are all made; one row of those
    whose images are equal, which share their noise.

    Args:
        log: with counts.
        inputs, findings: of the same inputs, in order, see `recertify`.
    """
    rows = {idx: row for row, idx in enumerate(log.idx.tolist())}
    kept: dict[bytes, tuple[int, int, int, int]] = {}
    for one, finding in zip(inputs, findings, strict=True):
        answering = log.kind.voters(log.certificate(rows[one.idx]))[0]
        if (counts := answering.claims[0].sample) is not None:
            pixels = one.image().contiguous().numpy().tobytes()
            new = (finding.new_votes, finding.new_draws)
            kept.setdefault(hashlib.sha256(pixels).digest(), (*counts, *new))
    columns = np.array([*kept.values()], dtype=np.int64).reshape(-1, 4).T
    names = ("votes", "draws", "new_votes", "new_draws")
    return Counts(**dict(zip(names, columns, strict=True)))
