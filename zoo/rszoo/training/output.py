"""What one training leaves in the output folder: a bundle and, until that is finished, its state.

<name>/               the bundle
.state/<name>/        checkpoint and MLflow run of a training that is not finished
.state/<name>.lock    held by the process that trains it
"""

import json
from dataclasses import dataclass
from pathlib import Path

from rszoo._locks import is_held
from rszoo.errors import RszooError
from rszoo.hub.bundle import Bundle, open_bundle
from rszoo.hub.catalog import find
from rszoo.training.recipes.recipe import Recipe

__all__ = ["STATE", "Output", "read_run"]

STATE = ".state"


@dataclass(frozen=True)
class Output:
    """The place of one training in an output folder.

    Attributes:
        recipe: of the training.
        out: the output folder.
        identity: the digests of its recipe, of its data, and of the models that the recipe names.
    """

    recipe: Recipe
    out: Path
    identity: dict[str, str]

    @classmethod
    def of(cls, recipe: Recipe, out: Path, *, data: str) -> "Output":
        """Return the place of a training.

        Args:
            recipe: of the training.
            out: the output folder.
            data: digest of the training images.

        Raises:
            RszooError: a model that the recipe names is not there.
        """
        identity = {"recipe": recipe.digest, "data": data}
        if recipe.models:
            identity["model"] = " ".join(find(one).weights_digest for one in recipe.models)
        return cls(recipe, out, identity)

    @property
    def folder(self) -> Path:
        """The folder of the finished bundle."""
        return self.out / self.recipe.name

    @property
    def state(self) -> Path:
        """The folder of what an unfinished training goes on from."""
        return self.out / STATE / self.recipe.name

    @property
    def checkpoint(self) -> Path:
        """The file of the last checkpoint, in the state."""
        return self.state / "checkpoint.pt"

    @property
    def run(self) -> Path:
        """The file that remembers the MLflow run, in the state; see `read_run`."""
        return self.state / "run.json"

    @property
    def lock(self) -> Path:
        """The file that is held by the process that trains it."""
        return self.out / STATE / f"{self.recipe.name}.lock"

    def begun_otherwise(self) -> bool:
        """Return whether a training of that name is unfinished that is not this one."""
        return self.run.exists() and read_run(self.run, self.identity) is None

    def is_to_go(self, *, resume: bool, overwrite: bool) -> bool:
        """Return whether to drop what is there; with `resume`, only that of another training.

        Raises:
            RszooError: another process is at work on it.
        """
        if not overwrite or (resume and self._is_of_this()):
            return False
        if is_held(self.lock):
            raise RszooError(f"{self.folder} is being trained by another process; wait for it")
        return True

    def finished(self, *, resume: bool, remedy: str) -> Bundle | None:
        """Return the bundle to keep; None when there is something to train.

        Args:
            resume: keep what is finished, and continue what is not.
            remedy: what to do about a bundle that is of something else.

        Raises:
            RszooError: something is there, and `resume` is not set; or the bundle there is of
                another recipe, other data or other models.
        """
        if self.state.exists():  # whatever bundle there is, it is about to be replaced
            if resume or is_held(self.lock):  # who trains it waits for the other
                return None
            raise RszooError(
                f"{self.folder} is begun and not finished; --resume continues it, "
                "--overwrite starts it again"
            )
        if not self.folder.exists():
            return None
        bundle = open_bundle(self.folder)
        if bundle.manifest.origin.facts != self.identity:
            raise RszooError(
                f"{self.folder} was made by another recipe, or from other data or models; "
                f"choose another --out, or {remedy}"
            )
        if not resume:
            raise RszooError(
                f"{self.folder} exists; --resume keeps it, --overwrite trains it again"
            )
        return bundle

    def _is_of_this(self) -> bool:
        """Return whether the unfinished training, or else the bundle, has this identity."""
        if self.state.exists():
            return not self.begun_otherwise()
        made = self.folder.exists() and open_bundle(self.folder).manifest.origin.facts
        return made == self.identity


def read_run(path: Path, identity: dict[str, str]) -> str | None:
    """Return the MLflow run that a file remembers, if it is one of the same training."""
    try:
        content = json.loads(path.read_text())
        return content["run_id"] if content["facts"] == identity else None
    except (OSError, ValueError, KeyError):
        return None
