"""The curve of certified accuracy: its corners by hand, and the picture decoded."""

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import rszoo
from rszoo.errors import DataError, RszooError
from rszoo.evaluation._steps import cliff, steps
from rszoo.evaluation.log import LogTable, read_log
from rszoo.evaluation.look import COLOURS, looks
from rszoo.evaluation.plot import curve

HEADER = "idx\tlabel\tpredict\tradius\tcorrect\ttime\n"
SIX = [(3, 3, 0.5), (3, 3, 1.0), (5, 2, 0.75), (1, -1, 0.0), (1, 1, 0.5), (0, 0, 0.0)]
OTHER = [(1, 1, 0.2 + 0.1 * i) for i in range(9)]
BLUE, VERMILION = (0, 87, 156), (213, 94, 0)  # of smoothadv and of cat_rs


def original(path: Path, rows: list[tuple[int, int, float]]) -> LogTable:
    lines = [
        f"{i}\t{label}\t{predict}\t{radius}\t{int(label == predict)}\t0:00:01\n"
        for i, (label, predict, radius) in enumerate(rows)
    ]
    path.write_text(HEADER + "".join(lines))
    return read_log(path)


def count(picture: Path, colour: tuple[int, int, int]) -> int:
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB"))
    return int((pixels == colour).all(axis=-1).sum())


def test_the_corners_of_six_rows_by_hand(tmp_path: Path) -> None:
    x, y = steps(original(tmp_path / "a.tsv", SIX))
    assert x.tolist() == [0.0, 0.5, 1.0, 1.0]
    assert y == pytest.approx([4 / 6, 3 / 6, 1 / 6, 0.0])


def test_a_log_with_nothing_right_is_a_point_at_zero(tmp_path: Path) -> None:
    x, y = steps(original(tmp_path / "a.tsv", [(1, -1, 0.0), (1, 2, 0.5)]))
    assert (x.tolist(), y.tolist()) == ([0.0, 0.0], [0.0, 0.0])
    curve([read_log(tmp_path / "a.tsv")], tmp_path / "a.png")


def test_each_method_is_drawn_in_its_colour_in_every_picture(tmp_path: Path) -> None:
    one = original(tmp_path / "mnist-smoothadv-0.50.tsv", SIX)
    other = original(tmp_path / "mnist-cat_rs-0.50.tsv", OTHER)
    for number, logs in enumerate(([one], [one, other], [other, one])):
        curve(logs, tmp_path / f"{number}.png")
        assert count(tmp_path / f"{number}.png", BLUE) > 500
        assert (count(tmp_path / f"{number}.png", VERMILION) > 500) == (other in logs)


def test_noise_levels_have_dashes_and_no_two_models_look_alike() -> None:
    models = [("cat_rs", 0.5), ("cat_rs", 0.25), ("mine", 0.25), ("cascade", None), ("dual", None)]
    look = looks([*models, ("cat_rs", 0.25), ("denoising", 0.25)])
    assert [(one.colour, one.dashes) for one in look] == [
        ("cat_rs", 1),
        ("cat_rs", 0),
        ("other-0", 0),
        ("composed", 0),
        ("composed", 1),
        ("cat_rs", 2),
        ("denoised", 0),
    ]
    many = looks([(f"mine {number}", None) for number in range(len(COLOURS))])
    assert len({one.colour for one in many}) == len(COLOURS)
    assert len({*looks([("mine", None)] * 9)}) == 9


def test_every_method_that_is_certified_has_a_colour_of_its_own() -> None:
    folders = (Path(rszoo.__file__).parent / "builtin").glob("digits-*")
    with_curves = {path.name.split("-")[1] for path in folders} - {"standard", "dual_rs"}
    found = {method: looks([(method, 0.25)])[0].colour for method in sorted(with_curves)}
    assert {method: method for method in found} | {"cascade": "composed", "dual": "composed"} == (
        found
    )
    for shade in (0, 1):
        assert len({pair[shade] for pair in COLOURS.values()}) == len(COLOURS)


def test_where_the_draws_end_a_curve(tmp_path: Path) -> None:
    # Three of four have the largest radius; then one of 60; then three of four are wrong.
    rows = [(1, 1, 1.5)] * 3 + [(1, 1, 0.5)]
    assert cliff(original(tmp_path / "a.tsv", rows)) == (1.5, 0.75)
    assert cliff(original(tmp_path / "b.tsv", [(1, 1, 1.5), *[(1, 1, 0.5)] * 59])) is None
    assert cliff(original(tmp_path / "c.tsv", [(1, 2, 1.5)] * 3 + [(1, 1, 0.5)])) == (0.5, 0.25)
    assert cliff(original(tmp_path / "d.tsv", [(1, 2, 1.5)])) is None
    tested = replace(read_log(tmp_path / "a.tsv"), protocol=SimpleNamespace(radii=(0.5, 1.5)))
    assert tested.tested == (0.5, 1.5)
    assert cliff(tested) is None


def test_eight_logs_have_eight_colours(tmp_path: Path) -> None:
    logs = [original(tmp_path / f"_log${i}", SIX[: i + 1]) for i in range(8)]
    curve(logs, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        colours = image.convert("RGB").getcolors(maxcolors=2**24)
    assert colours is not None
    # Each key of the legend alone has more pixels of its colour than this.
    assert len([number for number, _ in colours if number > 150]) >= 8


def test_too_many_logs_are_refused(tmp_path: Path) -> None:
    logs = [original(tmp_path / "a.tsv", SIX)] * 9
    with pytest.raises(RszooError) as error:
        curve(logs, tmp_path / "a.png")
    assert str(error.value) == "expected 1 to 8 logs in one picture, got 9; plot fewer"


def test_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RszooError) as error:
        curve([original(tmp_path / "a.tsv", SIX)], "a.jpeg")
    assert str(error.value) == "expected a picture's name ending in .png, got 'a.jpeg'"


def test_a_failed_plot_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = original(tmp_path / "a.tsv", SIX)
    target = tmp_path / "a.png"
    with pytest.raises(RszooError) as error:
        curve([log], tmp_path / "absent" / "a.png")
    assert str(error.value) == (
        f"cannot write '{tmp_path}/absent/a.png': No such file or directory"
    )
    with pytest.raises(DataError):
        curve([log, original(tmp_path / "b.tsv", [])], target)
    assert not target.exists()

    target.write_bytes(b"the picture before")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RszooError, match=r"a\.png': No space left on device"):
        curve([log], target)
    assert target.read_bytes() == b"the picture before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "a.tsv", "b.tsv"]
