"""What commands say of a model, of what comes next, and of options that are wrong."""

from pathlib import Path

import pytest
from denoisers import denoiser
from typer.testing import CliRunner

from rszoo_cli import app, console, main

STANDARD = "builtin/digits-standard-0.00"
SMOOTHED = "builtin/digits-gaussian-0.25"
ROUTER = "builtin/digits-dual_rs-0.50"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def said(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, done.output
    return done.output


def shown(model: str) -> dict[str, str]:
    """Return what `rszoo show` says, by label; further lines of one are joined by a slash."""
    found: dict[str, str] = {}
    for line in said("show", model).split("\n\n")[0].splitlines():
        label, text = line[1:12].strip(), line[12:].strip()
        if label:
            found[label] = text
        else:
            found[[*found][-1]] += f" / {text}"
    return found


def test_show_says_which_part_is_which_and_that_nothing_is_certified() -> None:
    parts = ("--standard", STANDARD, "--robust", STANDARD)
    made = said("compose", "mixed-standard", *parts, "--alpha-mix", "0.7", "--out", "mix")
    assert made.endswith("next: rszoo predict --model mix\n")
    found = shown("mix")
    assert found["parts"] == f"standard {STANDARD} / robust {STANDARD}"
    assert found["certifies"] == "nothing"
    assert shown(STANDARD)["certifies"] == "nothing"
    dual = shown("builtin/digits-dual-0.50")
    assert [part.split()[0] for part in dual["parts"].split(" / ")] == [
        "expert",
        "expert",
        "router",
    ]
    assert "certifies" not in dual


@pytest.mark.parametrize(
    ("classifier", "command"),
    [
        (STANDARD, "certify --model made"),
        (ROUTER, "compose dual --expert ID --expert ID --out DIR --router made"),
    ],
)
def test_what_comes_after_a_denoiser(classifier: str, command: str, tmp_path: Path) -> None:
    denoiser(tmp_path / "denoiser", 0.5)
    parts = ("--denoiser", "denoiser", "--classifier", classifier)
    made = said("compose", "denoised", *parts, "--out", "made")
    assert made.endswith(f"next: rszoo {command}\n")


def test_long_lines_are_folded_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    few = ("certify", "-m", SMOOTHED, "--n", "100", "--skip", "90", "--seed", "1")
    said(*few, "--out", "all.tsv")
    said(*few, "--out", "some.tsv", "--radii", "0.1")
    commands = [
        ("report", "all.tsv", "some.tsv"),
        ("verify", "all.tsv", "--n", "100", "--seed", "2"),
        ("show", "builtin/digits-cascade-0.50"),
    ]
    for stream in (console.out, console.err):
        monkeypatch.setattr(stream, "width", 80)
    piped = [said(*command) for command in commands]
    monkeypatch.setattr(console.out, "_force_terminal", True)
    monkeypatch.setattr(console.out, "_color_system", None)
    folded = [said(*command) for command in commands]
    for one, other in zip(piped, folded, strict=True):
        assert max(map(len, other.splitlines())) <= 80
        assert one.split() == other.split()  # at words
    assert max(len(line) for text in piped for line in text.splitlines()) > 80


CERTIFY = ("certify", "-m", SMOOTHED, "--n", "100", "--limit", "1", "--out", "z.tsv")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((*CERTIFY, "--precision", "half"), 2),
        ((*CERTIFY, "--noise-scheme", "dice"), 2),
        ((*CERTIFY, "--engine", "steam"), 2),
        ((*CERTIFY, "--radii", "9"), 2),
        (("attack", SMOOTHED, "--precision", "half"), 2),
        (("attack", SMOOTHED, "--norm", "l7"), 2),
        (("report", SMOOTHED, "--plot", "curve.jpg"), 2),
        (("train", "no_such_recipe"), 2),
        (("train", "gaussian", "train.epochs=x"), 2),
        ((*CERTIFY, "--device", "nowhere"), 1),
        ((*CERTIFY, "--dataset", "nowhere"), 1),
        (("train", "gaussian", "--dataset", "nowhere"), 1),
        (("certify", "-m", "nowhere"), 1),
        (("report", "nowhere.tsv"), 1),
        (("verify", "nowhere.tsv"), 1),
        (("predict", "-m", SMOOTHED, "nowhere.png"), 1),
    ],
)
def test_like_errors_have_one_exit_code(
    arguments: tuple[str, ...], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == code
    assert capsys.readouterr().err.strip()


def test_a_radius_out_of_reach_is_refused_in_the_words_of_the_options() -> None:
    done = CliRunner().invoke(app, [*CERTIFY, "--radii", "0.1,9"])
    words = " ".join(done.output.replace("│", " ").split())
    assert "expected --radii from 0 to 0.3751, the largest that 100 draws (--n) certify" in words
    assert "got 9.0;" in words
    assert "tolerance" not in words
