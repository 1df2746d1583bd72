"""A whole set certified by one call: every kind of data gives the same certificates."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import rszoo
from rszoo.data import from_arrays
from rszoo.errors import DataError, RszooError
from rszoo.evaluation.certified import Certified
from rszoo.evaluation.inputs import InputSet
from rszoo.evaluation.log import NO_LABEL, read_log

SHAPE = (1, 2, 2)
NAMES = ("dark", "light", "never")
#: Grey levels of the images, as bytes: the brightness decides, at 1/2.
LEVELS = (0, 51, 102, 204, 255)
LABELS = (0, 0, 1, 1, 1)
BUDGET: dict[str, Any] = {"n0": 20, "n": 500, "seed": 3, "progress": False}


class Brightness(nn.Module):
    """Class 1 for a mean above 1/2, else 0; never class 2."""

    def __init__(self) -> None:
        super().__init__()
        self.threshold = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor) -> Tensor:
        above = x.mean((1, 2, 3)) - self.threshold
        return torch.stack([-above, above, torch.full_like(above, -9.0)], 1)


def smoothed(**settings: Any) -> rszoo.SmoothedClassifier:
    given = {"input_shape": SHAPE, "class_names": NAMES, "device": "cpu"} | settings
    return rszoo.SmoothedClassifier(Brightness(), sigma=0.25, num_classes=3, **given)


def as_bytes() -> np.ndarray:
    return np.array(LEVELS, dtype=np.uint8)[:, None, None, None].repeat(2, 2).repeat(2, 3)


IMAGES = torch.from_numpy(as_bytes()).float() / 255


class Pairs(Dataset[tuple[Image.Image, int]]):
    """Pictures and labels that are made when they are asked for; remembers which were."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __len__(self) -> int:
        return len(LEVELS)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        self.asked.append(index)
        return pictures()[index], LABELS[index]


class Stream(IterableDataset[Tensor]):
    def __iter__(self) -> Any:  # noqa: ANN401
        return iter(IMAGES)


def pictures() -> list[Image.Image]:
    return [Image.fromarray(one[0]) for one in as_bytes()]


def files(folder: Path) -> list[Path]:
    paths = [folder / f"{i}.png" for i in range(len(LEVELS))]
    for path, picture in zip(paths, pictures(), strict=True):
        picture.save(path)
    return paths


def as_array_file(folder: Path) -> Path:
    np.save(folder / "all.npy", as_bytes())
    return folder / "all.npy"


FORMS: dict[str, Callable[[Path], Any]] = {
    "tensor": lambda folder: IMAGES,
    "bytes": lambda folder: as_bytes(),
    "floats": lambda folder: IMAGES.double().numpy(),
    "data set": lambda folder: TensorDataset(IMAGES),
    "stream": lambda folder: Stream(),
    "loader": lambda folder: DataLoader(TensorDataset(IMAGES), batch_size=2),
    "list of tensors": lambda folder: [*IMAGES],
    "pictures": lambda folder: pictures(),
    "paths": lambda folder: files(folder),
    "texts": lambda folder: [str(path) for path in files(folder)],
    "folder": lambda folder: files(folder)[0].parent,
    "array file": lambda folder: as_array_file(folder),
    "own inputs": lambda folder: InputSet.of_own([(str(i), x) for i, x in enumerate(IMAGES)]),
}


@pytest.fixture(scope="module")
def alone() -> list[rszoo.Certificate]:
    return smoothed().certify_batch(IMAGES, n0=20, n=500, seed=3)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_every_form_is_the_same_images(
    form: Callable[[Path], Any], tmp_path: Path, alone: list[rszoo.Certificate]
) -> None:
    found = rszoo.certify(smoothed(), form(tmp_path), **BUDGET)
    assert found.certificates == alone
    assert {one.label for one, _ in found.answers} == {NO_LABEL}


LABELLED: dict[str, Callable[[], Any]] = {
    "pair": lambda: (IMAGES, LABELS),
    "pair of arrays": lambda: (as_bytes(), np.array(LABELS)),
    "data set": lambda: TensorDataset(IMAGES, torch.tensor(LABELS)),
    "loader": lambda: DataLoader(TensorDataset(IMAGES, torch.tensor(LABELS)), batch_size=3),
    "pictures": Pairs,
    "image set": lambda: from_arrays(
        IMAGES, np.array(LABELS), name="levels", split="test", class_names=NAMES
    ),
}


@pytest.mark.parametrize("form", LABELLED.values(), ids=LABELLED.keys())
def test_labels_come_along(form: Callable[[], Any], alone: list[rszoo.Certificate]) -> None:
    found = rszoo.certify(smoothed(), form(), **BUDGET)
    assert found.certificates == alone
    assert [one.label for one, _ in found.answers] == [*LABELS]
    # 102 of 255 is dark, and not what its label says; 500 draws certify 0.551 at most.
    assert found.report(radii=(0.0, 0.4, 0.56)).certified_accuracy == (4 / 5, 4 / 5, 0.0)


