"""One call to verify the certification log of a bundle."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rszoo.errors import DataError, RszooError
from rszoo.evaluation.coverage import coverage
from rszoo.evaluation.inputs import Input
from rszoo.evaluation.log import LogTable
from rszoo.evaluation.progress import Metering, unseen
from rszoo.evaluation.replay import Replay, planned, replay
from rszoo.evaluation.verify import Finding, chosen_seed, counted, recertify, sample
from rszoo.hub.bundle import Bundle
from rszoo.hub.classifiers import classifier_of
from rszoo.hub.evidence import check_about
from rszoo.hub.inputs import inputs_for
from rszoo.hub.parts import fetch_parts
from rszoo.networks.execution import resolve_device
from rszoo.smoothing import schemes
from rszoo.smoothing.execution import Execution
from rszoo.smoothing.interface import Classifier
from rszoo.smoothing.lattice import SCHEME_SUFFIX
from rszoo.theory.agreement import PARTS, Together, power, together

__all__ = [
    "EXCESSES",
    "Recheck",
    "Verification",
    "execution_of",
    "images_of",
    "verify_log",
]

#: Shares by which votes may be too high, of which is said whether they would have been found.
EXCESSES = (0.001, 0.005, 0.01)


@dataclass(frozen=True, kw_only=True)
class Recheck:
    """The extent of the tests of a log.

    Attributes:
        inputs: how many, drawn at random, are drawn again; None for all, 0 for none.
        draws: fresh draws for each of them.
        replayed: draws to make at most under the log's own seed, of the same inputs.
        level: probability of finding fault with a true log.
        seed: of the sample and of all fresh noise; None draws one.
    """

    inputs: int | None = None
    draws: int = 10_000
    replayed: int = 4_000_000
    level: float = 0.001
    seed: int | None = None


@dataclass(frozen=True, kw_only=True)
class Verification:
    """The findings on a log whose every radius follows from its counts.

    Attributes:
        log: the log.
        level, seed: see `Recheck`.
        replay: what came of drawing rows again under the log's own seed.
        findings: one for each input that was certified again, with fresh noise.
        together: what these say together; None where no row rests on all of its draws.
        powers: by `EXCESSES`, how likely votes that are so much too high in every row would have
            been found by all rows together alone.
    """

    log: LogTable
    level: float
    seed: int
    replay: Replay
    findings: tuple[Finding, ...] = ()
    together: Together | None = None
    powers: tuple[float, ...] = ()

    @property
    def disagreeing(self) -> Sequence[Finding]:
        """The findings on single inputs that contradict the log."""
        return [finding for finding in self.findings if not finding.agrees]

    @property
    def too_high(self) -> bool:
        """Whether the votes of all rows together are more than chance allows."""
        return self.together is not None and self.together.pooled_p < self.level / PARTS

    @property
    def too_scattered(self) -> bool:
        """Whether the votes lie farther from those expected than so many draws can."""
        return self.together is not None and self.together.dispersion_p < self.level / PARTS

    @property
    def contradicted(self) -> bool:
        """Whether a test has found fault with the rows of the log."""
        together = self.too_high or self.too_scattered
        replayed = self.replay.total_agrees and not self.replay.disagreeing
        return bool(self.disagreeing) or together or not replayed

    @property
    def complete(self) -> bool:
        """Whether the log has every input that it is about."""
        return coverage(self.log).complete

    @property
    def agrees(self) -> bool:
        """Whether the log is complete, and no test has found fault with it."""
        return self.complete and not self.contradicted


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
    """Check that a log is about a bundle, and draw again for its inputs.

    Guarantee:
        If all rows are true, the probability that any fault is found is at most `level`. A quarter
        of it is for each of four tests, whether or not they are made, whatever the others found:

        - rows drawn again under the log's own seed, see `rszoo.evaluation.replay.replay`;
        - each input by itself with fresh draws, see `rszoo.evaluation.verify.recertify`;
        - the sum of all votes, and
        - how they are scattered, both on the same fresh draws and given the total of each row, see
          `rszoo.theory.agreement.together`.

        The sum of the four is a bound however they depend on each other (Boole's inequality). How
        many draws are made, and for which inputs, is settled before the first, by the log's size
        and a seed that its author does not know. It assumes what these tests assume: that the
        networks answer here with the same probabilities as where the log was made.

    Args:
        log: its rows were checked when it was read.
        bundle: its parts are fetched, and checked against its config.
        recheck: how many inputs, and how.
        dataset: where the inputs are; None: the data set that the log names.
        root: folder that holds the data sets.
        download: fetch a missing data set.
        device: where to run; None takes a GPU for fresh draws if there is one, and for the log's
            own draws the device that these were made on.
        metering: how progress is shown.

    Raises:
        DataError: the log is about another model, or about inputs that are not there.
        IntegrityError: a part of the bundle is not the one that was composed.
        ValueError: the seed is that of the log, whose noise is not fresh.
    """
    fetch_parts(bundle)
    check_about(log, bundle)
    seed = chosen_seed(log, recheck.seed)
    if recheck.inputs == 0:
        nothing = Replay(because="no inputs are drawn again")
        return Verification(log=log, level=recheck.level, seed=seed, replay=nothing)
    images = images_of(log, bundle, dataset, root=root, download=download)
    chosen = sample(log, images, count=recheck.inputs, seed=seed)
    rows = planned(log, chosen, draws=recheck.replayed, seed=seed)
    classifier, part = classifier_of(bundle, execution_of(log, device)), recheck.level / PARTS
    own = _on_its_device(classifier, log, bundle, device)
    total = len(chosen) * recheck.draws + sum(row.draws for row in rows)
    with metering(total=total, unit="draws") as meter:
        if isinstance(own, str):
            again = Replay(because=own)
        else:
            again = replay(own, log, rows, level=part, on_draws=meter.advance)
        fresh = {"draws": recheck.draws, "level": part, "seed": seed, "on_draws": meter.advance}
        findings = recertify(classifier, log, chosen, **fresh)
    both, powers = _together(log, chosen, findings, level=part, seed=seed)
    return Verification(
        log=log,
        level=recheck.level,
        seed=seed,
        replay=again,
        findings=tuple(findings),
        together=both,
        powers=powers,
    )


def _on_its_device(
    classifier: Classifier, log: LogTable, bundle: Bundle, device: str | None
) -> Classifier | str:
    """Return the classifier on the kind of device that the log was made on, or why there is none.

    Where that is not here, noise that is the same everywhere is drawn on any.

    Args:
        classifier: on the device for fresh draws.
        log, bundle: what is verified.
        device: the only one to use; None for any.
    """
    assert log.protocol is not None  # `check_about` has seen to it
    stated = log.protocol.evaluation
    own = stated.device
    if device is not None or own in (None, classifier.device.type):
        return classifier
    try:
        resolve_device(own)
    except RszooError:
        if schemes.is_same_everywhere(stated.noise):
            return classifier
        return f"its noise is that of a device {own!r}, which is not here"
    return classifier_of(bundle, execution_of(log, own))


def _together(
    log: LogTable, chosen: Sequence[Input], findings: Sequence[Finding], *, level: float, seed: int
) -> tuple[Together | None, tuple[float, ...]]:
    """Return what all rows say together, and how likely they would have shown `EXCESSES`."""
    counts = counted(log, chosen, findings)
    if not len(counts.votes):
        return None, ()
    both = together(counts, level=level, seed=seed)
    powers = (
        power(counts, excess=excess, critical=both.critical, seed=seed) for excess in EXCESSES
    )
    return both, tuple(powers)


def images_of(
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
    images = inputs_for(bundle, dataset, stated=stated.name, skip=1, root=root, download=download)
    if images.source["digest"] != stated.digest:
        raise DataError(f"{images.source['name']}: the images are not those of {log.path}")
    return images.inputs


def execution_of(log: LogTable, device: str | None) -> Execution:
    """Return the execution that a log's protocol states, on a device.

    Of a log whose noise is the same everywhere kernels evaluate the networks where they can: it
    can be drawn again elsewhere too.
    """
    assert log.protocol is not None  # `check_about` has seen to it
    stated, fused = log.protocol.evaluation, log.protocol.all_fused
    if fused and schemes.is_same_everywhere(stated.noise):
        fused = None
    return Execution(
        device=device,
        precision=stated.precision or "auto",
        compile=stated.compiled,
        fused=fused,
        sound=(stated.noise or "").endswith(SCHEME_SUFFIX),
        batch_size=stated.batch_size,
        noise_scheme=schemes.stated(stated.noise),
    )
