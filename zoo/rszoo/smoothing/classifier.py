"""The smoothed classifier g(x) = argmax_c P(f(x + e) = c), e ~ N(0, sigma^2 I).

PREDICT and CERTIFY of Cohen, Rosenfeld and Kolter (2019), Certified Adversarial Robustness via
Randomized Smoothing, https://arxiv.org/abs/1902.02918, section 3.2.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from copy import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

from rszoo.networks.compiled import Compiled
from rszoo.networks.execution import place, resolve_device, resolve_precision
from rszoo.smoothing.certificate import (
    ABSTAIN,
    Certificate,
    Prediction,
    applied_sigma,
    certificate_from_votes,
)
from rszoo.smoothing.checks import check_draws, checked
from rszoo.smoothing.decisions import RadiusTests
from rszoo.smoothing.lattice import SCHEME_SUFFIX
from rszoo.smoothing.noise import SCHEME, Stream
from rszoo.smoothing.votes import default_batch_size, running_votes
from rszoo.theory.bounds import majority_p_value

__all__ = ["SmoothedClassifier"]

T = TypeVar("T")


class SmoothedClassifier:
    """A network, and the noise it is smoothed with.

    What is certified is the function that is evaluated: this network, in this precision, under
    this noise. `predict` and `certify` use the same.

    Attributes:
        network: the base network; maps images in [0, 1] to logits (it normalises inside).
        sigma: standard deviation of the noise, in pixel units.
        num_classes: number of classes.
        input_shape: shape of one input, or None when any shape is accepted.
        class_names: names of the classes, or None.
        device: where the network runs.
        precision: "float32" or "bfloat16".
        compiled: whether the network is compiled.
        batch_size: noisy inputs per forward; None: the usual number for the shape of the input.
        sound: whether noise and inputs are on the lattice of 8-bit pixels, so that floating point
            cannot break a certificate; see `rszoo.smoothing.lattice`.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        sigma: float,
        num_classes: int,
        input_shape: tuple[int, ...] | None = None,
        class_names: tuple[str, ...] | None = None,
        device: str | torch.device | None = None,
        precision: str = "auto",
        compile: bool = False,
        sound: bool = False,
        batch_size: int | None = None,
    ) -> None:
        """Wrap a network; it is moved to `device` (None: a GPU if there is one).

        With `compile` it is compiled at its first use, see `rszoo.networks.compiled`.

        Raises:
            RszooError: unknown device or precision.
            ValueError: sigma, num_classes or batch_size out of range, or `compile` without
                `input_shape`.
        """
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"expected batch_size >= 1, got {batch_size=}")
        if compile and input_shape is None:
            raise ValueError("expected input_shape with compile, got None")
        _check_sigma(sigma)
        if num_classes < 2:
            raise ValueError(f"expected num_classes >= 2, got {num_classes=}")
        self.device = resolve_device(device)
        self.precision = resolve_precision(precision, self.device)
        self.network = place(network, self.device)
        self.sigma = sigma
        self.num_classes = num_classes
        self.input_shape = input_shape
        self.class_names = class_names
        self.compiled = compile
        self.sound = sound
        if batch_size is None and input_shape is not None:
            batch_size = default_batch_size(torch.Size(input_shape), self.device)
        self.batch_size = batch_size
        self._evaluated = self.network
        if compile and batch_size is not None:
            self._evaluated = Compiled(self.network, batch_size)

    def __repr__(self) -> str:
        return (
            f"SmoothedClassifier(sigma={self.sigma}, num_classes={self.num_classes}, "
            f"input_shape={self.input_shape}, device={str(self.device)!r}, "
            f"precision={self.precision!r})"
        )

    def at(self, sigma: float) -> "SmoothedClassifier":
        """Return the same network, not a copy of it, under other noise.

        Raises:
            ValueError: sigma is out of range.
        """
        _check_sigma(sigma)
        other = copy(self)
        other.sigma = sigma
        return other

    @property
    def facts(self) -> dict[str, object]:
        """What a log's protocol says of the classifier, as JSON values."""
        return {
            "sigma": self.sigma,
            "precision": self.precision,
            "batch_size": self.batch_size,
            **({"compiled": True} if self.compiled else {}),
            "device": self.device.type,
            "noise": SCHEME + (SCHEME_SUFFIX if self.sound else ""),
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
        """Certify one input `[C, H, W]`, or each input of a batch `[B, C, H, W]`.

        Guarantee:
            For each input, with probability at least 1 - alpha over the noise: the certificate
            abstains, or g(x') = label for every x' with ||x' - x||_2 < radius. Inputs must not
            have been chosen with knowledge of `seed`. The statement is about real arithmetic in
            x + e: rounding of that sum to float32 is not covered. With `sound` it is, and the x'
            are the images whose pixels are multiples of 1/255. It says nothing about whether the
            label is correct.

        Args:
            x: float input(s) in the units of sigma (images in [0, 1]).
            n0: draws for selecting the class, at least 1.
            n: fresh draws for bounding its probability, at least 1.
            alpha: failure probability per input, in (0, 1).
            seed: the noise of an input depends on (seed, input) alone.
            radii: certify at these radii only, pixel units, with as few draws as decide them; the
                certificate is for the largest that is reached. None: one radius from all n draws.
            tolerance: with `radii`, stop as soon as the certified radius is so close to the
                smallest that is out of reach; see `rszoo.smoothing.decisions.radius_grid`.
            on_progress: called with the number of new draws as they are done.

        Returns:
            A `Certificate`; for a batch a list of them, in order.

        Raises:
            DataError: x has the wrong type or shape, or is not finite.
            ValueError: n0, n, alpha, radii or tolerance out of range.

        Warns:
            UserWarning: with `input_shape`, for pixels outside [0, 1].
        """
        check_draws(n0=n0, n=n, alpha=alpha)
        sigma = self.applied_sigma
        tests = (
            RadiusTests.of(radii, sigma=sigma, n=n, alpha=alpha, tolerance=tolerance)
            if radii is not None
            else None
        )

        def one(image: Tensor) -> Certificate:
            (selection,) = self.running(
                image, [n0], stream=Stream.SELECTION, seed=seed, on_progress=on_progress
            )
            if tests is None:
                (votes,) = self.running(
                    image, [n], stream=Stream.ESTIMATION, seed=seed, on_progress=on_progress
                )
                return self.certificate(selection, votes, n0=n0, n=n, alpha=alpha)
            candidate = selection.index(max(selection))
            looks = tests.looks.tolist()
            with closing(
                self.running(
                    image, looks, stream=Stream.ESTIMATION, seed=seed, on_progress=on_progress
                )
            ) as runs:
                return tests.certificate(candidate, (votes[candidate] for votes in runs), n0=n0)

        return self.for_each(one, x)

    def predict(
        self,
        x: Tensor,
        *,
        n: int = 1000,
        alpha: float = 0.001,
        seed: int = 0,
        on_progress: Callable[[int], None] | None = None,
    ) -> Prediction | list[Prediction]:
        """Evaluate the smoothed classifier at one input, or at each input of a batch.

        Guarantee:
            For each input, with probability at least 1 - alpha over the noise: the prediction
            abstains, or its label is g(x). No radius follows.

        Args and errors are those of `certify`.
        """
        check_draws(n=n, alpha=alpha)

        def one(image: Tensor) -> Prediction:
            (votes,) = self.running(
                image, [n], stream=Stream.PREDICTION, seed=seed, on_progress=on_progress
            )
            top, runner_up = sorted(votes, reverse=True)[:2]
            p_value = majority_p_value(top, runner_up)
            return Prediction(
                label=votes.index(top) if p_value <= alpha else ABSTAIN,
                votes=top,
                runner_up_votes=runner_up,
                p_value=p_value,
                n=n,
                alpha=alpha,
                sigma=self.applied_sigma,
            )

        return self.for_each(one, x)

    def votes(
        self,
        x: Tensor,
        *,
        n: int,
        first: int = 0,
        stream: Stream = Stream.ESTIMATION,
        seed: int = 0,
        on_progress: Callable[[int], None] | None = None,
    ) -> list[int]:
        """Return how often each class is the answer in the draws `first` to n - 1 for one input.

        The draws are those of `certify` under the same seed, whose counts are sums of these.
        Nothing is certified: for a class that was chosen by these votes, they say too much.

        Args and errors are those of `certify`, and of `rszoo.smoothing.votes`.
        """
        check_draws(n=n, alpha=0.5)
        image = checked(x, input_shape=self.input_shape, sound=self.sound).to(self.device)
        (counts,) = self.running(
            image, [n], stream=stream, seed=seed, first=first, on_progress=on_progress
        )
        return counts

    def certificate(
        self, selection: list[int], estimation: list[int], *, n0: int, n: int, alpha: float
    ) -> Certificate:
        """Return what the votes of both streams certify.

        Guarantee:
            That of `certify`, for votes of n0 draws of the selection and n of the estimation.

        Args:
            selection, estimation: `num_classes` counts each.
            n0, n, alpha: as in `certify`.
        """
        candidate = selection.index(max(selection))
        return certificate_from_votes(
            candidate,
            estimation[candidate],
            n0=n0,
            n=n,
            alpha=alpha,
            sigma=self.applied_sigma,
        )

    @property
    def applied_sigma(self) -> float:
        """The sigma of a certificate; see `rszoo.smoothing.certificate.applied_sigma`."""
        return applied_sigma(self.sigma)

    def running(
        self,
        image: Tensor,
        looks: Sequence[int],
        *,
        stream: Stream,
        seed: int,
        first: int = 0,
        on_progress: Callable[[int], None] | None = None,
    ) -> Generator[list[int]]:
        """Yield the votes for one checked input at every look; see `running_votes`."""
        return running_votes(
            self._evaluated,
            image,
            sigma=self.sigma,
            looks=looks,
            stream=stream,
            seed=seed,
            num_classes=self.num_classes,
            first=first,
            precision=self.precision,
            sound=self.sound,
            batch_size=self.batch_size,
            on_progress=on_progress,
        )

    def for_each(self, one: Callable[[Tensor], T], x: Tensor) -> T | list[T]:
        """Apply a function to an input, or to each of a batch, checked and on the device.

        Raises:
            DataError: x has the wrong type or shape, or is not finite.
        """
        x = checked(x, input_shape=self.input_shape, sound=self.sound).to(self.device)
        single = x.shape == self.input_shape if self.input_shape else x.ndim in (1, 3)
        return one(x) if single else [one(image) for image in x]


def _check_sigma(sigma: float) -> None:
    if not (sigma > 0.0 and 0.0 < _in_float32(sigma) < float("inf")):
        raise ValueError(f"expected a positive sigma that float32 can hold, got {sigma=}")


def _in_float32(value: float) -> float:
    return float(torch.tensor(value, dtype=torch.float64).to(torch.float32))
