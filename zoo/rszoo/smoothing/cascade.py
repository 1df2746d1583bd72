"""A cascade of experts: the noisiest one that is sure of a class answers.

Jeong and Shin (2023), Multi-scale Diffusion Denoised Smoothing, https://arxiv.org/abs/2310.16779,
certify one denoiser at several noise levels in this way. The certified function asks the experts
from the last, that of the largest sigma, to the first:

    the first one with a class that has more than half of its noise answers that class;
    if none has one, the last to be asked answers its most frequent class.

Nothing is trained to choose among them. An expert of much noise is rarely sure where it is wrong.

Theorem. Let expert k have more than half of its noise on c everywhere closer to x than R_k, and
let no class but c have half of the noise of expert j anywhere closer than R_j, for each j that is
asked before k. Then the cascade answers c everywhere closer than the smallest of these radii.
Proof: at such a point each expert before k answers c or passes, and if all pass, k answers c.

Where the experts before k are just not sure, the radius is that of k; it need not end where one of
them becomes sure, as long as it is sure of c. Alpha is not shared, as in `rszoo.smoothing.dual`:
let d_j be the distance at which some class other than c first has half of the noise of expert j,
and d_k that up to which k really keeps more than half on c. A certificate is wrong only if its
radius exceeds the smallest of these distances, which are given, and then the radius of that very
part does. The class that has its half at d_j is given too: it has at most the votes of the most
frequent class other than c, which the test counts. So the probability is at most alpha, however
many parts and classes there are. k and c are chosen on other draws.

At given radii all parts are decided by sequential tests, that of k too. Each is then certified up
to one radius of a list, beyond its own distance with probability at most alpha, and nothing else
was used of them (`rszoo.certificates.experts_early`).

The paper's bounds share alpha; its threshold may be another than one half.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from torch import Tensor

from rszoo.certificates.base import ABSTAIN, Certificate, Prediction, prediction_from_votes
from rszoo.certificates.experts import Experts
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.experts import ExpertsClassifier, expected, smaller
from rszoo.smoothing.interface import Budget
from rszoo.smoothing.noise import Stream
from rszoo.smoothing.reach import Reaching, reaching
from rszoo.smoothing.voting import OnDraws
from rszoo.theory.bounds import clopper_pearson_interval

__all__ = ["CascadeClassifier", "no_other"]


class CascadeClassifier(ExpertsClassifier):
    """Experts that are asked from the last to the first, until one is sure.

    Guarantee:
        Each part of a certificate has the whole alpha, see above. For a prediction the experts
        share it. What `certify` assumes, it assumes of every expert.

    Attributes:
        experts: by increasing sigma.
        num_classes, input_shape, class_names, device, sound: as in `Classifier`.
    """

    def __repr__(self) -> str:
        sigmas = ", ".join(f"{one.sigma:g}" for one in self.experts)
        return f"CascadeClassifier(experts at sigma {sigmas})"

    def kind(self, budget: Budget) -> str:
        """Return the name of the kind of its certificates."""
        return "cascade" if budget.radii is None else "cascade_early"

    def certifier(
        self, budget: Budget, on_progress: OnDraws = None
    ) -> Callable[[Tensor], Certificate]:
        """See `Classifier.certifier`.

        Raises:
            ValueError: radii or tolerance out of range.
        """
        how = reaching(self._ways(), budget, on_progress)

        def one(image: Tensor) -> Certificate:
            selection = self.selected(image, budget)
            levels = [k for k, parts in enumerate(self._ways()) if how.serves(parts)]
            level = max(levels[::-1], key=lambda k: self._expected(k, selection, budget))
            certificate = how.answering(self.experts[level], selection[level], image)
            return self._limited(certificate, level, image, how)

        return one

    def predictor(
        self, *, n: int, alpha: float, seed: int, on_progress: OnDraws = None
    ) -> Callable[[Tensor], Prediction]:
        """See `Classifier.predictor`; the prediction is that of the last expert that was asked.

        Each expert asked, with its share of alpha, adds the classes that may have half of its
        noise, and stops the cascade if one surely has. Where a class has half, it is wrong to
        leave it out (half of the share, as the class is given) or to be sure of another; where
        none has, to be sure of any. The probability to be sure of a class is convex in its p up
        to 1/2, 0 at p = 0, and at most half of the share at p = 1/2: summed over classes whose p
        add up to 1/2, or to 1, it is at most half of the share, or all of it.
        """
        share = alpha / len(self.experts)

        def ask(expert: SmoothedClassifier, image: Tensor) -> list[int]:
            return expert.votes(
                image, n=n, stream=Stream.PREDICTION, seed=seed, on_progress=on_progress
            )

        def one(image: Tensor) -> Prediction:
            answers: set[int] = set()
            for expert in reversed(self.experts[1:]):
                votes = ask(expert, image)
                ends = [clopper_pearson_interval(count, n, share) for count in votes]
                answers |= {c for c, (_, upper) in enumerate(ends) if upper >= 0.5}
                if max(ends)[0] >= 0.5:
                    break
            else:
                expert = self.experts[0]
                votes = ask(expert, image)
                answers.add(prediction_from_votes(votes, alpha=share, sigma=expert.sigma).label)
            found = prediction_from_votes(votes, alpha=alpha, sigma=expert.applied_sigma)
            return replace(found, label=answers.pop() if len(answers) == 1 else ABSTAIN)

        return one

    def _ways(self) -> list[Sequence[SmoothedClassifier]]:
        """Return the experts that a certificate rests on, by the level that answers."""
        return [self.experts[level:] for level in range(len(self.experts))]

    def _expected(self, level: int, selection: list[list[int]], budget: Budget) -> float:
        """Return the radius to expect if an expert is the one that answers."""
        votes = selection[level]
        candidate = votes.index(max(votes))
        radii = [expected(self.experts[level], votes[candidate], budget)]
        for before in range(level + 1, len(self.experts)):
            agreeing = no_other(candidate, selection[before])
            radii.append(expected(self.experts[before], agreeing, budget))
        return min(radii)

    def _limited(
        self, certificate: Certificate, level: int, image: Tensor, how: Reaching
    ) -> Certificate:
        """Return the certificate of an expert, with what those before it leave of its radius."""
        reach, others = smaller(math.inf, certificate), []
        count = partial(no_other, certificate.candidate)
        for before in range(level + 1, len(self.experts)):
            if reach is None:
                break
            other, reach = self.limit(before, image, count, reach=reach, how=how)
            others.append(other)
        return replace(
            certificate,
            label=ABSTAIN if reach is None else certificate.candidate,
            radius=reach or 0.0,
            details=Experts(
                experts=len(self.experts),
                expert_level=level,
                expert_radius=certificate.radius,
                others=tuple(others),
            ),
        )


def no_other(candidate: int, votes: Sequence[int]) -> int:
    """Return the draws that are left when those for the most frequent other class are gone."""
    return sum(votes) - max(count for c, count in enumerate(votes) if c != candidate)
