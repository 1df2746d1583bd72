"""A resolved recipe: every value that decides what one training run does, checked and frozen.

The recipe's digest stands for all of them; it goes into every output of the run. Where the values
come from (files, profiles, overrides) is the matter of `rszoo.training.recipes.files`.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from pydantic import (
    BaseModel,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    create_model,
    model_serializer,
)

from rszoo._yaml import parse_yaml, to_yaml
from rszoo.errors import RecipeError, RszooError
from rszoo.training.recipes.problems import explain, model_at, show
from rszoo.training.recipes.sections.adapter import AdapterSpec
from rszoo.training.recipes.sections.base import Count, ModelSection, Section, SigmaOrNone
from rszoo.training.recipes.sections.common import CertifySpec, NetworkSpec, TrainSpec
from rszoo.training.recipes.sections.denoised import DenoisedSpec
from rszoo.training.recipes.sections.experts import ExpertsSpec
from rszoo.training.recipes.sections.fine_tuning import FineTuningSpec
from rszoo.training.recipes.sections.parts import PartsSpec
from rszoo.training.recipes.sections.targets import TargetsSpec

__all__ = [
    "MODEL_SECTIONS",
    "OWN",
    "PUBLISHED",
    "Recipe",
    "digest_of",
    "make_recipe",
    "network_model",
]

#: The profile whose values are those that rszoo's own recipe of the method has as published.
PUBLISHED = "published"
#: The profile of a recipe that has no other name.
OWN = "own"


class Recipe(Section):
    """All values of one training run. Made by `make_recipe`, which also checks the names.

    Attributes:
        method: a name of `rszoo.methods`.
        version: of the recipe file that it came from.
        dataset: a name or a path that `rszoo.data.load` takes.
        sigma: noise level, in pixel units with images in [0, 1]; 0 for a method without noise.
        profile: which of the data set's schedules; only `RecipeFile.resolve` calls one
            published, by its values.
        seed: of everything random in the run.
        weights: the method's weights, defaults filled in.
        targets: for methods that take soft targets, or drop images by them, else null.
        experts: for methods that train a router, else null.
        parts: for methods that train the weight of a mix, else null.
        denoised: for methods that train a denoiser, else null.
        fine_tuning: where the training goes on from a finished model, else null.
        adapter: where low-rank changes of a finished model learn alone, else null.
    """

    method: str
    version: Count
    dataset: str = Field(min_length=1)
    sigma: SigmaOrNone
    profile: str = OWN
    seed: int = Field(default=0, ge=0)
    network: NetworkSpec
    weights: dict[str, Any]
    train: TrainSpec
    targets: TargetsSpec | None = None
    experts: ExpertsSpec | None = None
    parts: PartsSpec | None = None
    denoised: DenoisedSpec | None = None
    fine_tuning: FineTuningSpec | None = None
    adapter: AdapterSpec | None = None
    certify: CertifySpec

    @property
    def name(self) -> str:
        """Name of the bundle: data set, method and sigma, such as `mnist-cat_rs-0.50`."""
        from rszoo.data.image_set import short_name

        return f"{short_name(self.dataset)}-{self.method}-{self.sigma:.2f}"

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of the recipe as JSON with sorted keys."""
        return digest_of(self.model_dump())

    @property
    def sections(self) -> dict[str, ModelSection]:
        """Its sections that say which other models it takes, by key."""
        given = {key: getattr(self, key) for key in MODEL_SECTIONS}
        return {key: section for key, section in given.items() if section is not None}

    @property
    def models(self) -> list[str]:
        """Ids of the bundles that it names."""
        found = [one for part in self.sections.values() for one in part.models(self.sigma)]
        return [one for one in found if isinstance(one, str)]

    @model_serializer(mode="wrap")
    def _without_absent_models(self, values_of: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # So that the digests of recipes from before there were such sections stay what they are.
        values = values_of(self)
        for key, kind in MODEL_SECTIONS.items():
            if values[key] is None and not kind.written_as_null:
                del values[key]
        return values

    def to_yaml(self) -> str:
        """Return the recipe as YAML, which `from_yaml` turns back into an equal recipe."""
        return to_yaml(self.model_dump())

    @classmethod
    def from_yaml(cls, text: str, *, source: str = "recipe") -> "Recipe":
        """Return the recipe that `to_yaml` wrote.

        Args:
            text: a resolved recipe.
            source: where the text came from, for error messages.

        Raises:
            RecipeError: the text is not a valid resolved recipe.
        """
        try:
            values = parse_yaml(text)
        except ValueError as error:
            raise RecipeError([str(error)], source=source) from None
        if not isinstance(values, dict):
            raise RecipeError([f"expected a mapping, got {show(values)}"], source=source)
        recipe, problems = make_recipe(values)
        if recipe is None:
            raise RecipeError(problems, source=source)
        return recipe


def digest_of(values: object) -> str:
    """Return the SHA-256, in hex, of values as JSON with sorted keys.

    Raises:
        TypeError: they are no JSON values, or have keys that cannot be sorted.
    """
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


#: The sections that name other models, by their key.
MODEL_SECTIONS: dict[str, type[ModelSection]] = {
    key: kind
    for key in Recipe.model_fields
    if (kind := model_at(Recipe, [key])) is not None and issubclass(kind, ModelSection)
}


def make_recipe(
    values: Mapping[str, Any], *, place: Callable[[str], str] = str
) -> tuple[Recipe | None, list[str]]:
    """Check the values of a recipe, and fill in the defaults of weights and network options.

    Args:
        values: nested as `Recipe` is.
        place: maps the path of a key to where the user wrote it, for the messages.

    Returns:
        The recipe and no problems, or None and one line per problem.
    """
    from rszoo import methods

    full: dict[str, Any] = {"weights": {}} | dict(values)
    problems: list[str] = []
    choices = (
        ("weights", "method", full.get("method"), methods.weights),
        ("network", "network.name", _name_of(full.get("network")), network_model),
    )
    for section, path, name, model_of in choices:
        if not isinstance(name, str) or not isinstance(full[section], dict):
            continue  # reported below
        try:
            model = model_of(name)
        except RszooError as error:
            problems.append(f"{place(path)}: {error}")
            continue
        try:
            full[section] = model.model_validate(full[section], strict=True).model_dump()
        except ValidationError as error:
            problems += explain(error, model, place=place, prefix=f"{section}.")
    try:
        recipe = Recipe.model_validate(full)
    except ValidationError as error:
        return None, problems + explain(error, Recipe, place=place)
    if not problems:
        problems += [f"{place(path)}: {text}" for path, text in _misfits(recipe)]
    return (None, problems) if problems else (recipe, [])


# What networks give that are no classifiers, by what a method trains.
_GIVES = {"weight": "weight", "denoiser": "images"}


def _misfits(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Yield place and problem of each value that does not fit the method."""
    from rszoo import methods, networks

    method, network = recipe.method, recipe.network.name
    free = methods.without_noise(method)
    if free != (recipe.sigma == 0.0):
        trained = f"0, as method {method!r} trains without noise"
        yield "sigma", f"expected {trained if free else '0 < sigma <= 100'}, got {recipe.sigma:g}"
    wanted = _GIVES.get(methods.trains(method), "logits")
    if networks.gives(network) != wanted:
        fitting = [repr(name) for name in networks.names() if networks.gives(name) == wanted]
        called = " or ".join(fitting) if wanted != "logits" else "a network for images"
        yield "network.name", f"method {method!r} trains {called}, got {network!r}"
    mix_step, steps = recipe.weights.get("mix_step"), recipe.weights.get("attack_steps")
    if mix_step and steps is not None and mix_step >= steps:
        yield "weights", f"expected mix_step < attack_steps, got {mix_step} and {steps}"
    tasks = [key for key, section in recipe.sections.items() if section.task is not None]
    if len(tasks) > 1:
        yield tasks[1], f"expected one of {tasks}, each a training of its own, got both"
    for key, kind in MODEL_SECTIONS.items():
        section = recipe.sections.get(key)
        if section is None and kind.needed_by(method):
            yield key, f"missing; method {method!r} needs them"
        if section is not None and not kind.taken_by(method):
            yield key, f"method {method!r} {kind.refusal}"
        if section is not None:
            yield from ((f"{key}.{place}", problem) for place, problem in section.misfits(method))


def _name_of(network: object) -> object:
    return network.get("name") if isinstance(network, dict) else None


@cache
def network_model(name: str) -> type[BaseModel]:
    """Return a model of one architecture's section: its name and its options."""
    from rszoo import networks

    fields: dict[str, Any] = {
        key: (option.annotation, ... if option.default is option.empty else option.default)
        for key, option in networks.options(name).items()
    }
    return create_model(f"{name}_network", __base__=Section, name=(str, ...), **fields)
