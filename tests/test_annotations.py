"""Method and network files may begin with `from __future__ import annotations`.

All annotations of a file are texts then; what rszoo reads from the file must stay the same.
"""

import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from inspect import Parameter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from rszoo import methods, networks
from rszoo.errors import RecipeError
from rszoo.networks import architectures
from rszoo.training.recipes import recipe as recipes
from rszoo.training.recipes.files import load_recipe

FIRST = "from __future__ import annotations\n"

#: Values for every weight and option, most of them out of the range of most.
VALUES = (-1, -0.1, 0, 0.4, 0.5, 0.9, 1, 1.0, 1.1, 2, 13, 14, 4097, True, "pgd", "x", None)


@pytest.fixture(autouse=True)
def forgetful() -> Iterator[None]:
    """Nothing that was read from a file is remembered, before a test and after it."""
    for remembering in (methods.weights, recipes.network_model):
        remembering.cache_clear()
    yield
    for remembering in (methods.weights, recipes.network_model):
        remembering.cache_clear()


def with_texts(package: ModuleType, name: str, folder: Path) -> ModuleType:
    """Return the module of a file with the line put first."""
    (source,) = package.__path__
    copy = folder / f"{name}.py"
    copy.write_text(FIRST + (Path(source) / f"{name}.py").read_text())
    spec = spec_from_file_location(f"{package.__name__}.{name}", copy)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fields(model: type[BaseModel]) -> dict[str, Any]:
    return {
        key: (field.annotation, field.metadata, field.default, field.is_required())
        for key, field in model.model_fields.items()
    }


def judged(model: type[BaseModel], usual: dict[str, Any]) -> dict[str, Any]:
    """Return what a model makes of each of the values for each of its keys."""

    def verdict(key: str, value: object) -> object:
        try:
            return model.model_validate({**usual, key: value}, strict=True).model_dump()
        except ValidationError as error:
            return [(item["loc"], item["msg"]) for item in error.errors()]

    return {
        f"{key}={value!r}": verdict(key, value) for key in model.model_fields for value in VALUES
    }


def read_method(name: str) -> dict[str, Any]:
    """Return everything that rszoo reads from a method's file."""
    weights, method = methods.weights(name), methods.load(name)
    return {
        "weights": fields(weights),
        "judged": judged(weights, {}),
        "needs": methods.needs(name),
        "trains": methods.trains(name),
        "per_image_sigma": methods.per_image_sigma(name),
        "takes": method.takes,
        "renews": (method.renews, method.start, method.refreshes, method.refresh is not None),
    }


def read_network(name: str) -> dict[str, Any]:
    """Return everything that rszoo reads from a network's file."""
    model = recipes.network_model(name)
    options: dict[str, Parameter] = networks.options(name)
    return {"options": options, "model": fields(model), "judged": judged(model, {"name": name})}


def resolved(name: str, *, network: str | None = None) -> list[Any]:
    """Return what comes of a recipe, or of as much of it as builds a network."""
    file = load_recipe(name)
    made = [
        file.resolve(dataset=dataset, sigma=sigma)
        for dataset in file.content.datasets
        for sigma in file.sigmas(dataset)
    ]
    found: list[Any] = [
        (one.name, one.digest) for one in made if network in (None, one.network.name)
    ]
    return found if network else [*found, file.problems()]


def users_of(network: str) -> list[Any]:
    """Return what comes of a few recipes that build a network."""
    return [resolved(name, network=network) for name in ("gaussian", "macer", "mixing")]


def refusal(name: str) -> list[str]:
    """Return what is said of a method that is to learn under a router's noise."""
    sigma = load_recipe(name).sigmas()[0]
    given = ["fine_tuning.start=a", "fine_tuning.router=b"]
    try:
        return [load_recipe(name).resolve(sigma=sigma, overrides=given).digest]
    except RecipeError as error:
        return error.problems


@pytest.mark.parametrize("name", methods.names())
def test_a_method_is_the_same(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = read_method(name), resolved(name), refusal(name)
    methods.weights.cache_clear()
    module = with_texts(methods, name, tmp_path)
    assert isinstance(module.loss.__annotations__["x"], str)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert methods.load(name).loss.func is module.loss  # type: ignore[attr-defined]
    assert (read_method(name), resolved(name), refusal(name)) == expected


@pytest.mark.parametrize("name", networks.names())
def test_a_network_is_the_same(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = read_network(name), users_of(name)
    recipes.network_model.cache_clear()
    module = with_texts(architectures, name, tmp_path)
    assert isinstance(module.build.__annotations__["num_classes"], str)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert (read_network(name), users_of(name)) == expected
