"""A classifier that tells of its votes as they arrive, and answers as it does without that.

More is looked at, nothing else is drawn: looks are added only where one batch ends and the next
begins, so that every network sees the batches that it always sees.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from copy import copy
from dataclasses import dataclass
from functools import singledispatch

from torch import Tensor

from rszoo.certificates.experts import expert_names
from rszoo.certificates.kind import NETWORK
from rszoo.certificates.kinds.dual import ROUTER
from rszoo.errors import RszooError
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.dual import DualClassifier
from rszoo.smoothing.experts import ExpertsClassifier
from rszoo.smoothing.interface import Classifier
from rszoo.smoothing.mixed import MixedClassifier
from rszoo.smoothing.noise import CHUNK, Stream
from rszoo.smoothing.voting import OnDraws
from rszoo.theory import sequential

__all__ = ["Told", "Votes", "watched"]


@dataclass(frozen=True, kw_only=True)
class Votes:
    """The votes of one network on an input, up to some draw.

    Attributes:
        voter: its name among the classifier's `voters`.
        stream: of the draws.
        counts: on each class.
        draws: how many there were.
        looks: how many times at most these votes are told of.
    """

    voter: str
    stream: Stream
    counts: list[int]
    draws: int
    looks: int


@dataclass(frozen=True, kw_only=True)
class Told:
    """Who is told, from within the computation; what it raises ends that.

    Attributes:
        votes: called with the votes at every look.
        draws: called with the number of new draws, more often.
    """

    votes: Callable[[Votes], None]
    draws: Callable[[int], None]


@singledispatch
def watched(classifier: Classifier, told: Told, name: str = NETWORK) -> Classifier:
    """Return a classifier with the same networks, not copies of them, that tells of its votes.

    Guarantee:
        Its votes, and so its certificates and predictions, are those of the classifier.

    Args:
        classifier: of any kind.
        told: who is told.
        name: of its voter, where it has one alone.

    Raises:
        RszooError: it is of a kind that nobody can watch.
    """
    raise RszooError(f"expected a classifier that votes, got a {type(classifier).__name__}")


@watched.register
def _of_smoothed(
    classifier: SmoothedClassifier, told: Told, name: str = NETWORK
) -> SmoothedClassifier:
    return _Watched(classifier, told, name)


@watched.register
def _of_mixed(classifier: MixedClassifier, told: Told, name: str = NETWORK) -> MixedClassifier:
    other = copy(classifier)
    other.robust = _Watched(classifier.robust, told, name)
    return other


@watched.register
def _of_experts(
    classifier: ExpertsClassifier, told: Told, name: str = NETWORK
) -> ExpertsClassifier:
    other = copy(classifier)
    names = expert_names(len(classifier.experts))
    pairs = zip(classifier.experts, names, strict=True)
    other.experts = tuple(_Watched(expert, told, name) for expert, name in pairs)
    return other


@watched.register
def _of_dual(classifier: DualClassifier, told: Told, name: str = NETWORK) -> DualClassifier:
    other = _of_experts(classifier, told)
    assert isinstance(other, DualClassifier)
    other.router = _Watched(classifier.router, told, ROUTER)
    return other


class _Watched(SmoothedClassifier):
    """A smoothed classifier whose votes are told of."""

    def __init__(self, of: SmoothedClassifier, told: Told, name: str) -> None:
        vars(self).update(vars(of))  # the same network, as `with_sigma` has it
        self.told = told
        self.name = name

    def running(
        self,
        image: Tensor,
        looks: Sequence[int],
        *,
        stream: Stream,
        seed: int,
        first: int = 0,
        on_progress: OnDraws = None,
    ) -> Generator[list[int]]:
        """Yield the votes for one checked input at every look, and tell of them, and of more."""
        shown = self._shown(looks)

        def progressed(draws: int) -> None:
            self.told.draws(draws)
            if on_progress is not None:
                on_progress(draws)

        where = {"stream": stream, "seed": seed, "first": first}
        with closing(super().running(image, shown, on_progress=progressed, **where)) as runs:
            for draws, counts in zip(shown, runs, strict=True):
                about = {"voter": self.name, "stream": stream, "looks": len(shown)}
                self.told.votes(Votes(counts=counts, draws=draws, **about))
                if draws in looks:
                    yield counts

    def _shown(self, looks: Sequence[int]) -> list[int]:
        """Return the looks, with more before one that is alone, between whole batches."""
        if len(looks) > 1:
            return list(looks)
        (n,) = looks
        fits = self.batch_size is not None and CHUNK % self.batch_size == 0
        step = self.batch_size if self.batch_size and fits else CHUNK
        return sorted({min(n, -(-look // step) * step) for look in sequential.looks(n).tolist()})
