"""A bundle, and its certificates, as what `rszoo attack` attacks."""

from pathlib import Path
from typing import TYPE_CHECKING

from rszoo.evaluation.attack import Target
from rszoo.evaluation.breaking import Breaking, Search, break_certificates
from rszoo.evaluation.log import LogTable
from rszoo.evaluation.progress import Metering, unseen
from rszoo.hub.bundle import Bundle
from rszoo.hub.classifiers import classifier_of
from rszoo.hub.evidence import check_about
from rszoo.hub.job import subject_of
from rszoo.hub.kinds import kind_of
from rszoo.hub.parts import fetch_parts
from rszoo.hub.verification import execution_of, images_of
from rszoo.smoothing.execution import Execution

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["broken_certificates", "target_of"]


def target_of(
    bundle: Bundle, execution: Execution, *, draws: int, n: int, alpha: float, seed: int
) -> Target:
    """Return a bundle as a target.

    A network without noise answers by its largest logit, and a mix of two such by its largest
    log-probability. Any other classifier answers as `predict` does, by n draws, and is attacked
    through its mean prediction on some draws (`rszoo.evaluation.soft_answers`), in float32.

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
        return soft_answers(classifier, draws)

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

    from rszoo.evaluation.soft_answers import without_noise
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
    network = place(WithLogits(kind_of(bundle).network(bundle)), device)
    soft = without_noise(network)

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


def broken_certificates(
    bundle: Bundle,
    log: LogTable,
    search: Search,
    *,
    dataset: str | None = None,
    root: Path | None = None,
    download: bool = False,
    device: str | None = None,
    metering: Metering = unseen,
) -> Breaking:
    """Look for points that break the certificates of a log of a bundle.

    Guarantee:
        That of `rszoo.evaluation.breaking.break_certificates`.

    Args:
        bundle: its parts are fetched, and checked against its config.
        log: about the bundle, and a data set.
        search: how.
        dataset, root, download, device: as `rszoo.hub.verification.verify_log` takes them.
        metering: how progress is shown.

    Raises:
        DataError: the log is about another model, or inputs that are not there, or is not of
            certificates of the bundle alone.
        RszooError: the networks have no gradient.
        ValueError: the seed is that of the log.
    """
    fetch_parts(bundle)
    check_about(log, bundle)
    images = images_of(log, bundle, dataset, root=root, download=download)
    classifier = classifier_of(bundle, execution_of(log, device))
    total = min(len(log), search.count or len(log))
    with metering(total=total, unit="certificates") as meter:
        return break_certificates(classifier, log, images, search, meter=meter)
