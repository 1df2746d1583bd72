"""Recipe files: one YAML per method, found by path or name and resolved for one run.

defaults < data set < its per_sigma < profile < its per_sigma < a.b=value overrides

The recipe of a bundle, which is resolved, is a recipe file of one data set and one sigma.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import rszoo
from rszoo._files import write_bytes_atomically
from rszoo._yaml import parse_yaml
from rszoo.errors import RecipeError, RszooError, did_you_mean
from rszoo.training.recipes.layers import (
    Content,
    DataSet,
    Profile,
    Values,
    contradictions,
    merge,
)
from rszoo.training.recipes.overrides import parse_overrides
from rszoo.training.recipes.problems import explain, nearest_key, show
from rszoo.training.recipes.recipe import Recipe, make_recipe

__all__ = ["OTHER", "RecipeFile", "copy_recipe", "load_recipe", "recipe_names", "recipe_path"]

#: The block for data sets that a recipe does not list.
OTHER = "other"


@dataclass(frozen=True)
class RecipeFile:
    """A recipe file that was read.

    Attributes:
        source: the file or the name that the user gave, for messages.
        content: what the file holds.
        dataset, seed: what `resolve` takes without others.
    """

    source: str
    content: Content
    dataset: str = "digits"
    seed: int = 0

    @property
    def method(self) -> str:
        """Name of the training method."""
        return self.content.method

    def sigmas(self, dataset: str | None = None) -> list[float]:
        """Return the noise levels that the recipe has values for, for a data set.

        Raises:
            RecipeError: the recipe does not know the data set.
        """
        return list(self._block(dataset or self.dataset)[1].sigmas or self.content.sigmas)

    def profiles(self, dataset: str) -> list[str]:
        """Return the names of the data set's profiles, the default one first.

        Raises:
            RecipeError: the recipe does not know the data set.
        """
        block = self._block(dataset)[1]
        return [block.profile, *block.profiles]

    def resolve(
        self,
        *,
        dataset: str | None = None,
        sigma: float,
        profile: str | None = None,
        overrides: Sequence[str] = (),
        seed: int | None = None,
    ) -> Recipe:
        """Return the recipe of one training run.

        Args:
            dataset: a data set of the recipe; any other name or path takes the block `other`;
                None for the file's.
            sigma: noise level, one of `sigmas(dataset)`.
            profile: one of `profiles(dataset)`; None for the first.
            overrides: texts such as `train.lr=0.05`, applied last; values are YAML.
            seed: of everything random in the run; None for the file's.

        Raises:
            RecipeError: with all problems of the file's values and of the overrides.
        """
        dataset = self.dataset if dataset is None else dataset
        seed = self.seed if seed is None else seed
        key, block = self._block(dataset)
        problems = []
        if sigma not in self.sigmas(dataset):
            problems.append(
                f"sigma: {show(sigma)} is not in the recipe's list {self.sigmas(dataset)} for "
                f"{dataset!r}; to add it, edit a copy (rszoo recipe cp {self.method})"
            )
        if profile is not None and profile not in self.profiles(dataset):
            problems.append(
                f"profile: {profile!r} is not in the recipe's list {self.profiles(dataset)} "
                f"for {dataset!r}"
            )
        last, wrong = parse_overrides(overrides, method=self.method)
        problems += wrong
        values, origins = merge([*self._layers(key, block, sigma, profile), ("", last)])
        values |= {"method": self.method, "version": self.content.version, "dataset": dataset}
        values |= {"sigma": sigma, "profile": profile or block.profile, "seed": seed}

        def place(path: str) -> str:
            fixed = path.partition(".")[0] not in Values.model_fields
            return path if fixed else origins.get(path, f"datasets.{key}.{path}")

        recipe, wrong = make_recipe(values, place=place)
        if recipe is None or problems:
            raise RecipeError(problems + wrong, source=self.source)
        return recipe

    def problems(self) -> list[str]:
        """Resolve every data set, sigma and profile; return one line per problem."""
        from rszoo.data import names

        found = {
            f"datasets.{key}: {nearest_key(key, [*names(), OTHER], prefix='datasets.')}": None
            for key in self.content.datasets
            if key not in (*names(), OTHER) and not _is_path(key)
        }
        for dataset in self.content.datasets:
            for sigma in self.sigmas(dataset):
                for profile in self.profiles(dataset):
                    try:
                        self.resolve(dataset=dataset, sigma=sigma, profile=profile)
                    except RecipeError as error:
                        found |= dict.fromkeys(error.problems)
        return list(found)

    def _block(self, dataset: str) -> tuple[str, DataSet]:
        blocks = self.content.datasets
        key = dataset if dataset in blocks else OTHER
        if key not in blocks:
            raise RecipeError(
                [f"dataset: {dataset!r} is not in the recipe's list {list(blocks)}"],
                source=self.source,
            )
        return key, blocks[key]

    def _layers(
        self, key: str, block: DataSet, sigma: float, profile: str | None
    ) -> list[tuple[str, dict[str, Any]]]:
        """Return the layers, each with its place in the file, the weakest first."""
        named: list[tuple[str, Profile]] = [(f"datasets.{key}", block)]
        if profile in block.profiles:
            named.append((f"datasets.{key}.profiles.{profile}", block.profiles[profile]))
        layers = [("defaults", self.content.defaults.layer())]
        for place, values in named:
            layers.append((place, values.layer()))
            if sigma in values.per_sigma:
                layers.append((f"{place}.per_sigma.{sigma}", values.per_sigma[sigma].layer()))
        return layers


def _is_path(dataset: str) -> bool:
    return "/" in dataset or dataset.endswith(".npz")


def load_recipe(path_or_name: str | Path) -> RecipeFile:
    """Read a recipe file: a path, the name of a recipe that comes with rszoo, or a bundle.

    Args:
        path_or_name: a bundle is named by its folder, or is `builtin/NAME`.

    Raises:
        RecipeError: no such file or name, or the file is not a recipe.
    """
    source = str(path_or_name)
    path = _locate(path_or_name)
    try:
        values = parse_yaml(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise RecipeError([f"cannot be read: {error.strerror}"], source=str(path)) from None
    except UnicodeDecodeError:
        raise RecipeError(
            ["expected YAML text in UTF-8, got other bytes"], source=source
        ) from None
    except ValueError as error:
        raise RecipeError([str(error)], source=source) from None
    if not isinstance(values, dict):
        what = "an empty file" if values is None else show(values)
        raise RecipeError([f"expected a mapping with the key 'method', got {what}"], source=source)
    if "sigma" in values and "datasets" not in values:
        return _of_one_run(values, source)
    try:
        content = Content.model_validate(values)
    except ValidationError as error:
        raise RecipeError(explain(error, Content), source=source) from None
    if problems := contradictions(content):
        raise RecipeError(problems, source=source)
    return RecipeFile(source, content)


def _of_one_run(values: dict[str, Any], source: str) -> RecipeFile:
    """Return a resolved recipe as a recipe file that holds nothing else.

    A data set of the user's own may lie elsewhere by now: any path will do.
    """
    from rszoo.data import names

    recipe, problems = make_recipe(values)
    if recipe is None:
        raise RecipeError(problems, source=source)
    dataset = recipe.dataset if recipe.dataset in names() else OTHER
    values = recipe.model_dump()
    block = {key: values[key] for key in ("profile", *Values.model_fields) if key in values}
    content = Content(
        method=recipe.method,
        version=recipe.version,
        paper=load_recipe(recipe.method).content.paper,
        sigmas=[recipe.sigma],
        datasets={dataset: DataSet.model_validate(block)},
    )
    return RecipeFile(source, content, dataset=recipe.dataset, seed=recipe.seed)


def _folder() -> Path:
    """Return the folder of the recipes: inside the installed package, else in the checkout."""
    package = Path(rszoo.__file__).parent
    inside = package / "recipes"
    return inside if inside.is_dir() else package.parents[1] / "recipes"


def _locate(path_or_name: str | Path) -> Path:
    """Return the file: an existing path wins over the name of a recipe that comes with rszoo."""
    from rszoo.hub.catalog import builtin_names, find

    source, path = str(path_or_name), Path(path_or_name)
    if source in builtin_names():
        path = find(source).path
    if path.exists() and not (path.is_dir() and source in recipe_names()):
        return path / "recipe.yaml" if path.is_dir() else path
    if source in recipe_names():
        return recipe_path(source)
    hint = did_you_mean(source, recipe_names())
    raise RecipeError(
        [f"no such file{hint}; the recipes that come with rszoo are {recipe_names()}"],
        source=source,
    )


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with rszoo."""
    return sorted(path.stem for path in _folder().glob("*.yaml"))


def recipe_path(name: str) -> Path:
    """Return the file of a recipe that comes with rszoo.

    Raises:
        RecipeError: no such recipe.
    """
    if name not in recipe_names():
        raise RecipeError([f"no such recipe; expected one of {recipe_names()}"], source=name)
    return _folder() / f"{name}.yaml"


def copy_recipe(
    path_or_name: str | Path, destination: Path | None = None, *, overwrite: bool = False
) -> Path:
    """Copy a recipe file, comments and all, and return the new file.

    Args:
        path_or_name: as `load_recipe` takes.
        destination: a file or a folder; None for the current folder.
        overwrite: replace an existing file.

    Raises:
        RecipeError: no such recipe.
        RszooError: the new file exists already, or cannot be written.
    """
    path = _locate(path_or_name)
    target = destination if destination is not None else Path(path.name)
    if target.is_dir():
        target /= path.name
    if target.exists() and not overwrite:
        raise RszooError(f"{str(target)!r} exists already; give another name, or --force")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RszooError(f"cannot read {str(path)!r}: {error.strerror}") from error
    write_bytes_atomically(target, content)
    return target
