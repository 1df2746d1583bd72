"""Which trainings a sweep consists of, which wait for which, and whether they can begin."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rszoo.errors import RszooError
from rszoo.hub.bundle import Bundle
from rszoo.training.output import STATE, Output
from rszoo.training.recipes.prerequisites import prerequisites
from rszoo.training.recipes.recipe import Recipe

__all__ = ["Job", "already_there", "planned"]


@dataclass(frozen=True, eq=False)
class Job:
    """One training of a sweep.

    Attributes:
        recipe: what is trained.
        out: its output folder, that of its seed.
        needs: the bundles that must be there first.
        asked: whether the sweep is about it; if not, others of the sweep build on it.
    """

    recipe: Recipe
    out: Path
    needs: tuple[Path, ...]
    asked: bool

    @property
    def path(self) -> Path:
        """The folder in which the bundle will be."""
        return self.out / self.recipe.name

    @property
    def label(self) -> str:
        """The training's name and seed, as messages show them."""
        return f"{self.recipe.name}, seed {self.recipe.seed}"

    @property
    def log(self) -> Path:
        """The file of the training's output, line by line."""
        return self._state(".log")

    @property
    def progress(self) -> Path:
        """The file of how far it is, while it runs."""
        return self._state(".progress.json")

    def _state(self, suffix: str) -> Path:
        return self.out / STATE / f"{self.recipe.name}{suffix}"


def planned(recipes: Sequence[Recipe], *, out: Path) -> list[Job]:
    """Return the trainings of a sweep, each after those that it needs.

    Bundles of different seeds lie in different folders: `out/seed-0`, `out/seed-1`.

    Args:
        recipes: resolved; each with its seed.
        out: the folder of the sweep.

    Raises:
        RszooError: two recipes make bundles of the same name in the same folder.
        RecipeError: a network that a recipe builds on has no recipe.
    """
    jobs: dict[Path, Job] = {}

    def add(recipe: Recipe, above: Recipe | None) -> Path:
        folder = out / f"seed-{recipe.seed}"
        path = folder / recipe.name
        there = jobs.get(path)
        if there is not None and (there.recipe != recipe or (there.asked and above is None)):
            raise RszooError(_clash(path, above, same=there.recipe == recipe))
        needs = tuple(add(below, recipe) for below in prerequisites(recipe))
        asked = above is None or (there is not None and there.asked)
        jobs[path] = Job(recipe, folder, needs, asked)
        return path

    # First what is asked for: what others build on is then compared with it.
    for recipe in sorted(recipes, key=lambda one: len(prerequisites(one))):
        add(recipe, None)
    return list(jobs.values())


def _clash(path: Path, above: Recipe | None, *, same: bool) -> str:
    if above is not None:
        return (
            f"{above.name} builds on {path.name} as rszoo's own recipe trains it, and the sweep "
            "trains that with other values; sweep them into different folders (--out)"
        )
    if same:
        return f"expected each training once, got {path.name} twice"
    return (
        f"expected recipes whose bundles have different names, got two that make {path}; "
        "sweep them into different folders (--out)"
    )


def already_there(jobs: Sequence[Job], *, data: str) -> dict[Path, Bundle]:
    """Return the bundles that are finished, if nothing is in the way of the others.

    Args:
        jobs: of a sweep.
        data: digest of the training images.

    Raises:
        RszooError: a bundle, or an unfinished training, of another recipe, other data or models
            is in the way; or a model that a recipe names is not there.
    """
    found = {}
    for job in jobs:
        output = Output.of(job.recipe, job.out, data=data)
        bundle = output.finished(resume=True, remedy=f"move {job.recipe.name} away")
        if bundle is not None:
            found[job.path] = bundle
        elif output.begun_otherwise():
            raise RszooError(
                f"{job.path} is begun, by another recipe, or from other data or models; choose "
                f"another --out, or remove {output.state}"
            )
    return found
