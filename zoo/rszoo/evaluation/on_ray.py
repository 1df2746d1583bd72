"""Certify on a Ray cluster: workers hold the network, their counts add up to the same votes.

A task is a range of the draws for one input. As every chunk of noise is seeded by what it is for,
it does not matter which worker computes it, nor whether it is computed twice because a worker
died: the driver takes one answer for every task. Rows are logged by the driver alone, in order,
so that a driver that is killed continues where the log ends.
"""

import logging
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from rszoo.errors import RszooError
from rszoo.evaluation.certify import Input, missing, record
from rszoo.evaluation.log import CertificationLog
from rszoo.smoothing.certificate import Certificate
from rszoo.smoothing.noise import CHUNK, Stream

if TYPE_CHECKING:
    from rszoo.smoothing.classifier import SmoothedClassifier

__all__ = ["certify_inputs_on_ray", "cluster"]

#: Draws per task: seconds of work, and little to lose with a worker.
_TASK = 10 * CHUNK

# Seconds until a cluster must have answered.
_PATIENCE = 10.0

# Inputs whose tasks are waiting or running, for each worker.
_AHEAD = 2


@contextmanager
def cluster(address: str | None) -> Iterator[int]:
    """Connect to a Ray cluster, or start one on this machine; give the number of workers.

    One worker for each GPU, or for each CPU where there is no GPU.

    Raises:
        RszooError: Ray is not installed, or there is no cluster at the address.
    """
    try:
        import ray
    except ImportError as error:
        raise RszooError("Ray is not installed; pip install 'rszoo[ray]' does it") from error
    _check_reachable(address)
    try:
        ray.init(
            address=address,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, ValueError) as error:
        raise RszooError(f"no Ray cluster at {address!r}: {error}") from error
    try:
        resources = ray.cluster_resources()
        yield max(1, int(resources.get("GPU") or resources.get("CPU", 1)))
    finally:
        ray.shutdown()


def _check_reachable(address: str | None) -> None:
    """Refuse an address where nobody listens: Ray would try for minutes."""
    host, colon, port = (address or "").removeprefix("ray://").rpartition(":")
    if not colon:
        return
    try:
        socket.create_connection((host, int(port)), timeout=_PATIENCE).close()
    except (OSError, ValueError, OverflowError) as error:
        raise RszooError(
            f"expected a Ray cluster at HOST:PORT, got {address!r}: {error}"
        ) from error


def certify_inputs_on_ray(
    classifier: "SmoothedClassifier",
    inputs: Sequence[Input],
    *,
    workers: int,
    n0: int,
    n: int,
    alpha: float,
    seed: int,
    log: CertificationLog | None = None,
    on_draws: Callable[[int], None] = lambda draws: None,
) -> Iterator[tuple[Input, Certificate]]:
    """Certify inputs on the cluster that is connected; yield each when its row is in the log.

    Guarantee:
        That of `rszoo.evaluation.certify.certify_inputs`, with the same counts on the same kind
        of device.

    Args:
        classifier: sent to every worker.
        inputs: what to certify.
        workers: how many, from `cluster`.
        n0, n, alpha, seed: as in `SmoothedClassifier.certify`.
        log: where rows go, if anywhere; their time is what the driver waited for them.
        on_draws: called with the number of draws as they are done.
    """
    import ray

    shared = ray.put(classifier)  # kept to the end: a worker that starts again needs it
    crew = _crew(shared, workers, on_gpu=classifier.device.type == "cuda")
    turn = 0
    ahead: deque[tuple[Input, list[tuple[Stream, int, Any]]]] = deque()
    waiting = iter(missing(inputs, log))
    while True:
        while len(ahead) < _AHEAD * workers and (one := next(waiting, None)) is not None:
            image, tasks = one.image(), []
            for stream, first, last in _ranges(n0, n):
                votes = crew[turn % workers].votes.remote(image, first, last, int(stream), seed)
                tasks.append((stream, last - first, votes))
                turn += 1
            ahead.append((one, tasks))
        if not ahead:
            return
        started = time.perf_counter()
        one, tasks = ahead.popleft()
        selection, estimation = _totals(tasks, classifier.num_classes, on_draws)
        certificate = classifier.certificate(selection, estimation, n0=n0, n=n, alpha=alpha)
        record(log, one, certificate, since=started)
        yield one, certificate


def _ranges(n0: int, n: int) -> Iterator[tuple[Stream, int, int]]:
    for stream, draws in ((Stream.SELECTION, n0), (Stream.ESTIMATION, n)):
        for first in range(0, draws, _TASK):
            yield stream, first, min(first + _TASK, draws)


def _totals(
    tasks: Sequence[tuple[Stream, int, Any]], classes: int, on_draws: Callable[[int], None]
) -> tuple[list[int], list[int]]:
    """Wait for the tasks of one input; return the sums of their votes, stream by stream."""
    import ray

    totals = {stream: torch.zeros(classes, dtype=torch.int64) for stream in Stream}
    for stream, draws, votes in tasks:
        totals[stream] += torch.tensor(ray.get(votes))
        on_draws(draws)
    return totals[Stream.SELECTION].tolist(), totals[Stream.ESTIMATION].tolist()


def _crew(shared: Any, workers: int, *, on_gpu: bool) -> list[Any]:  # noqa: ANN401
    """Start the workers; one that dies is started again, and its tasks are repeated."""
    import ray

    @ray.remote(max_restarts=-1, max_task_retries=-1)
    class Worker:
        def __init__(self, classifier: "SmoothedClassifier") -> None:
            torch.set_num_threads(1)
            self.classifier = classifier

        def votes(
            self, image: torch.Tensor, first: int, last: int, stream: int, seed: int
        ) -> list[int]:
            return self.classifier.votes(
                image, n=last, first=first, stream=Stream(stream), seed=seed
            )

    needs = {"num_gpus": 1} if on_gpu else {"num_cpus": 1}
    return [Worker.options(**needs).remote(shared) for _ in range(workers)]
