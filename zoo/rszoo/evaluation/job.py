"""One call to certify something on some inputs, into a log if there is to be one."""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from rszoo.certificates.base import Certificate
from rszoo.certificates.kinds import kind
from rszoo.certificates.protocol import Protocol
from rszoo.errors import RszooError
from rszoo.evaluation.certified import Certified
from rszoo.evaluation.certify import protocol
from rszoo.evaluation.engine import Engine, started
from rszoo.evaluation.inputs import Input, InputSet
from rszoo.evaluation.log import CertificationLog, protocol_path, read_log, read_protocol
from rszoo.evaluation.machine import this_machine, versions
from rszoo.evaluation.progress import Metering, unseen
from rszoo.smoothing import schemes
from rszoo.smoothing.batch_size import measured_batch_size
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.execution import Execution
from rszoo.smoothing.interface import Budget, Classifier
from rszoo.smoothing.memory import Memory

__all__ = [
    "Certified",
    "LogFile",
    "Subject",
    "certify",
    "classifiers_for",
    "seed_of",
]

# A measurement of the batch size takes a second or two; for fewer draws it does not pay.
_WORTH_MEASURING = 1_000_000

# Of a protocol, what does not decide the answers that a memory may hold together.
_NOT_OF_MEMORY = ("inputs", "versions", "batch_size", "kind", "machine")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is certified.

    Attributes:
        classifier: gives a classifier for an execution, each with networks of its own.
        model: what a log's protocol says of it: name, id, sha256 of the weights.
        smoothed: gives the one network whose batch size may be measured; None where there are
            several.
        memory: of earlier answers, where the classifiers have one.
    """

    classifier: Callable[[Execution], Classifier]
    model: Mapping[str, str]
    smoothed: Callable[[Execution], SmoothedClassifier] | None = None
    memory: Memory | None = None

    @classmethod
    def of(cls, classifier: Classifier, *, name: str) -> "Subject":
        """Return a ready classifier as a subject; it decides where and how it runs.

        Args:
            classifier: of any kind.
            name: in the log's protocol.
        """
        return cls(classifier=lambda execution: classifier, model={"name": name})


@dataclass(frozen=True, kw_only=True)
class LogFile:
    """The file that certificates go to.

    Attributes:
        path: of the log; its protocol lies beside it.
        resume: continue the log that is there.
        restart: with `resume`, begin a log of something else anew.
    """

    path: Path
    resume: bool = False
    restart: bool = False


def seed_of(log: LogFile | None, *, weights: str) -> int | None:
    """Return the seed of the log that is continued; None where there is none.

    Guarantee:
        The seed of a log of other weights is never returned: who trained these may have known it.

    Args:
        log: that is to be written.
        weights: digest of those that are certified.
    """
    before = _continued(log)
    if before is None or before.model is None or before.model.weights_sha256 != weights:
        return None
    return before.seed


def certify(
    subject: Subject,
    inputs: InputSet,
    budget: Budget,
    *,
    execution: Execution | None = None,
    engine: Engine | None = None,
    log: LogFile | None = None,
    metering: Metering = unseen,
) -> Certified:
    """Certify what the log does not hold yet, and return all.

    Guarantee:
        - Each certificate is that of `Classifier.certify`: it fails with probability at most
          alpha, input by input (not for all inputs at once).
        - Inputs that the log holds are not certified again, so that no answer is ever chosen
          among several.

    Args:
        subject: what is certified.
        inputs: on which.
        budget: draws and alpha of each certificate.
        execution: where and how the networks run; without a batch size, a good one is chosen.
        engine: who certifies; its devices take the place of the execution's, where they are named.
        log: where rows go; None keeps the certificates in memory alone.
        metering: how progress is shown.

    Raises:
        RszooError: the log or the memory is of something else, or cannot be written.
        DataError: the log is broken, or an input does not fit.
    """
    engine = engine or Engine()
    classifiers = classifiers_for(
        subject, execution, engine, draws=budget.draws * len(inputs), log=log
    )
    stated = _stated(subject, classifiers[0], inputs, budget, engine)
    with ExitStack() as stack:
        opened = None if log is None else stack.enter_context(_opened(log, stated))
        _bind(subject.memory, stated, log)
        answers = [] if log is None else _logged(log, inputs, classifiers[0])
        seconds: list[float | None] = [None] * len(answers)
        certify_all = stack.enter_context(started(engine, classifiers))
        work = _work(stated, budget, inputs=len(inputs), done=len(answers))
        meter = stack.enter_context(metering(**work))
        counted = None if budget.open_ended else meter.advance
        since = time.perf_counter()
        for answer in certify_all(inputs.inputs, budget, log=opened, on_draws=counted):
            answers.append(answer)
            seconds.append(time.perf_counter() - since)
            since = time.perf_counter()
            if counted is None:
                meter.advance()
            meter.status(f"{len(answers)} of {len(inputs)} inputs")
    return Certified(
        kind=kind(stated.kind),
        answers=tuple(answers),
        seed=budget.seed,
        protocol=stated,
        log=None if log is None else log.path,
        seconds=tuple(seconds),
    )


def classifiers_for(
    subject: Subject,
    execution: Execution | None,
    engine: Engine,
    *,
    draws: int,
    log: LogFile | None,
) -> list[Classifier]:
    """Return equal classifiers, one for each device of an engine, with a good batch size.

    Args:
        subject: what is certified.
        execution: where and how the networks run; None: as `Execution` has it.
        engine: its devices take the place of the execution's, where they are named.
        draws: how many there will be, of which it depends whether a batch size is measured.
        log: whose batch size, kernels and noise scheme are taken where it is continued.
    """
    execution = execution or Execution()
    before = _continued(log)
    if before is not None:
        execution = _as_before(execution, before)
    on_devices = [replace(execution, device=one or execution.device) for one in engine.devices]
    batch_size = execution.batch_size or _batch_size(
        subject, on_devices[0], draws=draws, before=before
    )
    return [subject.classifier(replace(one, batch_size=batch_size)) for one in on_devices]


def _as_before(execution: Execution, before: Protocol) -> Execution:
    """Return an execution with the kernels and the noise of a log, where it asks for no others."""
    if execution.fused is None and not execution.compile:
        execution = replace(execution, fused=before.all_fused)
    if execution.noise_scheme is None:
        stated = schemes.stated(before.evaluation.noise)
        execution = replace(execution, noise_scheme=stated)
    return execution


def _stated(
    subject: Subject, classifier: Classifier, inputs: InputSet, budget: Budget, engine: Engine
) -> Protocol:
    """Return the protocol of what is certified; several processes may be on several machines."""
    return protocol(
        classifier,
        budget,
        model=subject.model,
        inputs=inputs.source,
        versions=versions(),
        machine=this_machine(classifier.device) if engine.is_one_process else None,
    )


def _work(stated: Protocol, budget: Budget, *, inputs: int, done: int) -> dict[str, object]:
    """Return what there is to do, as `Metering` takes it.

    Where the number of draws depends on the votes, nobody knows it beforehand: inputs are counted.
    """
    unit, each = ("inputs", 1) if budget.open_ended else ("draws", budget.draws)
    how = f"in {stated.evaluation.precision} on {stated.evaluation.device}"
    return {"total": inputs * each, "done": done * each, "unit": unit, "each": each, "how": how}


def _opened(log: LogFile, stated: Protocol) -> CertificationLog:
    return CertificationLog.open(log.path, stated, resume=log.resume, restart=log.restart)


def _batch_size(
    subject: Subject, execution: Execution, *, draws: int, before: Protocol | None
) -> int | None:
    """Return the batch size of a log that is resumed, or a measured one for many draws."""
    if before is not None:
        return before.batch_size
    if draws < _WORTH_MEASURING or subject.smoothed is None:
        return None
    one = subject.smoothed(execution)
    if one.input_shape is None or one.fused:  # kernels are fastest with all there are
        return None
    shape = torch.Size(one.input_shape)
    return measured_batch_size(one.base, shape, one.device, one.precision)


def _continued(log: LogFile | None) -> Protocol | None:
    """Return the protocol of the log that is continued; None where there is none."""
    if log is None or not log.resume or not protocol_path(log.path).is_file():
        return None
    return read_protocol(protocol_path(log.path))


def _logged(
    log: LogFile, inputs: InputSet, classifier: Classifier
) -> list[tuple[Input, Certificate]]:
    """Return what the log holds already, so that a resumed run gives all of its inputs."""
    table = read_log(log.path, nominal=True, sets=True)
    wanted = {one.idx: one for one in inputs.inputs}
    return [
        (wanted[idx], classifier.named(table.certificate(row)))
        for row, idx in enumerate(table.idx.tolist())
        if idx in wanted
    ]


def _bind(memory: Memory | None, stated: Protocol, log: LogFile | None) -> None:
    """Check that a memory, if there is one, belongs to what is certified, and to its log.

    Raises:
        RszooError: it does not.
    """
    if memory is None:
        return
    values = stated.values().items()
    memory.use_for({key: value for key, value in values if key not in _NOT_OF_MEMORY})
    if log is None:
        return
    if any(order >= len(memory) for order in read_log(log.path).details.get("order", ())):
        raise RszooError(
            f"{log.path}: expected the memory that its answers are in, got {memory.path} with "
            f"{len(memory)} answers; name the right one with --memory"
        )
