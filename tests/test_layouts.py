"""A layout that means something else than it is read as is refused, or told of."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rszoo import data
from rszoo.data.doubts import doubts
from rszoo.errors import DataError
from rszoo_cli import main

CLASSES = ("cat", "dog", "owl")


def fill(folder: Path, count: int = 5, *, size: int = 8, mode: str = "L") -> None:
    """Put different pictures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        seed = abs(hash((str(folder), number))) % 2**32
        shape = (size, size) if mode == "L" else (size, size, 3)
        pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")


def laid_out(root: Path, *folders: str) -> Path:
    for folder in folders:
        fill(root / folder)
    return root


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        data.load(path, "test")
    with pytest.raises(DataError) as again:
        data.load(path, "train")
    assert str(again.value) == str(caught.value)
    return str(caught.value)


def doubted(path: Path) -> list[str]:
    return doubts(path, data.load(path, "train"), data.load(path, "test"))


@pytest.mark.parametrize(
    "splits",
    [
        ("train", "val"),
        ("Train", "Test"),
        ("training", "validation", "testing"),
        ("train2017", "val2017"),
        ("train_set", "eval"),
        ("TRAIN", "dev"),
    ],
)
def test_splits_under_other_names(tmp_path: Path, splits: tuple[str, ...]) -> None:
    root = laid_out(tmp_path / "set", *(f"{split}/{name}" for split in splits for name in CLASSES))
    assert refusal(root) == (
        f"{root}: expected class folders, or splits called 'train' and 'test', found "
        f"{sorted(splits)}; rename the folder with the training images to 'train', and the one to "
        "certify to 'test'"
    )
    for here, wanted in zip(splits, ("train", "test"), strict=False):
        (root / here).rename(root / f"{wanted}.new")
        (root / f"{wanted}.new").rename(root / wanted)
    assert data.load(root, "test").class_names == CLASSES


def test_a_class_may_be_called_as_a_split_is(tmp_path: Path) -> None:
    root = laid_out(tmp_path, "bus", "car", "train")  # as in CIFAR-100
    assert data.load(root, "test").class_names == ("bus", "car", "train")
    assert doubted(root) == []


def test_a_class_that_is_likely_a_split_is_told_of(tmp_path: Path) -> None:
    root = laid_out(tmp_path, "cat", "dog", "test")  # as of pictures without labels
    assert doubted(root) == ["the class 'test' is called as a split is"]


def test_a_split_among_the_classes(tmp_path: Path) -> None:
    root = laid_out(tmp_path, *CLASSES, *(f"test/{name}" for name in CLASSES))
    assert refusal(root) == (
        f"{root}: expected class folders, found a split 'test' among them, with the same folders "
        "'cat', 'dog', 'owl'; put the others into a folder 'train' beside it, or move it away"
    )


@pytest.mark.parametrize("folders", [CLASSES, ("train/cat", "train/dog", "test/cat", "test/dog")])
def test_a_folder_around_the_data_set(tmp_path: Path, folders: tuple[str, ...]) -> None:
    laid_out(tmp_path / "archive" / "pictures", *folders)
    assert refusal(tmp_path / "archive").endswith(
        f"or name {tmp_path / 'archive' / 'pictures'}, if its folders are the classes or splits"
    )


@pytest.mark.parametrize("parts", [("images", "labels"), ("Images", "Masks", "annotations")])
def test_parts_of_another_form(tmp_path: Path, parts: tuple[str, ...]) -> None:
    root = laid_out(tmp_path, *parts)
    assert f"expected class folders, found {sorted(parts)}, which are parts" in refusal(root)


@pytest.mark.parametrize(
    "folders",
    [
        [f"{name}/{split}" for name in CLASSES for split in ("train", "test")],  # classes first
        [f"{name}/train" for name in CLASSES],
        [f"{domain}/{name}" for domain in ("photo", "sketch") for name in CLASSES],
        [f"fold{fold}/{name}" for fold in range(3) for name in CLASSES],
    ],
)
def test_the_same_folders_in_every_class(tmp_path: Path, folders: list[str]) -> None:
    root = laid_out(tmp_path, *folders)
    message = refusal(root)
    assert message.startswith(f"{root}: expected the images of a class in its folder, found the")
    assert message.endswith("or as train/CLASS/IMAGE and test/CLASS/IMAGE")


def test_a_level_too_many_below_the_splits(tmp_path: Path) -> None:
    folders = [f"{s}/{d}/{c}" for s in ("train", "test") for d in "ab" for c in CLASSES]
    assert "which are the classes?" in refusal(laid_out(tmp_path, *folders))


