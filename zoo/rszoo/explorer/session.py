"""The model that a page is about, its relatives, its test images, and the seed of all noise."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rszoo.certificates.kinds.dual import ROUTER
from rszoo.errors import DataError, RszooError
from rszoo.evaluation.inputs import InputSet
from rszoo.evaluation.log import NO_LABEL
from rszoo.explorer.asked import MOST_DRAWS, MOST_SELECTING
from rszoo.explorer.pictures import Kept, Pictures
from rszoo.explorer.standing import sigma_text
from rszoo.explorer.work import Worker
from rszoo.hub.bundle import Bundle
from rszoo.hub.catalog import builtin_bundles, bundles_in, is_own
from rszoo.hub.classifiers import classifier_of
from rszoo.hub.ids import BUILTIN
from rszoo.hub.inputs import inputs_for
from rszoo.hub.kinds import kind_of
from rszoo.smoothing.execution import Execution
from rszoo.smoothing.interface import Classifier
from rszoo.theory.rounding import as_stated

__all__ = ["Session", "relatives"]


class Session:
    """What one run of the explorer knows.

    The seed is one for all: whoever asks again for a certificate gets the same one again, and does
    not choose among several.

    Attributes:
        bundle: the model that the page opens with.
        models: it and its relatives by id, in the order of their noise.
        seed: of all noise.
        pictures: the images that were asked about.
        worker: does all that takes time.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        seed: int,
        execution: Execution | None = None,
        dataset: str | None = None,
        root: Path | None = None,
    ) -> None:
        """Open a model for exploring.

        Args:
            bundle: that certifies.
            seed: of all noise.
            execution: where and how its networks run.
            dataset, root: of its test images, see `rszoo.hub.inputs.inputs_for`.

        Raises:
            RszooError: it certifies nothing, or the data set that is named is not there.
        """
        self.bundle = bundle
        self.models: Mapping[str, Bundle] = {one.id: one for one in relatives(bundle)}
        self.seed = seed
        self.pictures = Pictures()
        self.worker = Worker()
        self._execution = execution
        self._classifiers: dict[str, Classifier] = {}
        self.voters(bundle.id)  # or it says why it has none
        self._tests = _test_images(bundle, dataset, root)

    def classifier(self, model: str) -> Classifier:
        """Return the classifier of a model; it is loaded at its first use.

        Raises:
            RszooError: it is none of these models, or cannot be loaded.
        """
        if model not in self.models:
            raise RszooError(f"expected a model of {', '.join(self.models)}, got {model!r}")
        if model not in self._classifiers:
            self._classifiers[model] = classifier_of(self.models[model], self._execution)
        return self._classifiers[model]

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, the same in all models."""
        return self.bundle.config.class_names

    @property
    def test_count(self) -> int:
        """The number of test images at hand."""
        return 0 if self._tests is None else len(self._tests)

    def test_image(self, place: int) -> Kept:
        """Return a test image of the data set, by its place.

        Raises:
            DataError: there is none.
        """
        if self._tests is None or not 0 <= place < len(self._tests):
            raise DataError(f"expected a place below {self.test_count}, got {place}")
        one = self._tests.inputs[place]
        label = None if one.label == NO_LABEL else one.label
        name = f"{self._tests.source['name']}, test image {one.idx}"
        return self.pictures.keep(one.image(), name=name, label=label)

    def described(self) -> dict[str, Any]:
        """Return what the page says of the model, as JSON values."""
        config = self.bundle.config
        return {
            "id": self.bundle.id,
            "name": config.name,
            "summary": config.summary,
            "dataset": config.dataset,
            "shape": config.input_shape,
            "classes": config.class_names,
            "tests": self.test_count,
            "seed": self.seed,
            "most": {"n": MOST_DRAWS, "n0": MOST_SELECTING},
            "models": [{"id": id, "noise": _noise(one)} for id, one in self.models.items()],
        }

    def voters(self, model: str) -> list[dict[str, Any]]:
        """Return the networks that vote in a model, in the order of the page, as JSON values."""
        voters = self.classifier(model).voters
        names = sorted(voters, key=lambda name: name != ROUTER)
        return [
            {"name": name, "sigma": sigma_text(voters[name][0].applied_sigma)} for name in names
        ]


def relatives(bundle: Bundle) -> list[Bundle]:
    """Return a bundle and those beside it that differ from it in their noise alone, by noise.

    Beside it are those of the same folder, or those that come with rszoo; one that is made of
    networks with several noise levels has none.
    """
    if kind_of(bundle).smoothed is None:
        return [bundle]
    alike = {one.config.noise: one for one in _beside(bundle) if _alike(one, bundle)}
    alike[bundle.config.noise] = bundle
    return sorted(alike.values(), key=lambda one: one.config.noise or 0.0)


def _beside(bundle: Bundle) -> Iterator[Bundle]:
    if bundle.id.startswith(BUILTIN):
        found = builtin_bundles()
    elif is_own(bundle):
        found = bundles_in(bundle.path.parent)
    else:
        return
    yield from (one for _, one in found if isinstance(one, Bundle))


def _alike(one: Bundle, bundle: Bundle) -> bool:
    same = ("method", "dataset", "input_shape", "class_names", "summary")
    return kind_of(one) is kind_of(bundle) and all(
        getattr(one.config, name) == getattr(bundle.config, name) for name in same
    )


def _test_images(bundle: Bundle, dataset: str | None, root: Path | None) -> InputSet | None:
    """Return the test images of a model; None where its data set is not at hand."""
    try:
        return inputs_for(bundle, dataset, skip=1, root=root)
    except DataError:
        if dataset is not None:
            raise
        return None


def _noise(bundle: Bundle) -> str:
    noise = bundle.config.noise
    return "its experts'" if noise is None else as_stated(noise)
