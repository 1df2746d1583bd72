"""The curve of certified accuracy: its corners by hand, and the picture decoded."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rszoo.errors import DataError, RszooError
from rszoo.evaluation._steps import steps
from rszoo.evaluation.log import LogTable, read_log
from rszoo.evaluation.plot import curve

HEADER = "idx\tlabel\tpredict\tradius\tcorrect\ttime\n"
SIX = [(3, 3, 0.5), (3, 3, 1.0), (5, 2, 0.75), (1, -1, 0.0), (1, 1, 0.5), (0, 0, 0.0)]
OTHER = [(1, 1, 0.2 + 0.1 * i) for i in range(9)]
BLUE, VERMILION = (0, 114, 178), (213, 94, 0)


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


def test_each_log_is_drawn_in_its_colour(tmp_path: Path) -> None:
    logs = [original(tmp_path / "a.tsv", SIX), original(tmp_path / "b.tsv", OTHER)]
    curve(logs[:1], tmp_path / "one.png")
    curve(logs, tmp_path / "two.png")
    assert count(tmp_path / "one.png", BLUE) > 500
    assert count(tmp_path / "one.png", VERMILION) == 0
    assert count(tmp_path / "two.png", BLUE) > 500
    assert count(tmp_path / "two.png", VERMILION) > 500


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
