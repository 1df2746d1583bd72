"""A crew of the devices of this machine: one thread for each, which mostly waits for its GPU."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

from torch import Tensor

from rszoo.smoothing.interface import Classifier

__all__ = ["device_crew"]


class _DeviceCrew:
    def __init__(self, classifiers: Sequence[Classifier], threads: ThreadPoolExecutor) -> None:
        self.workers = len(classifiers)
        self._threads = threads
        self._idle: SimpleQueue[Classifier] = SimpleQueue()
        for classifier in classifiers:
            self._idle.put(classifier)

    def submit(self, method: str, image: Tensor, **settings: Any) -> Callable[[], Any]:
        return self._threads.submit(self._call, method, image, settings).result

    def _call(self, method: str, image: Tensor, settings: dict[str, Any]) -> Any:  # noqa: ANN401
        classifier = self._idle.get()
        try:
            return getattr(classifier, method)(image, **settings)
        finally:
            self._idle.put(classifier)


@contextmanager
def device_crew(classifiers: Sequence[Classifier]) -> Iterator[_DeviceCrew]:
    """Give a crew of classifiers, each with a network of its own on a device of its own."""
    threads = ThreadPoolExecutor(len(classifiers), thread_name_prefix="rszoo")
    try:
        yield _DeviceCrew(classifiers, threads)
    finally:
        threads.shutdown(cancel_futures=True)
