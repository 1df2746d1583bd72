"""Dual randomized smoothing: a smoothed router picks the expert, a smoothed expert the class.

Sun, Mao and Vechev (2026), Dual Randomized Smoothing, https://arxiv.org/abs/2512.01782. The
certified function is x -> g_k(x)(x): g_k is the exact smoothed classifier of expert k, and k(x)
the median of the router's answers under noise. In the paper it is the most frequent answer. Where
one expert has more than half of the answers, which every certificate there needs, both are the
same. Between two experts the median goes on: it moves from one to the next as x moves, and so it
is known to be one of a few.

Theorem. Let S be a set of neighbouring experts. If the router's median lies in S everywhere closer
to x than R_S (see `rszoo.smoothing.level_sets`), and each expert k of S answers c everywhere
closer than R_k, then the function answers c everywhere closer than the smallest of these radii: at
each such point it *is* one expert of S. With one expert in S this is Theorem 4.1 of the paper.
With all of them R_S is infinite: where all experts agree, the router does not matter (consensus).

Alpha is not shared. The paper (4.2) gives each part a share of it, by the union bound. There is no
need to: let d_k be the distance up to which expert k really answers c, and let d_above and d_below
be those up to which the router really stays below the upper and above the lower end of S. The
certificate is wrong only if the smallest radius exceeds the smallest of these distances. Whichever
distance that is, its own radius exceeds it. So a wrong certificate needs one given part to be
wrong, not any of them, and its probability is at most the largest of the parts' (an
intersection-union test), however their draws depend on each other. S and c are chosen on other
draws, and so are given.

Only one expert is certified with all n draws, the one that seems to reach least far. Whether the
others and the router reach as far is decided by sequential tests, with few draws where they do.
At given radii that one is decided by such tests, too (`rszoo.certificates.experts_early`).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter

from torch import Tensor

from rszoo.certificates.base import ABSTAIN, Certificate, Prediction
from rszoo.certificates.kinds.dual import ROUTER, Routing
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.experts import ExpertsClassifier, check_noise_alike, expected, smaller
from rszoo.smoothing.interface import Budget
from rszoo.smoothing.level_sets import LevelSet, certain_levels, level_sets, routed
from rszoo.smoothing.noise import Stream
from rszoo.smoothing.reach import Reaching, reaching
from rszoo.smoothing.voting import OnDraws, Voting

__all__ = ["DualClassifier"]


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """A plan of what to certify, chosen on draws that nothing else uses.

    Attributes:
        among: the levels.
        order: the same, the one that seems to reach least far first.
        selection: votes of that one, on the classes.
    """

    among: LevelSet
    order: list[int]
    selection: list[int]


class DualClassifier(ExpertsClassifier):
    """A router over experts; predicts and certifies as `SmoothedClassifier` does.

    Guarantee:
        Each part of a certificate has the whole alpha, see above. The sequential tests are about
        all radii at once, so that they may be asked at the radius that another part's draws gave.
        For a prediction, the router, which may name several experts, and the experts, which must
        then agree, share alpha: the median may be none of those named, or the prediction of the
        one expert that it is may be wrong. What `certify` assumes, it assumes of every expert and
        of the router.

    Attributes:
        experts: in the order of the router's classes, by sigma if they differ in that.
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
        super().__init__(experts, class_names=class_names)
        if router.num_classes != len(experts):
            raise ValueError(
                f"expected a router with {len(experts)} classes, got {router.num_classes}"
            )
        check_noise_alike([*experts, router])
        self.router = router

    def __repr__(self) -> str:
        sigmas = ", ".join(f"{one.sigma:g}" for one in self.experts)
        return f"DualClassifier(experts at sigma {sigmas}; router at {self.router.sigma:g})"

    def kind(self, budget: Budget) -> str:
        """Return the name of the kind of its certificates."""
        return "dual" if budget.radii is None else "dual_early"

    @property
    def voters(self) -> Mapping[str, tuple[Voting, Stream]]:
        """The experts and the router, by name."""
        return {**super().voters, ROUTER: (self.router, Stream.ROUTER_ESTIMATION)}

    @property
    def protocol_entries(self) -> dict[str, object]:
        """Its entries in the protocol of a log, as JSON values."""
        return {**super().protocol_entries, "router": self.router.protocol_entries}

    def certifier(
        self, budget: Budget, on_progress: OnDraws = None
    ) -> Callable[[Tensor], Certificate]:
        """See `Classifier.certifier`.

        Raises:
            ValueError: radii or tolerance out of range.
        """
        how = reaching([self._parts(among) for among in self._sets()], budget, on_progress)
        return lambda image: self._certify(image, budget, how)

    def predictor(
        self, *, n: int, alpha: float, seed: int, on_progress: OnDraws = None
    ) -> Callable[[Tensor], Prediction]:
        """See `Classifier.predictor`; the prediction is that of the expert that is least sure."""
        options = {"n": n, "alpha": alpha / 2, "seed": seed, "on_progress": on_progress}

        def one(image: Tensor) -> Prediction:
            votes = self.router.votes(image, n=n, stream=Stream.PREDICTION, seed=seed)
            levels = certain_levels(votes, alpha / 2).levels
            given = [self.experts[level].predictor(**options)(image) for level in levels]
            least = max(given, key=lambda prediction: prediction.p_value)
            agree = len({prediction.label for prediction in given}) == 1
            return replace(least, label=least.label if agree else ABSTAIN, alpha=alpha)

        return one

    def _sets(self) -> list[LevelSet]:
        return level_sets(len(self.experts))

    def _parts(self, among: LevelSet) -> tuple[SmoothedClassifier, ...]:
        """Return the parts that a certificate for a set of levels rests on."""
        return routed(among, self.experts, self.router)

    def _certify(self, image: Tensor, budget: Budget, how: Reaching) -> Certificate:
        """Return the certificate of one checked input."""
        plan = self._plan(image, budget, how)
        first, *rest = plan.order
        certificate = how.answering(self.experts[first], plan.selection, image)
        reach, others = smaller(math.inf, certificate), []
        count = itemgetter(certificate.candidate)
        for level in rest:
            if reach is None:
                break
            other, reach = self.limit(level, image, count, reach=reach, how=how)
            others.append(other)
        router = None
        if reach is not None and not plan.among.is_all(len(self.experts)):
            router = how.limiting(
                self.router,
                image,
                plan.among.votes,
                stream=Stream.ROUTER_ESTIMATION,
                reach=reach,
            )
            reach = smaller(reach, router)
        return replace(
            certificate,
            label=ABSTAIN if reach is None else certificate.candidate,
            radius=reach or 0.0,
            details=Routing(
                experts=len(self.experts),
                lowest_level=plan.among.lowest,
                highest_level=plan.among.highest,
                expert_level=first,
                expert_radius=certificate.radius,
                others=tuple(others),
                router_radius=router.radius if router else 0.0,
                router_votes=router.votes if router else 0,
                router_draws=router.draws if router else 0,
                router_spent=router.spent if router else 0,
                router_sigma=self.router.applied_sigma,
            ),
        )

    def _plan(self, image: Tensor, budget: Budget, how: Reaching) -> _Plan:
        """Return the levels with the largest expected radius; the fewest of them, where equal."""
        routed = self.router.votes(
            image, n=budget.n0, stream=Stream.ROUTER_SELECTION, seed=budget.seed
        )
        votes = self.selected(image, budget)
        radii = [
            expected(expert, max(one), budget)
            for expert, one in zip(self.experts, votes, strict=True)
        ]
        classes = [one.index(max(one)) for one in votes]

        def radius(among: LevelSet) -> float:
            if len({classes[level] for level in among.levels}) > 1:
                return 0.0
            weakest = min(radii[level] for level in among.levels)
            if among.is_all(len(self.experts)):
                return weakest
            return min(weakest, expected(self.router, among.votes(routed), budget))

        served = [among for among in self._sets() if how.serves(self._parts(among))]
        among = max(served, key=radius)
        order = sorted(among.levels, key=lambda level: radii[level])
        return _Plan(among=among, order=order, selection=votes[order[0]])
