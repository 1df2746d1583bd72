"""Where a certification computes: in this process, on several devices, or on a Ray cluster."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from rszoo.evaluation.certify import certify_inputs
from rszoo.evaluation.crew import certify_inputs_with
from rszoo.evaluation.on_devices import device_crew
from rszoo.evaluation.on_ray import ray_crew
from rszoo.smoothing.interface import Classifier

__all__ = ["Engine", "started"]


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Who certifies.

    Attributes:
        name: "local" or "ray".
        address: of the Ray cluster, HOST:PORT; None for one on this machine.
        devices: of this machine, all of one kind; None takes a GPU if there is one.

    Raises:
        ValueError: these do not go together.
    """

    name: str = "local"
    address: str | None = None
    devices: tuple[str | None, ...] = (None,)

    def __post_init__(self) -> None:
        if self.name not in ("local", "ray"):
            raise ValueError(f"expected --engine local or ray, got {self.name!r}")
        if self.name == "local" and self.address is not None:
            raise ValueError("expected --engine ray with --address, got local")
        if len({(device or "").partition(":")[0] for device in self.devices}) != 1:
            listed = ",".join(device or "" for device in self.devices)
            raise ValueError(f"expected devices of one kind with --device, got {listed!r}")
        if self.name == "ray" and len(self.devices) > 1:
            raise ValueError("--engine ray finds the devices: --device cuda or cpu is enough")

    @property
    def is_one_process(self) -> bool:
        """Whether one process does all on one device, input by input."""
        return self.name == "local" and len(self.devices) == 1


@contextmanager
def started(engine: Engine, classifiers: Sequence[Classifier]) -> Iterator[Callable[..., Any]]:
    """Give the function that certifies inputs on an engine, as `certify_inputs` does.

    Args:
        engine: who certifies.
        classifiers: equal ones, one for each device of the engine.
    """
    first = classifiers[0]
    if engine.name == "ray":
        with ray_crew(first, address=engine.address) as crew:
            yield partial(certify_inputs_with, crew, first)
    elif len(classifiers) > 1:
        with device_crew(classifiers) as crew:
            yield partial(certify_inputs_with, crew, first)
    else:
        yield partial(certify_inputs, first)
