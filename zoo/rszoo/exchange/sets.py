"""Which weights of a checkpoint are meant, and what they are called within the network."""

from collections.abc import Mapping

from torch import Tensor

from rszoo.errors import RszooError
from rszoo.exchange.checkpoint import Checkpoint

__all__ = ["COUNTER", "chosen_set", "groups_that_fit", "split"]

Weights = Mapping[str, Tensor]

#: Counts training batches; files older than PyTorch 0.4.1 lack it, and inference ignores it.
COUNTER = "num_batches_tracked"

# What tools that count leave among the weights: thop, and PyTorch's averages of weights.
_COUNTS = frozenset(("total_ops", "total_params", "n_averaged"))

# Wrappers whose names stand where they were put: compiled, spread over devices, recomputed.
_WRAPPERS = frozenset(
    ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
)


def chosen_set(checkpoint: Checkpoint, wanted: Weights, *, key: str | None) -> Weights:
    """Return the set of weights that is named, or the only one that fits.

    Args:
        checkpoint: has one or more.
        wanted: what the network wants, by name.
        key: as in `Checkpoint.sets`, or followed by the first part of the names within a set.

    Raises:
        RszooError: there is none of this key; or several fit, and none is named.
    """
    sets = checkpoint.sets
    if key is not None:
        named = {**_groups(checkpoint), **sets}
        if key not in named:
            raise RszooError(
                f"{checkpoint.path}: expected one of the sets of weights {_listed(named)}, got "
                f"--weights {key!r}; name one of them"
            )
        return named[key]
    fitting = [place for place, weights in sets.items() if _fits(weights, wanted)]
    if len(fitting) > 1:
        raise RszooError(
            f"{checkpoint.path}: expected one set of weights for the network, got "
            f"{len(fitting)}, {_listed(fitting)}; name one with --weights"
        )
    return sets[(fitting or list(sets))[0]]


def groups_that_fit(checkpoint: Checkpoint, wanted: Weights) -> list[str]:
    """Return the keys of the parts of sets that fit the network by themselves."""
    return [key for key, part in _groups(checkpoint).items() if _fits(part, wanted)]


def split(weights: Weights, wanted: Weights) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the tensors of the standardisation and of the network, by their names within."""
    weights = _bared(_unwrapped(weights), wanted)
    if not all(name.startswith(("0.", "1.")) for name in weights):
        return {}, weights
    first, second = (
        {name[2:]: tensor for name, tensor in weights.items() if name.startswith(place)}
        for place in ("0.", "1.")
    )
    return first, _bared(second, wanted)


def _unwrapped(weights: Weights) -> Weights:
    """Return weights without counts, and without the names of wrappers."""
    kept = {
        name: tensor for name, tensor in weights.items() if name.rpartition(".")[2] not in _COUNTS
    }
    named = {
        ".".join(part for part in name.split(".") if part not in _WRAPPERS): tensor
        for name, tensor in kept.items()
    }
    return named if len(named) == len(kept) else kept


def _bared(weights: Weights, wanted: Weights) -> dict[str, Tensor]:
    """Return weights without what all names begin with, down to the names that are wanted."""
    bared = dict(weights)
    while not any(name in wanted for name in bared):
        first = {name.partition(".")[0] for name in bared if "." in name}
        if len(first) != 1 or first <= {"0", "1"} or not all("." in name for name in bared):
            break
        bared = {name.partition(".")[2]: tensor for name, tensor in bared.items()}
    return bared


def _fits(weights: Weights, wanted: Weights) -> bool:
    """Return whether weights have the names of a network."""
    _, second = split(weights, wanted)
    needed = {name for name in wanted if name.rpartition(".")[2] != COUNTER}
    return needed <= set(second) <= set(wanted)


def _groups(checkpoint: Checkpoint) -> dict[str, Weights]:
    """Return the parts of each set whose names begin alike, by its key and this beginning."""
    groups: dict[str, dict[str, Tensor]] = {}
    for place, weights in checkpoint.sets.items():
        for name, tensor in weights.items():
            begin, dot, rest = name.partition(".")
            if dot:
                groups.setdefault(f"{place}.{begin}".lstrip("."), {})[rest] = tensor
    return {key: dict(part) for key, part in groups.items()}


def _listed(keys: object) -> str:
    shown = [repr(key[:100]) for key in list(keys)[:6]]  # type: ignore[call-overload]
    return ", ".join(shown)
