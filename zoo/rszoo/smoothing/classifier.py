"""The smoothed classifier g(x) = argmax_c P(f(x + e) = c), e ~ N(0, sigma^2 I).

PREDICT and CERTIFY of Cohen, Rosenfeld and Kolter (2019), Certified Adversarial Robustness via
Randomized Smoothing, https://arxiv.org/abs/1902.02918, section 3.2.
"""

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from copy import copy
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from rszoo.certificates.base import (
    Certificate,
    Prediction,
    applied_sigma,
    prediction_from_votes,
)
from rszoo.certificates.kind import BOUNDS, NETWORK, ONE_SIDED
from rszoo.certificates.kinds import kind_of_bound
from rszoo.certificates.kinds.top_k import top_k_certificate
from rszoo.networks.evaluated import evaluated
from rszoo.networks.execution import place, resolve_device
from rszoo.networks.fused.network import Fused
from rszoo.networks.logits import WithLogits, as_network
from rszoo.networks.opaque import is_opaque, precision_of
from rszoo.smoothing import schemes
from rszoo.smoothing.checks import check_classes, check_draws, check_sigma, checked
from rszoo.smoothing.interface import Budget, Classifier
from rszoo.smoothing.lattice import SCHEME_SUFFIX
from rszoo.smoothing.noise import Stream
from rszoo.smoothing.one_by_one import OneByOne, check_layers
from rszoo.smoothing.procedures import procedure
from rszoo.smoothing.votes import default_batch_size, running_votes
from rszoo.smoothing.voting import OnDraws, Voting

__all__ = ["SmoothedClassifier"]


