"""The schema of a resolved recipe: values, messages, digest, YAML."""

import hashlib
import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from rszoo.errors import RecipeError
from rszoo.training.recipes.recipe import Recipe, make_recipe

TRAIN = {
    "epochs": 2,
    "batch_size": 8,
    "optimizer": "sgd",
    "lr": 0.1,
    "weight_decay": 0.0,
    "schedule": "one_cycle",
}


def values(**changes: object) -> dict[str, Any]:
    """Return the values of a small valid recipe, some of them replaced."""
    return {
        "method": "gaussian",
        "version": 1,
        "dataset": "mnist",
        "sigma": 0.5,
        "network": {"name": "lenet"},
        "weights": {},
        "train": TRAIN,
        "certify": {"n0": 100, "n": 1000, "alpha": 0.001},
    } | changes


def recipe(**changes: object) -> Recipe:
    made, problems = make_recipe(values(**changes))
    assert made is not None, problems
    return made


def problems(**changes: object) -> list[str]:
    made, found = make_recipe(values(**changes))
    assert made is None
    return found


def test_defaults_of_weights_and_network_options_are_filled_in() -> None:
    made = recipe(method="consistency", network={"name": "cifar_resnet"})
    assert made.weights == {"m": 2, "lambda_": 10.0, "eta": 0.5}
    assert made.network.name == "cifar_resnet"
    assert made.network.options == {"depth": 110}
    assert (made.profile, made.seed, made.targets) == ("own", 0, None)
    assert (made.train.momentum, made.train.warmup, made.train.augment) == (0.9, 0.2, "none")


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ("mnist", "mnist-gaussian-0.50"),
        ("/some/where/my photos", "my_photos-gaussian-0.50"),
        ("some/where/cells.v2.npz", "cells.v2-gaussian-0.50"),
    ],
)
def test_name_holds_data_set_method_and_sigma(dataset: str, name: str) -> None:
    assert recipe(dataset=dataset).name == name


def test_recipe_is_frozen() -> None:
    made = recipe()
    with pytest.raises(ValidationError, match="frozen"):
        made.train.lr = 1.0  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"epocs": 3}, "train.epocs: unknown key; nearest valid key: train.epochs"),
        ({"lr": -1}, "train.lr: expected a number > 0, got -1"),
        ({"lr": 0}, "train.lr: expected a number > 0, got 0"),
        ({"lr": "fast"}, "train.lr: expected a number > 0, got 'fast'"),
        ({"lr": True}, "train.lr: expected a number > 0, got true"),
        ({"lr": None}, "train.lr: expected a number > 0, got null"),
        ({"lr": float("nan")}, "train.lr: expected a finite number, got nan"),
        ({"lr": float("inf")}, "train.lr: expected a finite number, got inf"),
        ({"epochs": 0}, "train.epochs: expected an integer >= 1, got 0"),
        ({"epochs": "ten"}, "train.epochs: expected an integer >= 1, got 'ten'"),
        ({"epochs": "10"}, "train.epochs: expected an integer >= 1, got '10'"),
        ({"epochs": True}, "train.epochs: expected an integer >= 1, got true"),
        ({"epochs": 1.5}, "train.epochs: expected an integer >= 1, got 1.5"),
        ({"momentum": 1.0}, "train.momentum: expected 0 <= momentum < 1, got 1.0"),
        ({"weight_decay": -1e-4}, "train.weight_decay: expected a number >= 0, got -0.0001"),
        ({"nesterov": 1}, "train.nesterov: expected true or false, got 1"),
        (
            {"nesterov": True, "momentum": 0.0},
            "train.nesterov: nesterov needs a momentum > 0, got momentum 0",
        ),
        ({"clip_norm": 0.0}, "train.clip_norm: expected a number > 0 or null, got 0.0"),
        ({"step_epochs": 0}, "train.step_epochs: expected an integer >= 1 or null, got 0"),
        (
            {"schedule": "step"},
            "train.step_epochs: schedule 'step' needs an integer >= 1 here, got null",
        ),
        (
            {"schedule": "cosine"},
            "train.schedule: expected one of ['step', 'one_cycle'], got 'cosine'",
        ),
    ],
)
def test_bad_train_value_is_named(section: dict[str, Any], message: str) -> None:
    assert problems(train=TRAIN | section) == [message]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"certify": {"n0": 1, "n": 1, "alpha": 2}},
            "certify.alpha: expected 0 < alpha < 1, got 2",
        ),
        ({"certify": {"n0": 1, "alpha": 0.1}}, "certify.n: missing; expected an integer >= 1"),
        ({"train": 3}, "train: expected a mapping, got 3"),
        ({"sigma": 0}, "sigma: expected 0 < sigma <= 100, got 0"),
        ({"seed": -1}, "seed: expected an integer >= 0, got -1"),
        ({"weights": {"m": 4}}, "weights.m: unknown key; no keys are expected here"),
        (
            {"method": "consistency", "weights": {"lamda": 4, "m": 2}},
            "weights.lamda: unknown key; nearest valid key: weights.lambda_",
        ),
        (
            {"method": "consistency", "weights": {"lambda_": -1}},
            "weights.lambda_: expected a number >= 0, got -1",
        ),
        (
            {"method": "consistency", "weights": {"m": True}},
            "weights.m: expected an integer >= 1, got true",
        ),
        (
            {"method": "consistency", "weights": {"m": 0}},
            "weights.m: expected an integer >= 1, got 0",
        ),
        (
            {"method": "gausian"},
            "method: unknown method 'gausian' (did you mean 'gaussian'?); expected one of",
        ),
        (
            {"network": {"name": "lenett"}},
            "network.name: unknown network 'lenett' (did you mean 'lenet'?); expected one of",
        ),
        (
            {"network": {"name": "lenet", "depth": 20}},
            "network.depth: unknown key; valid keys: name",
        ),
        (
            {"network": {"name": "cifar_resnet", "depth": "deep"}},
            "network.depth: expected an integer, got 'deep'",
        ),
        ({"network": {"depth": 20}}, "network.name: missing; expected a text"),
        (
            {"targets": {"sigma": 0.25, "draws": 10}},
            "targets: method 'gaussian' takes no soft targets; remove them",
        ),
        ({"method": "cat_rs"}, "targets: missing; method 'cat_rs' needs them"),
        (
            {"experts": {"draws": 10, "bundles": ["a", "b"]}},
            "experts: method 'gaussian' takes no experts; remove them",
        ),
        ({"method": "dual_rs"}, "experts: missing; method 'dual_rs' needs them"),
    ],
)
def test_bad_value_is_named(changes: dict[str, Any], message: str) -> None:
    (found,) = problems(**changes)
    assert found.partition(" [")[0] == message.partition(" [")[0]


