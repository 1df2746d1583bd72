"""A recipe file that was read, and how it is resolved for one training run.

defaults < data set < its per_sigma < profile < its per_sigma < a.b=value overrides

What a recipe is called does not make it published: its values have to be those of the profile
`published` of the recipe that comes with rszoo, where each has its source.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rszoo.errors import RecipeError, RszooError
from rszoo.training.recipes.layers import Content, DataSet, Profile, Values, merge
from rszoo.training.recipes.overrides import parse_overrides
from rszoo.training.recipes.problems import nearest_key, show
from rszoo.training.recipes.recipe import OWN, PUBLISHED, Recipe, make_recipe
from rszoo.training.recipes.shipped import shipped_content

__all__ = ["OTHER", "RecipeFile", "is_published"]

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
        """Return the recipe of one training run; it is called published only if it is.

        Args:
            dataset: a data set of the recipe; any other name or path takes the block `other`;
                None for the file's.
            sigma: noise level, one of `sigmas(dataset)`; of a router, which has no values of its
                own for each, any.
            profile: one of `profiles(dataset)`; None for the first. The recipe's is `own` instead
                of `published` where its values are others than the published ones.
            overrides: texts such as `train.lr=0.05`, applied last; values are YAML.
            seed: of everything random in the run; None for the file's.

        Raises:
            RecipeError: with all problems of the file's values and of the overrides.
        """
        recipe = self._resolved(
            dataset=self.dataset if dataset is None else dataset,
            sigma=sigma,
            profile=profile,
            overrides=overrides,
            seed=self.seed if seed is None else seed,
        )
        if recipe.profile == PUBLISHED and not is_published(recipe):
            return recipe.model_copy(update={"profile": OWN})
        return recipe

    def _resolved(
        self,
        *,
        dataset: str,
        sigma: float,
        profile: str | None,
        overrides: Sequence[str],
        seed: int,
    ) -> Recipe:
        """Return the recipe of one training run, its profile as the file has it."""
        key, block = self._block(dataset)
        problems = []
        if sigma not in self.sigmas(dataset) and not self._takes_any_sigma():
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

    def resolve_all(
        self,
        *,
        dataset: str | None = None,
        sigmas: Sequence[float] | None = None,
        profile: str | None = None,
        overrides: Sequence[str] = (),
        seed: int | None = None,
    ) -> list[Recipe]:
        """Return the recipe of a training run for each of several noise levels.

        Args:
            sigmas: noise levels, each of which counts once; None for all that the recipe lists.
            dataset, profile, overrides, seed: for all of them, as `resolve` takes them.

        Raises:
            RecipeError: as `resolve` has it.
        """
        return [
            self.resolve(
                dataset=dataset, sigma=sigma, profile=profile, overrides=overrides, seed=seed
            )
            for sigma in dict.fromkeys(sigmas or self.sigmas(dataset))
        ]

    def problems(self) -> list[str]:
        """Resolve every data set, sigma and profile; return one line per problem."""
        from rszoo import networks
        from rszoo.data import names

        built: set[str] = set()
        found = {
            f"datasets.{key}: {nearest_key(key, [*names(), OTHER], prefix='datasets.')}": None
            for key in self.content.datasets
            if key not in (*names(), OTHER) and not _is_path(key)
        }
        for dataset in self.content.datasets:
            for sigma in self.sigmas(dataset):
                for profile in self.profiles(dataset):
                    try:
                        recipe = self.resolve(dataset=dataset, sigma=sigma, profile=profile)
                        built.add(recipe.network.name)
                    except RecipeError as error:
                        found |= dict.fromkeys(error.problems)
        for name in sorted(built):
            try:
                networks.check_known(name)
            except RszooError as error:
                found[f"network.name: {error}"] = None
        return list(found)

    def _takes_any_sigma(self) -> bool:
        """Return whether the noise level is a value like others: it is a router's."""
        from rszoo import methods

        known = self.method in methods.names()  # else that is the problem
        return known and methods.trains(self.method) == "router"

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


def is_published(recipe: Recipe) -> bool:
    """Return whether the values of a recipe are the published ones of its method.

    They are where the recipe that comes with rszoo has a profile `published` for the data set
    and the noise level, and all its values are the same; the seed may be any.
    """
    content = shipped_content(recipe.method)
    if content is None:
        return False
    shipped = RecipeFile(recipe.method, content)
    try:
        if recipe.sigma not in shipped.sigmas(recipe.dataset):
            return False
        published = shipped._resolved(
            dataset=recipe.dataset,
            sigma=recipe.sigma,
            profile=PUBLISHED,
            overrides=(),
            seed=recipe.seed,
        )
    except RecipeError:  # there is no such profile for this data set, or not at this sigma
        return False
    free = {"profile", "version"}
    return recipe.model_dump(exclude=free) == published.model_dump(exclude=free)


def _is_path(dataset: str) -> bool:
    return "/" in dataset or dataset.endswith(".npz")
