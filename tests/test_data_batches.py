"""Batches and augmentation of sets in memory, against slow references with the same choices."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from rszoo import data
from rszoo.data.augment import CHOICES, crop_flip, random_boxes, resized_crop_flip, uniforms
from rszoo.errors import RszooError


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def coloured() -> data.ImageSet:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (23, 3, 10, 12), dtype=np.uint8)
    return data.from_arrays(images, rng.integers(0, 4, 23), name="coloured", split="train")


@pytest.mark.parametrize("augment", data.AUGMENTATIONS)
def test_batches_follow_the_order_and_cover_it_once(coloured: data.ImageSet, augment: str) -> None:
    order = torch.randperm(23, generator=seeded())
    batches = list(coloured.batches(order, 5, augment=augment, generator=seeded()))
    assert [len(indices) for indices, _, _ in batches] == [5, 5, 5, 5, 3]
    assert torch.equal(torch.cat([indices for indices, _, _ in batches]), order)
    assert torch.equal(torch.cat([labels for _, _, labels in batches]), coloured.labels[order])
    images = torch.cat([images for _, images, _ in batches])
    assert images.shape == (23, 3, 10, 12)
    assert images.dtype == torch.float32
    assert 0 <= images.min()
    assert images.max() <= 1
    assert torch.equal(images, coloured.images(order)) == (augment == "none")


def test_drop_last(coloured: data.ImageSet) -> None:
    whole = coloured.batches(torch.arange(23), 5, drop_last=True)
    assert [len(labels) for _, _, labels in whole] == [5, 5, 5, 5]
    exact = coloured.batches(torch.arange(20), 5, drop_last=True)
    assert [len(labels) for _, _, labels in exact] == [5, 5, 5, 5]


def test_batches_do_not_share_memory_with_the_set() -> None:
    images = torch.rand(4, 1, 2, 2)
    loaded = data.from_arrays(images, torch.arange(4), name="x", split="test")
    for _, batch, _ in loaded.batches(torch.arange(4), 2):
        batch.zero_()
    images.fill_(0.5)
    assert not torch.equal(loaded.images(torch.arange(4)), torch.zeros(4, 1, 2, 2))
    assert not torch.equal(loaded.images(torch.arange(4)), images)


@pytest.mark.parametrize("augment", ["crop_flip", "resized_crop_flip"])
def test_augmentation_depends_on_its_generator_alone(
    coloured: data.ImageSet, augment: str
) -> None:
    def epoch(seed: int, global_seed: int) -> Tensor:
        torch.manual_seed(global_seed)
        order = torch.arange(23)
        batches = coloured.batches(order, 7, augment=augment, generator=seeded(seed))
        return torch.cat([images for _, images, _ in batches])

    assert torch.equal(epoch(1, 10), epoch(1, 11))
    assert not torch.equal(epoch(1, 10), epoch(2, 10))


def test_crop_flip_equals_one_image_at_a_time() -> None:
    x = torch.rand(64, 3, 10, 12)
    top, left, coin = uniforms(3, 64, generator=seeded(5))
    expected = torch.zeros_like(x)
    for i in range(64):
        padded = torch.zeros(3, 18, 20)
        padded[:, 4:14, 4:16] = x[i]
        row, column = int(top[i] * 9), int(left[i] * 9)
        crop = padded[:, row : row + 10, column : column + 12]
        expected[i] = crop.flip(2) if coin[i] < 0.5 else crop
    assert torch.equal(crop_flip(x, generator=seeded(5)), expected)


def test_crop_flip_reaches_every_place_evenly() -> None:
    x = torch.zeros(9 * 9 * 2 * 200, 1, 9, 9, dtype=torch.uint8)
    x[:, 0, 4, 4] = 1
    x[:, 0, 4, 3] = 2
    y = crop_flip(x, generator=seeded())
    flipped = (y[:, 0, :, :-1] == 1) & (y[:, 0, :, 1:] == 2)
    counts = (y[:, 0] == 1).sum(0)
    # 400 expected per place; 5 standard deviations over 81 places
    assert counts.shape == (9, 9)
    assert counts.min() > 300
    assert counts.max() < 500
    # a flipped pair lies wholly inside for 8 of 9 crops
    assert abs(flipped.sum().item() / len(x) - 4 / 9) < 0.015


def test_resized_crop_equals_cutting_and_scaling_one_image_at_a_time() -> None:
    x = torch.rand(64, 3, 10, 12)
    boxes = random_boxes(uniforms(64, CHOICES, generator=seeded(5)), 10, 12)
    expected = torch.empty_like(x)
    for i, (top, left, rows, columns, flip) in enumerate(zip(*boxes, strict=True)):
        crop = x[i : i + 1, :, top : top + rows, left : left + columns]
        scaled = F.interpolate(crop, (10, 12), mode="bilinear", align_corners=False)[0]
        expected[i] = scaled.flip(2) if flip else scaled
    actual = resized_crop_flip(x, generator=seeded(5))
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(224, 224), (40, 300), (300, 40), (2, 3)])
def test_random_boxes_stay_inside_and_keep_their_bounds(height: int, width: int) -> None:
    choices = uniforms(20_000, CHOICES, generator=seeded())
    top, left, rows, columns, flip = random_boxes(choices, height, width)
    assert min(top.min(), left.min()) >= 0
    assert min(rows.min(), columns.min()) >= 1
    assert (top + rows).max() <= height
    assert (left + columns).max() <= width
    assert abs(flip.float().mean() - 0.5) < 0.02
    if min(height, width) >= 40:
        ratio = columns / rows
        assert ratio.min() > 0.7
        assert ratio.max() < 1.4
    if height == width:
        share = rows * columns / (height * width)
        assert share.min() > 0.078
        # torchvision's own RandomResizedCrop.get_params gives 0.478 over 20,000 draws; its
        # standard error is 0.002
        assert abs(share.mean() - 0.478) < 0.006


def test_unknown_augmentation(coloured: data.ImageSet) -> None:
    with pytest.raises(RszooError) as caught:
        next(coloured.batches(torch.arange(4), 2, augment="crop_flp"))
    assert str(caught.value) == (
        "unknown augmentation 'crop_flp' (did you mean 'crop_flip'?); "
        "expected one of ['crop_flip', 'none', 'resized_crop_flip']"
    )


def test_moving_a_set_moves_its_batches(coloured: data.ImageSet) -> None:
    moved = coloured.to("meta")
    indices, images, labels = next(moved.batches(torch.arange(4), 2))
    assert {indices.device.type, images.device.type, labels.device.type} == {"meta"}
    assert moved.digest == coloured.digest
    assert coloured.labels.device.type == "cpu"
