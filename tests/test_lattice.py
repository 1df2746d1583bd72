"""Floating point fools the plain certifier, and not the one on the lattice."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import ndtr
from torch import Tensor, nn

from rszoo.certificates.base import Certificate, Prediction
from rszoo.errors import DataError
from rszoo.evaluation.log import read_log
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.lattice import LEVELS, add_on_lattice, misplaced_share
from rszoo_cli import main

SIGMA = 0.25
SHAPE = (1, 16, 16)


class ReadsRounding(nn.Module):
    """Answers 1 where all pixels are multiples of 2^-24.

    That is so of every float32 above 1/2, and of 1 + e for any float32 e: at an image of ones it
    always answers 1. A little below, 256 sums are not all of that kind.
    """

    def forward(self, x: Tensor) -> Tensor:
        coarse = (x.double() * 2**24 % 1 == 0).flatten(1).all(1).double()
        return torch.stack([1 - coarse, coarse], 1)


def classifier(network: nn.Module, *, sound: bool) -> SmoothedClassifier:
    return SmoothedClassifier(
        network, sigma=SIGMA, num_classes=2, input_shape=SHAPE, device="cpu", sound=sound
    )


def certified_and_answer_nearby(*, sound: bool) -> tuple[Certificate, Prediction, float]:
    smoothed = classifier(ReadsRounding(), sound=sound)
    x = torch.ones(SHAPE)
    near = torch.full(SHAPE, 242 / 255)
    certificate, answer = smoothed.certify(x, n=20_000), smoothed.predict(near, n=2000)
    assert isinstance(certificate, Certificate)
    assert isinstance(answer, Prediction)
    return certificate, answer, float((x - near).norm())


def test_the_plain_certificate_is_wrong_in_floating_point() -> None:
    certificate, answer, distance = certified_and_answer_nearby(sound=False)
    assert distance < certificate.radius
    assert (certificate.label, answer.label) == (1, 0)


def test_on_the_lattice_it_is_right() -> None:
    certificate, answer, _ = certified_and_answer_nearby(sound=True)
    assert certificate.label == answer.label == 0
    assert certificate.radius > 0.5


def test_noise_on_the_lattice_is_the_rounded_gaussian() -> None:
    draws, sigma = 200_000, 2.0 / LEVELS
    noise = torch.randn((draws, 1), dtype=torch.float64)
    levels = add_on_lattice(torch.full((1,), 100 / 255), noise, sigma) * LEVELS - 100
    whole = levels.double().round()
    torch.testing.assert_close(levels.double(), whole, atol=1e-4, rtol=0)
    for z in range(-5, 6):
        expected = float(ndtr((z + 0.5) / 2) - ndtr((z - 0.5) / 2))
        share = float((whole == z).double().mean())
        assert abs(share - expected) < 4 * (expected / draws) ** 0.5


def test_what_the_network_sees_depends_on_whole_numbers_alone() -> None:
    """The same sum of image and noise is the same float, wherever the image was."""
    unit = torch.zeros((1, 1), dtype=torch.float64)
    for k in (0, 3, 254):
        seen = add_on_lattice(torch.tensor([k / 255]), unit + (100 - k), 1 / LEVELS)
        assert seen.item() == torch.tensor(100.0).div(255).item()


def test_images_that_are_not_8_bit_are_refused() -> None:
    smoothed = classifier(ReadsRounding(), sound=True)
    with pytest.raises(DataError, match=r"^expected pixels that are multiples of 1/255, got"):
        smoothed.certify(torch.full(SHAPE, 0.9501), n=10)


def test_by_the_command_line(
    bundle_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, log = tmp_path / "two.npy", tmp_path / "a.tsv"
    np.save(images, np.random.default_rng(0).integers(0, 256, (2, 1, 8, 8), np.uint8))
    arguments = ["certify", "--model", str(bundle_folder), str(images), "--out", str(log)]
    with pytest.raises(SystemExit) as caught:
        main([*arguments, "--n", "200", "--sound"])
    assert not caught.value.code, capsys.readouterr()
    protocol = read_log(log).protocol
    assert protocol is not None
    assert protocol.noise == "sha256-fmix32-1000-lattice-255"


def test_how_often_the_generator_misses_a_point_of_the_lattice() -> None:
    """With uniform numbers of 24 bits in place of 53, where there is something to count."""
    generator = torch.Generator().manual_seed(0)
    pairs, sigma = 2_000_000, 0.5
    u, v = torch.rand((2, pairs), dtype=torch.float64, generator=generator)

    def whole(bits: int) -> Tensor:
        steps = 2.0**bits
        norm = (-2 * ((1 - u) * steps).ceil().div(steps).log()).sqrt()
        angle = 2 * np.pi * (v * steps).floor() / steps
        return torch.stack([norm * angle.cos(), norm * angle.sin()]).mul(LEVELS * sigma).round()

    missed = float((whole(24) != whole(53)).double().mean())
    assert missed == pytest.approx(LEVELS * sigma * (5.77 * 0.637 + 5.01) / 2**25, rel=0.25)
    assert missed < misplaced_share(1, sigma) * 2**29  # the bound, for numbers so much coarser


def test_what_is_missed_grows_with_the_numbers_of_an_image_and_with_sigma() -> None:
    assert misplaced_share(3 * 224 * 224, 0.5) == pytest.approx(150_528 * 127.5 / 2**50)
    assert misplaced_share(64, 1.0) == 4 * misplaced_share(32, 0.5)