def test_images_below_a_class_are_told_of(tmp_path: Path) -> None:
    root = laid_out(tmp_path, "cat/2023", "cat/2024", "dog")
    assert data.load(root, "train").labels.tolist() == [0] * 8 + [1] * 4
    assert doubted(root) == [
        f"the images of {root / 'cat'} lie in folders below it: '2023', '2024'"
    ]


def test_copies_in_hidden_folders_are_no_images(tmp_path: Path) -> None:
    root = laid_out(tmp_path, "cat", "dog")
    before = data.load(root, "train").digest
    for hidden in (".ipynb_checkpoints", "@eaDir/0.png", "__MACOSX/cat", ".thumbnails/large"):
        fill(root / "cat" / hidden)
    for hidden in ("__MACOSX", ".cache", "@eaDir"):
        fill(root / hidden)
    assert data.load(root, "train").digest == before
    assert doubted(root) == []
    assert len(data.read_images([root / "cat"], shape=(1, 8, 8))) == 5


@pytest.mark.parametrize(("size", "mode"), [(16, "L"), (8, "RGB")])
def test_splits_of_two_shapes(tmp_path: Path, size: int, mode: str) -> None:
    for name in CLASSES:
        fill(tmp_path / "train" / name)
        fill(tmp_path / "test" / name, size=size, mode=mode)
    channels = 1 if mode == "L" else 3
    assert refusal(tmp_path) == (
        f"{tmp_path}: expected images of one size, got [1, 8, 8] in 'train' and "
        f"[{channels}, {size}, {size}] in 'test' (channels, height, width); bring them to one size"
    )


def test_what_is_not_read_is_told_of(tmp_path: Path) -> None:
    root = laid_out(tmp_path, *(f"{split}/{c}" for split in ("train", "test") for c in CLASSES))
    assert doubted(root) == []
    fill(root / "val" / "cat")
    fill(root / "test", 2)
    (root / "train" / "cat" / "more.heic").write_bytes(b"x")
    (root / "train" / "cat" / "Thumbs").write_bytes(b"x")
    assert doubted(root) == [
        "the folder 'val' is not read",
        f"files of {root / 'train'} that are not read: 1 of .heic, 1 of no ending",
        f"2 images in {root / 'test'}, beside the class folders, unread",
    ]


def test_numbers_in_alphabetical_order_are_told_of(tmp_path: Path) -> None:
    root = laid_out(tmp_path, *(str(number) for number in range(11)))
    assert doubted(root) == [
        "the classes are in alphabetical order, not by number: '0', '1', '10', '2', ..."
    ]


def test_test_images_among_the_training_images(tmp_path: Path) -> None:
    root = laid_out(tmp_path, *(f"{split}/{c}" for split in ("train", "test") for c in CLASSES))
    for number in (0, 1):
        content = (root / "train" / "cat" / f"{number}.png").read_bytes()
        (root / "test" / "dog" / f"{number}.png").write_bytes(content)
    content = (root / "train" / "cat" / "2.png").read_bytes()
    (root / "train" / "owl" / "3.png").write_bytes(content)
    assert doubted(root) == [
        "2 of 15 test images are training images as well",
        "2 training images are there more than once",
    ]


def test_a_class_without_training_images(tmp_path: Path) -> None:
    root = laid_out(tmp_path, "cat", "dog")
    fill(root / "owl", 1)
    assert doubted(root) == ["classes without train images: 'owl'"]


# Arrays

PIXELS = np.random.default_rng(0).integers(0, 256, (60, 1, 8, 8), dtype=np.uint8)
LABELS = np.arange(60) % 3


def saved(path: Path, **arrays: object) -> Path:
    np.savez(path / "a.npz", **({"images": PIXELS, "labels": LABELS} | arrays))  # type: ignore
    return path / "a.npz"


