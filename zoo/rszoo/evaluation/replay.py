"""Draw rows of a log again from the log's own seed: the one test that can be exact.

The noise of an input is a function of (seed, input), and so are the votes, up to the last bits of
the network's arithmetic. A row that was chosen among several seeds, counted otherwise than it
says, or edited, does not come out again. What a replay cannot see is whether the seed itself was
chosen for what it gives: for that there are fresh draws, which it never replaces.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np

from rszoo.certificates.base import Certificate
from rszoo.certificates.experts import Reach
from rszoo.errors import DataError
from rszoo.evaluation.inputs import Input
from rszoo.evaluation.log import LogTable
from rszoo.evaluation.repetition import repetition
from rszoo.evaluation.voting import voting
from rszoo.smoothing.interface import Budget, Classifier
from rszoo.smoothing.noise import Stream
from rszoo.theory.agreement import agreeing, flips_p_value

__all__ = ["Planned", "Replay", "Replayed", "planned", "replay"]


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A row to draw again.

    Attributes:
        one: the input.
        old: its row.
        draws: what it takes, about.
    """

    one: Input
    old: Certificate
    draws: int


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """A row that was drawn again, and what is farthest from the log.

    Attributes:
        idx: the input.
        what: the value, such as "votes" or "candidate".
        logged, drawn: in the log, and as it came out.
        flips, draws: how many draws were answered otherwise at least, of all that the row took; 0
            where certificates must be equal.
        p_value: how likely it is so far off, if the row is true.
        agrees: whether that is no smaller than this row's share of the level.
    """

    idx: int
    what: str
    logged: int | str
    drawn: int | str
    flips: int = 0
    draws: int = 0
    p_value: float
    agrees: bool = True


@dataclass(frozen=True, kw_only=True)
class Replay:
    """What came of drawing rows of a log again under its own seed.

    Attributes:
        draws: that this took, about.
        flips: the share of an input's draws that may be answered otherwise; 0: counts are equal.
        because: why they need not be equal, or why nothing was replayed; empty otherwise.
        rows: one for each row that was replayed.
        total_p: how likely so many flips in all rows together are, if they are true.
        total_agrees: whether that is no smaller than the share of this test.
    """

    draws: int = 0
    flips: float = 0.0
    because: str = ""
    rows: tuple[Replayed, ...] = ()
    total_p: float = 1.0
    total_agrees: bool = True

    @property
    def disagreeing(self) -> Sequence[Replayed]:
        """The rows that contradict the log."""
        return [row for row in self.rows if not row.agrees]


def planned(log: LogTable, inputs: Sequence[Input], *, draws: int, seed: int) -> list[Planned]:
    """Return rows to draw again, in random order, as long as a number of draws allows.

    Args:
        log: with counts.
        inputs: those that may be drawn again, from `rszoo.evaluation.verify.sample`.
        draws: at most so many; rows that take more than are left are passed over.
        seed: of the order.
    """
    rows = {idx: row for row, idx in enumerate(log.idx.tolist())}
    chosen, left = [], draws
    for i in np.random.default_rng([seed, 1]).permutation(len(inputs)).tolist():
        old = log.certificate(rows[inputs[i].idx])
        voters = log.kind.voters(old)
        cost = old.n0 * len(voters) + sum(voter.draws for voter in voters)
        if cost <= left:
            chosen.append(Planned(one=inputs[i], old=old, draws=cost))
            left -= cost
    return chosen


