"""The user's own inputs: image files, folders and arrays."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rszoo import data
from rszoo.data.inputs import read_apart
from rszoo.errors import DataError

RGB = np.random.default_rng(0).integers(0, 256, (5, 6, 3), dtype=np.uint8)
SHAPE = (3, 5, 6)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.fromarray(RGB).save(path)
    return path


def test_an_image_file(picture: Path) -> None:
    [(name, image)] = data.read_images([str(picture)], shape=SHAPE)
    assert name == str(picture)
    assert torch.equal(image, torch.from_numpy(RGB).permute(2, 0, 1).float() / 255)


def test_image_files_are_read_as_the_model_wants_them(tmp_path: Path, picture: Path) -> None:
    with pytest.warns(UserWarning, match="its colours are lost"):
        [(_, grey)] = data.read_images([picture], shape=(1, 5, 6))
    luma = (RGB @ np.array([0.299, 0.587, 0.114])) / 255
    np.testing.assert_allclose(grey[0].numpy(), luma, atol=0.6 / 255)

    path = tmp_path / "grey.png"
    Image.fromarray(RGB[..., 0]).save(path)
    [(_, image)] = data.read_images([path], shape=SHAPE)
    assert torch.equal(image, torch.from_numpy(RGB[..., 0]).expand(3, -1, -1).float() / 255)


def test_a_folder_is_searched_to_any_depth_in_sorted_order(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for name in ("b.PNG", "a.png", "deep/er/c.bmp"):
        Image.fromarray(RGB).save(tmp_path / name)
    np.save(tmp_path / "deep" / "x.npy", np.zeros((2, *SHAPE), np.float32))
    (tmp_path / "notes.txt").write_text("hello")
    names = [name for name, _ in data.read_images([tmp_path], shape=SHAPE)]
    below = ["a.png", "b.PNG", "deep/er/c.bmp", "deep/x.npy[0]", "deep/x.npy[1]"]
    assert names == [f"{tmp_path}/{name}" for name in below]


def test_paths_keep_their_order(tmp_path: Path, picture: Path) -> None:
    other = tmp_path / "a.png"
    Image.fromarray(RGB).save(other)
    names = [name for name, _ in data.read_images([picture, other, picture], shape=SHAPE)]
    assert names == [str(picture), str(other), str(picture)]


def test_arrays(tmp_path: Path) -> None:
    images = np.random.default_rng(0).random((3, *SHAPE))
    np.save(tmp_path / "many.npy", images)
    np.save(tmp_path / "one.npy", images[1])
    np.savez(tmp_path / "single.npz", anything=images[:1])
    np.savez(tmp_path / "named.npz", images=(images * 255).astype(np.uint8), labels=np.zeros(3))

    many = data.read_images([tmp_path / "many.npy"], shape=SHAPE)
    assert [name for name, _ in many] == [f"{tmp_path}/many.npy[{i}]" for i in range(3)]
    expected = torch.from_numpy(images).float()
    assert torch.equal(torch.stack([image for _, image in many]), expected)

    [(name, one)] = data.read_images([tmp_path / "one.npy"], shape=SHAPE)
    assert name == f"{tmp_path}/one.npy"
    assert torch.equal(one, expected[1])

    [(name, single)] = data.read_images([tmp_path / "single.npz"], shape=SHAPE)
    assert name == f"{tmp_path}/single.npz[0]"
    assert torch.equal(single, expected[0])

    named = data.read_images([tmp_path / "named.npz"], shape=SHAPE)
    assert [name for name, _ in named] == [f"{tmp_path}/named.npz[{i}]" for i in range(3)]
    assert torch.equal(named[2][1], (expected[2] * 255).floor() / 255)


def test_a_wrong_shape_is_never_resized_unasked(picture: Path) -> None:
    with pytest.raises(DataError) as caught:
        data.read_images([picture], shape=(3, 32, 32))
    assert str(caught.value) == (
        f"{picture}: expected an image of shape 3x32x32 (channels x height x width), got 3x5x6; "
        "pass --resize to scale it"
    )


@pytest.mark.parametrize("resize", [False, True])
def test_a_wrong_number_of_channels_cannot_be_resized(tmp_path: Path, resize: bool) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((2, 1, 5, 6), np.uint8))
    with pytest.raises(DataError) as caught:
        data.read_images([path], shape=SHAPE, resize=resize)
    assert str(caught.value) == (
        f"{path}[0]: expected an image of shape 3x5x6 (channels x height x width), got 1x5x6; "
        "convert it to 3 channels first (--resize changes height and width only)"
    )


def test_resize(tmp_path: Path, picture: Path) -> None:
    np.save(tmp_path / "x.npy", np.full((1, 3, 50, 20), 0.25, np.float32))
    paths = [picture, tmp_path / "x.npy"]
    with pytest.warns(UserWarning, match="scaled") as said:
        (_, small), (_, flat) = data.read_images(paths, shape=(3, 3, 2), resize=True)
    assert [str(one.message) for one in said] == [
        f"{path}: scaled from {size} to 2 x 3, which changes its proportions; crop it first to "
        "keep them"
        for path, size in ((picture, "6 x 5"), (f"{paths[1]}[0]", "20 x 50"))
    ]
    with Image.open(picture) as image:
        expected = np.array(image.resize((2, 3), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(
        small.permute(1, 2, 0).numpy(), expected / 255, atol=1.5 / 255, rtol=0
    )
    torch.testing.assert_close(flat, torch.full((3, 3, 2), 0.25))


def test_an_image_that_keeps_its_proportions_is_scaled_without_a_word(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.full((1, 3, 41, 40), 0.25, np.float32))  # to a pixel or so
    [(_, scaled)] = data.read_images([tmp_path / "x.npy"], shape=(3, 8, 8), resize=True)
    assert scaled.shape == (3, 8, 8)


def test_an_image_of_the_right_shape_is_left_alone_by_resize(picture: Path) -> None:
    [(_, asked)] = data.read_images([picture], shape=SHAPE, resize=True)
    [(_, plain)] = data.read_images([picture], shape=SHAPE)
    assert torch.equal(asked, plain)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        data.read_images([tmp_path / "x.png"], shape=SHAPE)
    assert str(caught.value) == (
        f"{tmp_path}/x.png: expected an image, an array file or a folder, found nothing; "
        "check the path"
    )


def test_a_folder_without_images(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        data.read_images([tmp_path], shape=SHAPE)
    assert str(caught.value) == (
        f"{tmp_path}: expected images or arrays in this folder, found none; known are .bmp, .gif, "
        ".jpeg, .jpg, .npy, .npz, .pgm, .png, .ppm, .tif, .tiff, .webp"
    )


def test_a_file_that_is_no_image(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    with pytest.raises(DataError) as caught:
        data.read_images([path], shape=SHAPE)
    assert str(caught.value) == (
        f"{path}: cannot be read as an image (cannot identify image file '{path}'); "
        "replace or remove the file"
    )


def test_an_npz_file_with_several_arrays(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, a=np.zeros(3), b=np.zeros(3))
    with pytest.raises(DataError) as caught:
        data.read_images([path], shape=SHAPE)
    assert str(caught.value) == (
        f"{path}: expected one array, or one named 'images', found ['a', 'b']; "
        "save the images alone"
    )


def test_pickled_objects_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.array([{}]), allow_pickle=True)
    with pytest.raises(DataError) as caught:
        data.read_images([path], shape=SHAPE)
    assert str(caught.value) == (
        f"{path}: expected plain NumPy arrays without pickled objects "
        "(Object arrays cannot be loaded when allow_pickle=False); "
        "write the file again with numpy.save or numpy.savez"
    )


def test_floats_outside_the_unit_interval(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.linspace(0, 255, 90, dtype=np.float32).reshape(SHAPE))
    with pytest.raises(DataError) as caught:
        data.read_images([path], shape=SHAPE)
    assert str(caught.value) == (
        f"{path}: expected floats in [0, 1], got values from 0 to 255; "
        "scale the array, or give uint8"
    )


def test_all_that_cannot_be_read_is_said_at_once(tmp_path: Path, picture: Path) -> None:
    (tmp_path / "bad.png").write_text("x")
    np.save(tmp_path / "large.npy", np.zeros((2, 3, 9, 9), dtype=np.uint8))
    with pytest.raises(DataError) as caught:
        data.read_images([tmp_path, tmp_path / "none"], shape=SHAPE)
    first, *others = str(caught.value).splitlines()
    assert first == "expected inputs that can be read, got 3 others:"
    places = [f"{tmp_path}/{name}" for name in ("bad.png", "large.npy[0]", "none")]
    assert [line.split(": ")[0].strip() for line in others] == places
    named, problems = read_apart([tmp_path, tmp_path / "none"], shape=SHAPE)
    assert [name for name, _ in named] == [str(picture)]
    assert [str(problem) for problem in problems] == [line.strip() for line in others]
    assert read_apart([picture], shape=SHAPE)[1] == []