EITHER = "experts.bundles: expected either method and sigmas, or bundles, got"


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({}, f"{EITHER} []"),
        ({"method": "gaussian"}, f"{EITHER} ['method']"),
        ({"sigmas": [0.25, 0.5]}, f"{EITHER} ['sigmas']"),
        (
            {"method": "gaussian", "sigmas": [0.25, 0.5], "bundles": ["a", "b"]},
            f"{EITHER} ['method', 'sigmas', 'bundles']",
        ),
        ({"bundles": ["a", "b"], "method": "gaussian"}, f"{EITHER} ['method', 'bundles']"),
        (
            {"bundles": ["a"]},
            "experts.bundles: expected at least 2 entries, or one and sigmas, got ['a']",
        ),
        (
            {"bundles": ["a"], "sigmas": [0.5]},
            "experts.sigmas: expected at least 2 entries, got [0.5]",
        ),
        ({"bundles": ["a"], "method": "gaussian"}, f"{EITHER} ['method', 'bundles']"),
        ({"bundles": "a"}, "experts.bundles: expected a list or null, got 'a'"),
        (
            {"bundles": ["a", "b", "a"]},
            "experts.bundles: expected each expert once, got 'a' more than once",
        ),
        (
            {"method": "gaussian", "sigmas": [0.5]},
            "experts.sigmas: expected at least 2 entries, got [0.5]",
        ),
        (
            {"method": "gaussian", "sigmas": [0.5, 0.5]},
            "experts.sigmas: expected each expert once, got 0.5 more than once",
        ),
        (
            {"method": "gaussian", "sigmas": [0.5, -1]},
            "experts.sigmas.1: expected a value that is greater than 0, got -1",
        ),
        (
            {"method": "gausian", "sigmas": [0.25, 0.5]},
            "experts.method: unknown method 'gausian' (did you mean 'gaussian'?); expected one of",
        ),
        (
            {"method": "dual_rs", "sigmas": [0.25, 0.5]},
            "experts.method: expected a method that trains classifiers, got 'dual_rs'",
        ),
        (
            {"bundles": ["a", "b"], "draws": 0},
            "experts.draws: expected an integer >= 1, got 0",
        ),
        (
            {"bundles": ["a", "b"], "drawz": 1},
            "experts.drawz: unknown key; nearest valid key: experts.draws",
        ),
    ],
)
def test_bad_experts_are_named(section: dict[str, Any], message: str) -> None:
    (found,) = problems(method="dual_rs", experts={"draws": 10} | section)
    assert found.partition(" [")[0] == message.partition(" [")[0]
    assert found.startswith(message)


