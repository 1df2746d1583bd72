"""`rszoo recipe`: whole outputs."""

import json
from pathlib import Path

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner, Result

from rszoo import data
from rszoo.errors import RecipeError, RszooError
from rszoo.training.recipes.files import load_recipe
from rszoo.training.recipes.recipe import Recipe
from rszoo.training.recipes.shipped import recipe_names, recipe_path
from rszoo_cli import console, main
from rszoo_cli.recipe import app


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def output(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exception is None
    assert result.stderr == ""
    return result.stdout


def failure(*arguments: str) -> RszooError:
    error = run(*arguments).exception
    assert isinstance(error, RszooError)
    return error


def test_ls_has_one_row_per_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "out", Console(width=120))
    lines = output("ls").splitlines()
    assert lines[0].split() == ["method", "paper", "data", "sets", "sigmas", "profiles"]
    row = next(line for line in lines if line.startswith("gaussian "))
    assert [cell.strip() for cell in row.split("  ") if cell.strip()] == [
        "gaussian",
        "Cohen et al. (2019)",
        "all",
        "0.12 0.25 0.5 1.0",
        "published short",
    ]
    assert lines[-1] == (
        f"all data sets: {' '.join(data.names())}; any other name or path as well"
    )


def test_ls_json() -> None:
    rows = json.loads(output("ls", "--json"))
    assert [row["name"] for row in rows] == recipe_names()
    assert next(row for row in rows if row["name"] == "cat_rs") == {
        "name": "cat_rs",
        "method": "cat_rs",
        "paper": "Jeong, Kim, Shin (2023)",
        "datasets": ["digits", "mnist", "fashion_mnist", "cifar10", "cifar100", "imagenet"],
        "sigmas": [0.25, 0.5, 1.0],
        "profiles": ["published", "short"],
    }


def test_show_prints_the_resolved_recipe_and_its_digest() -> None:
    shown = output("show", "consistency", "train.lr=1e-1", "--dataset", "mnist", "--sigma", "0.5")
    made = load_recipe("consistency").resolve(
        dataset="mnist", sigma=0.5, overrides=["train.lr=0.1"]
    )
    assert (
        shown
        == f"""\
# mnist-consistency-0.50
# digest {made.digest}
method: consistency
version: 1
dataset: mnist
sigma: 0.5
profile: own
seed: 0
network:
  name: lenet
weights:
  m: 2
  lambda_: 5.0
  eta: 0.5
train:
  epochs: 90
  batch_size: 128
  optimizer: sgd
  lr: 0.1
  momentum: 0.9
  nesterov: false
  weight_decay: 0.0001
  schedule: step
  step_epochs: 30
  warmup: 0.2
  augment: none
  clip_norm: null
targets: null
certify:
  n0: 100
  n: 100000
  alpha: 0.001
"""
    )


def test_show_knows_the_networks_of_libraries() -> None:
    options = ["gaussian", "--sigma", "0.5"]
    assert "name: torchvision:resnet18" in output(
        "show", *options, "network.name=torchvision:resnet18"
    )
    result = run("show", *options, "network.name=torchvision:resnet81")
    assert "did you mean 'resnet18'" in str(result.exception)


def test_show_prints_every_sigma_of_the_default_data_set() -> None:
    documents = output("show", "cat_rs", "--seed", "3").split("---\n")
    made = [Recipe.from_yaml(document) for document in documents]
    assert [recipe.name for recipe in made] == [
        "digits-cat_rs-0.25",
        "digits-cat_rs-0.50",
        "digits-cat_rs-1.00",
    ]
    assert {recipe.seed for recipe in made} == {3}


def test_show_json() -> None:
    (row,) = json.loads(
        output(
            "show", "cat_rs", "--dataset", "mnist", "--sigma", "1", "--profile", "short", "--json"
        )
    )
    made = load_recipe("cat_rs").resolve(dataset="mnist", sigma=1.0, profile="short")
    assert row == {"name": made.name, "digest": made.digest, "recipe": made.model_dump()}


def test_show_reports_problems_as_a_recipe_error() -> None:
    error = failure("show", "cat_rs", "train.epocs=3", "--sigma", "0.5")
    assert isinstance(error, RecipeError)
    assert str(error) == "cat_rs: train.epocs: unknown key; nearest valid key: train.epochs"


def test_problems_end_the_command_with_code_2_on_stderr(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["recipe", "show", "cat_rs", "train.epocs=3", "--sigma", "0.5", "--json"])
    assert caught.value.code == 2
    assert capsys.readouterr() == (
        "",
        "error: cat_rs: train.epocs: unknown key; nearest valid key: train.epochs\n",
    )


def test_cp_copies_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert output("cp", "cat_rs", "mine.yaml") == "mine.yaml\n"
    assert Path("mine.yaml").read_bytes() == recipe_path("cat_rs").read_bytes()
    assert str(failure("cp", "gaussian", "mine.yaml")) == (
        "'mine.yaml' exists already; give another name, or --force"
    )
    assert output("cp", "gaussian", "mine.yaml", "--force") == "mine.yaml\n"
    assert load_recipe("mine.yaml").method == "gaussian"


def test_validate_passes_good_files_and_names_all_problems_of_bad_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = recipe_path("gaussian").read_text(encoding="utf-8")
    Path("bad.yaml").write_text(text.replace("optimizer: adamw", "optimzer: adamw", 1))
    result = run("validate", "gaussian", "bad.yaml", "none.yaml")
    assert result.stdout == "gaussian: valid\n"
    assert isinstance(result.exception, RecipeError)
    assert result.exception.problems == [
        "bad.yaml: datasets.digits.train.optimzer: unknown key; nearest valid key: "
        "datasets.digits.train.optimizer",
        f"none.yaml: no such file; the recipes that come with rszoo are {recipe_names()}",
    ]


def test_validate_knows_the_networks_of_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = recipe_path("gaussian").read_text(encoding="utf-8")
    Path("a.yaml").write_text(text.replace("name: resnet50", "name: torchvision:resnet81", 1))
    result = run("validate", "a.yaml")
    assert isinstance(result.exception, RecipeError)
    (problem,) = result.exception.problems
    assert problem.startswith("a.yaml: network.name: unknown network 'torchvision:resnet81'")


def test_every_command_shows_an_example() -> None:
    for command in typer.main.get_command(app).commands:  # pyright: ignore[reportAttributeAccessIssue]
        assert f"rszoo recipe {command}" in output(command, "--help")