class SmoothedClassifier(Classifier):
    """A network, and the noise it is smoothed with.

    What is certified is the function that is evaluated: g, of this network, in this precision,
    under this noise. `predict` and `certify` use the same.

    Attributes:
        network: the base network; maps images in [0, 1] to logits (it normalises inside), or to
            what holds them: a dict or an object with `logits`, a tuple that begins with them.
        base: the same, of which only the logits are taken.
        sigma: standard deviation of the noise, in pixel units.
        num_classes, input_shape, class_names, device: see `Classifier`.
        precision: "float32" or "bfloat16".
        compiled: whether the network is compiled.
        fused: whether fused kernels evaluate the network.
        batch_size: noisy inputs per forward; None: the usual number for the shape of the input.
        sound: whether noise and inputs are on the lattice of 8-bit pixels, so that floating point
            cannot break a certificate; see `rszoo.smoothing.lattice`.
        scheme: by which noise is drawn.
    """

    certifies_at_radii: ClassVar[bool] = True
    bounds: ClassVar[Collection[str]] = BOUNDS
    extends: ClassVar[bool] = True
    certifies_sets: ClassVar[bool] = True

    def __init__(
        self,
        network: nn.Module | Callable[[Tensor], object],
        *,
        sigma: float,
        num_classes: int,
        input_shape: tuple[int, ...] | None = None,
        class_names: tuple[str, ...] | None = None,
        device: str | torch.device | None = None,
        precision: str = "float32",
        compile: bool = False,
        fused: bool | None = None,
        capture: bool = True,
        sound: bool = False,
        batch_size: int | None = None,
        noise_scheme: str | None = None,
    ) -> None:
        """Wrap a network; it is moved to `device` (None: a GPU if there is one).

        A function of images is a network too; what it uses has to be on `device` already. It is
        evaluated in float32 unless "bfloat16" is asked for, or "auto", which takes bfloat16 where
        the hardware multiplies it; `precision` then says which it is. With `compile` the network
        is compiled at its first use, see `rszoo.networks.compiled`. `fused` has it evaluated by
        fused kernels, see `rszoo.networks.fused`; None does so where they fit, on a GPU. Without
        either it is replayed from a CUDA graph where that is possible, unless `capture` is False.
        `noise_scheme` is "counter" or "generator", see `rszoo.smoothing.schemes`; None takes the
        usual one of the device.

        Raises:
            RszooError: unknown device, precision or noise scheme, something else than a network
                or a function, a network with batch normalisation that has no running statistics,
                or an opaque one that is to run in another precision than float32, or compiled; or
                `fused` where that cannot be.
            ValueError: sigma, num_classes or batch_size out of range, another number of
                `class_names`, or `compile` without `input_shape` or with `fused`.
        """
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"expected batch_size >= 1, got {batch_size=}")
        check_sigma(sigma)
        check_classes(num_classes, class_names)
        self.device = resolve_device(device)
        module = as_network(network)
        self.precision = precision_of(module, precision, self.device, compile=compile)
        check_layers(module)
        self.network = place(module, self.device)
        self.base = WithLogits(self.network)
        self.sigma = sigma
        self.num_classes, self.class_names = num_classes, class_names
        self.input_shape = input_shape
        self.compiled, self.sound = compile, sound
        self.scheme = schemes.load(noise_scheme or schemes.usual(self.device))
        if batch_size is None and input_shape is not None:
            batch_size = default_batch_size(torch.Size(input_shape), self.device)
        self.batch_size = batch_size
        how = {"batch_size": batch_size, "precision": self.precision}
        where = {"input_shape": input_shape, "device": self.device, "capture": capture}
        evaluating = evaluated(self.network, compile=compile, fused=fused, **where, **how)
        self.fused = isinstance(evaluating, Fused)
        self._evaluated = OneByOne(evaluating, **how)

    def __repr__(self) -> str:
        return (
            f"SmoothedClassifier(sigma={self.sigma}, num_classes={self.num_classes}, "
            f"input_shape={self.input_shape}, device={str(self.device)!r}, "
            f"precision={self.precision!r})"
        )

    def with_sigma(self, sigma: float) -> "SmoothedClassifier":
        """Return the same network, not a copy of it, under other noise.

        Raises:
            ValueError: sigma is out of range.
        """
        check_sigma(sigma)
        other = copy(self)
        other.sigma = sigma
        return other

    def kind(self, budget: Budget) -> str:
        """Return the name of the kind of its certificates."""
        if budget.n_max is not None:
            return "extended"
        if budget.top_k is not None:
            return "top_k"
        if budget.radii is None:
            return kind_of_bound(budget.bound).name
        return "early" if budget.bound == ONE_SIDED else "early_runner_up"

    @property
    def voters(self) -> Mapping[str, tuple[Voting, Stream]]:
        """This classifier, which is its only voter."""
        return {NETWORK: (self, Stream.ESTIMATION)}

    @property
    def protocol_entries(self) -> dict[str, object]:
        """Its entries in the protocol of a log, as JSON values."""
        return {
            "sigma": self.sigma,
            "precision": self.precision,
            "batch_size": self.batch_size,
            **({"compiled": True} if self.compiled else {}),
            **({"fused": True} if self.fused else {}),
            **({"opaque": True} if is_opaque(self.network) else {}),
            "device": self.device.type,
            "noise": self.scheme.name + (SCHEME_SUFFIX if self.sound else ""),
        }

    def certifier(
        self, budget: Budget, on_progress: OnDraws = None
    ) -> Callable[[Tensor], Certificate]:
        """See `Classifier.certifier`.

        Raises:
            ValueError: radii or tolerance out of range.
        """
        return procedure(self, budget, on_progress)

    def predictor(
        self, *, n: int, alpha: float, seed: int, on_progress: OnDraws = None
    ) -> Callable[[Tensor], Prediction]:
        """Return what evaluates one checked input, by n draws."""

        def one(image: Tensor) -> Prediction:
            (votes,) = self.running(
                image, [n], stream=Stream.PREDICTION, seed=seed, on_progress=on_progress
            )
            return prediction_from_votes(votes, alpha=alpha, sigma=self.applied_sigma)

        return one

    def votes(
        self,
        x: Tensor,
        *,
        n: int,
        first: int = 0,
        stream: Stream = Stream.ESTIMATION,
        seed: int = 0,
        on_progress: OnDraws = None,
    ) -> list[int]:
        """Return how often each class is the answer in the draws `first` to n - 1 for one input.

        The draws are those of `certify` under the same seed, whose counts are sums of these. They
        certify nothing: for a class that was chosen by these votes, they say too much.

        Args and errors are those of `certify`, and of `rszoo.smoothing.votes`.
        """
        check_draws(n=n, alpha=0.5)
        image = checked(x, input_shape=self.input_shape, sound=self.sound).to(self.device)
        (counts,) = self.running(
            image, [n], stream=stream, seed=seed, first=first, on_progress=on_progress
        )
        return counts

    def certificate(self, counts0: list[int], counts: list[int], budget: Budget) -> Certificate:
        """Return the certificate that the votes of both streams give, the end of CERTIFY.

        Guarantee:
            That of `certify`, for votes of n0 draws of the selection and n of the estimation.

        Args:
            counts0, counts: votes per class, `num_classes` each.
            budget: n0, n, alpha, and what is bounded.
        """
        of_counts = kind_of_bound(budget.bound).of_counts
        if budget.top_k is not None:
            of_counts = partial(top_k_certificate, size=budget.top_k)
        assert of_counts is not None
        return of_counts(
            counts0,
            counts,
            n0=budget.n0,
            n=budget.n,
            alpha=budget.alpha,
            sigma=self.applied_sigma,
        )

    @property
    def applied_sigma(self) -> float:
        """The sigma of a certificate; see `rszoo.certificates.base.applied_sigma`."""
        return applied_sigma(self.sigma)

    def running(
        self,
        image: Tensor,
        looks: Sequence[int],
        *,
        stream: Stream,
        seed: int,
        first: int = 0,
        on_progress: OnDraws = None,
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
            scheme=self.scheme,
            first=first,
            precision=self.precision,
            sound=self.sound,
            batch_size=self.batch_size,
            on_progress=on_progress,
        )
