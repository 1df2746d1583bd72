"""What a certification will take, before it is begun."""

import time
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from rszoo.evaluation.engine import Engine
from rszoo.evaluation.formatting import expected
from rszoo.evaluation.inputs import Input, InputSet
from rszoo.evaluation.job import LogFile, Subject, classifiers_for
from rszoo.evaluation.log import read_log
from rszoo.smoothing.execution import Execution
from rszoo.smoothing.interface import Budget, Classifier
from rszoo.smoothing.noise import CHUNK

__all__ = ["Plan", "planned"]

# Seconds of work by which a rate is measured, and of a first trial that counts all the same.
_ENOUGH = 1.0
_SLOW = 10.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a certification will take.

    Attributes:
        inputs: how many are still to be certified.
        draws: how many that takes, at most where it depends on the votes.
        at_most: whether fewer may do.
        rate: draws in a second, as measured on this machine; of several devices, of all.
        precision: "float32" or "bfloat16", which is what "auto" means here; None where several
            networks differ.
        device: kind of device.
    """

    inputs: int
    draws: int
    at_most: bool
    rate: float
    precision: str | None
    device: str

    @property
    def seconds(self) -> float:
        """The seconds that all inputs take together."""
        return self.draws / self.rate

    @property
    def seconds_each(self) -> float:
        """The seconds that one input takes, on average."""
        return self.seconds / max(1, self.inputs)

    def __str__(self) -> str:
        """Return such as "500 inputs, 50,050,000 draws in float32 on cpu, 41,000 draws/s ..."."""
        most = "at most " if self.at_most else ""
        work = (
            f"{self.inputs:,} inputs, {most}{self.draws:,} draws in {self.precision} on "
            f"{self.device}"
        )
        return expected(work, "draws", rate=self.rate, seconds=self.seconds)


def planned(
    subject: Subject,
    inputs: InputSet,
    budget: Budget,
    *,
    execution: Execution | None = None,
    engine: Engine | None = None,
    log: LogFile | None = None,
) -> Plan:
    """Return what `rszoo.evaluation.job.certify` would take; nothing is logged or remembered.

    The rate is that of a second's work on one of the inputs, in this process.

    Args:
        subject: what would be certified; without a memory, which a trial would write into.
        inputs, budget, execution, engine, log: see `rszoo.evaluation.job.certify`.

    Raises:
        RszooError: the networks cannot be evaluated.
        DataError: an input does not fit, or the log that would be continued is broken.
    """
    engine = engine or Engine()
    todo = _missing(inputs, log)
    draws = budget.draws * len(todo)
    classifiers = classifiers_for(subject, execution, engine, draws=draws, log=log)
    first = classifiers[0]
    rate = _rate(first, (todo or inputs.inputs)[0], budget) * len(classifiers)
    precision = first.protocol_entries.get("precision")
    return Plan(
        inputs=len(todo),
        draws=draws,
        at_most=budget.open_ended,
        rate=rate,
        precision=precision if isinstance(precision, str) else None,
        device=first.device.type,
    )


def _missing(inputs: InputSet, log: LogFile | None) -> tuple[Input, ...]:
    """Return the inputs that a log that is continued does not hold."""
    if log is None or not (log.resume and Path(log.path).is_file()):
        return inputs.inputs
    held = set(read_log(log.path, nominal=True, sets=True).idx.tolist())
    return tuple(one for one in inputs.inputs if one.idx not in held)


def _rate(classifier: Classifier, one: Input, budget: Budget) -> float:
    """Return how many of the draws of a certificate are done in a second."""
    image, n = one.image(), min(budget.n, CHUNK)
    seconds = _seconds(classifier, image, budget, n=n)  # memory is allocated, once
    if seconds < _SLOW:
        seconds = _seconds(classifier, image, budget, n=n)
    while seconds < _ENOUGH and n < budget.n:
        n = min(budget.n, n * 2)
        seconds = _seconds(classifier, image, budget, n=n)
    return (min(budget.n0, n) + n) / seconds


def _seconds(classifier: Classifier, image: Tensor, budget: Budget, *, n: int) -> float:
    """Return how long one certificate takes that rests on n draws."""
    tried = Budget(n0=min(budget.n0, n), n=n, alpha=budget.alpha)
    since = time.perf_counter()
    classifier.certify_within(tried, image)
    return time.perf_counter() - since
