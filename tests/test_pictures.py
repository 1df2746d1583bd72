"""A picture is read as it is seen, or refused; and only as the formats that are documented."""

import io
import os
import re
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from rszoo import data
from rszoo.data import decode
from rszoo.data.decode import open_image
from rszoo.errors import DataError
from rszoo_cli import main

GREY = np.random.default_rng(0).integers(0, 256, (3, 5), dtype=np.uint8)

# How a viewer turns what is stored, by the tag of the file (EXIF 2.32, 4.6.5): what is in its
# first row and its first column.
SEEN = {
    1: GREY,
    2: GREY[:, ::-1],
    3: GREY[::-1, ::-1],
    4: GREY[::-1],
    5: GREY.T,
    6: GREY[::-1].T,
    7: GREY[::-1, ::-1].T,
    8: GREY[:, ::-1].T,
}


def turned(path: Path, orientation: int) -> Path:
    image = Image.fromarray(GREY)
    exif = image.getexif()
    exif[ExifTags.Base.Orientation] = orientation
    options = {".webp": {"lossless": True}, ".tiff": {"compression": "tiff_lzw"}}
    image.save(path, exif=exif, **options.get(path.suffix, {}))
    return path


@pytest.mark.parametrize("orientation", SEEN)
@pytest.mark.parametrize("extension", ["png", "tif", "tiff", "webp"])
def test_a_picture_is_turned_as_its_metadata_say(
    tmp_path: Path, orientation: int, extension: str
) -> None:
    path = turned(tmp_path / f"picture.{extension}", orientation)
    assert np.array_equal(np.array(open_image(path).convert("L")), SEEN[orientation])


def test_a_turned_photo_fits_the_shape_it_is_seen_in(tmp_path: Path) -> None:
    pixels = np.zeros((8, 16), np.uint8)
    pixels[:, :8] = 255
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[ExifTags.Base.Orientation] = 6
    image.save(tmp_path / "photo.jpg", exif=exif, quality=100)
    [(_, read)] = data.read_images([tmp_path / "photo.jpg"], shape=(1, 16, 8))
    assert (read[0, :8] > 0.9).all()  # the left of the sensor is up
    assert (read[0, 8:] < 0.1).all()


