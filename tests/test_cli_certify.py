"""`rszoo certify` and `rszoo predict`, by their whole output."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from rszoo import data
from rszoo.evaluation.log import read_log
from rszoo.hub.bundle import open_bundle
from rszoo.hub.writing import write_bundle
from rszoo.theory.radii import linf_radius
from rszoo_cli import console, main

MODEL = "runs/digits-gaussian-0.25"
LOG = "certificates/digits-gaussian-0.25.tsv"


class Done(NamedTuple):
    code: int
    out: str
    err: str


Command = Callable[..., Done]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, constant_bundle: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for stream in (console.out, console.err):
        monkeypatch.setattr(stream, "width", 80)
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    for name in ("a.png", "folder/b.png", "folder/deep/c.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(name)
    Image.fromarray(np.zeros((10, 12), np.uint8)).save("big.png")
    np.save("two.npy", np.zeros((2, 1, 8, 8), np.float32))


@pytest.fixture
def rszoo(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command in this process; trailing spaces are of no interest."""

    def run(command: str, *arguments: str) -> Done:
        with pytest.raises(SystemExit) as caught:
            main([command, "--model", MODEL, *arguments])
        captured = capsys.readouterr()
        plain = ["\n".join(line.rstrip() for line in text.splitlines()) for text in captured]
        return Done(int(caught.value.code or 0), *plain)

    return run


def usage_error(done: Done) -> str:
    """Return the sentence in the frame that typer draws around a usage error."""
    assert done.code == 2
    assert done.out == ""
    framed = [line.strip("│ ") for line in done.err.splitlines() if line.startswith("│")]
    return " ".join(framed)


SUMMARY = """\
log                   sigma      n  alpha  images            ACR  abstain %
───────────────────────────────────────────────────────────────────────────
digits-gaussian-0.25   0.25  1,000  0.001      12  0.102 ± 0.070        0.0

radius  certified accuracy %  95 % interval
───────────────────────────────────────────
0.00                    16.6       2.0-48.5
0.25                    16.6       2.0-48.5
0.50                    16.6       2.0-48.5"""

SMALL = ("--n", "1000", "--limit", "12", "--skip", "3")


def test_the_test_images_of_the_models_data_set(rszoo: Command) -> None:
    images = data.load("digits", "test")
    taken = list(range(0, 36, 3))
    threes = [int(images.labels[index]) == 3 for index in taken]
    assert sum(threes) == 2  # 16.7 %, of radius 0.6158: the average is 0.1026

    assert rszoo("certify", *SMALL) == Done(0, SUMMARY, f"log: {LOG}")
    log = read_log(LOG)
    assert log.idx.tolist() == taken
    assert log.label.tolist() == images.labels[taken].tolist()
    assert log.correct.tolist() == threes
    assert set(log.radius.tolist()) == {0.6158156536828822}
    assert log.protocol is not None
    assert log.protocol.values()["inputs"] == {
        "name": "digits",
        "split": "test",
        "size": 360,
        "step": 3,
        "count": 12,
        "digest": images.digest,
    }
    assert log.protocol.values()["model"] == {
        "name": "digits-gaussian-0.25",
        "weights_sha256": open_bundle(MODEL).weights_digest,
    }
    assert (log.protocol.values()["n0"], log.protocol.values()["n"]) == (100, 1000)


def test_about_500_images_are_the_default(rszoo: Command) -> None:
    done = rszoo("certify", "--n", "1", "--n0", "1", "--json")
    assert json.loads(done.out)["images"] == len(data.load("digits", "test")) == 360


def test_a_second_run_is_refused_and_continued_with_resume(rszoo: Command) -> None:
    assert rszoo("certify", *SMALL[:3], "5", "--skip", "3").code == 0
    before = Path(LOG).read_bytes()
    assert rszoo("certify", *SMALL) == Done(
        1,
        "",
        f"error: expected a new file, got {LOG}, which exists; continue it with --resume, or "
        "name another one with --out",
    )
    assert rszoo("certify", *SMALL, "--resume", "--n0", "50") == Done(
        1,
        "",
        f"error: {LOG} was made under another protocol:\n"
        "  --n0: 100 in the log, 50 now\n"
        "continue it with the values of the log, or name another log with --out",
    )
    assert Path(LOG).read_bytes() == before
    assert rszoo("certify", *SMALL, "--resume") == Done(0, SUMMARY, f"log: {LOG}")
    assert Path(LOG).read_bytes().startswith(before)
    whole = Path(LOG).read_bytes()
    assert rszoo("certify", *SMALL, "--resume").out == SUMMARY
    assert Path(LOG).read_bytes() == whole


