"""What everything that certifies has in common, whatever it is made of."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, TypeVar

import torch
from torch import Tensor

from rszoo.certificates.base import Certificate, Prediction
from rszoo.smoothing.checks import check_draws, checked
from rszoo.smoothing.noise import Stream, random_seed

__all__ = ["Budget", "Classifier", "OnDraws", "Voting"]

T = TypeVar("T")

#: Called with the number of new draws as they are done; or None.
OnDraws = Callable[[int], None] | None


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The draws and the failure probability of one certificate.

    Attributes:
        n0: draws for selecting the class, at least 1; of each part of several.
        n: fresh draws for bounding its probability, at least 1; of several parts one makes them
            all, and the others at most as many.
        alpha: failure probability per input, in (0, 1), of the whole statement.
        seed: the noise of an input depends on (seed, input) alone. A random one unless it is
            given.
        radii: certify at these radii only, pixel units, with as few draws as decide them; the
            certificate is for the largest that is reached. None: one radius from all n draws.
        tolerance: with `radii`, stop as soon as the certified radius is so close to the smallest
            that is out of reach; see `rszoo.smoothing.decisions.radius_grid`.

    Raises:
        ValueError: n0, n or alpha out of range, or a tolerance without radii.
    """

    n0: int = 100
    n: int = 100_000
    alpha: float = 0.001
    seed: int = field(default_factory=random_seed)
    radii: tuple[float, ...] | None = None
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        check_draws(n0=self.n0, n=self.n, alpha=self.alpha)
        if self.radii is None and self.tolerance != 0.0:
            raise ValueError(f"expected radii with tolerance={self.tolerance}, got none")

    @property
    def draws(self) -> int:
        """The most draws that a certificate takes of one network."""
        return self.n0 + self.n


class Voting(Protocol):
    """A smoothed network: what votes.

    Attributes:
        applied_sigma: the noise level of its certificates, pixel units.
    """

    @property
    def applied_sigma(self) -> float: ...

    def with_sigma(self, sigma: float) -> "Voting":
        """Return the same network under other noise."""
        ...

    def votes(
        self, x: Tensor, *, n: int, stream: Stream, seed: int, on_progress: OnDraws = None
    ) -> list[int]:
        """Return how often each class is the answer in n draws for one input."""
        ...


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
        on_progress: OnDraws = None,
    ) -> Certificate | list[Certificate]:
        """Certify one input `[C, H, W]`, or each input of a batch `[B, C, H, W]`.

        Guarantee:
            - For each input, with probability at least 1 - alpha over the noise: the certificate
              abstains, or the classifier answers `label` at every x' with ||x' - x||_2 < radius.
            - This assumes a network and inputs that were fixed without regard to `seed`: whoever
              knows the noise can fit a network to it, or an input.
            - It assumes a network that treats the images of a batch one by one. That is tried on
              its first batches, see `rszoo.smoothing.one_by_one`.
            - It is about real arithmetic in x + e: rounding of that sum to float32 is not covered.
              With `sound` it is, and the x' are the images whose pixels are multiples of 1/255.
            - It is about all of the Gaussian, of which float32 noise lacks what is far out: see
              `rszoo.smoothing.noise.generator_shortfall`. With `sound` that is below 10^-11, but
              some images are misplaced on the lattice, 2 10^-8 of them at 3 x 224 x 224: see
              `rszoo.smoothing.lattice.misplaced_share`. By so much, the probability of the class
              may be below what was bounded.
            - Whether the label is correct, it does not say.

        Args:
            x: float input(s) in the units of sigma (images in [0, 1]).
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
            on_progress: called with the number of new draws as they are done.

        Returns:
            A `Certificate`; for a batch a list of them, in order.

        Raises:
            DataError: x has the wrong type or shape, or is not finite.
            RszooError: a network gives NaN, another number of logits, or logits that depend on
                the other images in a batch.
            ValueError: n0, n, alpha, radii or tolerance out of range; or radii or a tolerance for
                a kind that takes none.

        Warns:
            UserWarning: with `input_shape`, for pixels outside [0, 1].
        """
        budget = Budget(
            n0=n0,
            n=n,
            alpha=alpha,
            seed=random_seed() if seed is None else seed,
            radii=None if radii is None else tuple(radii),
            tolerance=tolerance,
        )
        return self.certify_within(budget, x, on_progress=on_progress)

    def certify_within(
        self, budget: Budget, x: Tensor, *, on_progress: OnDraws = None
    ) -> Certificate | list[Certificate]:
        """Certify one input, or each input of a batch, within a budget; see `certify`.

        Guarantee:
            That of `certify`.

        Raises:
            DataError: x has the wrong type or shape, or is not finite.
            ValueError: radii or a tolerance for a kind that takes none.
        """
        if budget.radii is not None and not self.certifies_at_radii:
            raise ValueError(f"expected no radii and no tolerance with a {type(self).__name__}")
        return self._for_each(self.certifier(budget, on_progress), x)

    def predict(
        self,
        x: Tensor,
        *,
        n: int = 1000,
        alpha: float = 0.001,
        seed: int | None = None,
        on_progress: OnDraws = None,
    ) -> Prediction | list[Prediction]:
        """Evaluate the classifier at one input, or at each input of a batch.

        Guarantee:
            For each input, with probability at least 1 - alpha over the noise: the prediction
            abstains, or its label is the classifier's answer at x. No radius follows. This assumes
            what `certify` does.

        Args and errors are those of `certify`; of several parts each makes n draws.
        """
        check_draws(n=n, alpha=alpha)
        seed = random_seed() if seed is None else seed
        one = self.predictor(n=n, alpha=alpha, seed=seed, on_progress=on_progress)
        return self._for_each(one, x)

    def _for_each(self, one: Callable[[Tensor], T], x: Tensor) -> T | list[T]:
        """Apply a function to an input, or to each of a batch, checked and on the device."""
        x = checked(x, input_shape=self.input_shape, sound=self.sound).to(self.device)
        single = x.shape == self.input_shape if self.input_shape else x.ndim in (1, 3)
        return one(x) if single else [one(image) for image in x]