def test_a_folder_is_read_as_it_is_seen(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        turned(tmp_path / name / "0.png", 6)
    loaded = data.load(tmp_path, "test")
    assert loaded.shape == (1, 5, 3)
    expected = torch.from_numpy(SEEN[6].copy()).float()
    assert torch.equal((loaded.images(torch.tensor([0]))[0, 0] * 255).round(), expected)


@pytest.mark.parametrize("exif", [b"Exif\0\0no such thing", b"Exif\0\0II*\0\xff\xff\xff\xff"])
def test_damaged_metadata_turn_nothing(tmp_path: Path, exif: bytes) -> None:
    Image.fromarray(GREY).save(tmp_path / "x.png", exif=exif)
    assert np.array_equal(np.array(open_image(tmp_path / "x.png")), GREY)


def with_alpha(alpha: int, mode: str) -> Image.Image:
    image = Image.fromarray(np.dstack([GREY] * 3)).convert("RGBA")
    image.putalpha(255)
    image.putpixel((2, 1), (9, 9, 9, alpha))
    return image.convert(mode)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparency_is_refused(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "drawn.png"
    with_alpha(127, mode).save(path)
    with pytest.raises(DataError) as caught:
        open_image(path)
    assert str(caught.value) == (
        f"{path}: expected an opaque image, got one with transparency (alpha from 127 of 255), "
        "whose look depends on what lies behind it; put it on a background"
    )
    with_alpha(255, mode).save(path)  # a channel that says nothing
    expected = np.array(with_alpha(255, mode).convert("L" if mode == "LA" else "RGB"))
    assert np.array_equal(np.array(open_image(path)), expected)


@pytest.mark.parametrize(
    ("extension", "mode"), [("png", "L"), ("png", "RGB"), ("png", "P"), ("gif", "L"), ("gif", "P")]
)
def test_a_transparent_colour_is_refused_where_it_is_used(
    tmp_path: Path, extension: str, mode: str
) -> None:
    path = tmp_path / f"keyed.{extension}"
    image = Image.new("RGB", (4, 4), "black")
    image.putpixel((1, 1), (255, 255, 255))
    image = image.convert("P", palette=Image.Palette.ADAPTIVE) if mode == "P" else image
    image = image.convert(mode)
    key: Any = image.getpixel((1, 1))
    image.save(path, transparency=key)
    with pytest.raises(DataError, match="got one with transparency"):
        open_image(path)
    black: Any = image.getpixel((0, 0))
    image.putpixel((1, 1), black)  # the colour is named, and nowhere
    if mode != "P":
        image.save(path, transparency=key)
        open_image(path)


@pytest.mark.parametrize("extension", ["gif", "png", "tif", "webp"])
def test_several_frames_are_refused(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"film.{extension}"
    first = Image.fromarray(GREY)
    first.save(path)
    open_image(path)
    first.save(path, save_all=True, append_images=[Image.fromarray(255 - GREY)])
    with pytest.raises(DataError) as caught:
        open_image(path)
    assert str(caught.value) == (
        f"{path}: expected one picture, got several frames; save the one that is meant alone"
    )


def test_a_photo_with_a_second_one_for_other_devices_is_told_of(tmp_path: Path) -> None:
    path = tmp_path / "stereo.jpg"
    first, second = (Image.new("RGB", (16, 16), colour) for colour in ("red", "blue"))
    first.save(path, format="MPO", save_all=True, append_images=[second])
    with pytest.warns(UserWarning, match="holds several pictures; the first is read, which view"):
        [(_, read)] = data.read_images([path], shape=(3, 16, 16))
    assert read[0].min() > 0.9  # red


def test_colours_are_lost_in_words_only(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.fromarray(np.dstack([GREY] * 3)).save(path)  # grey, in three channels: nothing is lost
    [(_, grey)] = data.read_images([path], shape=(1, *GREY.shape))
    assert torch.equal((grey[0] * 255).round(), torch.from_numpy(GREY).float())
    Image.new("RGB", (5, 3), "red").save(path)
    told = f"{path}: read in grey, as the model takes one channel; its colours are lost"
    with pytest.warns(UserWarning, match=f"^{re.escape(told)}$"):
        data.read_images([path], shape=(1, 3, 5))


@pytest.mark.filterwarnings("always::UserWarning")
def test_the_command_line_says_it_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 8), "red").save("red.png")
    arguments = "predict --model builtin/digits-gaussian-0.25 red.png --device cpu --json"
    before = warnings.showwarning
    with pytest.raises(SystemExit) as caught:
        main(arguments.split())
    assert not caught.value.code
    assert capsys.readouterr().err == (
        "warning: red.png: read in grey, as the model takes one channel; its colours are lost\n"
    )
    assert warnings.showwarning is before


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_more_than_eight_bits_are_refused(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "deep.tif"
    Image.new(mode, (4, 4)).save(path)
    with pytest.raises(DataError, match=r"expected 8 bits per channel, got an image of mode"):
        open_image(path)


def test_sixteen_bits_of_colour_are_refused(tmp_path: Path) -> None:
    """PIL would drop half of them in silence."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" + bytes(range(12)))
    path = tmp_path / "deep.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", pixels)
        + chunk(b"IEND", b"")
    )
    with pytest.raises(DataError) as caught:
        open_image(path)
    assert str(caught.value) == (
        f"{path}: expected 8 bits per channel, got 16; convert it to 8 bits"
    )


@pytest.mark.parametrize("largest", [1023, 65535])
def test_sixteen_bits_of_a_plain_file_are_refused(tmp_path: Path, largest: int) -> None:
    """PIL would drop half of them in silence."""
    path = tmp_path / "deep.ppm"
    path.write_bytes(b"P6\n2 1\n%d\n" % largest + bytes(range(12)))
    with pytest.raises(DataError, match="expected 8 bits per channel, got 16"):
        open_image(path)
    path.write_bytes(b"P6\n2 1\n100\n" + bytes((0, 50, 100)) * 2)
    assert np.array(open_image(path)).tolist() == [[[0, 128, 255]] * 2]


def test_numbers_of_no_colours_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    Image.new("LAB", (2, 1), (100, 20, 30)).save(path)
    with pytest.raises(DataError) as caught:
        open_image(path)
    assert str(caught.value) == (
        f"{path}: expected grey or RGB, got an image of mode 'LAB'; convert it to RGB"
    )


# Which readers, and how much


@pytest.mark.parametrize("name", ["x.png", "x.standin", "x.jpg"])
def test_no_other_reader_of_pil_sees_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Some of PIL's readers start other programs; a stand-in notes when it is asked."""
    asked = []

    def accept(prefix: bytes) -> bool:
        asked.append(prefix)
        return prefix.startswith(b"STANDIN")

    def factory(file: object, filename: object) -> Image.Image:
        asked.append(b"opened")
        return Image.new("L", (4, 4))

    Image.init()
    monkeypatch.setitem(Image.OPEN, "STANDIN", (factory, accept))
    monkeypatch.setattr(Image, "ID", ["STANDIN", *Image.ID])
    path = tmp_path / name
    path.write_bytes(b"STANDIN 1.0 and what such a program would be given")
    Image.open(io.BytesIO(path.read_bytes()))
    assert asked  # it would be
    asked.clear()
    with pytest.raises(DataError, match="cannot be read as an image"):
        open_image(path)
    with pytest.raises(DataError, match="cannot be read as an image"):
        data.read_images([path], shape=(1, 4, 4))
    assert asked == []


def test_the_formats_are_documented() -> None:
    page = (Path(__file__).parents[1] / "docs/how-to/own-data.md").read_text()
    for name in decode.FORMATS:
        assert name in page.upper()


@pytest.mark.parametrize("extension", sorted(decode.EXTENSIONS))
def test_every_documented_format_is_read(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"x{extension}"
    Image.new("L" if extension == ".pgm" else "RGB", (4, 4), "white").save(path)
    assert np.array(open_image(path)).min() > 250


def test_too_many_pixels_are_refused_before_they_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.png"
    Image.fromarray(GREY).save(path)
    monkeypatch.setattr(decode, "MOST_PIXELS", 15)
    open_image(path)
    monkeypatch.setattr(decode, "MOST_PIXELS", 14)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("it was decoded"))
    with pytest.raises(DataError) as caught:
        open_image(path)
    assert str(caught.value) == (
        f"{path}: expected at most 14 pixels, got 3x5; scale the image down"
    )


def test_a_large_file_is_refused_before_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(bytes(1001))
    monkeypatch.setattr(decode, "MOST_BYTES", 1000)
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("it was opened"))
    with pytest.raises(DataError) as caught:
        open_image(path)
    assert str(caught.value) == (
        f"{path}: expected a file of at most 1,000 bytes, got 1,001 bytes; make it smaller"
    )


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    os.mkfifo(path)
    with pytest.raises(DataError) as caught:
        data.read_images([path], shape=(1, 4, 4))
    assert str(caught.value) == f"{path}: expected a file, got a pipe; name a file"
    with pytest.raises(DataError, match="got a pipe"):
        data.read_images([tmp_path], shape=(1, 4, 4))
