"""`rszoo train`: its output, its errors and their exit codes."""

import json
import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from safetensors.torch import load_file

from rszoo import data
from rszoo.evaluation.progress_bar import ProgressBar
from rszoo.training.recipes.shipped import recipe_names, recipe_path
from rszoo_cli import console, main

NAME = "digits-gaussian-0.25"


class Done(NamedTuple):
    code: int
    out: str
    err: str


Command = Callable[..., Done]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for stream in (console.out, console.err):
        monkeypatch.setattr(stream, "width", 80)


@pytest.fixture
def rszoo(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a training of two epochs in this process."""

    def run(*arguments: str, recipe: str = "gaussian", usual: bool = True) -> Done:
        options = ("--sigma", "0.25", "train.epochs=2") if usual else ()
        with pytest.raises(SystemExit) as caught:
            main(["train", recipe, *options, *arguments])
        captured = capsys.readouterr()
        plain = ["\n".join(line.rstrip() for line in text.splitlines()) for text in captured]
        return Done(int(caught.value.code or 0), *plain)

    return run


@pytest.fixture
def finished(trained: Path) -> Path:
    return Path(shutil.copytree(trained, "runs"))


@pytest.fixture
def empty(finished: Path) -> None:
    """Leave nothing but the MLflow store, which takes seconds to make."""
    shutil.rmtree(finished / NAME)
    shutil.rmtree(finished / ".state")


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_training(rszoo: Command, empty: None, trained: Path) -> None:
    assert rszoo() == Done(
        0,
        f"runs/{NAME}",
        f"runs/{NAME} is finished\ncertify with: rszoo certify --model runs/{NAME}",
    )
    made, expected = content(Path("runs", NAME)), content(trained / NAME)
    assert made.keys() == expected.keys()
    assert made["model.safetensors"] == expected["model.safetensors"]


def test_a_router_is_for_composing(rszoo: Command, empty: None) -> None:
    experts = ["builtin/digits-cat_rs-0.25", "builtin/digits-cat_rs-0.50"]
    few = ["train.epochs=1", "experts.draws=12", f"experts.bundles=[{', '.join(experts)}]"]
    done = rszoo(*few, recipe="dual_rs", usual=False)
    router = "runs/digits-dual_rs-0.50"
    assert (done.code, done.out) == (0, router)
    assert done.err.splitlines()[-1] == (
        f"compose with: rszoo compose dual --expert {experts[0]} --expert {experts[1]} "
        f"--router {router} --out DIR"
    )
    assert "certify with" not in done.err


def test_several_noise_levels_as_json(rszoo: Command, empty: None) -> None:
    done = rszoo("--sigma", "0.5", "--sigma", "0.5", "train.epochs=1", "--json")
    assert done.code == 0
    assert json.loads(done.out) == [f"runs/{NAME}", "runs/digits-gaussian-0.50"]


def test_what_is_there_is_kept(rszoo: Command, finished: Path) -> None:
    before = content(finished / NAME)
    assert rszoo() == Done(
        1, "", f"error: runs/{NAME} exists; --resume keeps it, --overwrite trains it again"
    )
    for _ in range(2):
        assert rszoo("--resume") == Done(
            0,
            f"runs/{NAME}",
            f"runs/{NAME} is finished: kept\ncertify with: rszoo certify --model runs/{NAME}",
        )
    assert content(finished / NAME) == before


def test_the_recipe_of_a_bundle_trains_it_again(
    rszoo: Command, empty: None, trained: Path
) -> None:
    path = trained / NAME / "recipe.yaml"
    done = rszoo("--out", "again", recipe=str(path), usual=False)
    assert (done.code, done.out) == (0, f"again/{NAME}")
    for file in ("model.safetensors", "recipe.yaml", "config.json"):
        assert content(Path("again", NAME))[file] == content(trained / NAME)[file]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_training_that_is_interrupted(
    rszoo: Command,
    empty: None,
    trained: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    code: int,
) -> None:
    """Ctrl-C in the second epoch: exit code 130, a word on how to go on, and going on works."""
    advance = ProgressBar.advance
    checkpoint = Path("runs", ".state", NAME, "checkpoint.pt")

    def interrupting(self: ProgressBar, amount: int = 1) -> None:
        advance(self, amount)
        if checkpoint.exists():
            os.kill(os.getpid(), number)

    with monkeypatch.context() as patch:
        patch.setattr(ProgressBar, "advance", interrupting)
        assert rszoo() == Done(code, "", "interrupted; continue with --resume")
    assert rszoo() == Done(
        1,
        "",
        f"error: runs/{NAME} is begun and not finished; --resume continues it, --overwrite "
        "starts it again",
    )
    assert rszoo("--resume") == Done(
        0,
        f"runs/{NAME}",
        f"{NAME}: continues after epoch 1\nruns/{NAME} is finished\n"
        f"certify with: rszoo certify --model runs/{NAME}",
    )
    expected = content(trained / NAME)["model.safetensors"]
    assert content(Path("runs", NAME))["model.safetensors"] == expected


def test_resume_and_overwrite_train_again_what_another_recipe_made(
    rszoo: Command, finished: Path
) -> None:
    before = content(finished / NAME)
    kept = rszoo("--resume", "--overwrite")
    assert kept.err.splitlines()[0] == f"runs/{NAME} is finished: kept"
    assert content(finished / NAME) == before
    assert rszoo("--resume", "--overwrite", "train.lr=0.001").code == 0
    assert content(finished / NAME)["model.safetensors"] != before["model.safetensors"]
    assert "lr: 0.001" in content(finished / NAME)["recipe.yaml"].decode()


def test_halves(rszoo: Command, trained: Path, empty: None) -> None:
    assert rszoo("--half").code == 0
    halves = load_file(Path("runs", NAME, "model.safetensors"))
    whole = load_file(trained / NAME / "model.safetensors")
    assert {name: (values.dtype, values.tolist()) for name, values in halves.items()} == {
        name: (torch.float16, values.half().tolist()) for name, values in whole.items()
    }


def test_a_training_that_fails(rszoo: Command, empty: None) -> None:
    done = rszoo("train.lr=1e30")
    assert (done.code, done.out) == (1, "")
    assert re.fullmatch(
        r"error: expected a finite loss, got (nan|inf) by step \d+ \(epoch 1\); the last "
        r"checkpoint is intact: lower train\.lr, or set train\.clip_norm, and train again",
        done.err,
    )


def test_wrong_usage(rszoo: Command) -> None:
    assert rszoo("train.epocs=1", "train.lr=fast") == Done(
        2,
        "",
        "error: gaussian:\n"
        "  train.lr: expected a number > 0, got 'fast'\n"
        "  train.epocs: unknown key; nearest valid key: train.epochs",
    )
    assert rszoo(recipe="gausian") == Done(
        2,
        "",
        "error: gausian: no such file (did you mean 'gaussian'?); the recipes that come with "
        f"rszoo are {recipe_names()}",
    )
    assert rszoo("--sigma", "0.3", usual=False) == Done(
        2,
        "",
        "error: gaussian: sigma: 0.3 is not in the recipe's list [0.25, 0.5, 1.0] for 'digits'; "
        "to add it, edit a copy (rszoo recipe cp gaussian)",
    )
    assert not os.listdir()


def test_an_unknown_data_set(rszoo: Command) -> None:
    assert rszoo("--dataset", "digit") == Done(
        1,
        "",
        "error: unknown data set 'digit' (did you mean 'digits'?); expected one of "
        f"{data.names()}",
    )
    assert not os.listdir()


def test_an_unknown_precision(rszoo: Command) -> None:
    code, said, error = rszoo("--precision", "half")
    assert (code, said) == (2, "")
    words = " ".join(error.replace("│", " ").split())
    assert "expected auto, float32 or bfloat16, got 'half'" in words


@pytest.mark.parametrize(
    ("recipe", "override", "expected"),
    [
        ("stability", "lambda_=-1", "a number >= 0, got -1"),
        ("smoothadv", "m=0", "an integer >= 1, got 0"),
        ("smoothadv", "epsilon=0", "a number > 0, got 0"),
        ("smoothadv", "attack=fgsm", "one of ['pgd', 'ddn'], got 'fgsm'"),
        ("smoothadv", "attack_steps=-1", "an integer >= 0, got -1"),
        ("smoothadv", "warmup=1", "0 <= warmup < 1, got 1"),
        ("smoothadv_consistency", "eta=-0.5", "a number >= 0, got -0.5"),
        ("macer", "gamma=0", "a number > 0, got 0"),
        ("macer", "deferred=1.5", "0 <= deferred < 1, got 1.5"),
        ("smoothmix", "mix_step=2", "one of [0, 1], got 2"),
        ("hard_dropping", "threshold=1.5", "0 <= threshold <= 1, got 1.5"),
        ("hard_dropping", "refreshes=-1", "an integer >= 0, got -1"),
        ("insta_rs", "refreshes=0", "an integer >= 1, got 0"),
        ("insta_rs", "spread=0.5", "a number >= 1, got 0.5"),
        ("insta_rs", "levels=1", "an integer >= 2, got 1"),
    ],
)
def test_a_bad_weight_is_refused_before_any_data_are_loaded(
    rszoo: Command, recipe: str, override: str, expected: str
) -> None:
    options = ("--sigma", "0.5", "--dataset", "no/where", f"weights.{override}")
    key = override.partition("=")[0]
    assert rszoo(*options, recipe=recipe, usual=False) == Done(
        2, "", f"error: {recipe}: weights.{key}: expected {expected}"
    )
    assert not os.listdir()


def test_an_empty_list_of_sigmas_is_refused(rszoo: Command, tmp_path: Path) -> None:
    text = recipe_path("smoothadv").read_text().replace("sigmas: [0.25, 0.5, 1.0]", "sigmas: []")
    Path("mine.yaml").write_text(text)
    assert rszoo(recipe="mine.yaml", usual=False) == Done(
        2, "", "error: mine.yaml: sigmas: expected at least 1 entry, got []"
    )
