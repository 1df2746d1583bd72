"""Certify with many workers: each holds the network, and their counts add up to the same votes.

A task is a range of the draws for one input or, where draws depend on others, one input. As every
chunk of noise is seeded by what it is for, it does not matter which worker does a task, nor
whether it is done twice because a worker died: one answer is taken for every task. Rows are logged
by one process alone, in order, so that a run that is killed continues where the log ends.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from rszoo.certificates.base import Certificate
from rszoo.evaluation.certify import missing, record
from rszoo.evaluation.inputs import Input
from rszoo.evaluation.log import CertificationLog
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.interface import Budget, Classifier
from rszoo.smoothing.noise import CHUNK, Stream
from rszoo.smoothing.voting import OnDraws

__all__ = ["Crew", "certify_inputs_with"]

# Draws per task: seconds of work, and little to lose with a worker.
_DRAWS = 10 * CHUNK

# Inputs whose tasks are waiting or running, for each worker.
_AHEAD = 2

# A range of draws: stream, how many, and what waits for their votes.
_Task = tuple[Stream, int, Callable[[], list[int]]]


class Crew(Protocol):
    """Workers that hold the same classifier.

    Attributes:
        workers: how many.
    """

    workers: int

    def submit(self, method: str, image: Tensor, **settings: Any) -> Callable[[], Any]:
        """Have some worker call a method of its classifier; return what waits for the answer."""
        ...


def certify_inputs_with(
    crew: Crew,
    classifier: Classifier,
    inputs: Sequence[Input],
    budget: Budget,
    *,
    log: CertificationLog | None = None,
    on_draws: OnDraws = None,
) -> Iterator[tuple[Input, Certificate]]:
    """Certify inputs with a crew; yield each when its row is in the log.

    Guarantee:
        That of `rszoo.evaluation.certify.certify_inputs`, with the same counts on the same kind
        of device.

    Args:
        crew: who works.
        classifier: the one that the workers hold.
        inputs: what to certify.
        budget: of each certificate.
        log: where rows go, if anywhere; their time is what was waited for them.
        on_draws: called with the number of draws as they are done; not with `radii`.
    """

    def begin(image: Tensor) -> Callable[[], Certificate]:
        if budget.open_ended or not isinstance(classifier, SmoothedClassifier):
            return crew.submit("certify", image, **vars(budget))
        smoothed, seed = classifier, budget.seed
        tasks: list[_Task] = []
        for stream, first, last in _ranges(budget.n0, budget.n):
            votes = crew.submit("votes", image, n=last, first=first, stream=stream, seed=seed)
            tasks.append((stream, last - first, votes))
        return lambda: smoothed.certificate(
            *_totals(tasks, smoothed.num_classes, on_draws), budget
        )

    waiting = iter(missing(inputs, log))
    ahead: deque[tuple[Input, Callable[[], Certificate]]] = deque()
    while True:
        while len(ahead) < _AHEAD * crew.workers and (one := next(waiting, None)) is not None:
            ahead.append((one, begin(one.image())))
        if not ahead:
            return
        started = time.perf_counter()
        one, finish = ahead.popleft()
        certificate = classifier.named(finish())
        record(log, one, certificate, since=started)
        yield one, certificate


def _ranges(n0: int, n: int) -> Iterator[tuple[Stream, int, int]]:
    for stream, draws in ((Stream.SELECTION, n0), (Stream.ESTIMATION, n)):
        for first in range(0, draws, _DRAWS):
            yield stream, first, min(first + _DRAWS, draws)


def _totals(
    tasks: Sequence[_Task],
    classes: int,
    on_draws: OnDraws,
) -> tuple[list[int], list[int]]:
    """Wait for the tasks of one input; return the sums of their votes, stream by stream."""
    totals = {stream: torch.zeros(classes, dtype=torch.int64) for stream in Stream}
    for stream, draws, votes in tasks:
        totals[stream] += torch.tensor(votes())
        if on_draws is not None:
            on_draws(draws)
    return totals[Stream.SELECTION].tolist(), totals[Stream.ESTIMATION].tolist()
