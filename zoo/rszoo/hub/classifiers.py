"""From a bundle to the classifier that predicts and certifies."""

from pathlib import Path
from typing import TYPE_CHECKING

from rszoo.hub.bundle import Bundle
from rszoo.hub.catalog import find
from rszoo.hub.kinds import kind_of
from rszoo.smoothing.execution import Execution

if TYPE_CHECKING:
    from rszoo.smoothing.interface import Classifier

__all__ = ["classifier_of", "load"]


def classifier_of(bundle: Bundle, execution: Execution | None = None) -> "Classifier":
    """Return the classifier of a bundle, ready to predict and certify.

    Args:
        bundle: of any kind.
        execution: where and how it runs; None: as `Execution` has it.

    Raises:
        RszooError: it is only a part of a classifier; unknown device or precision, weights that
            do not fit, or a part that is not there.
        IntegrityError: a part is not the one that was composed.
    """
    return kind_of(bundle).classifier(bundle, execution or Execution())


def load(
    model: str | Path,
    *,
    revision: str | None = None,
    device: str | None = None,
    precision: str = "auto",
    compile: bool = False,
    fused: bool | None = None,
    sound: bool = False,
    noise_scheme: str | None = None,
) -> "Classifier":
    """Return a ready classifier; the bare network of a smoothed one is its attribute `network`.

    Args:
        model: the path of a bundle, `builtin/NAME`, or `org/name[@revision]` on a hub.
        revision: of a model on a hub, in the place of `@revision`.
        device: where to run; None takes a GPU if there is one.
        precision: "auto", "float32" or "bfloat16".
        compile: compile the network, which pays for many draws of a residual network.
        fused: evaluate networks by fused kernels, which need a GPU and rszoo[fused]; None: where
            they fit.
        sound: certify in the numbers that a computer really adds, for 8-bit images.
        noise_scheme: "counter", the same on every device, or "generator"; None: `counter` on a
            GPU, where Triton is there.

    Raises:
        RszooError: no such bundle, unknown device, precision or noise scheme.
        HubError: a hub does not have it, or cannot be reached.
        IntegrityError: a file of the bundle is corrupt, truncated, extra or missing.
    """
    if revision is not None:
        model = f"{model}@{revision}"
    execution = Execution(
        device=device,
        precision=precision,
        compile=compile,
        fused=fused,
        sound=sound,
        noise_scheme=noise_scheme,
    )
    return classifier_of(find(model), execution)
