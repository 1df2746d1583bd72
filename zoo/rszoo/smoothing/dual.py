"""Dual randomized smoothing: a smoothed router picks the expert, a smoothed expert the class.

Sun, Mao and Vechev (2026), Dual Randomized Smoothing, https://arxiv.org/abs/2512.01782. The
certified function is x -> g_k(x)(x): k(x) is the answer of the exact smoothed router, g_k the
exact smoothed classifier of expert k.

Theorem (theirs, 4.1). If the router answers k everywhere closer to x than R_router, and expert k
answers c everywhere closer than R_expert, then the function answers c everywhere closer than the
smaller of the two: in that ball it *is* expert k.

Alpha is not shared. Theirs (4.2) gives each part a share of alpha, by the union bound. There is no
need to: let d_router be the distance up to which the router really answers k, and d_expert that up
to which expert k really answers c. The certificate is wrong only if min(R_router, R_expert) >
min(d_router, d_expert). Whichever distance is the smaller one, that part's radius exceeds it. So a
wrong certificate needs one given part to be wrong, not either, and its probability is at most the
larger of the parts' (an intersection-union test), however their draws depend on each other.

Nor is the router certified as far as its draws go. Whether its ball is as large as the expert's is
decided by a sequential test with few draws, where the router is sure.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace

from torch import Tensor

from rszoo.smoothing.certificate import ABSTAIN, Certificate, Prediction, Routing
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.decisions import RadiusTests
from rszoo.smoothing.noise import Stream
from rszoo.theory.radii import largest_radius

__all__ = ["DualClassifier"]

# The router's radius is looked for on a grid, in units of its sigma; where two neighbours on it
# are all that is left between certain and out of reach, the draws to tell them apart are saved.
_STEP = 0.1
_GIVEN_UP = 2 * _STEP * (1.0 + 1e-9)


class DualClassifier:
    """A router over experts; predicts and certifies as `SmoothedClassifier` does.

    Attributes:
        experts: in the order of the router's classes.
        router: smoothed under its own sigma.
        num_classes, input_shape, class_names, device: as in `SmoothedClassifier`.
    """

    def __init__(
        self,
        experts: Sequence[SmoothedClassifier],
        router: SmoothedClassifier,
        *,
        class_names: tuple[str, ...] | None = None,
    ) -> None:
        """Put a router over experts.

        Raises:
            ValueError: experts and router do not fit together.
        """
        shapes = {(one.num_classes, one.input_shape) for one in experts}
        if len(shapes) != 1 or router.num_classes != len(experts):
            raise ValueError(
                f"expected experts alike and a router with {len(experts)} classes, got {shapes} "
                f"and {router.num_classes}"
            )
        self.experts = tuple(experts)
        self.router = router
        self.num_classes = experts[0].num_classes
        self.input_shape = experts[0].input_shape
        self.class_names = class_names
        self.device = router.device

    def __repr__(self) -> str:
        sigmas = ", ".join(f"{one.sigma:g}" for one in self.experts)
        return f"DualClassifier(experts at sigma {sigmas}; router at {self.router.sigma:g})"

    @property
    def facts(self) -> dict[str, object]:
        """What a log's protocol says of it, as JSON values."""
        return {
            "sigma": None,
            "experts": [one.facts for one in self.experts],
            "router": self.router.facts,
            **{key: self.router.facts[key] for key in ("precision", "batch_size", "device")},
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
            abstains, or the dual classifier answers `label` at every x' closer than `radius`.
            Each part has the whole alpha, see above. The router's statement is one about all
            radii at once, so that it may be asked at the radius that the expert's draws gave.

        Args:
            x, seed, on_progress: as in `SmoothedClassifier.certify`.
            n0: draws for selecting the expert, and for selecting its class.
            n: draws for the expert's bound, and at most for the router's.
            alpha: failure probability of the whole statement.
            radii, tolerance: not for dual classifiers; None and 0.

        Raises:
            DataError, ValueError: as `SmoothedClassifier.certify`; or radii are given.
        """
        if radii is not None or tolerance:
            raise ValueError("expected no radii and no tolerance with a dual classifier")

        def one(image: Tensor) -> Certificate:
            level = self._level(image, n0, seed)
            expert = self.experts[level].certify(
                image, n0=n0, n=n, alpha=alpha, seed=seed, on_progress=on_progress
            )
            assert isinstance(expert, Certificate)  # one image gives one certificate
            router = None
            if expert.label != ABSTAIN:
                router = self._router_certificate(
                    image, level, reach=expert.radius, n0=n0, n=n, alpha=alpha, seed=seed
                )
            return self._combined(level, expert, router)

        return self.router.for_each(one, x)

    def predict(
        self,
        x: Tensor,
        *,
        n: int = 1000,
        alpha: float = 0.001,
        seed: int = 0,
        on_progress: Callable[[int], None] | None = None,
    ) -> Prediction | list[Prediction]:
        """Evaluate the dual classifier at one input, or at each input of a batch.

        Guarantee:
            For each input, with probability at least 1 - alpha over the noise: the prediction
            abstains, or its label is that of the exact router's expert. No radius follows. Here
            the two parts share alpha: either of them may be the one that is wrong.

        Args and errors are those of `SmoothedClassifier.predict`; n draws each.
        """

        def one(image: Tensor) -> Prediction:
            routed = self.router.predict(image, n=n, alpha=alpha, seed=seed)
            assert isinstance(routed, Prediction)
            level = max(routed.label, 0)
            given = self.experts[level].predict(
                image, n=n, alpha=alpha / 2, seed=seed, on_progress=on_progress
            )
            assert isinstance(given, Prediction)
            label = ABSTAIN if routed.label == ABSTAIN else given.label
            return replace(given, label=label, alpha=alpha)

        return self.router.for_each(one, x)

    def _level(self, image: Tensor, n0: int, seed: int) -> int:
        """Return the expert that the router chooses most often."""
        votes = self.router.votes(image, n=n0, stream=Stream.ROUTER_SELECTION, seed=seed)
        return votes.index(max(votes))

    def _router_certificate(
        self, image: Tensor, level: int, *, reach: float, n0: int, n: int, alpha: float, seed: int
    ) -> Certificate:
        """Return how far the router certainly answers `level`, looking no further than `reach`.

        Guarantee:
            With probability at least 1 - alpha over the router's draws, whatever `reach`: the
            certificate abstains, or the router answers `level` everywhere closer than its radius.
        """
        tests = RadiusTests.of(
            _grid(self.router.sigma, n=n, alpha=alpha, reach=reach),
            sigma=self.router.sigma,
            n=n,
            alpha=alpha,
            tolerance=_GIVEN_UP * self.router.sigma,
        )
        looks = tests.looks.tolist()
        with closing(
            self.router.running(image, looks, stream=Stream.ROUTER_ESTIMATION, seed=seed)
        ) as runs:
            return tests.certificate(level, (votes[level] for votes in runs), n0=n0)

    def _combined(
        self, level: int, expert: Certificate, router: Certificate | None
    ) -> Certificate:
        """Return the certificate of the whole; the router's is None where there is no need."""
        certified = router is not None and router.label != ABSTAIN
        return replace(
            expert,
            label=expert.label if certified else ABSTAIN,
            radius=min(expert.radius, router.radius) if router and certified else 0.0,
            routing=Routing(
                router_level=level,
                router_radius=router.radius if router else 0.0,
                expert_radius=expert.radius,
                router_votes=router.votes if router else 0,
                router_draws=router.draws if router else 0,
                router_spent=router.spent if router else 0,
                router_sigma=self.router.sigma,
            ),
        )


def _grid(sigma: float, *, n: int, alpha: float, reach: float) -> list[float]:
    """Return radii from 0 to two steps beyond `reach`, or as far as n draws go.

    Two more, so that giving up what is left between two neighbours never gives up `reach`.
    """
    step = _STEP * sigma
    last = int(largest_radius(n, alpha, sigma) / step)
    return [step * i for i in range(min(last, 2 - int(-reach // step)) + 1)]