def test_json_and_nothing_else(rszoo: Command) -> None:
    done = rszoo("certify", *SMALL, "--json", "--out", "here.tsv")
    assert (done.code, done.err) == (0, "log: here.tsv")
    entry = json.loads(done.out)
    assert entry["name"] == "here"
    assert (entry["images"], entry["n"], entry["clean"]) == (12, 1000, 2 / 12)
    assert entry["acr"] == pytest.approx(0.6158156536828822 / 6)


def test_attach_puts_the_evidence_into_the_bundle(rszoo: Command) -> None:
    done = rszoo("certify", *SMALL, "--attach")
    assert done == Done(0, SUMMARY, f"log: {LOG}\nthe log is now in {MODEL}")
    bundle = open_bundle(MODEL)
    assert bundle.evidence is not None
    assert bundle.evidence.read_bytes() == Path(LOG).read_bytes()
    assert read_log(bundle.evidence).protocol == read_log(LOG).protocol


def test_attach_keeps_evidence_of_more_inputs(rszoo: Command) -> None:
    assert rszoo("certify", *SMALL, "--attach").code == 0
    whole = Path(LOG).read_bytes()
    fewer = ("--n", "1000", "--limit", "2", "--attach", "--out", "b.tsv")
    done = rszoo("certify", *fewer)
    assert done.code == 1
    assert done.err == (
        "log: b.tsv\nerror: b.tsv: expected a certificate of every input of the log in the "
        "bundle, from as many draws; 11 of 12 are missing; certify them as well (--resume), or "
        "replace that log with --overwrite"
    )
    evidence = Path(MODEL, "certificates.tsv")
    assert evidence.read_bytes() == whole
    assert rszoo("certify", *fewer, "--resume", "--overwrite").code == 0
    assert evidence.read_bytes() == Path("b.tsv").read_bytes() != whole


