"""Is a certification log true? Certify a sample of its inputs again, with other noise.

That every radius follows from its row's counts is checked whenever a log is read; the counts
themselves are what is put to the test here.
"""

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rszoo.certificates.base import ABSTAIN, Certificate
from rszoo.certificates.kind import Kind, Voter
from rszoo.errors import DataError
from rszoo.evaluation.inputs import Input
from rszoo.evaluation.log import LogTable
from rszoo.smoothing.interface import Classifier, Voting
from rszoo.smoothing.noise import Stream

__all__ = ["Finding", "chosen_seed", "recertify", "sample"]


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
        ValueError: it is the one that the log was made with, whose noise proves nothing.
    """
    used = log.protocol.seed if log.protocol else None
    if seed is not None and seed == used:
        raise ValueError(f"expected another --seed than the log's, got {seed}")
    while seed is None or seed == used:
        seed = secrets.randbelow(2**31)
    return seed


def sample(log: LogTable, inputs: Sequence[Input], *, count: int, seed: int) -> list[Input]:
    """Return at most `count` of the inputs that a log lists, drawn at random.

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
) -> Iterator[Finding]:
    """Draw anew for inputs of a log; yield what that says of each.

    What each kind of certificate claims of its voters is tested, see `Kind.voters`: votes that
    rest on all n draws by Fisher's exact test, against the new ones; a bound, such as that of
    votes that stopped early, by how likely so few new votes are above it.

    Guarantee:
        If all rows are true, the probability that any of them is found to disagree is at most
        the sum of

        - `level`, by Bonferroni's inequality over the inputs;
        - for each row decided early, alpha, the probability that it is wrong by chance.

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
    share = level / len(inputs)
    for one in inputs:
        old = log.certificate(rows[one.idx])
        image, new, p_values = one.image(), 0, []
        for network, stream, voter in _voting(classifier, log.kind, old):
            shown = None if p_values else on_draws
            votes = network.votes(image, n=draws, stream=stream, seed=seed, on_progress=shown)
            new = new if p_values else votes[old.candidate]
            p_values += [voter.claim.p_value(count, draws) for count in voter.counts(votes)]
        p_value = min(1.0, len(p_values) * min(p_values))
        yield Finding(
            idx=one.idx,
            votes=old.votes,
            draws=old.draws,
            new_votes=new,
            new_draws=draws,
            p_value=p_value,
            agrees=p_value >= share,
        )


def _voting(
    classifier: Classifier, kind: Kind, old: Certificate
) -> Iterator[tuple[Voting, Stream, Voter]]:
    """Yield the networks that voted in a row, with the stream and the claims of each.

    The first is the one that the row's votes are of. An abstention claims nothing of the others.

    Raises:
        DataError: the row is of another kind of classifier, or of other networks.
    """
    if set(classifier.voters) != set(kind.voter_names(old)):
        raise DataError("expected a log of this kind of model, with its experts, got another")
    voters = kind.voters(old)
    for voter in voters[:1] if old.label == ABSTAIN else voters:
        network, stream = classifier.voters[voter.name]
        if voter.searched:
            network = network.with_sigma(voter.sigma)
        if voter.sigma != network.applied_sigma:  # no votes can tell
            raise DataError(
                f"expected rows with sigma {network.applied_sigma}, that of the model, got "
                f"{voter.sigma}"
            )
        yield network, stream, voter
