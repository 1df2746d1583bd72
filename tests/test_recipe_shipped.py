"""The recipes that come with rszoo: all of them resolve, and hold the published numbers."""

import pytest

from rszoo import data, methods
from rszoo.training.recipes.file import OTHER
from rszoo.training.recipes.files import load_recipe
from rszoo.training.recipes.recipe import Recipe
from rszoo.training.recipes.shipped import recipe_names, recipe_path

#: The data sets that every recipe has values for; another one takes the block `other`.
DATASETS = ["cifar10", "cifar100", "digits", "fashion_mnist", "imagenet", "mnist"]
#: Recipes with values for one more.
ATTACKED = ("adversarial", "mart", "part", "trades")
ALSO = {name: ["svhn"] for name in ("gaussian", *ATTACKED)}


def published(name: str, dataset: str, sigma: float) -> Recipe:
    return load_recipe(name).resolve(dataset=dataset, sigma=sigma, profile="published")


@pytest.mark.parametrize("name", recipe_names())
def test_every_data_set_sigma_and_profile_resolves(name: str) -> None:
    file = load_recipe(name)
    assert file.problems() == []
    assert sorted(file.content.datasets) == sorted([*DATASETS, *ALSO.get(name, []), OTHER])
    digests = {
        file.resolve(dataset=dataset, sigma=sigma, profile=profile).digest
        for dataset in file.content.datasets
        for sigma in file.sigmas(dataset)
        for profile in file.profiles(dataset)
    }
    assert all(file.resolve(dataset=name, sigma=file.sigmas(name)[0]) for name in data.names())
    runs = sum(len(file.sigmas(d)) * len(file.profiles(d)) for d in file.content.datasets)
    assert len(digests) == runs


@pytest.mark.parametrize("name", recipe_names())
def test_every_run_survives_yaml(name: str) -> None:
    file = load_recipe(name)
    for dataset in file.content.datasets:
        made = file.resolve(dataset=dataset, sigma=file.sigmas(dataset)[-1])
        assert Recipe.from_yaml(made.to_yaml()) == made


@pytest.mark.parametrize("name", recipe_names())
def test_recipe_is_named_after_its_method_and_fits_a_page(name: str) -> None:
    assert load_recipe(name).method == name
    assert name in methods.names()
    text = recipe_path(name).read_text(encoding="utf-8")
    assert max(map(len, text.splitlines())) <= 99


def test_published_details() -> None:
    imagenet = published("cat_rs", "imagenet", 1.0)
    assert imagenet.weights == {
        "m": 2,
        "lambda_": 2.0,
        "attack_steps": 1,
        "rho": 1.0,
        "confidence_mask": True,
    }
    for sigma, eta in ((0.5, 0.5), (1.0, 0.1)):
        weights = published("consistency", "imagenet", sigma).weights
        assert weights == {"m": 2, "lambda_": 5.0, "eta": eta}
    targets = published("cat_rs", "cifar10", 1.0).targets
    assert targets is not None
    assert (targets.sigma, targets.draws) == (0.25, 10_000)
    assert published("gaussian", "cifar10", 0.12).network.options == {"depth": 110}


@pytest.mark.parametrize(("dataset", "decay", "step"), [("cifar10", 2e-4, 2), ("svhn", 3.5e-3, 1)])
def test_published_pixel_reweighting(dataset: str, decay: float, step: int) -> None:
    made = published("part", dataset, 0.0)
    assert made.profile == "published"
    in_grey = ("epsilon", "epsilon_low", "step_size")
    rounded = {key: value * 255 for key, value in made.weights.items() if key in in_grey}
    assert rounded == pytest.approx({"epsilon": 8, "epsilon_low": 7, "step_size": step}, abs=1e-5)
    exact = {key: value for key, value in made.weights.items() if key not in rounded}
    assert exact == {
        "variant": "sat",
        "attack_steps": 10,
        "warmup": 20 / 80,
        "beta": 6.0,
        "cam": "grad_cam",
        "colour_map": "none",
    }
    train = made.train
    assert (train.epochs, train.batch_size, train.lr, train.weight_decay) == (80, 128, 0.01, decay)
    assert (train.step_epochs, made.network.name) == (79, "cifar_resnet18")
    # Plain adversarial training has the same schedule, so that the comparison is a recipe away.
    for name in ATTACKED:
        other = load_recipe(name).resolve(dataset=dataset, sigma=0.0)
        assert (other.train, other.network) == (train, made.network)
        assert {key: other.weights[key] for key in ("epsilon", "step_size", "attack_steps")} == {
            key: made.weights[key] for key in ("epsilon", "step_size", "attack_steps")
        }


@pytest.mark.parametrize(
    ("dataset", "epochs", "network", "levels"),
    [("cifar10", 90, "cifar_resnet", [0.25, 0.5, 1.0]), ("imagenet", 9, "resnet50", [0.5, 1.0])],
)
def test_published_router(dataset: str, epochs: int, network: str, levels: list[float]) -> None:
    made = published("dual_rs", dataset, 1.0)
    train = made.train
    assert (train.epochs, made.network.name, train.optimizer) == (epochs, network, "adamw")
    assert (train.lr, train.weight_decay, made.certify.n) == (0.01, 0.01, 10_000)
    published_ones = {"m": 2, "lambda_": 40.0, "eta": 0.5, "temperature": 1.0}
    unattacked = {"attack_steps": 0, "epsilon": 0.5, "warmup": 0.1}
    assert made.weights == published_ones | unattacked
    assert made.experts is not None
    assert (made.experts.draws, made.experts.sigmas) == (100, levels)


def test_a_router_has_at_least_the_noise_of_its_experts() -> None:
    file = load_recipe("dual_rs")
    for dataset in file.content.datasets:
        for sigma in file.sigmas(dataset):
            experts = file.resolve(dataset=dataset, sigma=sigma).experts
            assert experts is not None
            assert max(experts.sigmas or []) <= sigma


@pytest.mark.parametrize(
    ("dataset", "augment"),
    [
        ("mnist", "none"),
        ("fashion_mnist", "none"),
        ("cifar10", "crop_flip"),
        ("cifar100", "crop_flip"),
        ("imagenet", "resized_crop_flip"),
    ],
)
@pytest.mark.parametrize("name", recipe_names())
def test_augmentation(name: str, dataset: str, augment: str) -> None:
    file = load_recipe(name)
    sigma = file.sigmas(dataset)[-1]
    assert file.resolve(dataset=dataset, sigma=sigma).train.augment == augment
