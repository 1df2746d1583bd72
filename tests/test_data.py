"""Data sets by name: the built-in digits, torchvision's files under a root, names and roots."""

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mnist_files import write_mnist
from PIL import Image
from scipy.io import savemat
from sklearn.datasets import load_digits

from rszoo import data
from rszoo._torchvision import import_torchvision
from rszoo.data.image_set import short_name
from rszoo.data.sets import mnist
from rszoo.errors import DataError, RszooError

NAMES = "['cifar10', 'cifar100', 'digits', 'fashion_mnist', 'imagenet', 'mnist', 'svhn']"


@pytest.fixture
def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 28, 28), dtype=np.uint8)


@pytest.fixture
def cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Lay out a tiny CIFAR-10; return the pixels of each batch file, [5, C, H, W]."""
    pixels = np.random.default_rng(0).integers(0, 256, (5, 3, 32, 32), dtype=np.uint8)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    batch = {"data": pixels.reshape(5, -1), "labels": [3, 1, 4, 1, 5]}
    for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        (folder / name).write_bytes(pickle.dumps(batch))
    classes = {"label_names": [f"class {label}" for label in range(10)]}
    (folder / "batches.meta").write_bytes(pickle.dumps(classes))
    cifar10 = import_torchvision().datasets.CIFAR10
    monkeypatch.setattr(cifar10, "_check_integrity", lambda self: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    return pixels


def test_names() -> None:
    assert str(data.names()) == NAMES


def test_digits_are_every_fifth_image_and_the_rest() -> None:
    train, test = data.load("digits", "train"), data.load("digits", "test")
    assert (len(train), len(test)) == (1437, 360)
    assert train.shape == test.shape == (1, 8, 8)
    assert train.class_names == tuple("0123456789")
    assert (train.name, train.split, test.split) == ("digits", "train", "test")
    assert train.normalization is None

    source: Any = load_digits()
    assert torch.equal(test.labels, torch.from_numpy(source.target[::5]))
    # exact in floating point: v * 255 / 16 is a multiple of 1/16
    expected = np.round(source.images[7] * 255 / 16) / 255
    np.testing.assert_allclose(train.images(torch.tensor([5]))[0, 0], expected, rtol=1e-6)
    expected = np.round(source.images[10] * 255 / 16) / 255
    np.testing.assert_allclose(test.images(torch.tensor([2]))[0, 0], expected, rtol=1e-6)


def test_digits_fill_the_unit_interval() -> None:
    digits = data.load("digits", "test")
    images = digits.images(torch.arange(len(digits)))
    assert images.dtype == torch.float32
    assert (images.min().item(), images.max().item()) == (0.0, 1.0)


def test_digits_digests_never_change() -> None:
    assert data.load("digits", "train").digest == (
        "15975307d04afa8f8796d0c19b3b28e93eccd4ace6a4a52b5891f65a96dcc492"
    )
    assert data.load("digits", "test").digest == (
        "0e28a7edd0034030decf95dda9e7ccbb5910e449518ff1fe354b2dfd92dee9d1"
    )


@pytest.mark.parametrize(
    ("name", "folder", "first_class"),
    [("mnist", "MNIST", "0"), ("fashion_mnist", "FashionMNIST", "T-shirt/top")],
)
def test_mnist_like_files(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pictures: np.ndarray,
    name: str,
    folder: str,
    first_class: str,
) -> None:
    monkeypatch.setattr(mnist, "SET", replace(mnist.SET, digests={}))
    labels = np.array([9, 0, 3, 3, 1, 2])
    write_mnist(tmp_path / folder / "raw", pictures, labels)
    loaded = data.load(name, "test", root=tmp_path)
    assert (loaded.name, loaded.shape, loaded.num_classes) == (name, (1, 28, 28), 10)
    assert loaded.class_names[0] == first_class
    assert loaded.labels.tolist() == labels.tolist()
    images = loaded.images(torch.arange(6))
    assert torch.equal((images[:, 0] * 255).round(), torch.from_numpy(pictures).float())


def test_other_images_are_not_called_mnist(tmp_path: Path, pictures: np.ndarray) -> None:
    write_mnist(tmp_path / "MNIST" / "raw", pictures, np.zeros(6))
    with pytest.raises(DataError, match=r"^mnist: expected the images of its test spl"):
        data.load("mnist", "test", root=tmp_path)


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_digits_are_known_by_their_digest(split: str) -> None:
    known = data.known_set("digits")
    assert known is not None
    assert data.load("digits", split).digest == known.digests[split]


@pytest.mark.parametrize(
    ("file", "name"),
    [("digits", "own-digits"), ("CIFAR-10", "own-CIFAR-10"), ("mnist2", "mnist2"), ("é", "_")],
)
def test_a_file_takes_no_name_of_a_known_set(
    tmp_path: Path, pictures: np.ndarray, file: str, name: str
) -> None:
    labels = np.array([0, 1, 0, 1, 0, 1])
    np.savez(tmp_path / f"{file}.npz", images=pictures[:, None], labels=labels)
    loaded = data.load(tmp_path / f"{file}.npz", "test")
    assert loaded.name == short_name(str(tmp_path / f"{file}.npz")) == name
    made = data.from_arrays(pictures[:, None], labels, name=file, split="test")
    assert made.name == name
    for place, label in enumerate(labels):
        folder = tmp_path / file / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pictures[place]).save(folder / f"{place}.png")
    assert data.load(tmp_path / file, "test").name == short_name(str(tmp_path / file)) == name
    assert short_name("digits") == "digits"


@pytest.fixture
def svhn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Lay out a tiny SVHN; return its pixels, [N, C, H, W]."""
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3, 32, 32), dtype=np.uint8)
    (tmp_path / "SVHN").mkdir()
    content = {"X": pixels.transpose(2, 3, 1, 0), "y": np.array([[10], [1], [9], [10]])}
    for split in ("train", "test"):
        savemat(tmp_path / "SVHN" / f"{split}_32x32.mat", content)
    monkeypatch.setattr(import_torchvision().datasets.SVHN, "_check_integrity", lambda self: True)
    return pixels


