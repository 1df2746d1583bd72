"""Folders of class folders, in memory and streamed from disk."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from rszoo import data
from rszoo.data import folder as folder_module
from rszoo.data.streamed import Streamed
from rszoo.errors import DataError

CLASSES = ("ant", "bee", "cat")


def save(path: Path, *, size: tuple[int, int] = (6, 5), mode: str = "RGB", seed: int = 0) -> None:
    """Save noise of `size` (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], channels))
    if mode.endswith("A"):
        pixels[..., -1] = 255  # opaque
    Image.fromarray(pixels.astype(np.uint8).squeeze()).save(path)


@pytest.fixture
def divided(tmp_path: Path) -> Path:
    """Three classes; 7 images each to train, 2 to test."""
    root = tmp_path / "my set"
    for seed, (split, name, number) in enumerate(
        (split, name, number)
        for split, count in (("train", 7), ("test", 2))
        for name in CLASSES
        for number in range(count)
    ):
        save(root / split / name / f"{number}.png", seed=seed)
    return root


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """Two classes of 6 and 11 images without a split."""
    for name, count in (("no", 6), ("yes", 11)):
        for number in range(count):
            save(tmp_path / "plain" / name / f"{number:02}.png", seed=number)
    return tmp_path / "plain"


@pytest.fixture
def on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stream every folder, however small."""
    monkeypatch.setattr(folder_module, "IN_MEMORY_BYTES", 0)


def stream(root: Path, split: str, monkeypatch: pytest.MonkeyPatch) -> data.ImageSet:
    with monkeypatch.context() as context:
        context.setattr(folder_module, "IN_MEMORY_BYTES", 0)
        return data.load(root, split)


def epoch(images: data.ImageSet, augment: str = "none", seed: int = 0) -> list[Tensor]:
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(seed)
    batches = list(images.batches(order, 4, augment=augment, generator=generator))
    return [torch.cat(parts) for parts in zip(*batches, strict=True)]


def test_a_folder_with_splits(divided: Path) -> None:
    train, test = data.load(divided, "train"), data.load(str(divided), "test")
    assert (len(train), len(test)) == (21, 6)
    assert (train.name, train.shape, train.class_names) == ("my_set", (3, 5, 6), CLASSES)
    assert test.labels.tolist() == [0, 0, 1, 1, 2, 2]
    with Image.open(divided / "test" / "bee" / "1.png") as picture:
        expected = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
    assert torch.equal((test.images(torch.tensor([3]))[0] * 255).round(), expected.float())


def test_a_folder_without_splits_tests_every_fifth_image_of_each_class(plain: Path) -> None:
    train, test = data.load(plain, "train"), data.load(plain, "test")
    assert train.labels.tolist() == [0] * 4 + [1] * 8
    assert test.labels.tolist() == [0] * 2 + [1] * 3
    expected = []
    for name in ("no/00", "no/05", "yes/00", "yes/05", "yes/10"):
        with Image.open(plain / f"{name}.png") as picture:
            expected.append(torch.from_numpy(np.array(picture)).permute(2, 0, 1))
    images = test.images(torch.arange(5))
    assert torch.equal((images * 255).round(), torch.stack(expected).float())


def test_hidden_and_other_files_are_left_out(divided: Path) -> None:
    before = data.load(divided, "test").digest
    (divided / "test" / "ant" / "notes.txt").write_text("hello")
    (divided / "test" / "ant" / "._0.png").write_bytes(b"")
    (divided / "test" / ".cache").mkdir()
    assert data.load(divided, "test").digest == before


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("LA", 1), ("RGB", 3), ("RGBA", 3)])
def test_channels_come_from_the_images(tmp_path: Path, mode: str, channels: int) -> None:
    for name in ("a", "b"):
        save(tmp_path / name / "0.png", mode=mode)
    assert data.load(tmp_path, "test").shape == (channels, 5, 6)


def test_a_streamed_set_equals_one_in_memory(
    divided: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, disk = data.load(divided, "train"), stream(divided, "train", monkeypatch)
    assert isinstance(disk, Streamed)
    assert not isinstance(memory, Streamed)
    every = torch.arange(21)
    assert torch.equal(memory.images(every), disk.images(every))
    assert torch.equal(memory.labels, disk.labels)
    assert (memory.name, memory.shape, memory.class_names) == (
        disk.name,
        disk.shape,
        disk.class_names,
    )
    for augment in ("none", "crop_flip"):
        for mine, theirs in zip(epoch(memory, augment), epoch(disk, augment), strict=True):
            assert torch.equal(mine, theirs)


def test_streamed_random_boxes_agree_with_those_in_memory(
    divided: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, disk = data.load(divided, "train"), stream(divided, "train", monkeypatch)
    mine, theirs = epoch(memory, "resized_crop_flip")[1], epoch(disk, "resized_crop_flip")[1]
    # PIL computes in fixed point and rounds to whole grey levels
    torch.testing.assert_close(mine, theirs, atol=1.5 / 255, rtol=0)
    again, other = epoch(disk, "resized_crop_flip")[1], epoch(disk, "resized_crop_flip", 1)[1]
    assert torch.equal(theirs, again)
    assert not torch.equal(theirs, other)


@pytest.mark.usefixtures("on_disk")
def test_streaming_leaves_the_global_generator_alone(divided: Path) -> None:
    images = data.load(divided, "train")
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    epoch(images, "resized_crop_flip")
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.usefixtures("on_disk")
def test_streamed_drop_last_and_digest(divided: Path) -> None:
    images = data.load(divided, "train")
    whole = images.batches(torch.arange(21), 4, drop_last=True)
    assert [len(labels) for _, _, labels in whole] == [4] * 5
    before = images.digest
    assert data.load(divided, "train").digest == before
    save(divided / "train" / "cat" / "8.png")
    more = data.load(divided, "train").digest
    save(divided / "train" / "cat" / "8.png", size=(60, 50))
    larger = data.load(divided, "train").digest
    assert len({before, more, larger}) == 3
    assert images.to("cpu").digest == before


def test_different_sizes(plain: Path) -> None:
    save(plain / "yes" / "05.png", size=(7, 5))
    with pytest.raises(DataError) as caught:
        data.load(plain, "test")
    assert str(caught.value) == (
        f"{plain}/yes/05.png: expected 5x6 pixels (height x width) like {plain}/no/00.png, "
        "got 5x7; bring all images of the folder to one size"
    )


@pytest.mark.usefixtures("on_disk")
def test_worker_errors_reach_the_user_unchanged(plain: Path) -> None:
    save(plain / "yes" / "05.png", size=(7, 5))
    images = data.load(plain, "test")
    with pytest.raises(DataError) as caught:
        list(images.batches(torch.arange(5), 2))
    assert str(caught.value) == (
        f"{plain}/yes/05.png: expected 5x6 pixels (height x width) like {plain}/no/00.png, "
        "got 5x7; bring all images of the folder to one size"
    )


def test_a_colour_image_among_grey_ones(tmp_path: Path) -> None:
    save(tmp_path / "a" / "0.png", mode="L")
    save(tmp_path / "b" / "0.png", mode="RGB")
    with pytest.raises(DataError) as caught:
        data.load(tmp_path, "test")
    assert str(caught.value) == (
        f"{tmp_path}/b/0.png: expected a grey image like {tmp_path}/a/0.png, "
        "got a colour image; convert the images of the folder to one kind"
    )


def test_a_truncated_image(plain: Path) -> None:
    path = plain / "yes" / "00.png"
    path.write_bytes(path.read_bytes()[:80])
    with pytest.raises(DataError) as caught:
        data.load(plain, "test")
    message = str(caught.value)
    assert message.startswith(f"{path}: cannot be read as an image (")
    assert message.endswith("); replace or remove the file")


def test_an_image_of_16_bits(plain: Path) -> None:
    path = plain / "yes" / "00.png"
    Image.fromarray(np.zeros((5, 6), np.uint16)).save(path)
    with pytest.raises(DataError) as caught:
        data.load(plain, "test")
    assert str(caught.value) == (
        f"{path}: expected 8 bits per channel, got an image of mode 'I;16'; convert it to 8 bits"
    )


def test_one_split_is_missing(divided: Path) -> None:
    (divided / "test").rename(divided.parent / "elsewhere")
    with pytest.raises(DataError) as caught:
        data.load(divided, "train")
    assert str(caught.value) == (
        f"{divided}: expected at least two class folders, or 'train' and 'test' folders of them, "
        f"found ['train']; lay the images out as {divided}/CLASS/IMAGE"
    )


def test_splits_of_different_classes(divided: Path) -> None:
    (divided / "test" / "cat").rename(divided / "test" / "dog")
    with pytest.raises(DataError) as caught:
        data.load(divided, "train")
    assert str(caught.value) == (
        f"{divided}: expected the same class folders in 'train' and 'test', "
        "found ['cat', 'dog'] in only one of them; add or remove them"
    )


def test_an_empty_class(plain: Path) -> None:
    (plain / "empty").mkdir()
    with pytest.raises(DataError) as caught:
        data.load(plain, "train")
    assert str(caught.value) == (
        f"{plain}/empty: expected images, found none; add some or remove it"
    )


def test_too_few_images_to_divide(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(tmp_path / name / "0.png")
    with pytest.raises(DataError) as caught:
        data.load(tmp_path, "train")
    assert str(caught.value) == (
        f"{tmp_path}: no class has enough images for a train split; add images"
    )
