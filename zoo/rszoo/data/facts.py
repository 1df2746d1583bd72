"""What a file of `rszoo.data.sets` says of its data set. Free of torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rszoo.data.normalization import Normalization

__all__ = ["KnownSet"]


@dataclass(frozen=True, kw_only=True)
class KnownSet:
    """A data set known by name: what is true of it whether or not its files are here.

    Attributes:
        shape: channels, height, width of every image.
        class_names: one name per class, in the order of the labels, which the files may word
            otherwise; empty where only they can tell.
        normalization: the standardisation customary for it, None where there is none.
        torchvision: the class of `torchvision.datasets` that reads it into memory; None for a set
            with a function `load` of its own.
        folder: where that class keeps the files, below the data root.
        hub_name: what huggingface.co calls it; None where it is not there.
        digests: by split, the `ImageSet.digest` of its images; only they may be called by its
            name. Without one, what others call so is not checked.
    """

    shape: tuple[int, int, int]
    class_names: tuple[str, ...] = ()
    normalization: Normalization | None = None
    torchvision: str | None = None
    folder: str = ""
    hub_name: str | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
