"""One call to certify a bundle on some inputs, into a log if there is to be one."""

from functools import partial

from rszoo.evaluation.engine import Engine
from rszoo.evaluation.inputs import InputSet
from rszoo.evaluation.job import Certified, LogFile, Subject, certify
from rszoo.evaluation.progress import Metering, unseen
from rszoo.hub.bundle import Bundle
from rszoo.hub.catalog import is_own
from rszoo.hub.classifiers import classifier_of
from rszoo.hub.kinds import kind_of
from rszoo.hub.per_input import per_input_classifier
from rszoo.hub.writing import check_outside_bundles
from rszoo.smoothing.execution import Execution
from rszoo.smoothing.interface import Budget
from rszoo.smoothing.memory import Memory

__all__ = ["certify_bundle", "subject_of"]


def certify_bundle(
    bundle: Bundle,
    inputs: InputSet,
    budget: Budget,
    *,
    execution: Execution | None = None,
    engine: Engine | None = None,
    log: LogFile | None = None,
    searched: bool = False,
    memory: Memory | None = None,
    metering: Metering = unseen,
) -> Certified:
    """Certify a bundle on inputs, what the log holds already excepted, and return all.

    Guarantee:
        That of `rszoo.evaluation.job.certify`.

    Args:
        bundle: the model.
        inputs: such as `rszoo.hub.inputs.inputs_for` gives.
        budget: draws and alpha of each certificate.
        execution: where and how the networks run; without a batch size, a good one is chosen.
        engine: who certifies; None: this process.
        log: where rows go; None keeps the certificates in memory alone.
        searched: whether the noise is searched for each input; without a memory the radii are
            nominal then, and nothing is certified.
        memory: of earlier answers, which makes a search sound.
        metering: how progress is shown.

    Raises:
        RszooError: the bundle cannot be certified so; the log or the memory is of something else,
            or the log would lie in a bundle.
        DataError: the log is broken, or an input does not fit.
    """
    if log is not None:
        check_outside_bundles(log.path)
    return certify(
        subject_of(bundle, searched=searched, memory=memory),
        inputs,
        budget,
        execution=execution,
        engine=engine,
        log=log,
        metering=metering,
    )


def subject_of(bundle: Bundle, *, searched: bool = False, memory: Memory | None = None) -> Subject:
    """Return a bundle as what is certified; the arguments are those of `certify_bundle`."""
    make = partial(per_input_classifier, bundle, memory=memory)
    smoothed = kind_of(bundle).smoothed
    return Subject(
        classifier=make if searched else partial(classifier_of, bundle),
        model={
            "name": bundle.config.name,
            **({} if is_own(bundle) else {"id": bundle.id}),  # a path means nothing elsewhere
            "weights_sha256": bundle.weights_digest,
        },
        smoothed=None if smoothed is None else partial(smoothed, bundle),
        memory=memory,
    )
