"""Recording the work of a CUDA device in a graph, by `torch.cuda.graph`."""

import warnings
from collections.abc import Callable
from pathlib import Path

import torch

from rszoo.errors import RszooError

__all__ = ["CudaGraphs"]

_WAITS = "called a synchronizing CUDA operation"  # as torch warns of it


class CudaGraphs:
    """Takes steps on a stream of its own, and captures them there.

    A capture fails if the host waits for the device within it, and what has failed leaves the
    generator and the memory of the device in no state to go on from (`CUDAGraph::reset` in torch's
    CUDAGraph.cpp). So a step is watched before it is captured, while it still may do so.
    """

    def __init__(self, device: torch.device, *, on_obstacle: Callable[[str], None]) -> None:
        """Make the stream, since none can be captured on the default one.

        Args:
            device: of CUDA.
            on_obstacle: called with the reason if a step cannot be captured.
        """
        self._stream = torch.cuda.Stream(device)
        self._on_obstacle = on_obstacle

    def launch(self, step: Callable[[], None], *, watched: bool) -> bool:
        """Take a step one kernel at a time; return whether it can be captured, if watched."""
        current = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            obstacle = _obstacle(step) if watched else step()
        current.wait_stream(self._stream)
        if obstacle is not None:
            self._on_obstacle(obstacle)
        return obstacle is None

    def capture(self, step: Callable[[], None]) -> Callable[[], None]:
        """Record a step without taking it, and return what takes it, on the current stream.

        Raises:
            RszooError: it cannot be captured.
        """
        graph = torch.cuda.CUDAGraph()
        try:
            # "thread_local": other threads, as those that fetch batches, may use the device.
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                step()
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            raise RszooError(
                f"the step cannot be captured in a CUDA graph: {reason}; train with --no-capture"
            ) from error
        return graph.replay


def _obstacle(step: Callable[[], None]) -> str | None:
    """Take a step; return what it does that a graph would not do again, None for nothing."""
    before, mode = torch.get_rng_state(), torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            step()
        finally:
            torch.cuda.set_sync_debug_mode(mode)
    for warning in caught:
        if _WAITS in str(warning.message):
            return f"it waits for the device, in {Path(warning.filename).name}:{warning.lineno}"
    if not torch.equal(before, torch.get_rng_state()):
        return "it draws random numbers on the CPU"
    return None
