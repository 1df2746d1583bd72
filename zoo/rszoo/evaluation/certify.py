"""Certify many inputs into a log that survives being killed."""

import time
from collections.abc import Iterator, Mapping, Sequence

from rszoo.certificates.base import Certificate
from rszoo.certificates.kinds import protocol_of
from rszoo.certificates.protocol import Protocol
from rszoo.evaluation.inputs import Input
from rszoo.evaluation.log import CertificationLog
from rszoo.smoothing.interface import Budget, Classifier
from rszoo.smoothing.voting import OnDraws

__all__ = [
    "certify_inputs",
    "missing",
    "protocol",
    "record",
]


def protocol(
    classifier: Classifier,
    budget: Budget,
    *,
    model: Mapping[str, str],
    inputs: Mapping[str, str | int],
    versions: Mapping[str, str],
    machine: Mapping[str, object] | None = None,
) -> Protocol:
    """Return what a log must say so that anybody can repeat it.

    Args:
        classifier: what is certified.
        budget: of each certificate.
        model: id and sha256 of the weights.
        inputs: `InputSet.source`.
        versions: of the software.
        machine: where it runs; None where it is not one process.
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
            **({} if budget.n_max is None else {"n_max": budget.n_max}),
            **({} if budget.top_k is None else {"top_k": budget.top_k}),
            **classifier.protocol_entries,
            "versions": versions,
            **({} if machine is None else {"machine": machine}),
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
        - Each certificate is that of `Classifier.certify`: it fails with probability at most
          alpha, input by input (not for all inputs at once).
        - Inputs that the log holds are not certified again, so that no answer is ever chosen
          among several.

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