@pytest.mark.parametrize("split", ["train", "test"])
def test_svhn_files(tmp_path: Path, svhn: np.ndarray, split: str) -> None:
    loaded = data.load("svhn", split, root=tmp_path)
    assert (len(loaded), loaded.shape, loaded.normalization) == (4, (3, 32, 32), None)
    assert (loaded.name, loaded.split) == ("svhn", split)
    assert loaded.class_names == tuple("0123456789")
    assert loaded.labels.tolist() == [0, 1, 9, 0]  # the files call the digit zero ten
    images = loaded.images(torch.arange(4))
    assert torch.equal((images * 255).round(), torch.from_numpy(svhn).float())


def test_damaged_svhn_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"svhn: expected torchvision's files in .*SVHN, found"):
        data.load("svhn", "test", root=tmp_path)
    (tmp_path / "SVHN").mkdir()
    (tmp_path / "SVHN" / "test_32x32.mat").write_bytes(b"MATLAB 5.0")
    with pytest.raises(DataError, match=r"SVHN, found them incomplete or damaged .*--download"):
        data.load("svhn", "test", root=tmp_path)


def test_cifar_files(tmp_path: Path, cifar: np.ndarray) -> None:
    train = data.load("cifar10", "train", root=tmp_path)
    test = data.load("cifar10", "test", root=str(tmp_path))
    assert (len(train), len(test), test.shape) == (25, 5, (3, 32, 32))
    assert test.class_names[3] == "class 3"
    assert test.labels.tolist() == [3, 1, 4, 1, 5]
    images = test.images(torch.arange(5))
    assert torch.equal((images * 255).round(), torch.from_numpy(cifar).float())
    assert test.normalization == data.Normalization(
        mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010)
    )


def test_imagenet_streams_its_centre_view(tmp_path: Path) -> None:
    root = tmp_path / "imagenet"
    rng = np.random.default_rng(0)
    for wnid in ("n01", "n02"):
        (root / "val" / wnid).mkdir(parents=True)
        picture = Image.fromarray(rng.integers(0, 256, (300, 401, 3), dtype=np.uint8))
        picture.save(root / "val" / wnid / "a.png")
    torch.save(({"n01": ("tench", "Tinca"), "n02": ("crane",)}, []), root / "meta.bin")

    loaded = data.load("imagenet", "test", root=tmp_path)
    assert loaded.class_names == ("tench, Tinca", "crane")
    assert loaded.normalization == data.Normalization(
        mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
    )
    transforms = import_torchvision().transforms
    view = transforms.Compose(
        [transforms.Resize(256), transforms.CenterCrop(224), transforms.PILToTensor()]
    )
    with Image.open(root / "val" / "n02" / "a.png") as picture:
        expected = view(picture)
    image = loaded.images(torch.tensor([1]))[0]
    assert torch.equal((image * 255).round(), expected.float())


