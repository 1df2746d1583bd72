"""A classifier without noise: it answers the class of the largest logit, and certifies nothing.

It is a `Classifier` so that what has no noise predicts by the same commands as what has some.
"""

from collections.abc import Callable, Mapping
from typing import NoReturn

import torch
from torch import Tensor, nn

from rszoo.certificates.base import Certificate, Prediction
from rszoo.errors import RszooError
from rszoo.networks.execution import autocast, evaluation_mode, place, resolve_device
from rszoo.networks.logits import WithLogits, as_network
from rszoo.networks.opaque import precision_of
from rszoo.smoothing.checks import check_classes
from rszoo.smoothing.interface import Budget, Classifier
from rszoo.smoothing.noise import Stream
from rszoo.smoothing.voting import OnDraws, Voting

__all__ = ["StandardClassifier"]


class StandardClassifier(Classifier):
    """A network without noise; predicts, and refuses to certify.

    Attributes:
        base: the network; maps images in [0, 1] to logits.
        num_classes, input_shape, class_names, device: see `Classifier`.
        precision: "float32" or "bfloat16".
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        num_classes: int,
        input_shape: tuple[int, ...] | None = None,
        class_names: tuple[str, ...] | None = None,
        device: str | torch.device | None = None,
        precision: str = "float32",
    ) -> None:
        """Wrap a network; it is moved to `device` (None: a GPU if there is one).

        Raises:
            RszooError: unknown device or precision.
            ValueError: num_classes out of range, or another number of `class_names`.
        """
        check_classes(num_classes, class_names)
        self.device = resolve_device(device)
        module = as_network(network)
        self.precision = precision_of(module, precision, self.device, compile=False)
        self.base = place(WithLogits(module), self.device)
        self.num_classes = num_classes
        self.input_shape = input_shape
        self.class_names = class_names
        self.sound = False

    def __repr__(self) -> str:
        return f"StandardClassifier(num_classes={self.num_classes}, device={str(self.device)!r})"

    def kind(self, budget: Budget) -> str:
        """See `Classifier.kind`.

        Raises:
            RszooError: always; there is no kind of certificate without noise.
        """
        self._refuse()

    @property
    def voters(self) -> Mapping[str, tuple[Voting, Stream]]:
        """See `Classifier.voters`.

        Raises:
            RszooError: always; without noise there are no votes.
        """
        self._refuse()

    @property
    def protocol_entries(self) -> dict[str, object]:
        """See `Classifier.protocol_entries`.

        Raises:
            RszooError: always; without certificates there is no log of them.
        """
        self._refuse()

    def certifier(
        self, budget: Budget, on_progress: OnDraws = None
    ) -> Callable[[Tensor], Certificate]:
        """See `Classifier.certifier`.

        Raises:
            RszooError: always; nothing is certified.
        """
        self._refuse()

    def predictor(
        self, *, n: int, alpha: float, seed: int, on_progress: OnDraws = None
    ) -> Callable[[Tensor], Prediction]:
        """Return what evaluates one checked input: as if n draws without noise all agreed."""

        def one(image: Tensor) -> Prediction:
            label = self._answer_of(image)
            if on_progress is not None:
                on_progress(n)
            return Prediction(
                label=label,
                votes=n,
                runner_up_votes=0,
                p_value=0.0,  # nothing is drawn, and nothing can be wrong by chance
                n=n,
                alpha=alpha,
                sigma=0.0,
            )

        return one

    def _answer_of(self, image: Tensor) -> int:
        """Return the class of the largest logit of one image `[C, H, W]`.

        Raises:
            RszooError: the network gives another number of logits, or NaN.
        """
        with (
            torch.inference_mode(),
            evaluation_mode(self.base),
            autocast(self.device, self.precision),
        ):
            logits = self.base(image[None].clone())  # a network may overwrite what it is given
        if logits.shape != (1, self.num_classes) or bool(logits.isnan().any()):
            raise RszooError(
                f"expected {self.num_classes} logits that are numbers from the network, got "
                f"{tuple(logits.shape)} of which {int(logits.isnan().sum())} are NaN"
            )
        return int(logits.argmax())

    def _refuse(self) -> NoReturn:
        raise RszooError(
            "no certificate holds for a classifier without noise: nothing bounds how its answer "
            "changes next to an input; rszoo predict answers, and rszoo attack bounds from above "
            "what it withstands"
        )
