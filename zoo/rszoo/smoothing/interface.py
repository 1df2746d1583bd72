"""What everything that certifies has in common, whatever it is made of."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from rszoo.certificates.base import ABSTAIN, Certificate, Prediction
from rszoo.certificates.kind import ONE_SIDED
from rszoo.errors import DataError
from rszoo.smoothing.budget import Budget
from rszoo.smoothing.checks import check_draws, checked
from rszoo.smoothing.noise import Stream, random_seed
from rszoo.smoothing.voting import OnDraws, Voting

__all__ = ["Budget", "Classifier"]

T = TypeVar("T")


class Classifier(ABC):
    """A classifier that certifies: one smoothed network, or several that work together.

    The docstring of each kind says which function it certifies. A kind defines `kind`,
    `voters`, `protocol_entries`, `certifier` and `predictor`.

    Attributes:
        num_classes: number of classes.
        input_shape: shape of one input, or None when any shape is accepted.
        class_names: names of the classes, or None.
        device: where it runs.
        sound: whether inputs have to lie on the lattice of 8-bit pixels, see
            `rszoo.smoothing.lattice`.
    """

    num_classes: int
    input_shape: tuple[int, ...] | None
    class_names: tuple[str, ...] | None
    device: torch.device
    sound: bool

    #: Whether it can be certified at given radii only.
    certifies_at_radii: ClassVar[bool] = False

    #: Whether it can make more draws where all of the n agree.
    extends: ClassVar[bool] = False

    #: Whether it can certify sets of classes.
    certifies_sets: ClassVar[bool] = False

    #: What it can bound, of `rszoo.certificates.kind.BOUNDS`.
    bounds: ClassVar[Collection[str]] = (ONE_SIDED,)

    @abstractmethod
    def kind(self, budget: Budget) -> str:
        """Return which kind of certificates it gives, see `rszoo.certificates.kinds`."""

    @property
    @abstractmethod
    def voters(self) -> Mapping[str, tuple[Voting, Stream]]:
        """The smoothed networks whose votes its certificates rest on, by name.

        Each with the stream of its draws for estimation; the names are those of
        `rszoo.certificates.kind.Voter`.
        """

    @property
    @abstractmethod
    def protocol_entries(self) -> dict[str, object]:
        """Its entries in the protocol of a log, as JSON values."""

    @abstractmethod
    def certifier(
        self, budget: Budget, on_progress: OnDraws = None
    ) -> Callable[[Tensor], Certificate]:
        """Return what certifies one input that is checked and on the device.

        Guarantee:
            That of `certify`.
        """

    @abstractmethod
    def predictor(
        self, *, n: int, alpha: float, seed: int, on_progress: OnDraws = None
    ) -> Callable[[Tensor], Prediction]:
        """Return what evaluates one input that is checked and on the device.

        Guarantee:
            That of `predict`.
        """

    def certify(
        self,
        x: Tensor,
        *,
        n0: int = 100,
        n: int = 100_000,
        alpha: float = 0.001,
        seed: int | None = None,
        radii: Sequence[float] | None = None,
        tolerance: float = 0.0,
        bound: str = ONE_SIDED,
        n_max: int | None = None,
        top_k: int | None = None,
        on_progress: OnDraws = None,
    ) -> Certificate:
        """Certify one input `[C, H, W]`; `certify_batch` certifies several.

        Guarantee:
            - With probability at least 1 - alpha over the noise: the certificate abstains, or the
              classifier answers `label` at every x' with ||x' - x||_2 < radius.
            - This assumes a network and an input that were fixed without regard to `seed`: whoever
              knows the noise can fit a network to it, or an input.
            - It assumes a network that treats the images of a batch one by one. That is tried on
              its first batches, see `rszoo.smoothing.one_by_one`.
            - It is about real arithmetic in x + e: rounding of that sum to float32 is not covered.
              With `sound` it is, and the x' are the images whose pixels are multiples of 1/255.
            - It is about all of the Gaussian, of which noise lacks what is far out: how much that
              is the files of `rszoo.smoothing.schemes` say. With `sound` it is below 10^-11, but
              some images are misplaced on the lattice, 2 10^-8 of them at 3 x 224 x 224: see
              `rszoo.smoothing.lattice.misplaced_share`. By so much, the probability of the class
              may be below what was bounded.
            - Whether the label is correct, it does not say.

        Args:
            x: float input in the units of sigma (images in [0, 1]).
            n0: draws for selecting the class, at least 1; of each part of several.
            n: fresh draws for bounding its probability, at least 1; of several parts one makes
                them all, and the others at most as many.
            alpha: failure probability per input, in (0, 1), of the whole statement.
            seed: the noise of an input depends on (seed, input) alone: the same again for the
                same seed. None draws one, which nobody could know.
            radii: certify at these radii only, pixel units, with as few draws as decide them; the
                certificate is for the largest that is reached. None: one radius from all n draws.
            tolerance: with `radii`, stop as soon as the certified radius is so close to the
                smallest that is out of reach; see `rszoo.smoothing.decisions.radius_grid`.
            bound: "one-sided", the published one, of the class against all others together;
                "runner-up", of the class and of each other one at alpha / 2 each, which is much
                where other classes share the rest; "chosen": the better of them, by the n0 draws.
            n_max: make so many draws where all of the n agree, for a larger radius.
            top_k: certify that the answer is one of so many classes (`details.members`, within
                `details.set_radius`), and no class: the label is an abstention.
            on_progress: called with the number of new draws as they are done.

        Returns:
            A `Certificate`.

        Raises:
            DataError: x has the wrong type or shape, or is not finite.
            RszooError: a network gives NaN, another number of logits, or logits that depend on
                the other images in a batch.
            ValueError: n0, n, alpha, radii, tolerance, bound, n_max or top_k out of range, or what
                does not go together, or with this kind.

        Warns:
            UserWarning: with `input_shape`, for pixels outside [0, 1].
            DeprecationWarning: for a batch, whose certificates are a list until 0.2.
        """
        more = {"tolerance": tolerance, "bound": bound, "n_max": n_max, "top_k": top_k}
        budget = Budget.of(n0=n0, n=n, alpha=alpha, seed=seed, radii=radii, **more)
        return self._answer(self._certifying(budget, on_progress), x)

    def certify_batch(
        self,
        x: Tensor,
        *,
        n0: int = 100,
        n: int = 100_000,
        alpha: float = 0.001,
        seed: int | None = None,
        radii: Sequence[float] | None = None,
        tolerance: float = 0.0,
        bound: str = ONE_SIDED,
        n_max: int | None = None,
        top_k: int | None = None,
        on_progress: OnDraws = None,
    ) -> list[Certificate]:
        """Certify each input of a batch `[B, C, H, W]`, in order.

        Guarantee:
            That of `certify` for each input by itself: alpha is not that of all together.

        Args and errors are those of `certify`; a `DataError` refuses a single input.
        """
        more = {"tolerance": tolerance, "bound": bound, "n_max": n_max, "top_k": top_k}
        budget = Budget.of(n0=n0, n=n, alpha=alpha, seed=seed, radii=radii, **more)
        return self._answers(self._certifying(budget, on_progress), x)

    def certify_within(
        self, budget: Budget, x: Tensor, *, on_progress: OnDraws = None
    ) -> Certificate:
        """Certify one input within a budget; see `certify`.

        Guarantee:
            That of `certify`.

        Raises:
            DataError: x has the wrong type or shape, or is not finite.
            ValueError: what a kind does not take.
        """
        return self._answer(self._certifying(budget, on_progress), x)

    def named(self, certificate: Certificate) -> Certificate:
        """Return a certificate of this classifier that knows the name of its class.

        Guarantee:
            That of the certificate: nothing else of it changes.
        """
        if certificate.label == ABSTAIN or self.class_names is None:
            return certificate
        return replace(certificate, class_name=self.class_names[certificate.label])

    def predict(
        self,
        x: Tensor,
        *,
        n: int = 1000,
        alpha: float = 0.001,
        seed: int | None = None,
        on_progress: OnDraws = None,
    ) -> Prediction:
        """Evaluate the classifier at one input; `predict_batch` at several.

        Guarantee:
            With probability at least 1 - alpha over the noise: the prediction abstains, or its
            label is the classifier's answer at x. No radius follows. This assumes what `certify`
            does.

        Args, errors and warnings are those of `certify`; of several parts each makes n draws.
        """
        return self._answer(self._predicting(n, alpha, seed, on_progress), x)

    def predict_batch(
        self,
        x: Tensor,
        *,
        n: int = 1000,
        alpha: float = 0.001,
        seed: int | None = None,
        on_progress: OnDraws = None,
    ) -> list[Prediction]:
        """Evaluate the classifier at each input of a batch `[B, C, H, W]`, in order.

        Guarantee:
            That of `predict` for each input by itself.

        Args and errors are those of `predict`; a `DataError` refuses a single input.
        """
        return self._answers(self._predicting(n, alpha, seed, on_progress), x)

    def _certifying(self, budget: Budget, on_progress: OnDraws) -> Callable[[Tensor], Certificate]:
        """Return `certifier`, for a kind that takes the budget, with names of classes."""
        budget.check_taken(
            type(self).__name__,
            radii=self.certifies_at_radii,
            bounds=self.bounds,
            more=self.extends,
            sets=self.num_classes if self.certifies_sets else 0,
        )
        one = self.certifier(budget, on_progress)
        return lambda image: self.named(one(image))

    def _predicting(
        self, n: int, alpha: float, seed: int | None, on_progress: OnDraws
    ) -> Callable[[Tensor], Prediction]:
        check_draws(n=n, alpha=alpha)
        seed = random_seed() if seed is None else seed
        return self.predictor(n=n, alpha=alpha, seed=seed, on_progress=on_progress)

    def _answer(self, one: Callable[[Tensor], T], x: Tensor) -> T:
        """Apply a function to one input, checked and on the device."""
        x = checked(x, input_shape=self.input_shape, sound=self.sound).to(self.device)
        if self._is_one(x):
            return one(x)
        warnings.warn(
            "certify and predict will take one input alone; certify_batch and predict_batch take "
            "a batch",
            DeprecationWarning,
            stacklevel=3,
        )
        answers: Any = [one(image) for image in x]
        return answers

    def _answers(self, one: Callable[[Tensor], T], x: Tensor) -> list[T]:
        """Apply a function to each input of a batch, checked and on the device."""
        x = checked(x, input_shape=self.input_shape, sound=self.sound).to(self.device)
        if self._is_one(x):
            raise DataError(
                f"expected a batch of inputs, got one of shape {tuple(x.shape)}; give x[None], or "
                "call the method without _batch"
            )
        return [one(image) for image in x]

    def _is_one(self, x: Tensor) -> bool:
        return x.shape == self.input_shape if self.input_shape else x.ndim in (1, 3)