def test_the_digest_covers_pixels_labels_and_class_names() -> None:
    images, labels = np.zeros((3, 1, 2, 2), np.uint8), np.array([0, 1, 1])
    names = ("a", "b")

    def digest(
        images: np.ndarray = images, labels: np.ndarray = labels, names: tuple[str, ...] = names
    ) -> str:
        return data.from_arrays(images, labels, name="x", split="test", class_names=names).digest

    changed = images.copy()
    changed[2, 0, 1, 1] = 1
    variants = [
        digest(),
        digest(images=changed),
        digest(labels=np.array([0, 1, 0])),
        digest(names=("a", "c")),
        digest(images=images.reshape(3, 1, 1, 4)),
        digest(images=images.astype(np.float32)),
    ]
    assert len(set(variants)) == len(variants)
    assert digest() == digest(images=images.copy())


def test_missing_files_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        data.load("mnist", "train", root=tmp_path)
    assert str(caught.value) == (
        f"mnist: expected torchvision's files in {tmp_path}/MNIST/raw, found no such folder; "
        "pass --download to fetch them, or name another data root with --data-root or RSZOO_DATA"
    )


def test_missing_imagenet_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        data.load("imagenet", "test", root=tmp_path, download=True)
    assert str(caught.value) == (
        f"imagenet: expected torchvision's files in {tmp_path}/imagenet, found no such folder; it "
        "cannot be downloaded freely: put ILSVRC2012_devkit_t12.tar.gz and ILSVRC2012_img_val.tar "
        "there, or name another data root with --data-root or RSZOO_DATA"
    )


def test_damaged_files_say_so(tmp_path: Path, pictures: np.ndarray) -> None:
    raw = tmp_path / "MNIST" / "raw"
    write_mnist(raw, pictures, np.zeros(6))
    images = raw / "t10k-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:100])
    with pytest.raises(DataError) as caught:
        data.load("mnist", "test", root=tmp_path)
    message = str(caught.value)
    found, remedy = message.split(" (")[0], message.rsplit("); ", 1)[1]
    assert found == (
        f"mnist: expected torchvision's files in {raw}, found them incomplete or damaged"
    )
    assert remedy == (
        "pass --download to fetch them, or name another data root with --data-root or RSZOO_DATA"
    )


@pytest.mark.parametrize(
    ("asked", "default_root", "downloads"),
    [(False, False, False), (True, False, True), (False, True, True)],
)
def test_downloads_only_when_asked_or_into_the_default_root(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: bool,
    default_root: bool,
    downloads: bool,
) -> None:
    def no_network(self: object) -> None:
        raise RuntimeError("no network")

    monkeypatch.setattr(import_torchvision().datasets.MNIST, "download", no_network)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("RSZOO_DATA", raising=False)
    with pytest.raises(DataError) as caught:
        data.load("mnist", "test", root=None if default_root else tmp_path, download=asked)
    tried = "the download failed: check the network, or put the files there by hand"
    assert str(caught.value).endswith(tried) == downloads


def test_data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RSZOO_DATA", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert data.data_root() == tmp_path / ".cache" / "rszoo" / "data"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert data.data_root() == tmp_path / "cache" / "rszoo" / "data"
    monkeypatch.setenv("RSZOO_DATA", "~/sets")
    assert data.data_root() == tmp_path / "sets"
    assert data.data_root("here") == Path("here")


def test_unknown_name() -> None:
    with pytest.raises(RszooError) as caught:
        data.load("digit", "test")
    assert str(caught.value) == (
        f"unknown data set 'digit' (did you mean 'digits'?); expected one of {NAMES}"
    )


def test_unknown_split() -> None:
    with pytest.raises(RszooError) as caught:
        data.load("digits", "validation")
    assert str(caught.value) == ("unknown split 'validation'; expected one of ['test', 'train']")


def test_missing_path(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        data.load(str(tmp_path / "nowhere"), "test")
    assert str(caught.value) == (
        f"{tmp_path}/nowhere: expected a folder of class folders or an .npz file, found nothing; "
        "check the path"
    )


def test_a_path_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    with pytest.raises(DataError) as caught:
        data.load(path, "test")
    assert str(caught.value) == (
        f"{path}: expected a folder of class folders or an .npz file, found another kind of file; "
        "check the path"
    )


def test_a_data_root_that_cannot_be_written_is_no_network_that_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    root = tmp_path / "file" / "root"
    with pytest.raises(DataError) as caught:
        data.load("mnist", "test", root=root, download=True)
    assert str(caught.value).startswith(f"cannot use '{root}': ")
    assert str(caught.value).endswith("; name another data root with --data-root or RSZOO_DATA")
