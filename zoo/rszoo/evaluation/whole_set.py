"""A whole set certified from Python: any classifier, data as they are at hand, one call."""

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from torch import nn

from rszoo.certificates.kind import ONE_SIDED
from rszoo.evaluation.certified import Certified
from rszoo.evaluation.given import Data, Labels, inputs_given
from rszoo.evaluation.job import LogFile, Subject
from rszoo.evaluation.job import certify as certify_subject
from rszoo.evaluation.progress import Metering, unseen
from rszoo.smoothing.budget import Budget
from rszoo.smoothing.interface import Classifier

__all__ = ["certify"]

_FASTER = "radii=[...] alone, fewer draws (n=...) or a GPU take less"


def certify(
    classifier: Classifier,
    data: Data,
    *,
    labels: Labels | None = None,
    skip: int = 1,
    limit: int | None = None,
    n0: int = 100,
    n: int = 100_000,
    alpha: float = 0.001,
    seed: int | None = None,
    radii: Sequence[float] | None = None,
    tolerance: float = 0.0,
    bound: str = ONE_SIDED,
    n_max: int | None = None,
    top_k: int | None = None,
    log: str | Path | None = None,
    resume: bool = False,
    name: str = "own",
    progress: bool = True,
) -> Certified:
    """Certify a whole set of inputs.

    Guarantee:
        That of `Classifier.certify` for each input by itself: alpha is not that of all together.

    Args:
        classifier: such as `rszoo.load` gives, or a `SmoothedClassifier` of your own network.
        data: a `torch.utils.data.Dataset` or `DataLoader` of images or of pairs (image, label);
            an array or tensor `[N, C, H, W]`, or one image `[C, H, W]`; a pair of such and its
            labels; pictures of PIL or paths of images, arrays and folders, one or several; an
            `ImageSet` of `rszoo.data`, or an `InputSet`. Pixels are uint8 or floats in [0, 1].
        labels: the true classes `[N]`, where the data do not have them.
        skip: certify every `skip`-th input.
        limit: certify at most so many; None for all.
        n0, n, alpha, seed, radii, tolerance, bound, n_max, top_k: see `Classifier.certify`.
        log: file that each certificate is written to as soon as it is there, with a protocol
            beside it; None keeps them in memory, for `Certified.save`.
        resume: continue the log, with its seed.
        name: what the log calls the classifier.
        progress: show on stderr how far the work has come.

    Returns:
        The certificates, as arrays too (`labels`, `radii`, `votes`), in order; of a log that is
        continued, those that it held first.

    Raises:
        DataError: data or labels are no images and classes that fit; nothing is certified then.
        RszooError: the log is of something else, or cannot be written; see `Classifier.certify`.
        ValueError: a number is out of range; or `resume` without the seed of the log.
    """
    if resume and (seed is None or log is None):
        raise ValueError(f"expected a log and its seed with resume=True, got {log=}, {seed=}")
    more = {"radii": radii, "tolerance": tolerance, "bound": bound}
    more |= {"n_max": n_max, "top_k": top_k}
    budget = Budget.of(n0=n0, n=n, alpha=alpha, seed=seed, **more)
    inputs = inputs_given(classifier, data, labels=labels, skip=skip, limit=limit)
    return certify_subject(
        Subject(
            classifier=lambda execution: classifier,
            model={"name": name, "networks_sha256": _digest(classifier)},
        ),
        inputs,
        budget,
        log=None if log is None else LogFile(path=Path(log), resume=resume),
        metering=_shown(name) if progress else unseen,
    )


def _shown(name: str) -> Metering:
    """Return a progress bar on stderr."""
    from rich.console import Console

    from rszoo.evaluation.progress_bar import ProgressBar

    return partial(ProgressBar, Console(stderr=True), f"certify {name}", faster=_FASTER)


def _digest(classifier: Classifier) -> str:
    """Return a sha256 of the weights of all networks that vote, so that no log mixes two."""
    digest = hashlib.sha256()
    for name, (voter, _) in sorted(classifier.voters.items()):
        network = getattr(voter, "network", None)
        digest.update(name.encode())
        if isinstance(network, nn.Module):
            for key, tensor in network.state_dict().items():
                digest.update(f"{key} {tuple(tensor.shape)} {tensor.dtype}".encode())
                digest.update(tensor.detach().cpu().float().numpy().tobytes())
    return digest.hexdigest()
