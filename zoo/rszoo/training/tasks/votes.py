"""How a network votes on noisy copies of every image: what soft targets and expert radii are from.

Made once from the un-augmented images, cached by the digests of what they depend on, and read by
every run that asks for the same ones.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from rszoo._files import write_bytes_atomically
from rszoo.data import ImageSet
from rszoo.hub.bundle import Bundle
from rszoo.hub.kinds import kind_of
from rszoo.networks.execution import autocast, evaluation_mode, place
from rszoo.smoothing.noise import gaussian_copies
from rszoo.training.distributed import ALONE, Processes
from rszoo.training.setting import Setting

__all__ = ["cached_vote_shares", "vote_shares", "votes_of"]

_KEY = "votes"
_BATCH = 250


def cached_vote_shares(
    folder: Path,
    network: nn.Module,
    images: ImageSet,
    *,
    weights_digest: str,
    sigma: float,
    draws: int,
    seed: int,
    precision: str,
    processes: Processes,
    on_progress: Callable[[int], None] = lambda images: None,
) -> Tensor:
    """Return the vote shares, `[N, classes]`, from the cache when it has them.

    Args:
        folder: the cache.
        network: maps images to logits; on the images' device.
        images: a data set.
        weights_digest: sha256 of the network's weights.
        sigma, draws, seed, precision: as in `vote_shares`.
        processes: who shares the work.
        on_progress: called with the number of images done.
    """
    identity = (images.digest, weights_digest, sigma, draws, seed, precision)
    path = folder / f"{hashlib.sha256(repr(identity).encode()).hexdigest()[:32]}.safetensors"
    shares = _read(path, (len(images), images.num_classes))
    if shares is None:
        shares = vote_shares(
            network,
            images,
            sigma=sigma,
            draws=draws,
            seed=seed,
            precision=precision,
            processes=processes,
            on_progress=on_progress,
        )
        if processes.is_main:
            folder.mkdir(parents=True, exist_ok=True)
            write_bytes_atomically(path, save({_KEY: shares.cpu()}))
    return shares.to(next(network.parameters()).device)


def votes_of(
    setting: Setting, bundle: Bundle, images: ImageSet, *, sigma: float, draws: int, seed: int
) -> Tensor:
    """Return how a bundle votes on images, `[N, classes]`, of whose classes `images` has as many.

    The setting's processes share the work, its observer is shown it, and its cache keeps it.

    Args:
        setting: of the training.
        bundle: with a network.
        images: on the setting's device.
        sigma, draws, seed: as in `vote_shares`.
    """
    task = f"votes of {bundle.config.name} at {sigma:g} on the {images.split} images"
    with setting.progress(task, total=len(images), unit="images"):
        return cached_vote_shares(
            setting.state / "votes",
            place(kind_of(bundle).network(bundle), setting.device),
            images,
            weights_digest=bundle.weights_digest,
            sigma=sigma,
            draws=draws,
            seed=seed,
            precision=setting.precision,
            processes=setting.processes,
            on_progress=setting.observer.advanced,
        )


@torch.inference_mode()
def vote_shares(
    network: nn.Module,
    images: ImageSet,
    *,
    sigma: float,
    draws: int,
    seed: int,
    precision: str,
    processes: Processes = ALONE,
    on_progress: Callable[[int], None] = lambda images: None,
) -> Tensor:
    """Return how the network votes on noisy copies of every image, `[N, classes]`, rows sum to 1.

    Args:
        network: maps images to logits.
        images: a data set on the network's device.
        sigma: noise level.
        draws: votes per image.
        seed: the noise of a batch depends on (seed, batch) alone.
        precision: "float32" or "bfloat16".
        processes: batches are dealt out to them.
        on_progress: called with the number of images done.
    """
    device = next(network.parameters()).device
    votes = torch.zeros(len(images), images.num_classes, device=device)
    batches = torch.arange(len(images)).split(_BATCH)
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(cuda), evaluation_mode(network), autocast(device, precision):
        for number in range(processes.rank, len(batches), processes.world):
            torch.manual_seed(seed + number)
            indices = batches[number].to(device)
            x = images.images(indices).to(device).contiguous(memory_format=torch.channels_last)
            for _ in range(draws):
                answers = network(x + gaussian_copies(x, 1, sigma)[0]).argmax(1)
                votes.index_put_((indices, answers), votes.new_ones(()), accumulate=True)
            on_progress(len(indices))
    return processes.sum(votes) / draws


def _read(path: Path, shape: tuple[int, int]) -> Tensor | None:
    """Return the cached shares; None when there are none, or none that can be used."""
    try:
        shares = load_file(path)[_KEY]
    except (OSError, SafetensorError, KeyError):
        return None
    if tuple(shares.shape) != shape or not torch.allclose(shares.sum(1), torch.ones(shape[0])):
        return None
    return shares
