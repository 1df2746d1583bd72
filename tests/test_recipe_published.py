"""The published weights and schedules, as the papers' authors ran them, in full."""

from typing import Any

import pytest

from rszoo.training.recipes.files import load_recipe
from rszoo.training.recipes.recipe import Recipe

SIGMAS = (0.25, 0.5, 1.0)
MACER = {"m": 16, "beta": 16.0, "gamma": 8.0}
PGD = {"attack": "pgd", "attack_steps": 10}
DROPPING = {"m": 4, "drop_draws": 100, "draws": 16}

#: Method and data set -> the weights at sigma 0.25, 0.5 and 1.0; the sources are in the recipes.
WEIGHTS: dict[tuple[str, str], list[dict[str, Any]]] = {
    ("stability", "mnist"): [{"lambda_": 2.0}] * 3,
    ("stability", "cifar10"): [{"lambda_": 2.0}, {"lambda_": 2.0}, {"lambda_": 1.0}],
    ("smoothadv", "mnist"): [
        PGD | {"m": 4, "epsilon": 255 / 256, "warmup": pytest.approx(10 / 90, abs=1e-4)}
    ]
    * 3,
    ("smoothadv", "cifar10"): [
        PGD | {"m": m, "epsilon": epsilon, "warmup": pytest.approx(10 / 150, abs=1e-4)}
        for m, epsilon in ((4, 1.0), (8, 1.0), (2, 2.0))
    ],
    ("macer", "mnist"): [
        MACER | {"lambda_": lambda_, "deferred": pytest.approx(31 / 90, abs=1e-4)}
        for lambda_ in (16.0, 16.0, 6.0)
    ],
    ("macer", "cifar10"): [
        MACER | {"lambda_": lambda_, "deferred": deferred}
        for lambda_, deferred in ((12.0, 0.0), (4.0, 0.0), (12.0, 51 / 150))
    ],
    ("consistency", "mnist"): [
        {"m": 2, "lambda_": lambda_, "eta": 0.5} for lambda_ in (10.0, 5.0, 5.0)
    ],
    ("consistency", "cifar10"): [
        {"m": 2, "lambda_": lambda_, "eta": 0.5} for lambda_ in (20.0, 10.0, 10.0)
    ],
    ("smoothadv_consistency", "mnist"): [
        {
            "m": 4,
            "lambda_": 1.0,
            "eta": 0.5,
            "attack_steps": 10,
            "epsilon": 255 / 256,
            "warmup": pytest.approx(10 / 90, abs=1e-4),
        }
    ]
    * 3,
    ("smoothadv_consistency", "cifar10"): [
        {
            "m": m,
            "lambda_": lambda_,
            "eta": 0.5,
            "attack_steps": 10,
            "epsilon": epsilon,
            "warmup": pytest.approx(10 / 150, abs=1e-4),
        }
        for m, lambda_, epsilon in ((4, 2.0, 255 / 256), (2, 1.0, 2.0), (2, 1.0, 2.0))
    ],
    ("smoothmix", "mnist"): [
        {
            "m": 4,
            "eta": 5.0,
            "attack_steps": steps,
            "step_size": 1.0,
            "mix_step": mix_step,
            "warmup": pytest.approx(10 / 90, abs=1e-4),
        }
        for steps, mix_step in ((2, 1), (4, 0), (8, 0))
    ],
    ("smoothmix", "cifar10"): [
        {
            "m": 2,
            "eta": 5.0,
            "attack_steps": 4,
            "step_size": step_size,
            "mix_step": mix_step,
            "warmup": pytest.approx(10 / 150, abs=1e-4),
        }
        for step_size, mix_step in ((0.5, 0), (1.0, 1), (2.0, 1))
    ],
    ("cat_rs", "mnist"): [
        {"m": 4, "lambda_": lambda_, "attack_steps": 4, "rho": 1.0, "confidence_mask": False}
        for lambda_ in (1.0, 1.0, 2.0)  # the first from a log's name, the others chosen
    ],
    ("cat_rs", "cifar10"): [
        {"m": 4, "lambda_": lambda_, "attack_steps": 4, "rho": 1.0, "confidence_mask": False}
        for lambda_ in (0.5, 1.0, 2.0)
    ],
    ("hard_dropping", "cifar10"): [
        DROPPING
        | {
            "start": pytest.approx(first / 150, abs=1e-4),
            "refreshes": refreshes,
            "threshold": threshold,
            "step_size": step_size,
            "attack_steps": steps,
        }
        for first, refreshes, threshold, step_size, steps in (
            (60, 9, 0.5, 0.25, 3),
            (70, 8, 0.4, 0.25, 6),
            (60, 9, 0.4, 0.5, 4),
        )
    ],
    ("hard_dropping", "imagenet"): [
        DROPPING
        | {
            "m": m,
            "start": 0.0,
            "refreshes": 0,
            "threshold": threshold,
            "step_size": step_size,
            "attack_steps": steps,
        }
        for m, threshold, step_size, steps in (
            (1, 0.2, 0.5, 2),
            (1, 0.2, 1.0, 2),
            (2, 0.1, 2.0, 1),
        )
    ],
}


def full(method: str, dataset: str, sigma: float) -> Recipe:
    """Return the recipe of the whole schedule: a published one, or what takes its place."""
    return load_recipe(method).resolve(dataset=dataset, sigma=sigma)


@pytest.mark.parametrize(("method", "dataset"), WEIGHTS)
def test_weights(method: str, dataset: str) -> None:
    found = [full(method, dataset, sigma).weights for sigma in SIGMAS]
    assert found == WEIGHTS[method, dataset]


#: Data set -> epochs, learning rate, epochs until it falls, network.
SCHEDULES = {
    "mnist": (90, 0.01, 30, "lenet"),
    "fashion_mnist": (90, 0.01, 30, "lenet"),
    "cifar10": (150, 0.1, 50, "cifar_resnet"),
    "cifar100": (150, 0.1, 50, "cifar_resnet"),
    "imagenet": (90, 0.1, 30, "resnet50"),
}
#: Where a method has its own.
OWN_SCHEDULES = {
    ("cat_rs", "mnist"): (150, 0.01, 50, "lenet"),
    ("cat_rs", "fashion_mnist"): (150, 0.01, 50, "lenet"),
    ("macer", "imagenet"): (120, 0.1, 30, "resnet50"),
    ("hard_dropping", "imagenet"): (90, 0.1, 50, "resnet50"),
}
METHODS = dict.fromkeys(method for method, _ in WEIGHTS)


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize(
    ("method", "dataset"),
    [
        (method, dataset)
        for method in ("gaussian", *METHODS)
        for dataset in SCHEDULES
        if method != "hard_dropping" or dataset in ("cifar10", "imagenet")
    ],
)
def test_schedules(method: str, dataset: str, sigma: float) -> None:
    made = full(method, dataset, sigma)
    train, copies = made.train, made.weights.get("m", 1)
    epochs, lr, step_epochs, network = OWN_SCHEDULES.get((method, dataset), SCHEDULES[dataset])
    assert (train.epochs, train.lr, train.step_epochs) == (epochs, lr, step_epochs)
    # 256 noisy images in a step; MACER's authors take 256 images, each with all its copies.
    assert train.batch_size == (256 if method == "macer" else 256 // copies)
    assert made.network.name == network
    assert (train.optimizer, train.schedule, train.clip_norm) == ("sgd", "step", None)
    assert (train.momentum, train.nesterov, train.weight_decay) == (0.9, False, 1e-4)
