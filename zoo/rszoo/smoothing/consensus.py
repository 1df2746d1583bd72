"""Consensus: where all experts of a dual classifier agree, its router does not matter.

Theorem. If every expert k answers c everywhere closer to x than R_k, then a dual classifier over
these experts answers c everywhere closer than min_k R_k, whatever its router does: at each such
point it is one of the experts.

Alpha is not shared here either. Let d_k be the distance up to which expert k really answers c. The
certificate is wrong only if min R_k > min d_k, and then the expert whose d_k is smallest has
R_k > d_k: one given expert must be wrong. The probability of that is at most alpha if each expert
has the whole alpha (an intersection-union test).

It costs the draws of all experts, and gives no more than the weakest of them; but it holds at the
router's borders, where the router itself certifies nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import Tensor

from rszoo.smoothing.certificate import ABSTAIN, Certificate, Prediction
from rszoo.smoothing.dual import DualClassifier

__all__ = ["ConsensusClassifier"]


class ConsensusClassifier:
    """A dual classifier that is certified by the consensus of its experts.

    Attributes:
        dual: it; what is predicted is its answer.
        num_classes, input_shape, class_names, device: its.
    """

    def __init__(self, dual: DualClassifier) -> None:
        """Take the experts of a dual classifier."""
        self.dual = dual
        self.num_classes = dual.num_classes
        self.input_shape = dual.input_shape
        self.class_names = dual.class_names
        self.device = dual.device

    @property
    def facts(self) -> dict[str, object]:
        """What a log's protocol says of it, as JSON values."""
        facts = {key: value for key, value in self.dual.facts.items() if key != "router"}
        return {**facts, "consensus": True}

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
        """Certify one input, or each of a batch; see `DualClassifier.certify`.

        Guarantee:
            For each input, with probability at least 1 - alpha over the noise: the certificate
            abstains, or the dual classifier answers `label` at every x' closer than `radius`,
            with this router or any other.

        Args and errors are those of `DualClassifier.certify`; n0 and n draws for each expert.

        Returns:
            The certificate of the expert with the smallest radius; it abstains where the experts
            do not certify one class.
        """
        if radii is not None or tolerance:
            raise ValueError("expected no radii and no tolerance with a dual classifier")

        def one(image: Tensor) -> Certificate:
            given = []
            for expert in self.dual.experts:
                found = expert.certify(
                    image, n0=n0, n=n, alpha=alpha, seed=seed, on_progress=on_progress
                )
                assert isinstance(found, Certificate)  # one image gives one certificate
                given.append(found)
            weakest = min(given, key=lambda certificate: certificate.radius)
            agree = len({certificate.label for certificate in given}) == 1
            return weakest if agree else replace(weakest, label=ABSTAIN, radius=0.0)

        return self.dual.router.for_each(one, x)

    def predict(
        self,
        x: Tensor,
        *,
        n: int = 1000,
        alpha: float = 0.001,
        seed: int = 0,
        on_progress: Callable[[int], None] | None = None,
    ) -> Prediction | list[Prediction]:
        """Evaluate the dual classifier; see `DualClassifier.predict`."""
        return self.dual.predict(x, n=n, alpha=alpha, seed=seed, on_progress=on_progress)
