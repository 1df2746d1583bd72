"""A bundle as what `rszoo attack` attacks."""

from typing import TYPE_CHECKING

from rszoo.errors import RszooError
from rszoo.evaluation.attack import Target
from rszoo.hub.bundle import Bundle
from rszoo.hub.classifiers import classifier_of
from rszoo.hub.job import subject_of
from rszoo.smoothing.execution import Execution

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["target_of"]


def target_of(
    bundle: Bundle, execution: Execution, *, draws: int, n: int, alpha: float, seed: int
) -> Target:
    """Return a bundle as a target.

    A network without noise answers by its largest logit. A smoothed classifier or a mix answers
    as `predict` does, by n draws, and is attacked through its mean prediction on some draws
    (`rszoo.evaluation.soft_answers`), in float32.

    Args:
        bundle: whose networks have gradients.
        execution: where and how it answers.
        draws: noisy copies that the attack climbs.
        n, alpha, seed: of `predict`.

    Raises:
        RszooError: no attack goes through such a bundle.
    """
    model: dict[str, object] = {"model": dict(subject_of(bundle).model)}
    if bundle.config.noise == 0.0:
        return _without_noise(bundle, execution, model)
    from rszoo.evaluation.soft_answers import soft_answers

    classifier = classifier_of(bundle, execution)
    stated = {**model, **classifier.protocol_entries, "draws": draws, "n": n, "alpha": alpha}

    def soft() -> "nn.Module":
        return _with_gradient(bundle, soft_answers(classifier, draws))

    soft()  # which says at once what cannot be attacked

    def answer(image: "Tensor") -> int:
        return classifier.predict(image, n=n, alpha=alpha, seed=seed).label

    return Target(
        soft=soft,
        answer=answer,
        classes=classifier.num_classes,
        device=classifier.device,
        stated=stated,
    )


def _without_noise(bundle: Bundle, execution: Execution, model: dict[str, object]) -> Target:
    import torch

    from rszoo.evaluation.soft_answers import LogProbabilities
    from rszoo.networks.execution import (
        autocast,
        evaluation_mode,
        place,
        resolve_device,
        resolve_precision,
    )
    from rszoo.networks.logits import WithLogits

    device = resolve_device(execution.device)
    precision = resolve_precision(execution.precision, device)
    network = place(WithLogits(bundle.network()), device)
    soft = _with_gradient(bundle, LogProbabilities(network))

    def answer(image: "Tensor") -> int:
        with torch.inference_mode(), evaluation_mode(network), autocast(device, precision):
            return int(network(image[None]).argmax(1).item())

    return Target(
        soft=lambda: soft,
        answer=answer,
        classes=len(bundle.config.class_names),
        device=device,
        stated={**model, "precision": precision, "device": device.type},
    )


def _with_gradient(bundle: Bundle, network: "nn.Module") -> "nn.Module":
    """Return the network, unless it is an ONNX file, through which no attack sees.

    Raises:
        RszooError: it is.
    """
    from rszoo.networks.opaque import is_opaque

    if is_opaque(network):
        raise RszooError(
            f"{bundle.id}: expected a network with gradients to attack, got an opaque one (ONNX); "
            "attack the network that it was exported from"
        )
    return network