def test_the_test_images_of_another_data_set(rszoo: Command) -> None:
    images = data.load("digits", "test")
    pixels = (images.images(torch.arange(10)) * 255).byte().numpy()
    labels = np.full(10, 3)
    arrays = {"train_images": pixels, "test_images": pixels}
    arrays |= {"train_labels": labels, "test_labels": labels}
    np.savez("threes.npz", **arrays, class_names=np.array(list("0123456789")))
    done = rszoo("certify", "--n", "1000", "--dataset", "threes.npz", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["clean"] == 1.0
    np.savez(
        "two.npz",
        **{**arrays, "train_labels": np.arange(10) % 2, "test_labels": np.arange(10) % 2},
    )
    assert rszoo("certify", "--dataset", "two.npz", "--out", "b.tsv").err == (
        "error: two: expected images of shape 1x8x8 and the model's 10 classes ('0', '1', "
        "'2', ...), got 1x8x8 and 2 classes ('0', '1'); take another --dataset"
    )


def test_a_data_set_that_has_moved(rszoo: Command, constant_bundle: Path) -> None:
    bundle = open_bundle(constant_bundle)
    moved = bundle.config.model_copy(update={"dataset": "gone/faces"})
    write_bundle(
        bundle.path,
        config=moved,
        network=bundle.network(),
        recipe="",
        origin=bundle.manifest.origin,
        replace=True,
    )
    assert rszoo("certify").err == (
        "error: gone/faces: expected a folder of class folders or an .npz file, found nothing; "
        "check the path, or say with --dataset where the data set lies now"
    )
    assert rszoo("certify", *SMALL, "--dataset", "digits").out == SUMMARY


OWN = """\
 input              label  radius  holds with probability
 a.png              3      0.6158                   0.999
 folder/b.png       3      0.6158                   0.999
 folder/deep/c.png  3      0.6158                   0.999
 two.npy[0]         3      0.6158                   0.999
 two.npy[1]         3      0.6158                   0.999
seed 0"""


def test_radii_are_decided_with_few_draws(rszoo: Command) -> None:
    radii = ("--radii", "0.5,0.1", "--limit", "12", "--skip", "3")
    done = rszoo("certify", *radii)
    # The constant network is certain of its answer: 0.5 is decided at the same look every time.
    assert (
        done.out
        == """\
log                   sigma        n  alpha  images               ACR  abstain %
────────────────────────────────────────────────────────────────────────────────
digits-gaussian-0.25   0.25  100,000  0.001      12  >= 0.083 ± 0.057        0.0
digits-gaussian-0.25: 538 of 100,000 draws per image; 0.0 % undecided (n draws did \
not settle every radius)

radius  certified accuracy %  95 % interval
───────────────────────────────────────────
0.10                    16.6       2.0-48.5
0.50                    16.6       2.0-48.5"""
    )
    log = read_log(LOG)
    assert log.tested == (0.1, 0.5)
    assert set(log.radius.tolist()) == {0.5}
    assert log.certificate(0).votes == log.certificate(0).draws == 538
    Path(LOG).write_text("".join(Path(LOG).read_text().splitlines(keepends=True)[:5]))
    assert rszoo("certify", *radii, "--resume") == done
    assert read_log(LOG).certificate(7) == log.certificate(7)


def test_adaptive_gives_up_no_more_than_the_tolerance(rszoo: Command) -> None:
    few = ("--limit", "2", "--n", "5000", "--json")
    full = json.loads(rszoo("certify", *few, "--out", "full.tsv").out)
    done = rszoo("certify", *few, "--adaptive", "--radius-tol", "0.1", "--out", "early.tsv")
    early = json.loads(done.out)
    assert early["draws"] < 5000 == full["draws"]
    assert (early["undecided"], full["undecided"]) == (0.0, None)
    (wide,), (near,) = set(read_log("full.tsv").radius), set(read_log("early.tsv").radius)
    assert wide - 0.1 <= near <= wide


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--radii", "0.25,3"],
            "expected --radii from 0 to 0.9528, the largest that 100,000 draws (--n) certify of "
            "this model, at sigma 0.25 and alpha 0.001, got 3.0; with more draws, or a model of "
            "larger sigma, larger ones can be",
        ),
        (["--radii", "1,x"], "expected --radii as numbers with commas between them, got '1,x'"),
        (["--radii", ""], "expected --radii as numbers with commas between them, got ''"),
        (["--radii", "0.1", "--adaptive"], "expected --radii or --adaptive, got both"),
        (["--radius-tol", "0.1"], "expected --adaptive with --radius-tol, got none"),
        (
            ["--adaptive", "--radius-tol", "0"],
            "expected --radius-tol between 0.0025 and 2.5 for sigma 0.25, got 0",
        ),
        (
            ["--adaptive", "--radius-tol", "0.01", "--n", "10000000"],
            "expected tests at a radius of at most 2,500,000,000 draws in all, got more; enlarge "
            "--radius-tol or lower --n",
        ),
    ],
)
def test_stopping_early_by_wrong_options(
    rszoo: Command, arguments: list[str], message: str
) -> None:
    assert message in usage_error(rszoo("certify", *arguments))


def test_own_images_folders_and_arrays(rszoo: Command) -> None:
    given = ("a.png", "folder", "two.npy")
    assert rszoo("certify", "--n", "1000", *given) == Done(0, OWN, "")
    assert not Path("certificates").exists()


def test_own_inputs_with_a_log_that_is_resumed(rszoo: Command) -> None:
    given = ("--n", "1000", "--out", "own.tsv", "a.png", "folder", "two.npy")
    assert rszoo("certify", *given) == Done(0, OWN, "log: own.tsv")
    whole = Path("own.tsv").read_text().splitlines(keepends=True)
    Path("own.tsv").write_text("".join(whole[:3]))
    assert rszoo("certify", *given, "--resume") == Done(0, OWN, "log: own.tsv")
    log = read_log("own.tsv")
    assert log.input == ("a.png", "folder/b.png", "folder/deep/c.png", "two.npy[0]", "two.npy[1]")
    assert log.label.tolist() == [-1] * 5


