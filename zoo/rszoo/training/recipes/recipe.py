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
from rszoo.errors import RecipeError, RszooError, unknown_name
from rszoo.training.recipes.problems import explain, show
from rszoo.training.recipes.sections import (
    CertifySpec,
    Count,
    ExpertsSpec,
    FineTuningSpec,
    NetworkSpec,
    PartsSpec,
    Section,
    SigmaOrNone,
    TargetsSpec,
    TrainSpec,
)

__all__ = ["Recipe", "make_recipe", "network_model"]


class Recipe(Section):
    """All values of one training run. Made by `make_recipe`, which also checks the names.

    Attributes:
        method: a name of `rszoo.methods`.
        version: of the recipe file that it came from.
        dataset: a name or a path that `rszoo.data.load` takes.
        sigma: noise level, in pixel units with images in [0, 1]; 0 for a method without noise.
        profile: which of the data set's schedules; "published" is the papers' own.
        seed: of everything random in the run.
        weights: the method's weights, defaults filled in.
        targets: for methods that take soft targets, else null.
        experts: for methods that train a router, else null.
        parts: for methods that train the weight of a mix, else null.
        fine_tuning: where the training goes on from a finished model, else null.
    """

    method: str
    version: Count
    dataset: str = Field(min_length=1)
    sigma: SigmaOrNone
    profile: str = "published"
    seed: int = Field(default=0, ge=0)
    network: NetworkSpec
    weights: dict[str, Any]
    train: TrainSpec
    targets: TargetsSpec | None = None
    experts: ExpertsSpec | None = None
    parts: PartsSpec | None = None
    fine_tuning: FineTuningSpec | None = None
    certify: CertifySpec

    @property
    def name(self) -> str:
        """Name of the bundle: data set, method and sigma, such as `mnist-cat_rs-0.50`."""
        from rszoo.data.image_set import short_name

        return f"{short_name(self.dataset)}-{self.method}-{self.sigma:.2f}"

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of the recipe as JSON with sorted keys."""
        text = json.dumps(self.model_dump(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def models(self) -> list[str]:
        """Ids of the bundles that it names: experts, parts, and what a fine-tuning takes."""
        from rszoo import methods

        named = list(self.experts.bundles or ()) if self.experts else []
        if self.parts is not None:
            named += [one for _, one in self.parts if one not in methods.names()]
        if self.fine_tuning is not None:
            named += [one for one in (self.fine_tuning.start, self.fine_tuning.router) if one]
        return named

    @model_serializer(mode="wrap")
    def _without_absent_models(self, values_of: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # So that the digests of recipes from before there were such sections stay what they are.
        values = values_of(self)
        for section in ("experts", "parts", "fine_tuning"):
            if values[section] is None:
                del values[section]
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


#: Section -> the per-example data that a method makes of it, and what they are called.
_SOURCES = {
    "targets": ("soft_targets", "soft targets"),
    "experts": ("expert_radii", "experts"),
}

_MIXING = "mixing"


def _misfits(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Yield place and problem of each value that does not fit the method."""
    from rszoo import methods

    free = methods.noise_free(recipe.method)
    if free != (recipe.sigma == 0.0):
        trained = f"0, as method {recipe.method!r} trains without noise"
        yield "sigma", f"expected {trained if free else '0 < sigma <= 100'}, got {recipe.sigma:g}"
    for section, (need, called) in _SOURCES.items():
        takes, given = need in methods.needs(recipe.method), getattr(recipe, section) is not None
        if takes and not given:
            yield section, f"missing; method {recipe.method!r} needs them"
        if given and not takes:
            yield section, f"method {recipe.method!r} takes no {called}; remove them"
    method = recipe.experts and recipe.experts.method
    if method is not None and method not in methods.names():
        yield "experts.method", str(unknown_name("method", method, methods.names()))
    elif method is not None and "expert_radii" in methods.needs(method):
        yield "experts.method", f"expected a method that trains classifiers, got {method!r}"
    mix_step, steps = recipe.weights.get("mix_step"), recipe.weights.get("attack_steps")
    if mix_step and steps is not None and mix_step >= steps:
        yield "weights", f"expected mix_step < attack_steps, got {mix_step} and {steps}"
    yield from _misfits_of_mixes(recipe)
    yield from _misfits_of_fine_tuning(recipe)


def _misfits_of_mixes(recipe: Recipe) -> Iterator[tuple[str, str]]:
    from rszoo import methods

    mixes, network = methods.mixes(recipe.method), recipe.network.name
    if mixes != (network == _MIXING):
        wanted = repr(_MIXING) if mixes else "a network for images"
        yield "network.name", f"method {recipe.method!r} trains {wanted}, got {network!r}"
    if mixes and recipe.parts is None:
        yield "parts", f"missing; method {recipe.method!r} needs them"
    if recipe.parts is None:
        return
    if not mixes:
        yield "parts", f"method {recipe.method!r} takes no parts; remove them"
    for part, name in recipe.parts:
        trains = name in methods.names() and _trains(name)
        if trains and trains != part:
            yield f"parts.{part}", f"expected a bundle or a method for one, got {name!r}"


def _misfits_of_fine_tuning(recipe: Recipe) -> Iterator[tuple[str, str]]:
    from rszoo import methods

    if recipe.fine_tuning is None:
        return
    if recipe.experts is not None or recipe.parts is not None:
        yield "fine_tuning", f"method {recipe.method!r} begins anew; remove it"
    if recipe.fine_tuning.router is not None and not methods.per_image_sigma(recipe.method):
        able = [name for name in methods.names() if methods.per_image_sigma(name)]
        yield "fine_tuning.router", f"expected one of the methods {able}, got {recipe.method!r}"


def _trains(method: str) -> str:
    """Return which part of a mix a method trains, or what else."""
    from rszoo import methods

    if methods.noise_free(method):
        return "standard"
    routes = "expert_radii" in methods.needs(method)
    return "neither" if routes or methods.mixes(method) else "robust"


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
