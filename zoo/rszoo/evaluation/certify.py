"""Certify many inputs into a log that survives being killed."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rszoo.certificates.base import Certificate
from rszoo.certificates.kinds import protocol_of
from rszoo.certificates.protocol import Protocol
from rszoo.data import ImageSet
from rszoo.evaluation.log import NO_LABEL, CertificationLog
from rszoo.smoothing.interface import Budget, Classifier, OnDraws

__all__ = [
    "Input",
    "certify_inputs",
    "evaluation_inputs",
    "missing",
    "own_inputs",
    "protocol",
    "record",
]

#: How many inputs of a data set are certified when nothing else is asked for.
USUAL_INPUTS = 500


@dataclass(frozen=True)
class Input:
    """One input to certify.

    Attributes:
        idx: its index in the data set or list that it comes from.
        label: true class, or `NO_LABEL`.
        image: gives the image, `[C, H, W]` in [0, 1].
        name: for an input of the user's own.
    """

    idx: int
    label: int
    image: Callable[[], Tensor]
    name: str | None = None


def evaluation_inputs(
    images: ImageSet, *, skip: int | None = None, limit: int | None = None
) -> list[Input]:
    """Return every `skip`-th image of a data set, at most `limit` of them.

    Args:
        images: a labelled data set.
        skip: take indices divisible by it; None takes about `USUAL_INPUTS` images.
        limit: how many at most; None for all.
    """
    step = skip or max(1, len(images) // USUAL_INPUTS)

    def image(index: int) -> Callable[[], Tensor]:
        return lambda: images.images(torch.tensor([index]))[0]

    indices = list(range(0, len(images), step))[:limit]
    return [Input(index, int(images.labels[index]), image(index)) for index in indices]


def own_inputs(named: Sequence[tuple[str, Tensor]]) -> list[Input]:
    """Return inputs without labels, such as `rszoo.data.read_images` gives."""

    def given(image: Tensor) -> Callable[[], Tensor]:
        return lambda: image

    return [
        Input(index, NO_LABEL, given(image), name) for index, (name, image) in enumerate(named)
    ]


def protocol(
    classifier: Classifier,
    budget: Budget,
    *,
    model: Mapping[str, str],
    inputs: Mapping[str, str],
    versions: Mapping[str, str],
) -> Protocol:
    """Return what a log must say so that anybody can repeat it.

    Args:
        classifier: what is certified.
        budget: of each certificate.
        model: id and sha256 of the weights.
        inputs: name, split and digest of the data set, or a digest of the user's own inputs.
        versions: of the software.
    """
    at_radii = (
        {} if budget.radii is None else {"radii": budget.radii, "tolerance": budget.tolerance}
    )
    return protocol_of(
        {
            "kind": classifier.kind(budget),
            "model": model,
            "inputs": inputs,
            "n0": budget.n0,
            "n": budget.n,
            "alpha": budget.alpha,
            "seed": budget.seed,
            **at_radii,
            **classifier.facts,
            "versions": versions,
        }
    )


def certify_inputs(
    classifier: Classifier,
    inputs: Sequence[Input],
    budget: Budget,
    *,
    log: CertificationLog | None = None,
    on_draws: OnDraws = None,
) -> Iterator[tuple[Input, Certificate]]:
    """Certify inputs one by one; yield each when its row is in the log.

    Guarantee:
        Each certificate is that of `Classifier.certify`: it fails with probability at most alpha,
        input by input (not for all inputs at once). Inputs that the log holds are not certified
        again, so that no answer is ever chosen among several.

    Args:
        classifier: who certifies.
        inputs: what to certify.
        budget: of each certificate.
        log: where rows go, if anywhere.
        on_draws: called with the number of draws as they are done.
    """
    for one in missing(inputs, log):
        started = time.perf_counter()
        certificate = classifier.certify_within(budget, one.image(), on_progress=on_draws)
        assert isinstance(certificate, Certificate)  # one image gives one certificate
        record(log, one, certificate, since=started)
        yield one, certificate


def missing(inputs: Sequence[Input], log: CertificationLog | None) -> list[Input]:
    """Return the inputs that a log does not hold yet."""
    return [one for one in inputs if log is None or one.idx not in log.done]


def record(
    log: CertificationLog | None, one: Input, certificate: Certificate, *, since: float
) -> None:
    """Write the row of an input whose certification began at `since` (`time.perf_counter`)."""
    if log is not None:
        seconds = time.perf_counter() - since
        log.append(one.idx, one.label, certificate, seconds, input=one.name)