def test_own_inputs_as_json(rszoo: Command) -> None:
    done = rszoo("certify", "--n", "1000", "--json", "a.png")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out) == [
        {
            "input": "a.png",
            "class": "3",
            "label": 3,
            "radius": 0.6158156536828822,
            "p_lower": 0.9931160484200305,
            "candidate": 3,
            "votes": 1000,
            "n0": 100,
            "n": 1000,
            "alpha": 0.001,
            "sigma": 0.25,
            "draws": 1000,
            "spent": 1000,
            "linf_radius": linf_radius(0.6158156536828822, 64),
            "seed": 0,
        }
    ]


def test_what_is_bounded_is_said_of_own_inputs_too(rszoo: Command) -> None:
    usual = rszoo("certify", "--n", "1000", "a.png").out
    assert "bound" not in usual
    for options, bound in (
        (["--runner-up"], "runner-up"),
        (["--choose-bound"], "chosen"),
        (["--n-max", "2000"], "one-sided, up to 2,000 draws"),
    ):
        shown = rszoo("certify", "--n", "1000", *options, "a.png").out
        assert shown.splitlines()[:2] == [f"bound: {bound}", ""]
        assert shown.splitlines()[2].split()[:3] == usual.split()[:3]


def test_an_abstention_is_said_plainly(rszoo: Command) -> None:
    assert rszoo("certify", "--n", "5", "a.png").out == (
        " input  label     radius  holds with probability\n"
        " a.png  abstains  0.0000                       -\n"
        "seed 0"
    )
    (entry,) = json.loads(rszoo("certify", "--n", "5", "--json", "a.png").out)
    assert (entry["class"], entry["label"], entry["radius"]) == (None, -1, 0.0)


def test_too_few_draws_are_warned_of(rszoo: Command) -> None:
    warning = "warning: 9 draws certify nothing at alpha 0.001: at least 10 are needed"
    assert rszoo("certify", "--n", "9", "a.png").err == warning
    assert rszoo("certify", "--n", "10", "a.png").err == ""


def test_the_probability_is_not_rounded_up(rszoo: Command) -> None:
    done = rszoo("certify", "--n", "1000", "--alpha", "1e-9", "a.png")
    assert done.out.split()[-3] == "0.999999999"


