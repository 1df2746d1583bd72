"""A noise level for each input, as Insta-RS has it, and what may be said of its radius.

The search at x finds a noise level s(x); the classifier smoothed with it answers c everywhere
closer to x than R. This is a certificate of the classifier with noise s(x) *everywhere*. What
Insta-RS answers at x' close to x is the answer under noise s(x'), and nothing is known of it:
`tests/test_insta.py` has an x and an x' well within R with another answer. So R is **nominal**.

Three ways to go on:

    dual      no search: a smoothed router chooses among fixed noise levels of the network, and
              its certificate says how far the choice stays the same; see `rszoo.smoothing.dual`.
              The only one that certifies a classifier without a state.
    memory    earlier answers cut or overrule later ones, so that none contradict each other; see
              `rszoo.smoothing.memory`.
    nominal   the radius is called nominal, and 0 is certified.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from torch import Tensor

from rszoo.certificates.base import Certificate, Prediction
from rszoo.certificates.kinds.nominal import Nominal
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.interface import Budget, Classifier
from rszoo.smoothing.memory import Memory
from rszoo.smoothing.noise import Stream
from rszoo.smoothing.search import Search, searched_sigma
from rszoo.smoothing.voting import OnDraws, Voting

__all__ = ["InstaClassifier"]


class InstaClassifier(Classifier):
    """A network under a noise level that is searched for each input.

    Guarantee:
        With a memory, for certain: no two of its answers, before and after, contradict each
        other, see `rszoo.smoothing.memory`; and for each answer that stands for itself, with
        probability at least 1 - alpha over the noise, the classifier under the noise of `sigma`
        answers `label` everywhere closer than `radius`. An answer that was taken from an earlier
        region is wrong where that region is.
        Without a memory: with probability at least 1 - alpha, the label is what that classifier
        answers at x itself; `radius` is 0, and `details.nominal_radius` is no certificate of
        anything that searches its noise. The draws of the search are used for nothing else.
        A prediction is, with probability at least 1 - alpha, the answer under the noise that is
        found for the input; where the input lies in a region of the memory it is, for certain,
        the label of the region instead. Where there is a probability, what `certify` assumes is
        assumed.

    Example:

        with Memory.open("digits.memory") as memory:
            model = InstaClassifier(rszoo.load("builtin/digits-cat_rs-0.50"), memory=memory)
            print(model.certify(image).radius)

    Attributes:
        classifier: the network; its own noise level is not used.
        search: how a noise level is found.
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
        self.sound = classifier.sound

    def __repr__(self) -> str:
        return f"InstaClassifier({self.classifier!r}, search={self.search!r})"

    def kind(self, budget: Budget) -> str:
        """Return the name of the kind of its certificates."""
        return "nominal" if self.memory is None else "memory"

    @property
    def voters(self) -> Mapping[str, tuple[Voting, Stream]]:
        """The network, which is its only voter."""
        return self.classifier.voters

    @property
    def protocol_entries(self) -> dict[str, object]:
        """Its entries in the protocol of a log, as JSON values."""
        return {
            **self.classifier.protocol_entries,
            "sigma": None,
            "per_input_sigma": "nominal" if self.memory is None else "memory",
            "search": self.search.protocol_entries,
        }

    def certifier(
        self, budget: Budget, on_progress: OnDraws = None
    ) -> Callable[[Tensor], Certificate]:
        """See `Classifier.certifier`; with a memory, inputs are answered in their order."""

        def certified(image: Tensor) -> Certificate:
            return self._at(image, budget.seed).certifier(budget, on_progress)(image)

        def one(image: Tensor) -> Certificate:
            if self.memory is not None:
                return self.memory.answer(image, lambda: certified(image))
            found = certified(image)
            return replace(found, radius=0.0, details=Nominal(nominal_radius=found.radius))

        return one

    def predictor(
        self, *, n: int, alpha: float, seed: int, on_progress: OnDraws = None
    ) -> Callable[[Tensor], Prediction]:
        """See `Classifier.predictor`; nothing is remembered of an input."""
        options = {"n": n, "alpha": alpha, "seed": seed, "on_progress": on_progress}

        def one(image: Tensor) -> Prediction:
            found = self._at(image, seed).predictor(**options)(image)
            within = self.memory.region_of(image) if self.memory is not None else None
            return found if within is None else replace(found, label=within.label)

        return one

    def _at(self, image: Tensor, seed: int) -> SmoothedClassifier:
        """Return the classifier under the noise that is found for an image."""
        sigma = searched_sigma(
            self.classifier.base,
            image,
            search=self.search,
            seed=seed,
            precision=self.classifier.precision,
            scheme=self.classifier.scheme,
        )
        return self.classifier.with_sigma(sigma)
