"""Which folders are the classes of a data set; what is likely meant otherwise is refused."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from rszoo.data.decode import EXTENSIONS, files_below, is_hidden
from rszoo.data.splits import SPLITS
from rszoo.errors import DataError

__all__ = ["Layout", "layout_of"]

# Names of parts of a data set, as other software lays it out.
_SPLIT = re.compile(
    r"(train|training|val|valid|validation|dev|test|testing|eval)([-_ ]?(\d+|set|data|images))?",
    re.IGNORECASE,
)
_PARTS = frozenset(("annotations", "images", "labels", "masks"))


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A folder of class folders, or of `train` and `test` folders of them.

    Attributes:
        folder: the data set.
        divided: whether it has the two splits.
        classes: names of the class folders, in alphabetical order.
    """

    folder: Path
    divided: bool
    classes: tuple[str, ...]

    def base(self, split: str) -> Path:
        """Return the folder that the class folders of a split lie in."""
        return self.folder / split if self.divided else self.folder

    def images(self, split: str, name: str) -> list[Path]:
        """Return the images of a class, in sorted order; without splits, those of both.

        Raises:
            DataError: there are none.
        """
        folder = self.base(split) / name
        found = files_below(folder)
        if not found:
            raise DataError(f"{folder}: expected images, found none; add some or remove it")
        return found

    @property
    def doubts(self) -> list[str]:
        """What lies in the folder and is not read, or may be read otherwise than it is meant."""
        bases = dict.fromkeys(self.base(split) for split in SPLITS)
        aside = set(_folders(self.folder)) - set(SPLITS) if self.divided else set()
        found = [f"the folder {name!r} is not read" for name in sorted(aside)]
        for base in bases:
            if beside := [*_images_in(base)]:
                found.append(f"{len(beside)} images in {base}, beside the class folders, unread")
            found += _unread(base)
            found += [
                f"the images of {base / name} lie in folders below it: "
                f"{_some(_folders(base / name))}"
                for name in self.classes
                if not any(_images_in(base / name))
            ]
        found += [
            f"the class {name!r} is called as a split is"
            for name in self.classes
            if _SPLIT.fullmatch(name) and name.lower() != "train"  # which also goes on rails
        ]
        if all(name.isdecimal() for name in self.classes):
            by_number = tuple(sorted(self.classes, key=int))
            if by_number != self.classes:
                found.append(
                    f"the classes are in alphabetical order, not by number: {_some(self.classes)}"
                )
        return found


def layout_of(folder: Path) -> Layout:
    """Return how a folder is laid out.

    Raises:
        DataError: fewer than two classes; splits of different classes; or folders that are splits
            under other names, parts of a data set of another form, or a level above the classes.
    """
    found = _folders(folder)
    divided = set(SPLITS) <= set(found)
    if divided:
        classes = _same_classes(folder)
    else:
        _check_names(folder, found)
        classes = found
    if len(classes) < 2:
        inner = [
            folder / name
            for name in classes
            if not _SPLIT.fullmatch(name) and len(_folders(folder / name)) > 1
        ]
        hint = f", or name {inner[0]}, if its folders are the classes or splits" if inner else ""
        raise DataError(
            f"{folder}: expected at least two class folders, or 'train' and 'test' folders of "
            f"them, found {classes}; lay the images out as {folder}/CLASS/IMAGE{hint}"
        )
    for base in [folder / split for split in SPLITS] if divided else [folder]:
        _check_level(base, classes)
    return Layout(folder=folder, divided=divided, classes=tuple(classes))


def _same_classes(folder: Path) -> list[str]:
    train, test = (_folders(folder / split) for split in SPLITS)
    if train != test:
        raise DataError(
            f"{folder}: expected the same class folders in 'train' and 'test', "
            f"found {sorted(set(train) ^ set(test))} in only one of them; add or remove them"
        )
    return train


def _check_names(folder: Path, found: Sequence[str]) -> None:
    """Refuse folders that are called as splits are, or as the parts of another form."""
    splits = [name for name in found if _SPLIT.fullmatch(name)]
    if len(splits) > 1:
        raise DataError(
            f"{folder}: expected class folders, or splits called 'train' and 'test', found "
            f"{splits}; rename the folder with the training images to 'train', and the one to "
            "certify to 'test'"
        )
    for name in splits:  # one among folders that are called otherwise
        if inside := sorted(set(_folders(folder / name)) & set(found)):
            raise DataError(
                f"{folder}: expected class folders, found a split {name!r} among them, with the "
                f"same folders {_some(inside)}; put the others into a folder 'train' beside it, "
                "or move it away"
            )
    parts = [name for name in found if name.lower() in _PARTS]
    if len(parts) > 1:
        raise DataError(
            f"{folder}: expected class folders, found {parts}, which are parts of a data set of "
            f"another form; lay the images out as {folder}/CLASS/IMAGE"
        )


def _check_level(base: Path, names: Sequence[str]) -> None:
    """Refuse folders that hold the same folders of images, which may be the classes themselves."""
    below = {
        name: {inner for inner in _folders(base / name) if files_below(base / name / inner)}
        for name in names
        if not any(_images_in(base / name))
    }
    for one, other in combinations(below, 2):
        both = sorted(below[one] & below[other])
        splits = [name for name in both if _SPLIT.fullmatch(name)]
        if len(both) > 1 or splits:
            raise DataError(
                f"{base}: expected the images of a class in its folder, found the same folders "
                f"{_some(both)} in {one!r} and {other!r}: which are the classes? Lay the images "
                "out as CLASS/IMAGE, or as train/CLASS/IMAGE and test/CLASS/IMAGE"
            )


def _folders(folder: Path) -> list[str]:
    return sorted(
        path.name for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name)
    )


def _images_in(folder: Path) -> Iterator[str]:
    """Yield the names of the images that lie in a folder itself."""
    for path in folder.iterdir():
        if path.suffix.lower() in EXTENSIONS and not is_hidden(path.name) and path.is_file():
            yield path.name


def _unread(base: Path) -> list[str]:
    """Return what files below a folder are of no known format, by their endings."""
    endings = Counter(
        path.suffix.lower() or "no ending"
        for path in base.rglob("*")
        if path.is_file()
        and path.suffix.lower() not in EXTENSIONS
        and not any(map(is_hidden, path.relative_to(base).parts))
    )
    most = sorted(endings.items(), key=lambda each: (-each[1], each[0]))[:5]
    listed = ", ".join(f"{count} of {ending}" for ending, count in most)
    return [f"files of {base} that are not read: {listed}"] if endings else []


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:4])) + (", ..." if len(names) > 4 else "")
