"""The votes of a smoothed classifier with one forward per chunk, however often they are looked at.

For trials by the thousand, of networks that cost nothing. The votes are exactly those of
`rszoo.smoothing.votes.running_votes`: tests that use them say so of their own networks.
"""

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.noise import CHUNK, Stream

__all__ = ["QuickClassifier", "check_votes"]


class QuickClassifier(SmoothedClassifier):
    """A smoothed classifier on a CPU, in float32, whose votes take little time."""

    def running(
        self, image: Tensor, looks: Sequence[int], *, stream: Stream, seed: int, **_: Any
    ) -> Generator[list[int]]:
        """Yield the votes at every look; see `rszoo.smoothing.votes.running_votes`."""
        counts = np.zeros(self.num_classes, np.int64)
        own = self.scheme.seed_of(image, seed)
        for start in range(0, looks[-1], CHUNK):
            with torch.inference_mode():
                noise = self.scheme.chunk(
                    image.shape,
                    seed=own,
                    chunk=stream + start // CHUNK,
                    device=image.device,
                )
                answers = self.network(noise.mul_(self.sigma).add_(image)).argmax(1).numpy()
            done = 0
            for look in looks:
                if start < look <= start + CHUNK:
                    counts += np.bincount(answers[done : look - start], minlength=len(counts))
                    done = look - start
                    yield counts.tolist()
            counts += np.bincount(answers[done:], minlength=len(counts))


def check_votes(classifier: SmoothedClassifier, image: Tensor) -> None:
    """Assert that the votes of a quick classifier are the usual ones."""
    looks = [1, 20, 999, 1000, 1001, 2500]
    for stream in (Stream.SELECTION, Stream.ESTIMATION):
        quick, usual = (
            list(kind.running(classifier, image, looks, stream=stream, seed=7))
            for kind in (QuickClassifier, SmoothedClassifier)
        )
        assert quick == usual
