"""Mixing classifiers: an accurate standard network and a smoothed one.

Bai, Anderson, Kim and Sojoudi (2024), Improving the Accuracy-Robustness Trade-Off of Classifiers
via Adaptive Smoothing, https://arxiv.org/abs/2301.12554. The certified function is

    x -> argmax_c  (1 - w(x)) g_c(x) + w(x) h_c(x)

g(x): the probabilities of the standard network at the clean input; h(x): the *exact* vote
probabilities of the smoothed classifier; w(x): the weight, `alpha_mix` where it is the same for
all inputs. Nobody can evaluate h, and therefore the function: `predict` and `certify` say what it
answers, or abstain. Radii are those of `rszoo.theory.mixing`, which are larger than the published
ones and, unlike these in the authors' code, hold with a stated confidence.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ClassVar

from torch import Tensor, nn

from rszoo.certificates.base import ABSTAIN, Certificate, Prediction
from rszoo.certificates.kinds.mixed import Mixing, mixed_certificate
from rszoo.errors import RszooError
from rszoo.networks.execution import autocast, evaluation_mode, place
from rszoo.networks.logits import WithLogits, as_network
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.decisions import check_radii, largest_left
from rszoo.smoothing.interface import Budget, Classifier
from rszoo.smoothing.mixing_weights import FixedWeight, Weight
from rszoo.smoothing.noise import Stream
from rszoo.smoothing.voting import OnDraws, Voting
from rszoo.theory.mixing import lost_radius, mixed_p_value

__all__ = ["MixedClassifier"]


class MixedClassifier(Classifier):
    """A mix; predicts and certifies as `SmoothedClassifier` does.

    A certificate holds whatever the standard network says within the radius, and whatever the
    weight is there as long as it is not below the least one. Where the robust part is not sure
    enough to outvote the standard one, it abstains, agree they or not. A prediction may be the
    class of the standard network against the robust part.

    Attributes:
        standard: the standard network, as `SmoothedClassifier.base`; maps images in [0, 1] to
            logits.
        robust: the smoothed classifier.
        weight: how much the robust part counts.
        num_classes, input_shape, class_names, device: those of the robust part.
    """

    certifies_at_radii: ClassVar[bool] = True

    def __init__(
        self, standard: nn.Module, robust: SmoothedClassifier, *, weight: Weight | float
    ) -> None:
        """Mix; the standard network is moved to the device of the robust part.

        Args:
            standard: gives as many logits as the robust part has classes, in their order. It runs
                in the precision of the robust part.
            robust: smoothed under its sigma.
            weight: a number is `alpha_mix`, in (1/2, 1].

        Raises:
            ValueError: the weight is out of range.
        """
        self.standard = place(WithLogits(as_network(standard)), robust.device)
        self.robust = robust
        self.weight = FixedWeight(weight) if isinstance(weight, int | float) else weight
        self.num_classes = robust.num_classes
        self.input_shape = robust.input_shape
        self.class_names = robust.class_names
        self.device = robust.device
        self.sound = robust.sound

    def __repr__(self) -> str:
        return f"MixedClassifier(robust={self.robust!r}, weight={self.weight!r})"

    def kind(self, budget: Budget) -> str:
        """Return the name of the kind of its certificates."""
        return "mixed" if budget.radii is None else "mixed_early"

    @property
    def voters(self) -> Mapping[str, tuple[Voting, Stream]]:
        """The robust part, which alone has votes."""
        return self.robust.voters

    @property
    def protocol_entries(self) -> dict[str, object]:
        """Its entries in the protocol of a log, as JSON values.

        Raises:
            RszooError: there is no certificate with this weight, and so no log.
        """
        return {
            **self.robust.protocol_entries,
            "alpha_mix": self._certified_weight(),
            **self.weight.protocol_entries,
        }

    def certifier(
        self, budget: Budget, on_progress: OnDraws = None
    ) -> Callable[[Tensor], Certificate]:
        """See `Classifier.certifier`.

        Raises:
            RszooError: the weight has no lower bound above 1/2.
        """
        alpha_mix = self._certified_weight()
        if budget.radii is not None:
            return self._at_radii(budget.radii, budget, alpha_mix, on_progress)
        of_robust = self.robust.certifier(budget, on_progress)
        return lambda image: mixed_certificate(of_robust(image), alpha_mix=alpha_mix)

    def _at_radii(
        self,
        radii: tuple[float, ...],
        budget: Budget,
        alpha_mix: float,
        on_progress: OnDraws,
    ) -> Callable[[Tensor], Certificate]:
        """Return what certifies one input at radii, by tests of larger ones of the robust part.

        Guarantee:
            That of `certifier`; see `rszoo.certificates.kinds.mixed_early`.
        """
        sigma, lost = self.robust.applied_sigma, lost_radius(self.robust.applied_sigma, alpha_mix)
        tested = {"n": budget.n, "alpha": budget.alpha}
        cap = largest_left(lost, sigma=sigma, **tested)
        ordered = check_radii(radii, cap=cap, tolerance=budget.tolerance, **tested)
        # Of two that are one float, the smaller radius.
        own = {radius + lost: radius for radius in reversed(ordered)}
        certified = self.robust.certifier(replace(budget, radii=tuple(own)), on_progress)

        def one(image: Tensor) -> Certificate:
            found = certified(image)
            radius = own.get(found.radius, 0.0) if found.label != ABSTAIN else 0.0
            return replace(found, radius=radius, details=Mixing(alpha_mix=alpha_mix))

        return one

    def predictor(
        self, *, n: int, alpha: float, seed: int, on_progress: OnDraws = None
    ) -> Callable[[Tensor], Prediction]:
        """Return what evaluates one checked input, by n draws."""

        def one(image: Tensor) -> Prediction:
            votes = self.robust.votes(
                image, n=n, stream=Stream.PREDICTION, seed=seed, on_progress=on_progress
            )
            standard = self.standard_probabilities(image)
            weight = self.weight.evaluate(
                image, standard=self._standard_logits, robust=self._robust_logits
            )
            mix = [
                (1.0 - weight) * g + weight * k / n for g, k in zip(standard, votes, strict=True)
            ]
            label, runner_up = sorted(range(len(mix)), key=lambda c: -mix[c])[:2]
            p_value = mixed_p_value(label, standard=standard, votes=votes, alpha_mix=weight)
            return Prediction(
                label=label if p_value <= alpha else ABSTAIN,
                votes=votes[label],
                runner_up_votes=votes[runner_up],
                p_value=p_value,
                n=n,
                alpha=alpha,
                sigma=self.robust.applied_sigma,
            )

        return one

    def standard_probabilities(self, image: Tensor) -> list[float]:
        """Return what the standard network says of one checked image.

        Raises:
            RszooError: it gives another number of logits than the robust part, or NaN.
        """
        logits = self._standard_logits(image[None])
        if logits.shape != (1, self.num_classes) or bool(logits.isnan().any()):
            raise RszooError(
                f"expected {self.num_classes} logits that are numbers from the standard network, "
                f"got {tuple(logits.shape)} of which {int(logits.isnan().sum())} are NaN"
            )
        return logits.detach().double().softmax(-1)[0].tolist()

    def _certified_weight(self) -> float:
        if self.weight.alpha_min is None:
            raise RszooError(
                f"no certificate holds for {self.weight!r}: near an input it may be anything; "
                "predict answers, and a fixed alpha_mix > 1/2 certifies"
            )
        return self.weight.alpha_min

    def _standard_logits(self, images: Tensor) -> Tensor:
        return self._logits(self.standard, images)

    def _robust_logits(self, images: Tensor) -> Tensor:
        return self._logits(self.robust.base, images)

    def _logits(self, network: nn.Module, images: Tensor) -> Tensor:
        with evaluation_mode(network), autocast(self.device, self.robust.precision):
            return network(images.clone()).float()  # a network may overwrite what it is given