def test_another_shape(rszoo: Command) -> None:
    assert rszoo("certify", "--n", "1000", "big.png") == Done(
        1,
        "",
        "error: big.png: expected an image of shape 1x8x8 (channels x height x width), got "
        "1x10x12; pass --resize to scale it",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("always")  # the command shows it by itself
        scaled = rszoo("certify", "--n", "1000", "--resize", "big.png")
    assert "big.png: scaled from 12 x 10 to 8 x 8, which changes its proportions" in scaled.err
    assert scaled.out == (
        " input    label  radius  holds with probability\n"
        " big.png  3      0.6158                   0.999\n"
        "seed 0"
    )


def test_wrong_usage(rszoo: Command) -> None:
    for alpha in ("0", "1", "1.5", "-0.1", "nan"):
        message = f"expected 0 < alpha < 1, got {float(alpha)}"
        for command in ("certify", "predict"):
            done = rszoo(command, "--alpha", alpha, "a.png")
            assert usage_error(done) == f"Invalid value for '--alpha': {message}"
    for option in (["--attach"], ["--skip", "2"], ["--dataset", "digits"]):
        assert usage_error(rszoo("certify", *option, "a.png")) == (
            "Invalid value: --attach, --skip and --dataset are not for inputs of your own"
        )
    assert usage_error(rszoo("certify", "--overwrite")) == (
        "Invalid value: expected --attach or --resume with --overwrite, got neither"
    )
    assert usage_error(rszoo("certify", "--resume", "a.png")) == (
        "Invalid value: expected --out with --resume, got none"
    )
    for option in ("--n", "--n0", "--skip", "--limit"):
        assert usage_error(rszoo("certify", option, "0")).startswith(
            f"Invalid value for '{option}': "
        )
    assert usage_error(rszoo("predict")) == (
        "Missing argument 'IMAGE|FOLDER|ARRAY...'. Own inputs."
    )
    assert not Path("certificates").exists()


def test_what_does_not_exist(rszoo: Command) -> None:
    assert rszoo("certify", "none.png") == Done(
        1,
        "",
        "error: none.png: expected an image, an array file or a folder, found nothing; check the "
        "path",
    )
    assert rszoo("certify", "--model", "runs/none") == Done(
        1,
        "",
        "error: expected a bundle folder, got 'runs/none': no such folder; "
        "rszoo ls lists the bundles there are",
    )
    done = rszoo("certify", "--precision", "half", "a.png")
    assert (done.code, done.out) == (2, "")  # there is none such, whatever is here
    assert "expected auto, float32 or bfloat16, got 'half'" in " ".join(
        done.err.replace("│", " ").split()
    )


def test_a_damaged_bundle(rszoo: Command) -> None:
    Path(MODEL, "recipe.yaml").write_text("x")
    for command in ("certify", "predict"):
        assert rszoo(command, "a.png") == Done(
            1,
            "",
            "error: recipe.yaml: expected 0 bytes, got 1 bytes; the bundle is damaged or was "
            "changed by hand; fetch or make it again",
        )


def test_predict_leaves_out_what_cannot_be_read_if_asked_to(rszoo: Command) -> None:
    Path("folder", "bad.png").write_text("no picture")
    refused = rszoo("predict", "--n", "100", "folder", "big.png", "none.png")
    assert (refused.code, refused.out) == (1, "")
    first, *others = refused.err.splitlines()
    assert first == "error: expected inputs that can be read, got 3 others:"
    names = ["folder/bad.png", "big.png", "none.png"]
    assert [line.strip().partition(":")[0] for line in others] == names
    done = rszoo("predict", "--n", "100", "--skip-bad", "folder", "big.png", "none.png")
    assert done.code == 1
    assert done.out.splitlines()[1:] == [
        " folder/b.png       3              100.0%",
        " folder/deep/c.png  3              100.0%",
        "seed 0",
    ]
    assert [line.split(": ")[1] for line in done.err.splitlines()] == names
    assert rszoo("predict", "--n", "100", "--skip-bad", "folder/b.png").code == 0
    alone = rszoo("predict", "--skip-bad", "none.png")
    assert (alone.code, alone.err.partition(":")[0]) == (1, "error")


def test_predict(rszoo: Command) -> None:
    assert rszoo("predict", "--n", "100", "a.png", "folder") == Done(
        0,
        " input              label  share of votes\n"
        " a.png              3              100.0%\n"
        " folder/b.png       3              100.0%\n"
        " folder/deep/c.png  3              100.0%\n"
        "seed 0",
        "",
    )
    assert rszoo("predict", "--n", "5", "two.npy").out == (
        " input       label     share of votes\n"
        " two.npy[0]  abstains          100.0%\n"
        " two.npy[1]  abstains          100.0%\n"
        "seed 0"
    )
    done = rszoo("predict", "--n", "100", "--json", "a.png")
    assert (done.code, done.err) == (0, "")
    (entry,) = json.loads(done.out)
    assert entry.pop("p_value") == pytest.approx(2 * 0.5**100)
    assert entry == {
        "input": "a.png",
        "class": "3",
        "label": 3,
        "votes": 100,
        "runner_up_votes": 0,
        "n": 100,
        "alpha": 0.001,
        "sigma": 0.25,
        "seed": 0,
    }


def test_bundles_that_come_with_the_package_are_not_changed(rszoo: Command) -> None:
    done = rszoo("certify", "--model", "builtin/digits-gaussian-0.25", "--attach", "--n", "10")
    assert done.code == 2
    assert "--attach is for bundles in a folder of your own" in " ".join(done.err.split())
    assert not Path("certificates").exists()
