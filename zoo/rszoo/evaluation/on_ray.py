"""A Ray cluster, and a crew of its workers."""

import logging
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import cycle
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from rszoo.errors import RszooError

if TYPE_CHECKING:
    from rszoo.smoothing.interface import Classifier

__all__ = ["ray_cluster", "ray_crew"]

# Seconds until a cluster must have answered.
_PATIENCE = 10.0


class _RayCrew:
    def __init__(self, classifier: "Classifier", workers: int) -> None:
        import ray

        self.workers = workers
        self._shared = ray.put(classifier)  # kept: a worker that starts again needs it
        self._actors = _actors(self._shared, workers, on_gpu=classifier.device.type == "cuda")
        self._turns = cycle(self._actors)

    def submit(self, method: str, image: Tensor, **settings: Any) -> Callable[[], Any]:
        import ray

        answer = next(self._turns).call.remote(method, image, settings)
        return lambda: ray.get(answer)


@contextmanager
def ray_crew(classifier: "Classifier", *, address: str | None) -> Iterator[_RayCrew]:
    """Connect to a Ray cluster, or start one on this machine; give its workers.

    There is one for each GPU, or for each CPU where there is no GPU; each is sent the classifier.
    One that dies is started again, and its tasks are repeated.

    Raises:
        RszooError: Ray is not installed, or there is no cluster at the address.
    """
    with ray_cluster(address) as resources:
        yield _RayCrew(classifier, max(1, int(resources.get("GPU") or resources.get("CPU", 1))))


@contextmanager
def ray_cluster(address: str | None) -> Iterator[Mapping[str, float]]:
    """Connect to a Ray cluster, or start one on this machine; give its resources by name.

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
        yield ray.cluster_resources()
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


def _actors(shared: Any, workers: int, *, on_gpu: bool) -> list[Any]:  # noqa: ANN401
    import ray

    @ray.remote(max_restarts=-1, max_task_retries=-1)
    class Worker:
        def __init__(self, classifier: "Classifier") -> None:
            torch.set_num_threads(1)
            self.classifier = classifier

        def call(self, method: str, image: Tensor, settings: dict[str, Any]) -> Any:  # noqa: ANN401
            return getattr(self.classifier, method)(image, **settings)

    needs = {"num_gpus": 1} if on_gpu else {"num_cpus": 1}
    return [Worker.options(**needs).remote(shared) for _ in range(workers)]
