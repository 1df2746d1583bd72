"""Data sets from arrays and .npz files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rszoo import data
from rszoo.errors import DataError

IMAGES = np.arange(12 * 2 * 3 * 4, dtype=np.uint8).reshape(12, 2, 3, 4)
LABELS = np.array([0, 1] * 6)


def test_from_arrays() -> None:
    source = IMAGES.copy()
    loaded = data.from_arrays(source, LABELS, name="a/b c", split="train")
    source[:] = 0  # the set has its own copy
    assert (loaded.name, loaded.split, loaded.shape) == ("a_b_c", "train", (2, 3, 4))
    assert (len(loaded), loaded.class_names) == (12, ("0", "1"))
    assert loaded.labels.dtype == torch.int64
    images = loaded.images(torch.tensor([3, 0]))
    assert torch.equal(images, torch.from_numpy(IMAGES[[3, 0]]).float() / 255)


@pytest.mark.parametrize(
    "images",
    [
        IMAGES / 255,
        (IMAGES / 255).astype(">f4"),
        torch.from_numpy(IMAGES / 255),
        torch.from_numpy(IMAGES).float().div(255).requires_grad_(),
    ],
)
def test_floats_are_kept_as_float32(images: np.ndarray | torch.Tensor) -> None:
    labels = torch.from_numpy(LABELS).to(torch.uint8)
    loaded = data.from_arrays(images, labels, name="x", split="test")
    kept = loaded.images(torch.arange(12))
    assert kept.dtype == torch.float32
    torch.testing.assert_close(kept, torch.from_numpy(IMAGES).float() / 255)


def test_half_precision_tensors() -> None:
    images = torch.full((2, 1, 2, 2), 0.5, dtype=torch.bfloat16)
    loaded = data.from_arrays(images, np.array([0, 1]), name="x", split="test")
    assert torch.equal(loaded.images(torch.arange(2)), torch.full((2, 1, 2, 2), 0.5))


def test_npz_with_splits(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    np.savez(
        path,
        train_images=IMAGES[:9],
        train_labels=LABELS[:9],
        test_images=IMAGES[9:],
        test_labels=np.array([0, 0, 2]),
    )
    train, test = data.load(str(path), "train"), data.load(path, "test")
    assert (train.name, len(train), len(test)) == ("mine", 9, 3)
    # class 2 occurs in the test split alone
    assert train.class_names == test.class_names == ("0", "1", "2")
    assert torch.equal(test.images(torch.arange(3)), torch.from_numpy(IMAGES[9:]).float() / 255)


def test_npz_without_splits_tests_every_fifth_image_of_each_class(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    np.savez(path, images=IMAGES, labels=LABELS, class_names=np.array(["even", "odd"]))
    train, test = data.load(path, "train"), data.load(path, "test")
    places = [0, 1, 10, 11]
    assert test.labels.tolist() == LABELS[places].tolist()
    images = test.images(torch.arange(4))
    assert torch.equal(images, torch.from_numpy(IMAGES[places]).float() / 255)
    assert len(train) == 8
    assert train.class_names == ("even", "odd")


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (
            IMAGES[:, 0],
            LABELS,
            "x: expected images of shape [N, C, H, W], got [12, 3, 4]; give images[:, None]",
        ),
        (
            IMAGES[:0],
            LABELS[:0],
            "x: expected images of shape [N, C, H, W], got [0, 2, 3, 4]; add some",
        ),
        (
            IMAGES.reshape(12, -1),
            LABELS,
            "x: expected images of shape [N, C, H, W], got [12, 24]; "
            "transpose or reshape the array",
        ),
        (
            IMAGES.astype(np.int32),
            LABELS,
            "x: expected images as uint8 in [0, 255] or floats in [0, 1], got int32; "
            "give images.astype(numpy.uint8)",
        ),
        (
            IMAGES.astype(np.uint16) + 1,
            LABELS,
            "x: expected images as uint8 in [0, 255] or floats in [0, 1], got uint16; "
            "convert the array",
        ),
        (
            IMAGES.astype(object),
            LABELS,
            "x: expected images as uint8 in [0, 255] or floats in [0, 1], got object; "
            "convert the array",
        ),
        (
            np.full((2, 1, 1, 1), 2.5),
            LABELS[:2],
            "x: expected floats in [0, 1], got values from 2.5 to 2.5; "
            "scale the array, or give uint8",
        ),
        (
            np.full((2, 1, 1, 1), np.nan),
            LABELS[:2],
            "x: expected floats in [0, 1], got values from nan to nan; "
            "scale the array, or give uint8",
        ),
        (
            IMAGES,
            LABELS[:, None],
            "x: expected integer labels of shape [N], got int64 of shape [12, 1]; "
            "give labels[:, 0], as integers",
        ),
        (
            IMAGES,
            np.eye(2)[LABELS],
            "x: expected integer labels of shape [N], got float64 of shape [12, 2]; "
            "if each row marks one class, give labels.argmax(axis=1)",
        ),
        (
            IMAGES,
            np.array(["even", "odd"])[LABELS],
            "x: expected integer labels of shape [N], got <U4 of shape [12]; "
            "give numpy.unique(labels, return_inverse=True): the class_names, and the labels",
        ),
        (
            IMAGES,
            LABELS / 2,
            "x: expected integer labels of shape [N], got float64 of shape [12]; "
            "reshape or convert the labels",
        ),
        (IMAGES, LABELS - 1, "x: expected labels from 0, got -1; number the classes from 0"),
        (
            IMAGES,
            LABELS[:-1],
            "x: expected one label per image, got 12 images and 11 labels; "
            "leave out what has no partner",
        ),
        (
            IMAGES,
            LABELS + 1,
            "x: expected labels below 2, the number of class names, got 2; name every class",
        ),
    ],
)
def test_unusable_arrays(images: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(DataError) as caught:
        data.from_arrays(images, labels, name="x", split="test", class_names=("a", "b"))
    assert str(caught.value) == message


def test_npz_without_the_right_arrays(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, x=IMAGES, y=LABELS)
    with pytest.raises(DataError) as caught:
        data.load(path, "test")
    assert str(caught.value) == (
        f"{path}: expected the arrays 'images' and 'labels', or 'train_images', 'train_labels', "
        "'test_images' and 'test_labels', found ['x', 'y']; rename them"
    )


def test_npz_errors_name_the_array(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(
        path,
        train_images=IMAGES,
        train_labels=LABELS,
        test_images=IMAGES[0],
        test_labels=LABELS,
    )
    with pytest.raises(DataError) as caught:
        data.load(path, "train")
    assert str(caught.value) == (
        f"{path}: test_images: expected images of shape [N, C, H, W], got [2, 3, 4]; "
        "give images[:, None]"
    )


def test_npz_too_small_to_divide(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, images=IMAGES[:2], labels=LABELS[:2])
    with pytest.raises(DataError) as caught:
        data.load(path, "train")
    assert str(caught.value) == (
        f"{path}: no class has enough images for a train split; add images"
    )


class Explosive:
    """Fails the test should anything unpickle it."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return pytest.fail, ("a pickle was read",)


def test_npz_with_pickled_objects_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, images=np.array([Explosive()], dtype=object), labels=LABELS)
    with pytest.raises(DataError) as caught:
        data.load(path, "test")
    assert str(caught.value) == (
        f"{path}: expected plain NumPy arrays without pickled objects "
        "(Object arrays cannot be loaded when allow_pickle=False); "
        "write the file again with numpy.save or numpy.savez"
    )


@pytest.mark.parametrize("content", [b"", b"no zip file at all", b"PK\x03\x04 truncated"])
def test_npz_that_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        data.load(path, "test")
    message = str(caught.value)
    assert message.startswith(f"{path}: expected plain NumPy arrays without pickled objects (")
    assert message.endswith("); write the file again with numpy.save or numpy.savez")
