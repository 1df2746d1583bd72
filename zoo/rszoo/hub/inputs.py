"""The inputs that a bundle can be certified on."""

from collections.abc import Sequence
from pathlib import Path

from rszoo.data import known_set, load, names
from rszoo.errors import DataError, RszooError
from rszoo.evaluation.inputs import InputSet
from rszoo.hub.bundle import Bundle

__all__ = ["inputs_for"]


def inputs_for(
    bundle: Bundle,
    dataset: str | None = None,
    *,
    skip: int | None = None,
    limit: int | None = None,
    root: Path | None = None,
    download: bool = False,
    stated: str | None = None,
) -> InputSet:
    """Return test images that a bundle can classify.

    Args:
        bundle: the model.
        dataset: name or path; None: the data set that the model was trained on.
        skip: take every `skip`-th image; None: so that about 500 are taken.
        limit: take at most so many; None for all.
        root: folder that holds the data sets; None: the usual one.
        download: fetch a missing data set.
        stated: the data set in place of None, by the name that a log has for it.

    Raises:
        DataError: the data set is not there, or has other images or classes.
    """
    config = bundle.config
    wanted = dataset or stated or config.dataset
    try:
        images = load(wanted, "test", root=root, download=download)
    except RszooError as error:  # a name that is unknown here is one
        if dataset or wanted in names():
            raise
        raise DataError(f"{error}, or say with --dataset where the data set lies now") from error
    known = known_set(images.name)  # whose files may word the names of its classes otherwise
    wordings = (images.class_names, known.class_names if known else None)
    if images.shape != config.input_shape or config.class_names not in wordings:
        raise DataError(
            f"{images.name}: expected images of shape {_shape(config.input_shape)} and the "
            f"model's {_classes(config.class_names)}, got {_shape(images.shape)} and "
            f"{_classes(images.class_names)}; take another --dataset"
        )
    return InputSet.of_data_set(images, skip=skip, limit=limit)


def _shape(shape: tuple[int, int, int]) -> str:
    return "x".join(map(str, shape))


def _classes(names: Sequence[str]) -> str:
    shown = [repr(name[:40]) for name in names[:3]] + ["..."] * (len(names) > 3)
    return f"{len(names)} classes ({', '.join(shown)})"
