"""The state of an unfinished training on disk: written whole or not at all, after every epoch."""

import io
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from rszoo._files import write_bytes_atomically
from rszoo._reading import check_size
from rszoo.errors import RszooError

__all__ = ["TrainingState", "load_checkpoint", "save_checkpoint"]

_MOST_BYTES = 2**40


@dataclass
class TrainingState:
    """The state of a training: all that changes while it runs.

    Attributes:
        network: the network that is trained.
        optimizer: its optimiser.
        epoch: completed epochs.
        renewed: per-example data that the method has renewed, by name, each `[N, ...]`.
        seconds: what the completed epochs took; NaN where that is not known.
        captured: whether steps were replayed from a CUDA graph.
        fused: whether attacks were evaluated by fused kernels.
    """

    network: nn.Module
    optimizer: Optimizer
    epoch: int = 0
    renewed: dict[str, Tensor] = field(default_factory=dict)
    seconds: float = 0.0
    captured: bool = False
    fused: bool = False


def save_checkpoint(path: Path, state: TrainingState, *, identity: dict[str, str]) -> None:
    """Replace the checkpoint atomically.

    Args:
        path: the checkpoint file.
        state: what to save.
        identity: digests of the recipe, the data and so on; checked when loading.
    """
    buffer = io.BytesIO()
    content = {
        "facts": identity,
        "epoch": state.epoch,
        "network": state.network.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "renewed": state.renewed,
        "seconds": state.seconds,
        "captured": state.captured,
        "fused": state.fused,
    }
    torch.save(content, buffer)
    write_bytes_atomically(path, buffer.getvalue())


def load_checkpoint(path: Path, state: TrainingState, *, identity: dict[str, str]) -> None:
    """Restore `state` from a checkpoint of the same training.

    Raises:
        RszooError: the file cannot be read, or belongs to another recipe, other data or models.
    """
    try:
        check_size(path, most=_MOST_BYTES)  # a pipe would be waited for
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        found, renewed = content["facts"], content["renewed"]
    except Exception as error:
        raise RszooError(
            f"{path}: expected a training checkpoint, got an unreadable file; "
            "remove it to start again"
        ) from error
    differing = sorted(key for key in identity if found.get(key) != identity[key])
    if differing:
        raise RszooError(
            f"{path}: expected a checkpoint of this training, got one with another "
            f"{' and another '.join(differing)}; use another --out, or --overwrite"
        )
    state.network.load_state_dict(content["network"])
    state.optimizer.load_state_dict(content["optimizer"])
    state.epoch = content["epoch"]
    state.seconds = content.get("seconds", math.nan)  # older ones do not say
    state.captured = content.get("captured", False)
    state.fused = content.get("fused", False)
    device = next(state.network.parameters()).device
    state.renewed = {name: values.to(device) for name, values in renewed.items()}
