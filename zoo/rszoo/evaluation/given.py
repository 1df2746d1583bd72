"""What a user certifies from Python, in whatever form it is at hand, as inputs of a certification.

The images are collected in memory, those that are to be certified and no others.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from rszoo.data import ImageSet
from rszoo.data.in_memory import unit
from rszoo.data.inputs import read_images
from rszoo.errors import DataError
from rszoo.evaluation.inputs import InputSet
from rszoo.smoothing.interface import Classifier

__all__ = ["Data", "Labels", "inputs_given"]

Picture: TypeAlias = str | Path | Image.Image
Array: TypeAlias = NDArray[Any]
Labels: TypeAlias = Sequence[int] | Tensor | Array

#: What can be certified; `rszoo.certify` says what each of them is.
Data: TypeAlias = (
    InputSet
    | ImageSet
    | DataLoader[Any]
    | Dataset[Any]
    | Tensor
    | Array
    | Picture
    | tuple[Tensor | Array, Labels]
    | Sequence[Tensor | Array | Picture]
)

_Example = tuple[str | None, Tensor, int | None]


def inputs_given(
    classifier: Classifier,
    data: Data,
    *,
    labels: Labels | None = None,
    skip: int = 1,
    limit: int | None = None,
) -> InputSet:
    """Return what `rszoo.certify` is given as inputs; its arguments are those of that call.

    Raises:
        DataError: no images, images of another shape or range, or labels that do not fit.
        ValueError: skip or limit out of range, or with inputs that are chosen already.
    """
    if skip < 1 or (limit is not None and limit < 1):
        raise ValueError(f"expected skip >= 1 and limit >= 1, got {skip=}, {limit=}")
    chosen = isinstance(data, InputSet)
    if labels is not None and (chosen or isinstance(data, ImageSet | DataLoader | Dataset)):
        raise ValueError(f"expected no labels with a {type(data).__name__}, which has its own")
    if chosen:
        if skip != 1 or limit is not None:
            raise ValueError("expected neither skip nor limit with an InputSet, which is chosen")
        return data
    if isinstance(data, ImageSet):
        return InputSet.of_data_set(data, skip=skip, limit=limit)
    if isinstance(data, Dataset) and hasattr(data, "__len__"):  # others are not even made
        indices = [*range(0, len(data), skip)][:limit]  # pyright: ignore[reportArgumentType]
        examples = [*_each(classifier, (data[i] for i in indices), labels)]
    else:
        stop = None if limit is None else skip * (limit - 1) + 1
        examples = [*islice(_examples(classifier, data, labels), 0, stop, skip)]
    if not examples:
        raise DataError("expected at least one image to certify, got none")
    named = [
        (f"{i * skip}" if name is None else name, _checked(classifier, image, i * skip))
        for i, (name, image, _) in enumerate(examples)
    ]
    known = [label for _, _, label in examples if label is not None]
    if known and len(known) < len(examples):
        raise DataError(f"expected labels of all {len(examples)} images or none, got {len(known)}")
    _check_labels(classifier, known)
    return InputSet.of_own(named, known or None)


def _examples(classifier: Classifier, data: object, labels: Labels | None) -> Iterator[_Example]:
    """Yield name, image and label of what is given, each None where it is not known."""
    if isinstance(data, tuple) and len(data) == 2 and labels is None and _are_paired(*data):
        data, labels = data
    if isinstance(data, DataLoader):
        for batch in data:
            images, *targets = batch if isinstance(batch, tuple | list) else (batch,)
            yield from _of_arrays(classifier, images, targets[0] if targets else None)
    elif isinstance(data, Tensor | np.ndarray):
        yield from _of_arrays(classifier, data, labels)
    elif isinstance(data, str | Path | Image.Image):
        yield from _each(classifier, [data], labels)
    elif isinstance(data, Iterable):
        yield from _each(classifier, data, labels)
    else:
        raise DataError(
            "expected a Dataset, a DataLoader, an array, a tensor, pictures of PIL or paths, got "
            f"a {type(data).__name__}"
        )


def _are_paired(first: object, second: Any) -> bool:  # noqa: ANN401
    """Return whether two things are images and their labels, and not two images."""
    return isinstance(first, Tensor | np.ndarray) and np.ndim(second) == 1 and first.ndim > 1


def _of_arrays(
    classifier: Classifier, images: object, labels: Labels | None
) -> Iterator[_Example]:
    """Yield the examples of an array of images, or of one image."""
    if not isinstance(images, Tensor | np.ndarray):
        raise DataError(f"expected batches of tensors, got a {type(images).__name__}")
    tensor = torch.as_tensor(images)
    one = classifier.input_shape
    if tensor.shape == one or (one is None and tensor.ndim in (1, 3)):
        tensor = tensor[None]
    yield from _each(classifier, tensor, labels)


def _each(
    classifier: Classifier, items: Iterable[Any], labels: Labels | None
) -> Iterator[_Example]:
    """Yield the examples of items: images, pairs of an image and a label, or files."""
    count, given = 0, None if labels is None else [int(label) for label in labels]
    for item in items:
        image, label = (*item, None)[:2] if isinstance(item, tuple | list) else (item, None)
        for name, pixels in _images(classifier, image):
            if given is not None:
                label = given[count] if count < len(given) else None
            yield name, pixels, None if label is None else int(label)
            count += 1
    if given is not None and count != len(given):
        raise DataError(f"expected one label per image, got {count} images, {len(given)} labels")


def _images(classifier: Classifier, image: object) -> list[tuple[str | None, Tensor]]:
    """Return the image, or all in a folder or a file of arrays, with names where there are."""
    if isinstance(image, Tensor | np.ndarray):
        return [(None, torch.as_tensor(image))]
    if not isinstance(image, str | Path | Image.Image):
        raise DataError(
            "expected images as tensors, arrays, pictures of PIL or paths, got a "
            f"{type(image).__name__}"
        )
    shape = classifier.input_shape
    if shape is None or len(shape) != 3:
        raise DataError(
            "expected a classifier that knows the shape of pictures, got one with input_shape "
            f"{shape}; make it with input_shape=(3, 32, 32), or whatever it is"
        )
    channels, height, width = shape
    found = read_images([image], shape=(channels, height, width))
    return [(None if isinstance(image, Image.Image) else name, one) for name, one in found]


def _checked(classifier: Classifier, image: Tensor, number: int) -> Tensor:
    """Return an image as float32 on the CPU; one that cannot be in [0, 1] is refused at once."""
    pixels = unit(image.detach().cpu())
    shape = classifier.input_shape
    if shape is not None and tuple(pixels.shape) != shape:
        raise DataError(f"image {number}: expected shape {shape}, got {tuple(pixels.shape)}")
    if not pixels.is_floating_point():
        raise DataError(
            f"image {number}: expected uint8 or floats in [0, 1], got {pixels.dtype}; convert it"
        )
    low, high = (float(one) for one in pixels.aminmax())
    if pixels.ndim == 3 and not (low >= 0.0 and high <= 1.0):
        raise DataError(
            f"image {number}: expected pixels in [0, 1], got {low:g} to {high:g}; leave out what "
            "standardises them (Normalize): noise and radius are in units of [0, 1], and the "
            "network standardises inside"
        )
    return pixels.to(torch.float32)


def _check_labels(classifier: Classifier, labels: Sequence[int]) -> None:
    """Refuse labels that are no class of the classifier."""
    classes = classifier.num_classes
    wrong = [label for label in labels if not 0 <= label < classes]
    if wrong:
        raise DataError(f"expected labels from 0 to {classes - 1}, got {wrong[0]}")
