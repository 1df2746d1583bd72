"""What is certified: images of a data set, or inputs of the user's own."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rszoo.data import ImageSet
from rszoo.evaluation.log import NO_LABEL

__all__ = ["Input", "InputSet", "evaluation_inputs", "own_inputs"]

#: How many inputs of a data set are certified when nothing else is asked for.
USUAL_INPUTS = 500


@dataclass(frozen=True)
class Input:
    """One input to certify.

    Attributes:
        idx: its index in the data set or list that it comes from.
        label: true class, or `NO_LABEL`.
        image: gives the image, `[C, H, W]` in [0, 1].
        name: for an input of the user's own.
    """

    idx: int
    label: int
    image: Callable[[], Tensor]
    name: str | None = None


def evaluation_inputs(
    images: ImageSet, *, skip: int | None = None, limit: int | None = None
) -> list[Input]:
    """Return every `skip`-th image of a data set, at most `limit` of them.

    Args:
        images: a labelled data set.
        skip: take indices divisible by it; None takes about `USUAL_INPUTS` images.
        limit: how many at most; None for all.
    """

    def image(index: int) -> Callable[[], Tensor]:
        return lambda: images.images(torch.tensor([index]))[0]

    indices = list(range(0, len(images), _step(images, skip)))[:limit]
    return [Input(index, int(images.labels[index]), image(index)) for index in indices]


def own_inputs(
    named: Sequence[tuple[str, Tensor]], labels: Sequence[int] | None = None
) -> list[Input]:
    """Return inputs such as `rszoo.data.read_images` gives, with their true classes if known."""

    def given(image: Tensor) -> Callable[[], Tensor]:
        return lambda: image

    return [
        Input(index, label, given(image), name)
        for index, ((name, image), label) in enumerate(
            zip(named, labels or [NO_LABEL] * len(named), strict=True)
        )
    ]


@dataclass(frozen=True, kw_only=True)
class InputSet:
    """Inputs to certify, and what a log's protocol says of them.

    Attributes:
        inputs: in the order in which they are certified.
        source: name, split, size and digest of the data set and which of its images, or number
            and digest of the user's own; see `rszoo.certificates.protocol.Inputs`.
    """

    inputs: tuple[Input, ...]
    source: Mapping[str, str | int]

    def __len__(self) -> int:
        return len(self.inputs)

    @classmethod
    def of_data_set(
        cls, images: ImageSet, *, skip: int | None = None, limit: int | None = None
    ) -> "InputSet":
        """Return every `skip`-th image of a data set, at most `limit`; see `evaluation_inputs`."""
        inputs = evaluation_inputs(images, skip=skip, limit=limit)
        source = {
            "name": images.name,
            "split": images.split,
            "size": len(images),
            "step": _step(images, skip),
            "count": len(inputs),
            "digest": images.digest,
        }
        return cls(inputs=tuple(inputs), source=source)

    @classmethod
    def of_own(
        cls, named: Sequence[tuple[str, Tensor]], labels: Sequence[int] | None = None
    ) -> "InputSet":
        """Return inputs of the user's own.

        Args:
            named: name and image `[C, H, W]` of each.
            labels: the true class of each, if they are known.
        """
        digest = hashlib.sha256()
        for name, image in named:
            digest.update(name.encode(errors="surrogateescape") + image.numpy().tobytes())
        if labels is not None:
            digest.update(repr(list(labels)).encode())
        source = {"own": str(len(named)), "digest": digest.hexdigest()}
        return cls(inputs=tuple(own_inputs(named, labels)), source=source)

    def shard(self, number: int, count: int) -> "InputSet":
        """Return every `count`-th input, from the `number`-th on, which is counted from 1.

        The source remains that of all inputs, of which the log of a shard lists some.
        """
        return replace(self, inputs=self.inputs[number - 1 :: count])


def _step(images: ImageSet, skip: int | None) -> int:
    return skip or max(1, len(images) // USUAL_INPUTS)