@pytest.mark.parametrize("shape", [(60, 32, 32, 3), (60, 8, 8, 1), (60, 9, 7, 4), (60, 3, 3, 1)])
def test_channels_in_the_last_place(tmp_path: Path, shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    path = saved(tmp_path, images=pixels)
    n, h, w, c = shape
    assert refusal(path) == (
        f"{path}: images: expected images of shape [N, C, H, W], got {list(shape)}, as of {c} "
        "channels in the last place; give images.transpose(0, 3, 1, 2), of shape "
        f"{[n, c, h, w]}"
    )
    loaded = data.load(saved(tmp_path, images=pixels.transpose(0, 3, 1, 2)), "test")
    assert loaded.shape == (c, h, w)
    np.save(tmp_path / "one.npy", pixels[0])
    with pytest.raises(DataError) as caught:
        data.read_images([tmp_path / "one.npy"], shape=(c, h, w))
    assert str(caught.value) == (
        f"{tmp_path / 'one.npy'}: expected an image of shape [C, H, W], got {[h, w, c]}, as of "
        f"{c} channels in the last place; give image.transpose(2, 0, 1)"
    )
    with pytest.raises(DataError, match="channels in the last place"):
        data.from_arrays(pixels, LABELS, name="x", split="test")


@pytest.mark.parametrize("shape", [(60, 3, 32, 32), (60, 2, 3, 4), (60, 8, 8, 8), (60, 3, 8, 1)])
def test_channels_in_the_first_place(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = saved(tmp_path, images=np.zeros(shape, np.uint8))
    assert data.load(path, "test").shape == shape[1:]


@pytest.mark.parametrize(
    ("labels", "found"),
    [(LABELS + 1, "1 to 3"), (LABELS * 2, "0 to 4"), (LABELS + 7, "7 to 9")],
)
def test_labels_that_leave_numbers_out(tmp_path: Path, labels: np.ndarray, found: str) -> None:
    path = saved(tmp_path, labels=labels)
    assert refusal(path) == (
        f"{path}: expected labels from 0 to 2, as there are 3 different ones, got {found}; number "
        "the classes from 0, or name every class, those without images too (class_names)"
    )
    names = np.array([f"class {label}" for label in range(10)])
    assert data.load(saved(tmp_path, labels=labels, class_names=names), "test").num_classes == 10
    [train, test] = doubted(path)
    assert train.startswith("classes without train images: ")
    assert test.startswith("classes without test images: ")


def test_a_label_that_is_no_number_of_a_class(tmp_path: Path) -> None:
    labels = LABELS.astype(np.uint64)
    labels[5] = 2**63 + 1
    message = "expected labels from 0, got 9223372036854775809; number the classes from 0"
    assert message in refusal(saved(tmp_path, labels=labels))


@pytest.mark.parametrize("names", [np.array("cat"), np.array([b"a", b"b", b"c"]), np.eye(3)])
def test_class_names_that_are_no_list_of_texts(tmp_path: Path, names: np.ndarray) -> None:
    assert "expected class_names as a list of texts" in refusal(saved(tmp_path, class_names=names))


def test_arrays_of_two_sizes(tmp_path: Path) -> None:
    arrays = {"train_images": PIXELS, "train_labels": LABELS, "test_labels": LABELS}
    np.savez(tmp_path / "a.npz", **arrays, test_images=PIXELS.repeat(2, 2).repeat(2, 3))
    assert refusal(tmp_path / "a.npz") == (
        f"{tmp_path / 'a.npz'}: expected images of one size, got [1, 8, 8] in train_images and "
        "[1, 16, 16] in test_images (channels, height, width); bring them to one size"
    )


def test_arrays_that_are_not_read(tmp_path: Path) -> None:
    arrays = {"train_images": PIXELS, "train_labels": LABELS, "val_images": PIXELS}
    np.savez(tmp_path / "a.npz", **arrays, test_images=255 - PIXELS, test_labels=LABELS)
    assert doubted(tmp_path / "a.npz") == ["arrays that are not read: 'val_images'"]


@pytest.mark.parametrize(
    ("pixels", "told"),
    [
        ((PIXELS > 99).astype(np.uint8), "the largest pixel is 1 of 255"),
        (PIXELS // 16, "the largest pixel is 15 of 255"),
        (PIXELS / 255 / 255, "the largest pixel is 0.00392157 of 1"),
    ],
)
def test_pixels_in_another_scale(tmp_path: Path, pixels: np.ndarray, told: str) -> None:
    first, *_ = doubted(saved(tmp_path, images=pixels))
    assert first == f"{told}: are the pixels scaled as they should?"


# rszoo data


def test_the_command_shows_every_doubt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = laid_out(tmp_path / "set", *(f"{s}/{c}" for s in ("train", "test") for c in CLASSES))
    fill(root / "val" / "cat")
    fill(root / "train" / "cat", 7)
    with pytest.raises(SystemExit) as caught:
        main(["data", str(root)])
    assert not caught.value.code
    shown = capsys.readouterr()
    assert shown.err == "doubt: the folder 'val' is not read\n"
    assert [line.split() for line in shown.out.splitlines()[-4:]] == [
        ["label", "class", "train", "(1x8x8)", "test", "(1x8x8)"],
        ["0", "cat", "7", "5"],
        ["1", "dog", "5", "5"],
        ["2", "owl", "5", "5"],
    ]
    with pytest.raises(SystemExit):
        main(["data", str(root), "--json"])
    described = json.loads(capsys.readouterr().out)
    assert described["doubts"] == ["the folder 'val' is not read"]
    assert described["splits"]["train"]["counts"] == [7, 5, 5]
    assert described["splits"]["test"]["shape"] == [1, 8, 8]
