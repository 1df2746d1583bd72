"""What classifiers made of several experts have in common."""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from torch import Tensor

from rszoo.certificates.base import ABSTAIN, Certificate
from rszoo.certificates.experts import Reach, expert_names
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.interface import Budget, Classifier
from rszoo.smoothing.level_sets import expected_radius
from rszoo.smoothing.noise import Stream
from rszoo.smoothing.reach import Reaching
from rszoo.smoothing.voting import Voting
from rszoo.theory.radii import largest_radius

__all__ = ["ExpertsClassifier", "check_noise_alike", "expected", "smaller"]


class ExpertsClassifier(Classifier):
    """Several smoothed classifiers of the same classes, of which one answers.

    Attributes:
        experts: by level, from 0.
        num_classes, input_shape, class_names, device, sound: as in `Classifier`.
    """

    certifies_at_radii: ClassVar[bool] = True

    def __init__(
        self,
        experts: Sequence[SmoothedClassifier],
        *,
        class_names: tuple[str, ...] | None = None,
    ) -> None:
        """Put experts together.

        Raises:
            ValueError: they are not alike.
        """
        if len({(one.num_classes, one.input_shape) for one in experts}) != 1:
            raise ValueError(f"expected experts alike, got {list(experts)}")
        check_noise_alike(experts)
        first = experts[0]
        self.experts = tuple(experts)
        self.num_classes = first.num_classes
        self.input_shape = first.input_shape
        self.class_names = class_names
        self.device = first.device
        self.sound = first.sound

    @property
    def voters(self) -> Mapping[str, tuple[Voting, Stream]]:
        """The experts by name, in the order of their levels."""
        names = expert_names(len(self.experts))
        voters = [(expert, Stream.ESTIMATION) for expert in self.experts]
        return dict(zip(names, voters, strict=True))

    @property
    def protocol_entries(self) -> dict[str, object]:
        """Its entries in the protocol of a log, as JSON values."""
        first = self.experts[0].protocol_entries
        return {
            "sigma": None,
            "experts": [one.protocol_entries for one in self.experts],
            **{key: first[key] for key in ("precision", "batch_size", "device")},
        }

    def selected(self, image: Tensor, budget: Budget) -> list[list[int]]:
        """Return each expert's votes among the n0 draws that nothing is certified with."""
        return [
            expert.votes(image, n=budget.n0, stream=Stream.SELECTION, seed=budget.seed)
            for expert in self.experts
        ]

    def limit(
        self,
        level: int,
        image: Tensor,
        count: Callable[[list[int]], int],
        *,
        reach: float,
        how: Reaching,
    ) -> tuple[Reach, float | None]:
        """Return how far an event certainly keeps more than half of an expert's noise.

        The second value is the smaller one of that and `reach`; None if the event may not have
        half of the noise at all.

        Guarantee:
            That of `rszoo.smoothing.reach.AllDraws.limiting`, on the expert's draws for
            estimation.

        Args:
            level: the expert.
            image, count, reach: as there.
            how: the parts are certified.
        """
        found = how.limiting(
            self.experts[level], image, count, stream=Stream.ESTIMATION, reach=reach
        )
        shown = Reach(
            level=level,
            sigma=found.sigma,
            radius=found.radius,
            votes=found.votes,
            draws=found.draws,
            spent=found.spent,
        )
        return shown, smaller(reach, found)


def check_noise_alike(parts: Sequence[SmoothedClassifier]) -> None:
    """Refuse parts that draw by different schemes, or some on the lattice of 8-bit pixels alone.

    Inputs are checked once for all parts: off the lattice no sound part certifies anything. A log
    is drawn again by one scheme.

    Raises:
        ValueError: they are not alike.
    """
    if len({one.sound for one in parts}) != 1:
        sound = [one.sound for one in parts]
        raise ValueError(f"expected parts that are all sound, or none, got {sound=}")
    if len({one.scheme.name for one in parts}) != 1:
        names = [one.scheme.name for one in parts]
        raise ValueError(f"expected parts of one noise scheme, got {names}")


def smaller(reach: float, found: Certificate) -> float | None:
    """Return the smaller radius of two parts; None if one of them certifies nothing."""
    return None if found.label == ABSTAIN else min(reach, found.radius)


def expected(part: SmoothedClassifier, agreeing: int, budget: Budget) -> float:
    """Return the radius to expect of a part, of whose n0 draws so many agree."""
    cap = largest_radius(budget.n, budget.alpha, part.sigma)
    return expected_radius(agreeing, budget.n0, part.sigma, cap=cap)
