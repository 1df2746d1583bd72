"""A resolved recipe: every value that decides what one training run does, checked and frozen.

The recipe's digest stands for all of them; it goes into every output of the run. Where the values
come from (files, profiles, overrides) is the matter of `rszoo.training.recipe_files`.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
)

from rszoo._yaml import parse_yaml, to_yaml
from rszoo.errors import RecipeError, RszooError
from rszoo.training.recipe_problems import explain, show

__all__ = [
    "CertifySpec",
    "NetworkSpec",
    "Recipe",
    "TargetsSpec",
    "TrainSpec",
    "make_recipe",
    "network_model",
]


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Count = Annotated[int, Field(ge=1), BeforeValidator(_whole)]
Sigma = Annotated[float, Field(gt=0, le=100)]
# 0 is for methods without noise, whose bundles must not be named after -0.0.
SigmaOrNone = Annotated[float, Field(ge=0, le=100), AfterValidator(abs)]


class Section(BaseModel):
    """Base of all parts of a recipe: unknown keys and converted types are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class NetworkSpec(Section):
    """The architecture's name, and its options as further keys."""

    model_config = ConfigDict(extra="allow")

    name: str

    @property
    def options(self) -> dict[str, Any]:
        """The architecture's own options, for `rszoo.networks.build`."""
        return dict(self.model_extra or {})


class TrainSpec(Section):
    """How the network is trained.

    Attributes:
        epochs: passes over the training images.
        batch_size: different images per step, before noise copies are made.
        lr: learning rate; the highest one for "one_cycle".
        momentum: of "sgd"; "adamw" takes its usual betas.
        nesterov: of "sgd".
        schedule: "step" multiplies the rate by 0.1 every `step_epochs`; "one_cycle" raises it
            linearly from 0 during the first `warmup` share of the run, then lowers it to 0.
        augment: "none", "crop_flip" or "resized_crop_flip".
        clip_norm: largest L2 norm of the whole gradient; null for no limit.
    """

    epochs: Count
    batch_size: Count
    optimizer: Literal["sgd", "adamw"]
    lr: float = Field(gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: float = Field(ge=0)
    schedule: Literal["step", "one_cycle"]
    step_epochs: Count | None = Field(default=None, validate_default=True)
    warmup: float = Field(default=0.2, ge=0, lt=1)
    augment: Literal["none", "crop_flip", "resized_crop_flip"] = "none"
    clip_norm: float | None = Field(default=None, gt=0)

    @field_validator("nesterov")
    @classmethod
    def _nesterov_needs_momentum(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("momentum") == 0:
            raise ValueError("nesterov needs a momentum > 0, got momentum 0")
        return value

    @field_validator("step_epochs")
    @classmethod
    def _step_needs_epochs(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is None and info.data.get("schedule") == "step":
            raise ValueError("schedule 'step' needs an integer >= 1 here, got null")
        return value


class TargetsSpec(Section):
    """Soft targets made before training: the votes of a Gaussian-trained network.

    Attributes:
        sigma: noise level at which that network is trained and votes.
        draws: votes per training image.
    """

    sigma: Sigma
    draws: Count


class CertifySpec(Section):
    """How the trained model's certificates are made (see `rszoo.SmoothedClassifier.certify`)."""

    n0: Count
    n: Count
    alpha: float = Field(gt=0, lt=1)


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
    certify: CertifySpec

    @property
    def name(self) -> str:
        """Name of the bundle: data set, method and sigma, such as `mnist-cat_rs-0.50`."""
        from rszoo.data.image_set import safe_name

        path = Path(self.dataset)
        plain = path.stem if path.suffix == ".npz" else path.resolve().name
        return f"{safe_name(plain)}-{self.method}-{self.sigma:.2f}"

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of the recipe as JSON with sorted keys."""
        text = json.dumps(self.model_dump(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

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
        free = methods.noise_free(recipe.method)
        if free != (recipe.sigma == 0.0):
            trained = f"0, as method {recipe.method!r} trains without noise"
            wanted = trained if free else "0 < sigma <= 100"
            problems.append(f"{place('sigma')}: expected {wanted}, got {show(full['sigma'])}")
        takes = "soft_targets" in methods.needs(recipe.method)
        if takes and recipe.targets is None:
            problems.append(f"{place('targets')}: missing; method {recipe.method!r} needs them")
        if not takes and recipe.targets is not None:
            problems.append(
                f"{place('targets')}: method {recipe.method!r} takes no soft targets; remove them"
            )
    return (None, problems) if problems else (recipe, [])


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