def test_arrays_hold_what_the_certificates_do(alone: list[rszoo.Certificate]) -> None:
    found = rszoo.certify(smoothed(), IMAGES, labels=LABELS, **BUDGET)
    assert (found.labels.dtype, found.radii.dtype, found.votes.dtype) == (int, float, int)
    assert found.labels.tolist() == [0, 0, 0, 1, 1]
    assert found.radii.tolist() == [one.radius for one in alone]
    assert found.votes.tolist() == [one.votes for one in alone]
    assert [one.class_name for one in found.certificates] == ["dark"] * 3 + ["light"] * 2
    frame = found.to_pandas()
    assert len(frame) == len(found) == 5
    assert frame["radius"].tolist() == found.radii.tolist()
    assert frame["class_name"].tolist() == ["dark"] * 3 + ["light"] * 2
    assert frame["correct"].tolist() == [True, True, False, True, True]


def test_at_radii_the_table_says_what_was_spent() -> None:
    found = rszoo.certify(smoothed(), IMAGES, radii=[0.1, 0.3], **BUDGET)
    frame = found.to_pandas()
    assert found.kind.name == "early"
    assert (frame["spent"] <= frame["n"]).all()
    assert set(found.radii) <= {0.0, 0.1, 0.3}


def test_skip_and_limit_ask_for_no_more() -> None:
    pairs = Pairs()
    found = rszoo.certify(smoothed(), pairs, skip=2, limit=2, **BUDGET)
    assert [one.name for one, _ in found.answers] == ["0", "2"]
    assert [one.label for one, _ in found.answers] == [LABELS[0], LABELS[2]]
    assert pairs.asked == [0, 2]


def test_what_is_saved_is_what_a_log_would_be(tmp_path: Path) -> None:
    kept = rszoo.certify(smoothed(), IMAGES, labels=LABELS, **BUDGET)
    path = kept.save(tmp_path / "a.tsv")
    logged = rszoo.certify(smoothed(), IMAGES, labels=LABELS, log=tmp_path / "b.tsv", **BUDGET)
    first, second = read_log(path), read_log(tmp_path / "b.tsv")
    assert [first.certificate(i) for i in range(5)] == kept.certificates
    assert first.protocol == second.protocol
    assert first.input == second.input
    with pytest.raises(RszooError, match="expected a new file"):
        kept.save(path)
    with pytest.raises(RszooError, match="expected answers that are in memory alone"):
        logged.save(tmp_path / "c.tsv")


def test_a_log_goes_on_with_the_same_networks_alone(tmp_path: Path) -> None:
    log = tmp_path / "a.tsv"
    whole: Certified = rszoo.certify(smoothed(), IMAGES, log=log, **BUDGET)
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:3]))
    again = rszoo.certify(smoothed(), IMAGES, log=log, resume=True, **BUDGET)
    assert again.certificates == whole.certificates
    assert [one.class_name for one in again.certificates] == ["dark"] * 3 + ["light"] * 2
    assert [one is None for one in again.seconds] == [True, True, False, False, False]
    other = smoothed()
    with torch.no_grad():
        next(other.network.parameters()).fill_(0.25)
    with pytest.raises(RszooError, match="was made under another protocol"):
        rszoo.certify(other, IMAGES, log=log, resume=True, **BUDGET)
    with pytest.raises(ValueError, match="expected a log and its seed"):
        rszoo.certify(smoothed(), IMAGES, log=log, resume=True)


@pytest.mark.parametrize(
    ("data", "more", "problem"),
    [
        (IMAGES * 3 - 1, {}, "image 0: expected pixels in .0, 1., got -1 to -1; leave out what"),
        (IMAGES.repeat(1, 1, 2, 1), {}, r"image 0: expected shape \(1, 2, 2\), got \(1, 4, 2\)"),
        (IMAGES.long(), {}, "expected uint8 or floats"),
        (IMAGES[:0], {}, "expected at least one image"),
        (IMAGES, {"labels": [0, 1]}, "expected one label per image, got 5 images, 2 labels"),
        (IMAGES, {"labels": [0, 1, 2, 3, 0]}, "expected labels from 0 to 2, got 3"),
        (7, {}, "expected a Dataset, a DataLoader, .* got a int"),
        ([7], {}, "expected images as tensors, .* got a int"),
        ("nothing.png", {}, "found nothing"),
    ],
)
def test_what_is_refused_before_anything_is_drawn(
    data: Any,  # noqa: ANN401
    more: dict[str, Any],
    problem: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    classifier = smoothed()
    monkeypatch.setattr(classifier, "certifier", lambda *_: pytest.fail("it certifies"))
    with pytest.raises(DataError, match=problem):
        rszoo.certify(classifier, data, **more, **BUDGET)


def test_pictures_need_a_shape() -> None:
    with pytest.raises(DataError, match=r"make it with input_shape=\(3, 32, 32\)"):
        rszoo.certify(smoothed(input_shape=None), pictures(), **BUDGET)
    assert len(rszoo.certify(smoothed(input_shape=None), IMAGES[0], **BUDGET)) == 1


def test_progress_is_shown_unless_it_is_not_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    rszoo.certify(smoothed(), IMAGES[:1], **BUDGET)
    assert capsys.readouterr().err == ""
