"""Do certificates hold where an attack says that they do not?

Within the radius of a certificate an attack looks for a point that is answered otherwise. There
PREDICT has the last word, by fresh noise: a certificate is broken if it gives another class, which
it does falsely with a probability that is shared among all points that were tried. A certificate
is false with probability alpha, so that some may be broken in a log that is true. A defect is more
of them than that explains, or one that fresh draws certify again.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from rszoo.certificates.base import ABSTAIN, Certificate
from rszoo.errors import DataError
from rszoo.evaluation.attack import within
from rszoo.evaluation.attacks import pgd
from rszoo.evaluation.inputs import Input
from rszoo.evaluation.log import LogTable
from rszoo.evaluation.progress import Meter
from rszoo.evaluation.soft_answers import soft_parts
from rszoo.evaluation.verify import chosen_seed
from rszoo.methods._attacks import frozen
from rszoo.smoothing.interface import Budget, Classifier
from rszoo.smoothing.lattice import LEVELS
from rszoo.smoothing.noise import input_seed
from rszoo.theory.bounds import binomial_lower_tail

__all__ = ["Breaking", "Search", "Trial", "break_certificates"]


@dataclass(frozen=True, kw_only=True)
class Search:
    """How points are looked for and judged.

    Attributes:
        count: certificates at most; None for all.
        steps: gradient steps of the attack.
        draws: noisy copies that it climbs.
        n: draws of each answer at a point.
        level: probability of finding a defect in a true log, half of it by each of two tests.
        seed: of all noise; not the log's. None draws one.
    """

    count: int | None = None
    steps: int = 20
    draws: int = 32
    n: int = 10_000
    level: float = 0.001
    seed: int | None = None


@dataclass(frozen=True, kw_only=True)
class Trial:
    """The point that was tried against one certificate, or the one that broke it.

    Attributes:
        label, radius: of the certificate.
        distance: of the point, in float64, below the radius.
        answer: the class there by PREDICT, or -1 where it is not sure.
        idx: of the input.
        again: of a broken certificate: whether fresh draws certify the input beyond the point.
    """

    label: int
    radius: float
    distance: float
    answer: int
    idx: int = 0
    again: bool = False

    @property
    def broken(self) -> bool:
        """Whether the answer is another class than the certified one."""
        return self.answer not in (self.label, ABSTAIN)


@dataclass(frozen=True, kw_only=True)
class Breaking:
    """What came of a search.

    Attributes:
        trials: one for each certificate.
        points: that were tried.
        seed: of all noise.
        alpha: of the certificates.
        level: see `Search`.
    """

    trials: tuple[Trial, ...]
    points: int
    seed: int
    alpha: float
    level: float

    @property
    def broken(self) -> list[Trial]:
        """The certificates that were broken."""
        return [trial for trial in self.trials if trial.broken]

    @property
    def p_value(self) -> float:
        """Probability of so many false certificates, or more, in a log that is true."""
        count = len(self.broken)
        return 1.0 if not count else 1.0 - self._at_most(count - 1)

    @property
    def explained(self) -> int:
        """How many broken certificates chance explains at half of the level."""
        count = 0
        while 1.0 - self._at_most(count) >= self.level / 2:
            count += 1
        return count

    @property
    def defect(self) -> bool:
        """Whether that is not chance: too many, or one that fresh draws certify again."""
        return self.p_value < self.level / 2 or any(trial.again for trial in self.broken)

    def _at_most(self, count: int) -> float:
        return binomial_lower_tail(count, len(self.trials), self.alpha)


def break_certificates(
    classifier: Classifier,
    log: LogTable,
    inputs: Sequence[Input],
    search: Search,
    *,
    meter: Meter,
) -> Breaking:
    """Look for a point within the radius of each certificate that is answered otherwise.

    torch's global generator is left as it was.

    Guarantee:
        If each of N certificates fails with probability at most alpha, by itself, a defect is
        found with probability at most `level` + N alpha^2: half of the level that a true one is
        broken falsely, half that false ones are too many, and the rest that a false one is
        certified again. It assumes that the networks answer here as where the log was made.

    Args:
        classifier: that the log is about.
        log: of certificates with counts.
        inputs: of the log, all of them.
        search: how.
        meter: is told of each certificate.

    Raises:
        DataError: the log is of nominal radii, or of another kind that is not of the bundle alone,
            or certifies nothing.
        RszooError: the networks have no gradient.
    """
    rows = _rows(log, search.count)
    seed = chosen_seed(log, search.seed)
    points = len(rows) * len(_parts(classifier, search.draws, seed))
    images, trials = {one.idx: one.image for one in inputs}, []
    for row in rows:
        x = images[int(log.idx[row])]().to(classifier.device)
        level = search.level / 2 / points
        trial = _tried(classifier, log.certificate(row), x, search, alpha=level, seed=seed)
        trial = replace(trial, idx=int(log.idx[row]))
        if trial.broken:
            trial = _repeated(classifier, log, row, x, trial, seed=seed)
        trials.append(trial)
        meter.advance()
    alpha = max(log.certificate(row).alpha for row in rows)
    return Breaking(
        trials=tuple(trials), points=points, seed=seed, alpha=alpha, level=search.level
    )


def _rows(log: LogTable, count: int | None) -> list[int]:
    """Return the rows of a log that certify anything."""
    if not (log.kind.certifies and log.kind.of_bundle and log.kind.counted):
        raise DataError(
            f"{log.path}: expected certificates of a bundle alone, with counts, got the kind "
            f"{log.kind.name!r}"
        )
    rows = [row for row in range(len(log)) if log.predict[row] != ABSTAIN and log.radius[row] > 0]
    if not rows:
        raise DataError(f"{log.path}: expected a log with certificates, got abstentions alone")
    return rows[:count]


def _parts(classifier: Classifier, draws: int, seed: int) -> list[nn.Module]:
    """Return what is climbed, under noise that depends on a seed alone."""
    cuda = [classifier.device] if classifier.device.type == "cuda" else []
    with torch.random.fork_rng(cuda):
        torch.manual_seed(seed)
        return soft_parts(classifier, draws)


def _tried(
    classifier: Classifier,
    certificate: Certificate,
    x: Tensor,
    search: Search,
    *,
    alpha: float,
    seed: int,
) -> Trial:
    """Return the first point that breaks a certificate, or the last that was tried."""
    label, radius = certificate.label, certificate.radius
    trial = None
    for soft in _parts(classifier, search.draws, input_seed(x, seed)):
        with frozen(soft), torch.enable_grad():
            target = torch.tensor([label], device=x.device)
            moved = pgd.run(soft, x[None], target, norm="l2", eps=radius, steps=search.steps)
        point, distance = _inside(x, moved.detach()[0], radius, sound=classifier.sound)
        answer = classifier.predict(point, n=search.n, alpha=alpha, seed=seed).label
        trial = Trial(label=label, radius=radius, distance=distance, answer=answer)
        if trial.broken:
            break
    assert trial is not None  # there is something to climb
    return trial


def _inside(x: Tensor, moved: Tensor, radius: float, *, sound: bool) -> tuple[Tensor, float]:
    """Return the point, less far than the radius, and how far it is.

    Args:
        sound: whether the certificate is about 8-bit images alone: then the shift is a multiple
            of 1/255 in each pixel, rounded towards the image, and its length that of integers.
    """
    most = math.nextafter(radius, 0.0)
    point = within(x[None], moved[None], norm="l2", eps=most)[0]
    if not sound:
        return point, float(torch.linalg.vector_norm(point.double() - x.double()))
    whole = (x.double() * LEVELS).round()
    shift = ((point.double() - x.double()) * LEVELS).trunc()
    return ((whole + shift) / LEVELS).to(x.dtype), float(shift.norm() / LEVELS)


def _repeated(
    classifier: Classifier, log: LogTable, row: int, x: Tensor, trial: Trial, *, seed: int
) -> Trial:
    """Return the trial that says whether fresh draws certify the input beyond the point."""
    fresh = classifier.certify_within(_budget(log, row, seed=seed), x)
    return replace(trial, again=fresh.label == trial.label and fresh.radius > trial.distance)


def _budget(log: LogTable, row: int, *, seed: int) -> Budget:
    """Return the budget under which a row was certified, with another seed."""
    certificate = log.certificate(row)
    return Budget(
        n0=certificate.n0,
        n=certificate.n,
        alpha=certificate.alpha,
        seed=seed,
        radii=log.tested,
        tolerance=log.tolerance,
        bound=log.kind.bound,
        n_max=None if log.protocol is None else log.protocol.n_max,
    )
