"""Where `rszoo certify` computes: `--engine`, `--address`, `--device` and `--batch-size`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rszoo.hub.bundle import Bundle
    from rszoo.smoothing.execution import Execution
    from rszoo.smoothing.interface import Classifier

__all__ = ["batch_size_for", "check_engine", "engine_of"]

# A measurement of the batch size takes a second or two; for fewer draws it does not pay.
_WORTH_MEASURING = 1_000_000


def check_engine(engine: str, address: str | None, device: str | None) -> None:
    """Refuse what an engine cannot do."""
    if engine not in ("local", "ray"):
        raise typer.BadParameter(f"expected --engine local or ray, got {engine!r}")
    if engine == "local" and address is not None:
        raise typer.BadParameter("expected --engine ray with --address, got local")
    kinds = {name.partition(":")[0] for name in (device or "").split(",")}
    if len(kinds) > 1:
        raise typer.BadParameter(f"expected devices of one kind with --device, got {device!r}")
    if engine == "ray" and "," in (device or ""):
        raise typer.BadParameter("--engine ray finds the devices: --device cuda or cpu is enough")


@contextmanager
def engine_of(
    engine: str, address: str | None, classifiers: "list[Classifier]"
) -> Iterator[Callable[..., Any]]:
    """Give the function that certifies inputs with the first of some equal classifiers."""
    from rszoo.evaluation.certify import certify_inputs
    from rszoo.evaluation.crew import certify_inputs_with
    from rszoo.evaluation.on_devices import device_crew
    from rszoo.evaluation.on_ray import ray_crew

    if engine == "ray":
        with ray_crew(classifiers[0], address=address) as crew:
            yield partial(certify_inputs_with, crew, classifiers[0])
    elif len(classifiers) > 1:
        with device_crew(classifiers) as crew:
            yield partial(certify_inputs_with, crew, classifiers[0])
    else:
        yield partial(certify_inputs, classifiers[0])


def batch_size_for(
    bundle: "Bundle", execution: "Execution", *, draws: int, resumed: Path | None
) -> int | None:
    """Return the batch size of a log that is resumed, or a measured one for many draws."""
    import torch

    from rszoo.evaluation.log import protocol_path, read_protocol
    from rszoo.hub.kinds import kind_of
    from rszoo.smoothing.batch_size import measured_batch_size

    if resumed is not None and protocol_path(resumed).is_file():
        return read_protocol(protocol_path(resumed)).batch_size
    smoothed = kind_of(bundle).smoothed
    if draws < _WORTH_MEASURING or smoothed is None:
        return None
    classifier = smoothed(bundle, execution)
    return measured_batch_size(
        classifier.network,
        torch.Size(bundle.config.input_shape),
        classifier.device,
        classifier.precision,
    )
