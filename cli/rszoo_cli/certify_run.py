"""What `rszoo certify` does once it knows what is asked for."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rszoo_cli.console import err
from rszoo_cli.engine import batch_size_for, engine_of
from rszoo_cli.per_input import bind, opened_memory

if TYPE_CHECKING:
    from rszoo.certificates.base import Certificate
    from rszoo.certificates.kind import Kind
    from rszoo.certificates.protocol import Protocol
    from rszoo.evaluation.certify import Input
    from rszoo.hub.bundle import Bundle
    from rszoo.smoothing.execution import Execution
    from rszoo.smoothing.interface import Budget, Classifier
    from rszoo.smoothing.memory import Memory

__all__ = ["Plan", "finish_log", "run"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Where and how the network is evaluated.

    Attributes:
        engine: "local" or "ray".
        address: of the Ray cluster; None for one on this machine.
        devices: of this machine; [None] takes a GPU if there is one.
        execution: on each of the devices; without a batch size, that is chosen.
        search: "memory" or "nominal", where the noise is searched for each input; else None.
        memory_file: of the answers so far, for "memory".
    """

    engine: str
    address: str | None
    devices: Sequence[str | None]
    execution: "Execution"
    search: str | None = None
    memory_file: Path | None = None

    @property
    def executions(self) -> "list[Execution]":
        """How the network is evaluated on each device."""
        return [replace(self.execution, device=device) for device in self.devices]

    def classifiers(
        self, bundle: "Bundle", batch_size: int | None, memory: "Memory | None"
    ) -> "list[Classifier]":
        """Return one classifier for each device."""
        from rszoo.hub.classifiers import classifier_of
        from rszoo.hub.per_input import per_input_classifier

        make = partial(per_input_classifier, memory=memory) if self.search else classifier_of
        return [make(bundle, replace(one, batch_size=batch_size)) for one in self.executions]


def run(
    bundle: "Bundle",
    plan: Plan,
    todo: Sequence["Input"],
    *,
    source: dict[str, str],
    log_file: Path | None,
    resume: bool,
    restart: bool,
    budget: "Budget",
) -> "tuple[Kind, list[tuple[Input, Certificate]]]":
    """Certify what the log does not hold yet, with a progress bar; return all."""
    from rszoo.certificates.kinds import kind
    from rszoo.evaluation.log import CertificationLog
    from rszoo_cli.progress import Meter

    early = budget.radii is not None  # then nobody knows the number of draws beforehand
    batch_size = plan.execution.batch_size or batch_size_for(
        bundle,
        plan.executions[0],
        draws=budget.draws * len(todo),
        resumed=log_file if resume else None,
    )
    with opened_memory(plan.memory_file) as memory, ExitStack() as stack:
        classifiers = plan.classifiers(bundle, batch_size, memory)
        facts = _facts(bundle, classifiers[0], source=source, budget=budget)
        log = None
        if log_file:
            log = stack.enter_context(
                CertificationLog.open(log_file, facts, resume=resume, restart=restart)
            )
        if memory is not None:
            bind(memory, facts, log_file)
        certified = _logged(log_file, todo) if log and log_file else []
        unit, weight = ("inputs", 1) if early else ("draws", budget.draws)
        total, done = len(todo) * weight, len(certified) * weight
        title = f"certify {bundle.config.name}"
        certify_all = stack.enter_context(engine_of(plan.engine, plan.address, classifiers))
        meter = stack.enter_context(Meter(err, title, total=total, done=done, unit=unit))
        counted = None if early else meter.advance
        for one, certificate in certify_all(todo, budget, log=log, on_draws=counted):
            certified.append((one, certificate))
            if early:
                meter.advance()
            meter.status(f"{len(certified)} of {len(todo)} inputs")
    return kind(facts.kind), certified


def _facts(
    bundle: "Bundle",
    classifier: "Classifier",
    *,
    source: dict[str, str],
    budget: "Budget",
) -> "Protocol":
    """Return the protocol of a log."""
    from rszoo.evaluation.certify import protocol
    from rszoo.hub.catalog import is_own

    model = {
        "name": bundle.config.name,
        **({} if is_own(bundle) else {"id": bundle.id}),  # a path means nothing elsewhere
        "weights_sha256": bundle.weights_digest,
    }
    return protocol(classifier, budget, model=model, inputs=source, versions=_versions())


def finish_log(bundle: "Bundle", log_file: Path, *, attach: bool, overwrite: bool) -> None:
    """Say where the log is, and put it into the bundle if asked to."""
    from rszoo.evaluation.log import protocol_path
    from rszoo.hub.evidence import add_evidence

    err.print(f"log: {log_file}", highlight=False, soft_wrap=True)
    if attach:
        protocol = protocol_path(log_file)
        certified = add_evidence(bundle, log=log_file, protocol=protocol, overwrite=overwrite)
        err.print(f"the log is now in {bundle.path}", highlight=False, soft_wrap=True)
        _record(certified)


def _record(bundle: "Bundle") -> None:
    """Tell MLflow; the certificates are safe whatever comes of it."""
    from rszoo.errors import RszooError
    from rszoo.training.tracking.recording import record_certificates

    try:
        entry = record_certificates(bundle)
    except RszooError as error:
        err.print(f"warning: {error}", style="yellow", markup=False, soft_wrap=True)
        return
    if entry is not None:
        err.print(f"in MLflow's registry: {entry}", highlight=False, markup=False, soft_wrap=True)


def _logged(path: Path, inputs: Sequence["Input"]) -> list[tuple["Input", "Certificate"]]:
    """Return what the log holds already, so that a resumed run shows all of its inputs."""
    from rszoo.evaluation.log import read_log

    table = read_log(path, nominal=True)
    wanted = {one.idx: one for one in inputs}
    return [
        (wanted[idx], table.certificate(row))
        for row, idx in enumerate(table.idx.tolist())
        if idx in wanted
    ]


def _versions() -> dict[str, str]:
    import torch

    import rszoo

    return {"rszoo": rszoo.__version__, "torch": torch.__version__}
