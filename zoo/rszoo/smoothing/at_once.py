"""Pieces of work on several cores at once, each piece on one core from beginning to end.

torch shares every operation among its threads, which wait for each other after each of them. For
small images that is most of their time; pieces that never meet have nothing to wait for. What a
piece needs besides the network, its noise, is then made on all cores too.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TypeVar

import torch
from torch import nn

__all__ = ["in_order", "is_stateless"]

Piece = TypeVar("Piece")
Result = TypeVar("Result")

# Where modules are defined that are a function of their input in eval mode, and remember nothing.
_STATELESS = ("torch.nn.modules.", "rszoo.networks.architectures.")


def is_stateless(network: nn.Module) -> bool:
    """Return whether several threads may evaluate a network at once, as far as can be known.

    All its modules are torch's layers, the zoo's architectures, or classes that say so themselves
    by an attribute `stateless`; none has a hook, or a `forward` that was put in later. Any other
    network may keep something between two of its layers that another thread overwrites.
    """
    return all(
        (getattr(module, "stateless", False) or type(module).__module__.startswith(_STATELESS))
        and not (module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module))
        for module in network.modules()
    )


def in_order(
    work: Callable[[Piece, Event], Result], pieces: Sequence[Piece], *, threads: int
) -> Iterator[Result]:
    """Yield what comes of each piece, in order, while others are worked on.

    Close the iterator: no thread outlives it, and the first error of a piece ends it.

    Args:
        work: does a piece with one thread of torch; ends early once the event is set.
        pieces: what there is to do.
        threads: pieces at a time.
    """
    stop, own, waiting = Event(), torch.get_num_threads(), deque()
    pool = ThreadPoolExecutor(threads, "rszoo", torch.set_num_threads, (1,))
    try:
        for piece in pieces:
            waiting.append(pool.submit(work, piece, stop))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(own)  # for threads to come: a thread's own number is its own