@pytest.mark.parametrize(
    "section",
    [
        {"method": "gaussian", "sigmas": [0.25, 0.5]},
        {"bundles": ["a", "b"]},
        {"bundles": ["a"], "sigmas": [0.25, 0.5]},
    ],
)
def test_experts_in_both_forms_survive_yaml(section: dict[str, Any]) -> None:
    made = recipe(method="dual_rs", experts={"draws": 10} | section)
    assert Recipe.from_yaml(made.to_yaml()) == made


def test_all_problems_are_reported_at_once() -> None:
    assert problems(
        method="consistency",
        weights={"eta": "x"},
        train=TRAIN | {"lr": -1, "epocs": 3},
        certify={"n0": 100, "n": 1000, "alpha": 2},
    ) == [
        "weights.eta: expected a number >= 0, got 'x'",
        "train.lr: expected a number > 0, got -1",
        "train.epocs: unknown key; nearest valid key: train.epochs",
        "certify.alpha: expected 0 < alpha < 1, got 2",
    ]


def test_whole_number_with_exponent_counts_as_integer() -> None:
    assert recipe(certify={"n0": 100, "n": 1e5, "alpha": 0.001}).certify.n == 100_000


CANONICAL = (
    '{"certify":{"alpha":0.001,"n":1000,"n0":100},"dataset":"mnist","method":"gaussian",'
    '"network":{"name":"lenet"},"profile":"published","seed":0,"sigma":0.5,"targets":null,'
    '"train":{"augment":"none","batch_size":8,"clip_norm":null,"epochs":2,"lr":0.1,'
    '"momentum":0.9,"nesterov":false,"optimizer":"sgd","schedule":"one_cycle",'
    '"step_epochs":null,"warmup":0.2,"weight_decay":0.0},"version":1,"weights":{}}'
)


def test_digest_is_that_of_the_canonical_json() -> None:
    digest = "09c5539c50afb4a315ccde804f75d26d813459ae15f3b6c2f68cbfdcbbf07a7a"
    assert hashlib.sha256(CANONICAL.encode()).hexdigest() == digest
    assert recipe(profile="published").digest == digest


def test_digest_ignores_the_order_of_keys() -> None:
    backwards = {
        key: dict(reversed(value.items())) if isinstance(value, dict) else value
        for key, value in reversed(values().items())
    }
    made, _ = make_recipe(backwards)
    assert made is not None
    assert made.digest == recipe().digest


def test_digest_is_the_same_in_another_process() -> None:
    made = recipe(method="consistency")
    program = "import sys; from rszoo.training.recipes.recipe import Recipe as R; "
    program += "print(R.from_yaml(sys.stdin.read()).digest)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=made.to_yaml(),
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": "7"},
    )
    assert done.stdout.strip() == made.digest


@pytest.mark.parametrize(
    "changes",
    [{"seed": 1}, {"sigma": 0.25}, {"train": TRAIN | {"lr": 0.2}}, {"dataset": "digits"}],
)
def test_digest_changes_with_every_value(changes: dict[str, Any]) -> None:
    assert recipe(**changes).digest != recipe().digest


def test_integer_and_float_of_equal_value_have_one_digest() -> None:
    with_int = recipe(method="consistency", weights={"lambda_": 10}, sigma=1)
    assert (
        with_int.digest
        == recipe(method="consistency", weights={"lambda_": 10.0}, sigma=1.0).digest
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"train": TRAIN | {"lr": 1e-7, "weight_decay": 0.1 + 0.2}},
        {"train": TRAIN | {"lr": 1e17}},
        {"dataset": "1e5"},
        {"dataset": "no"},
        {"dataset": "café/日本 #1: x"},
        {"method": "cat_rs", "targets": {"sigma": 0.25, "draws": 10}},
        {"network": {"name": "cifar_resnet", "depth": 20}},
    ],
)
def test_yaml_round_trip_is_exact(changes: dict[str, Any]) -> None:
    made = recipe(**changes)
    back = Recipe.from_yaml(made.to_yaml())
    assert back == made
    assert back.digest == made.digest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "saved.yaml: expected a mapping, got null"),
        ("a: 1\na: 2", "saved.yaml: line 2: key 'a' was given before, in line 1; keep one"),
    ],
)
def test_text_that_is_no_recipe_is_refused(text: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.from_yaml(text, source="saved.yaml")
    assert str(caught.value) == message


def test_changed_text_is_refused_with_its_problem() -> None:
    text = recipe().to_yaml().replace("epochs: 2", "epochs: many")
    with pytest.raises(RecipeError) as caught:
        Recipe.from_yaml(text, source="saved.yaml")
    assert str(caught.value) == "saved.yaml: train.epochs: expected an integer >= 1, got 'many'"
