"""A noise level for each input, as Insta-RS has it, and what may be said of its radius.

The search at x finds a level s(x); the classifier smoothed with that level answers c everywhere
closer to x than R. This is a certificate of the classifier with the level s(x) *everywhere*. What
Insta-RS answers at x' close to x is the answer at the level s(x'), and nothing is known of it:
`tests/test_insta.py` has an x and an x' well within R with another answer. So R is **nominal**.

Three ways to go on:

    dual      no search: a smoothed router chooses among fixed levels of the network, and its own
              certificate says how far the choice stays the same; see `rszoo.smoothing.dual`. The
              only one that certifies a classifier without a state.
    memory    earlier answers cut or overrule later ones, so that none contradict each other; see
              `rszoo.smoothing.memory`.
    nominal   the radius is called nominal, and 0 is certified.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

from torch import Tensor

from rszoo.smoothing.certificate import Certificate, PerInput, Prediction
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.memory import Memory
from rszoo.smoothing.search import Search, searched_sigma

__all__ = ["InstaClassifier"]


class InstaClassifier:
    """A network under a noise level that is searched for each input.

    Example:

        with Memory.open("digits.memory") as memory:
            model = InstaClassifier(rszoo.load("builtin/digits-cat_rs-0.50"), memory=memory)
            print(model.certify(image).radius)

    Attributes:
        classifier: the network; its own noise level is not used.
        search: how a level is found.
        memory: what makes the radii sound; None: they are nominal, and 0 is certified.
        num_classes, input_shape, class_names, device: those of the classifier.
    """

    def __init__(
        self,
        classifier: SmoothedClassifier,
        *,
        search: Search | None = None,
        memory: Memory | None = None,
    ) -> None:
        """Search around the noise level of a classifier, or as `search` says."""
        self.classifier = classifier
        self.search = search or Search.around(classifier.sigma)
        self.memory = memory
        self.num_classes = classifier.num_classes
        self.input_shape = classifier.input_shape
        self.class_names = classifier.class_names
        self.device = classifier.device

    def __repr__(self) -> str:
        return f"InstaClassifier({self.classifier!r}, search={self.search!r})"

    @property
    def facts(self) -> dict[str, object]:
        """What a log's protocol says of it, as JSON values."""
        return {
            **self.classifier.facts,
            "sigma": None,
            "per_input_sigma": "nominal" if self.memory is None else "memory",
            "search": asdict(self.search),
        }

    def certify(
        self,
        x: Tensor,
        *,
        n0: int = 100,
        n: int = 100_000,
        alpha: float = 0.001,
        seed: int = 0,
        radii: Sequence[float] | None = None,
        tolerance: float = 0.0,
        on_progress: Callable[[int], None] | None = None,
    ) -> Certificate | list[Certificate]:
        """Certify one input `[C, H, W]`, or each input of a batch `[B, C, H, W]`, in order.

        Guarantee:
            With a memory, for certain: no two of its answers, before and after, contradict each
            other, see `rszoo.smoothing.memory`; and for each answer that stands for itself, with
            probability at least 1 - alpha over the noise, the classifier under the noise of
            `sigma` answers `label` everywhere closer than `radius`. An answer that was taken from
            an earlier region is wrong where that region is.
            Without a memory: with probability at least 1 - alpha, the label is what that
            classifier answers at x itself; `radius` is 0, and `per_input.nominal_radius` is no
            certificate of anything that searches its noise. The draws of the search are used for
            nothing else.

        Args:
            x, n0, n, alpha, seed, on_progress: as in `SmoothedClassifier.certify`.
            radii, tolerance: not where noise is searched; None and 0.

        Raises:
            DataError, ValueError: as `SmoothedClassifier.certify`; or radii are given.
        """
        if radii is not None or tolerance:
            raise ValueError("expected no radii and no tolerance where noise is searched")

        def own(image: Tensor) -> Certificate:
            found = self._at(image, seed).certify(
                image, n0=n0, n=n, alpha=alpha, seed=seed, on_progress=on_progress
            )
            assert isinstance(found, Certificate)  # one image gives one certificate
            return found

        def one(image: Tensor) -> Certificate:
            if self.memory is not None:
                return self.memory.answer(image, lambda: own(image))
            found = own(image)
            return replace(found, radius=0.0, per_input=PerInput(nominal_radius=found.radius))

        return self.classifier.for_each(one, x)

    def predict(
        self,
        x: Tensor,
        *,
        n: int = 1000,
        alpha: float = 0.001,
        seed: int = 0,
        on_progress: Callable[[int], None] | None = None,
    ) -> Prediction | list[Prediction]:
        """Evaluate at one input, or at each input of a batch; nothing is remembered of it.

        Guarantee:
            For each input, with probability at least 1 - alpha over the noise: the prediction
            abstains, or its label is the answer under the noise that is found for the input. For
            an input in a region of the memory it is, for certain, the label of the region.

        Args and errors are those of `SmoothedClassifier.predict`.
        """

        def one(image: Tensor) -> Prediction:
            found = self._at(image, seed).predict(
                image, n=n, alpha=alpha, seed=seed, on_progress=on_progress
            )
            assert isinstance(found, Prediction)
            within = self.memory.region_of(image) if self.memory is not None else None
            return found if within is None else replace(found, label=within.label)

        return self.classifier.for_each(one, x)

    def _at(self, image: Tensor, seed: int) -> SmoothedClassifier:
        """Return the classifier under the noise that is found for an image."""
        sigma = searched_sigma(
            self.classifier.network,
            image,
            search=self.search,
            seed=seed,
            precision=self.classifier.precision,
        )
        return self.classifier.at(sigma)
