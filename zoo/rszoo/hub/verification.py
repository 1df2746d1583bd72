"""One call to verify the certification log of a bundle."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rszoo.errors import DataError
from rszoo.evaluation.inputs import Input
from rszoo.evaluation.log import LogTable
from rszoo.evaluation.progress import Metering, unseen
from rszoo.evaluation.verify import Finding, chosen_seed, recertify, sample
from rszoo.hub.bundle import Bundle
from rszoo.hub.classifiers import classifier_of
from rszoo.hub.evidence import check_about
from rszoo.hub.inputs import inputs_for
from rszoo.hub.parts import fetch_parts
from rszoo.smoothing.execution import Execution
from rszoo.smoothing.lattice import SCHEME_SUFFIX

__all__ = ["Recheck", "Verification", "verify_log"]


@dataclass(frozen=True, kw_only=True)
class Recheck:
    """The extent of the tests of a log.

    Attributes:
        inputs: how many, drawn at random, are certified again; 0 for none.
        draws: fresh draws for each of them.
        level: probability of finding fault with a true log.
        seed: of the sample and of all noise; None draws one.
    """

    inputs: int = 20
    draws: int = 10_000
    level: float = 0.001
    seed: int | None = None


@dataclass(frozen=True, kw_only=True)
class Verification:
    """The findings on a log whose every radius follows from its counts.

    Attributes:
        log: the log.
        level, seed: see `Recheck`.
        findings: one for each input that was certified again.
    """

    log: LogTable
    level: float
    seed: int
    findings: tuple[Finding, ...]

    @property
    def disagreeing(self) -> Sequence[Finding]:
        """The findings that contradict the log."""
        return [finding for finding in self.findings if not finding.agrees]


def verify_log(
    log: LogTable,
    bundle: Bundle,
    recheck: Recheck,
    *,
    dataset: str | None = None,
    root: Path | None = None,
    download: bool = False,
    device: str | None = None,
    metering: Metering = unseen,
) -> Verification:
    """Check that a log is about a bundle, and certify a sample of its inputs again.

    Guarantee:
        If all rows are true, the probability that some input is found to disagree is at most
        the sum of

        - `level`, by Bonferroni's inequality over the inputs;
        - for each row decided early, alpha; see `recertify`.

    Args:
        log: its rows were checked when it was read.
        bundle: its parts are fetched, and checked against its config.
        recheck: how many inputs, and how.
        dataset: where the inputs are; None: the data set that the log names.
        root: folder that holds the data sets.
        download: fetch a missing data set.
        device: where to run; None takes a GPU if there is one.
        metering: how progress is shown.

    Raises:
        DataError: the log is about another model, or about inputs that are not there.
        IntegrityError: a part of the bundle is not the one that was composed.
        ValueError: the seed is that of the log, whose noise proves nothing.
    """
    fetch_parts(bundle)
    check_about(log, bundle)
    seed, findings = chosen_seed(log, recheck.seed), ()
    if recheck.inputs:
        images = _images(log, bundle, dataset, root=root, download=download)
        chosen = sample(log, images, count=recheck.inputs, seed=seed)
        classifier = classifier_of(bundle, _execution(log, device))
        with metering(total=len(chosen) * recheck.draws, unit="draws") as meter:
            again = recertify(
                classifier,
                log,
                chosen,
                draws=recheck.draws,
                level=recheck.level,
                seed=seed,
                on_draws=meter.advance,
            )
            findings = tuple(again)
    return Verification(log=log, level=recheck.level, seed=seed, findings=findings)


def _images(
    log: LogTable, bundle: Bundle, dataset: str | None, *, root: Path | None, download: bool
) -> Sequence[Input]:
    """Return the images that a log is about.

    Raises:
        DataError: it is about inputs of the user's own, or the images are others.
    """
    stated = log.protocol.inputs if log.protocol else None
    if stated is None or stated.name is None:
        raise DataError(
            f"{log.path} is about inputs of somebody's own, which cannot be certified again "
            "without them; --sample 0 checks the rest"
        )
    images = inputs_for(bundle, dataset or stated.name, skip=1, root=root, download=download)
    if images.source["digest"] != stated.digest:
        raise DataError(f"{images.source['name']}: the images are not those of {log.path}")
    return images.inputs


def _execution(log: LogTable, device: str | None) -> Execution:
    """Return the execution that a log's protocol states, on a device."""
    assert log.protocol is not None  # `check_about` has seen to it
    stated = log.protocol.evaluation
    return Execution(
        device=device,
        precision=stated.precision or "auto",
        compile=stated.compiled,
        sound=(stated.noise or "").endswith(SCHEME_SUFFIX),
    )
