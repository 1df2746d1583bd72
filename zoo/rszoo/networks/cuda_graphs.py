"""Recording the work of a CUDA device in a graph, by `torch.cuda.graph`."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import torch

from rszoo.errors import RszooError

__all__ = ["BEFORE", "CudaGraphs", "Graphs"]

#: How often work is launched before it is captured. That makes what is made once, such as plans
#: and workspaces of libraries; torch.cuda.make_graphed_callables takes three.
BEFORE = 3

_WAITS = "called a synchronizing CUDA operation"  # as torch warns of it


class Graphs(Protocol):
    """What captures work: `CudaGraphs`, or what stands for it where there is no GPU."""

    def launch(self, work: Callable[[], None], *, watched: bool) -> bool:
        """Do work one kernel at a time; return whether it can be captured, if watched."""
        ...

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record work without doing it, and return what does it."""
        ...


class CudaGraphs:
    """Does work on a stream of its own, and captures it there.

    A capture fails if the host waits for the device within it, and what has failed leaves the
    generator and the memory of the device in no state to go on from (`CUDAGraph::reset` in torch's
    CUDAGraph.cpp). So work is watched before it is captured, while it still may do so.
    """

    def __init__(
        self, device: torch.device, *, on_obstacle: Callable[[str], None] = lambda reason: None
    ) -> None:
        """Make the stream, since none can be captured on the default one.

        Args:
            device: of CUDA.
            on_obstacle: called with the reason if work cannot be captured.
        """
        self._stream = torch.cuda.Stream(device)
        self._on_obstacle = on_obstacle

    def launch(self, work: Callable[[], None], *, watched: bool) -> bool:
        """Do work one kernel at a time; return whether it can be captured, if watched."""
        current = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            obstacle = _obstacle(work) if watched else work()
        current.wait_stream(self._stream)
        if obstacle is not None:
            self._on_obstacle(obstacle)
        return obstacle is None

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record work without doing it, and return what does it, on the current stream.

        Raises:
            RszooError: it cannot be captured.
        """
        graph = torch.cuda.CUDAGraph()
        try:
            # "thread_local": other threads, as those that fetch batches, may use the device.
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                work()
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            raise RszooError(
                f"expected work that a CUDA graph can hold, got: {reason}; do without graphs: "
                "--no-capture, or capture=False in Python"
            ) from error
        return graph.replay


def _obstacle(work: Callable[[], None]) -> str | None:
    """Do work; return what of it there is that a graph would not do again, None for nothing."""
    before, mode = torch.get_rng_state(), torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            work()
        finally:
            torch.cuda.set_sync_debug_mode(mode)
    for warning in caught:
        if _WAITS in str(warning.message):
            return f"it waits for the device, in {Path(warning.filename).name}:{warning.lineno}"
    if not torch.equal(before, torch.get_rng_state()):
        return "it draws random numbers on the CPU"
    return None
