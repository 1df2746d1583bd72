"""Colours that a viewer shows otherwise than they are read are told of, and never changed."""

import re
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from rszoo import data
from rszoo.data import colours, folder
from rszoo.data.decode import open_image

COLOURED = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
GREY = COLOURED[..., 0]
SRGB = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7142))
WIDE = ((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446))
REMEDY = "is not applied; convert it to sRGB to certify what is seen"


def profile(name: str, *, gamma: float, primaries: tuple[tuple[float, ...], ...] = ()) -> bytes:
    """Return a profile of colours with these primaries (XYZ), or of greys (ICC.1:2001)."""

    def xyz(*values: float) -> bytes:
        return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(v * 65536) for v in values))

    text = name.encode() + b"\0"
    described = b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(78)
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))
    tags = {b"desc": described, b"wtpt": xyz(0.9642, 1.0, 0.8249)}
    for letter, primary in zip("rgb", primaries, strict=False):
        tags |= {f"{letter}XYZ".encode(): xyz(*primary), f"{letter}TRC".encode(): curve}
    if not primaries:
        tags[b"kTRC"] = curve
    place, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for tag, content in tags.items():
        table += struct.pack(">4sII", tag, place + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    space = b"RGB " if primaries else b"GRAY"
    header = struct.pack(">I4sI4s4s4s", place + len(body), b"lcms", 0x02100000, b"mntr", space,
                         b"XYZ ")  # fmt: skip
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    header += struct.pack(">3i", 63190, 65536, 54061) + bytes(48)
    return header + struct.pack(">I", len(tags)) + table + body


def said(path: Path) -> list[str]:
    """Return what is said of a picture, which is read as its numbers are."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read = np.array(open_image(path))
    expected = GREY if read.ndim == 2 else COLOURED
    assert np.array_equal(read, expected) or path.suffix == ".jpg"
    return [str(one.message).removeprefix(f"{path}: ") for one in caught]


@pytest.mark.parametrize("extension", ["jpg", "png", "tif", "webp"])
def test_a_profile_of_other_colours_is_told_of(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"x.{extension}"
    image, options = Image.fromarray(COLOURED), {"lossless": True} if extension == "webp" else {}
    image.save(path, icc_profile=profile("Wide", gamma=2.2, primaries=WIDE), **options)
    assert said(path) == [f"its colour profile, 'Wide', {REMEDY}"]
    for alike in (
        profile("Alike", gamma=2.2, primaries=SRGB),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    ):
        image.save(path, icc_profile=alike, **options)
        assert said(path) == []


def test_a_profile_of_other_greys_is_told_of(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.fromarray(GREY).save(path, icc_profile=profile("Linear", gamma=1.0))
    assert said(path) == [f"its colour profile, 'Linear', {REMEDY}"]
    Image.fromarray(GREY).save(path, icc_profile=profile("Usual", gamma=2.2))
    assert said(path) == []


@pytest.mark.parametrize("wrong", [b"none", profile("x", gamma=1.0)[:200], profile("x", gamma=1)])
def test_a_profile_that_no_viewer_can_apply_changes_nothing(tmp_path: Path, wrong: bytes) -> None:
    Image.fromarray(COLOURED).save(tmp_path / "x.png", icc_profile=wrong)
    assert said(tmp_path / "x.png") == []


def test_what_the_author_called_a_profile_is_printed_as_text(tmp_path: Path) -> None:
    wide = profile("\x1b[2J" + "n" * 100, gamma=2.2, primaries=WIDE)
    Image.fromarray(COLOURED).save(tmp_path / "x.png", icc_profile=wide)
    [text] = said(tmp_path / "x.png")
    assert text == f"its colour profile, '\\x1b[2J{'n' * 56}', {REMEDY}"


def test_a_large_profile_is_not_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = profile("Large", gamma=2.2, primaries=WIDE)
    Image.fromarray(COLOURED).save(tmp_path / "x.png", icc_profile=wide)
    monkeypatch.setattr(colours, "_LARGEST_PROFILE", len(wide) - 1)
    monkeypatch.setattr(ImageCms, "ImageCmsProfile", None)
    assert said(tmp_path / "x.png") == [f"its colour profile, of {len(wide)} bytes, {REMEDY}"]
    monkeypatch.setattr(colours, "_LARGEST_PROFILE", len(wide))
    colours._other.cache_clear()
    monkeypatch.setattr(colours.features, "check", lambda name: False)
    cannot = "which cannot be read here"
    assert said(tmp_path / "x.png") == [f"its colour profile, {cannot}, {REMEDY}"]


@pytest.mark.parametrize(("gamma", "told"), [(1.0, True), (1 / 2.2, False), (0.0, False)])
def test_another_gamma_is_told_of(tmp_path: Path, gamma: float, told: bool) -> None:
    chunks = PngInfo()
    chunks.add(b"gAMA", struct.pack(">I", round(gamma * 100_000)))
    Image.fromarray(COLOURED).save(tmp_path / "x.png", pnginfo=chunks)
    assert said(tmp_path / "x.png") == ([f"its gamma, 1, {REMEDY}"] if told else [])
    chunks.add(b"sRGB", b"\0")  # which is what counts
    Image.fromarray(COLOURED).save(tmp_path / "x.png", pnginfo=chunks)
    assert said(tmp_path / "x.png") == []


def test_inks_are_told_of(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    Image.new("CMYK", (1, 1), (10, 20, 30, 40)).save(path)
    with pytest.warns(UserWarning, match=r"x.tif: in CMYK, read by the plain formula, not as "):
        assert np.array(open_image(path)).tolist() == [[[207, 198, 190]]]


def test_of_a_data_set_it_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = profile("Wide", gamma=2.2, primaries=WIDE)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(5):
            Image.fromarray(COLOURED).save(tmp_path / name / f"{number}.png", icc_profile=wide)
    one = re.escape(f"its colour profile, 'Wide', {REMEDY} (and 7 more pictures)")
    with pytest.warns(UserWarning, match=one) as caught:
        data.load(tmp_path, "train")
    assert len(caught) == 1
    assert (
        Path(caught[0].filename).name == "decode.py"
    )  # rszoo's, so that the command shows a line
    monkeypatch.setattr(folder, "IN_MEMORY_BYTES", 0)
    streamed = data.load(tmp_path, "train")
    batches = streamed.batches(torch.arange(8), 4)  # of a training: nothing is said of each
    assert sum(len(labels) for _, _, labels in batches) == 8
    with pytest.warns(UserWarning, match="its colour profile"):  # of what is certified, it is
        streamed.images(torch.tensor([0]))