def replay(
    classifier: Classifier,
    log: LogTable,
    rows: Sequence[Planned],
    *,
    level: float,
    on_draws: Callable[[int], None] | None = None,
) -> Replay:
    """Draw rows of a log again from its own seed, and compare.

    Where equal certificates are to be expected, see `rszoo.evaluation.repetition`, the whole
    certificate is made again, and its labels and counts must be equal, of all that it rests on;
    every number that follows from them was checked when the log was read. Elsewhere its counts
    are compared: the votes of each network that the row rests on, at its draws, and the draws that
    selected the candidate.

    Guarantee:
        If all rows are true, the probability that any of them is found to disagree is

        - 0 where certificates must be equal, as equal operations on equal machines give equal
          numbers;
        - at most `level` elsewhere, if each draw is answered otherwise here than there with
          probability at most `flips`, independently of the others: by Bonferroni's inequality
          over the inputs and all of them together, and over the counts of each. A count that is
          off by k needs k flips at least.

    Args:
        classifier: the one that the log is about, as its protocol says how it ran.
        log: with counts.
        rows: from `planned`.
        level: of the whole family of tests, in (0, 1).
        on_draws: called with the number of draws as they are done, about.

    Raises:
        DataError: the protocol states what cannot be certified.
    """
    how = repetition(classifier, log)
    if how.budget is None or not rows:
        return Replay(because=how.because or "every row takes more draws than it is to take")
    found: list[Replayed] = []
    for row in rows:
        if how.flips:
            again = _by_counts(classifier, log, row, seed=how.budget.seed, share=how.flips)
        else:
            again = _by_certificate(classifier, log, row, budget=how.budget)
        found.append(again)
        if on_draws is not None:
            on_draws(row.draws)
    flips, of = sum(row.flips for row in found), sum(row.draws for row in found)
    total_p = flips_p_value(flips, of, how.flips)
    *agrees, total_agrees = agreeing([*(row.p_value for row in found), total_p], level=level)
    return Replay(
        draws=sum(row.draws for row in rows),
        flips=how.flips,
        because=how.because,
        rows=tuple(replace(row, agrees=fine) for row, fine in zip(found, agrees, strict=True)),
        total_p=total_p,
        total_agrees=total_agrees,
    )


def _by_certificate(
    classifier: Classifier, log: LogTable, row: Planned, *, budget: Budget
) -> Replayed:
    """Return the first label or count of a row that is another when it is certified again."""
    try:
        new = classifier.certify_within(budget, row.one.image())
    except ValueError as error:
        raise DataError(f"{log.path}: its protocol cannot be certified by: {error}") from error
    logged, drawn = _counted(row.old), _counted(new)
    other = [name for name in logged if logged[name] != drawn.get(name)]
    what = other[0] if other else "votes"
    return Replayed(
        idx=row.one.idx,
        what=what,
        logged=_shown(logged[what]),
        drawn=_shown(drawn.get(what)),
        p_value=0.0 if other else 1.0,
    )


def _counted(certificate: Certificate) -> dict[str, object]:
    """Return the labels and counts of a certificate by name, the most telling first.

    Versions of scipy may differ in the last digits of what follows from them.
    """
    counts = {name: getattr(certificate, name) for name in ("candidate", "votes", "draws")}
    details = vars(certificate.details) if certificate.details else {}
    values = {**counts, **vars(certificate), **details}
    aside = ("details", "class_name")  # the latter is the classifier's, and in no log
    return {name: _without_floats(value) for name, value in values.items() if name not in aside}


def _without_floats(value: object) -> object:
    """Return a value, every real number in it as None."""
    if isinstance(value, Reach):
        value = astuple(value)
    if isinstance(value, tuple):
        return tuple(map(_without_floats, value))
    return None if isinstance(value, float) else value


def _shown(value: object) -> int | str:
    return value if isinstance(value, int) else str(value)


def _by_counts(
    classifier: Classifier, log: LogTable, row: Planned, *, seed: int, share: float
) -> Replayed:
    """Return the count of a row that is farthest from what it is when it is drawn again."""
    counts = list(_counts(classifier, log, row, seed=seed))
    p_values = [flips_p_value(flips, draws, share) for _, _, _, flips, draws in counts]
    worst = min(range(len(counts)), key=p_values.__getitem__)
    what, logged, drawn, _, _ = counts[worst]
    return Replayed(
        idx=row.one.idx,
        what=what,
        logged=logged,
        drawn=drawn,
        flips=sum(flips for _, _, _, flips, _ in counts),
        draws=sum(draws for *_, draws in counts),
        p_value=min(1.0, len(counts) * p_values[worst]),
    )


def _counts(
    classifier: Classifier, log: LogTable, row: Planned, *, seed: int
) -> Iterator[tuple[str, int, int, int, int]]:
    """Yield name, value in the log, value now, least flips between them, and draws of each count.

    The votes of the answering network come first. A flip changes a count of votes by one, and the
    lead of one class over another by two.
    """
    image, old = row.one.image(), row.old
    for number, (network, stream, voter) in enumerate(voting(classifier, log.kind, old)):
        votes = network.votes(image, n=voter.draws, stream=stream, seed=seed)
        for claim in voter.claims:
            drawn = min(claim.events(votes))
            yield "votes", claim.votes, drawn, abs(drawn - claim.votes), claim.draws
        if number == 0:
            first = network.votes(image, n=old.n0, stream=Stream.SELECTION, seed=seed)
            lead = max(first) - first[old.candidate]
            yield "candidate", old.candidate, first.index(max(first)), -(-lead // 2), old.n0
