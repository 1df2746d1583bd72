"""An adversary: an image moved by a distance, and what is answered there, smoothed and bare.

What an attack does not find may be there all the same: only a certificate says that nothing is.
"""

from collections.abc import Callable, Sequence
from functools import singledispatch
from typing import Any

import torch
from torch import Tensor, nn

from rszoo.certificates.base import ABSTAIN
from rszoo.errors import RszooError
from rszoo.evaluation.attack import Attack, attacked, distances, within
from rszoo.evaluation.soft_answers import soft_answers, without_noise
from rszoo.explorer.asked import AskedPoint
from rszoo.explorer.session import Session
from rszoo.explorer.watched import Told, watched
from rszoo.explorer.work import Emit
from rszoo.networks.execution import evaluation_mode
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.experts import ExpertsClassifier
from rszoo.smoothing.interface import Classifier
from rszoo.smoothing.mixed import MixedClassifier
from rszoo.smoothing.noise import input_seed
from rszoo.theory.rounding import as_error, as_share, as_stated

__all__ = ["bare_networks", "move", "random_point"]

_STEPS, _COPIES = 20, 32  # of `rszoo attack`
_DRAWS, _ALPHA = 1000, 0.001  # of `rszoo predict`
_HALVINGS = 60


def move(session: Session, asked: AskedPoint, emit: Emit) -> None:
    """Move an image, ask the networks there, and emit `moved`.

    Args:
        session: which models and images there are.
        asked: which of them, and how to move it.
        emit: takes the event.

    Raises:
        RszooError: there is no such model or image, or no attack goes through the model.
    """
    kept = session.pictures[asked.image]
    classifier, names = session.classifier(asked.model), session.class_names
    x = kept.image.to(classifier.device)
    point = _point(classifier, x, asked, seed=session.seed, check=emit.check)
    told = Told(votes=lambda votes: None, draws=emit.check)
    answer = watched(classifier, told).predict(point, n=_DRAWS, alpha=_ALPHA, seed=session.seed)
    (distance,) = distances(x[None], point[None], norm="l2")
    sure = answer.label != ABSTAIN
    emit(
        "moved",
        {
            "image": session.pictures.keep(point, name=f"{kept.name}, moved").id,
            "distance": distance,
            "distance_text": as_error(distance),
            "label": answer.label if sure else None,
            "class": names[answer.label] if sure else None,
            "text": as_share(answer.votes / answer.n),
            "n": answer.n,
            "alpha": as_stated(answer.alpha),
            "bare": [
                {"name": name, **_answered(network, x, point, names)}
                for name, network in bare_networks(classifier).items()
            ],
        },
    )


def _point(
    classifier: Classifier,
    x: Tensor,
    asked: AskedPoint,
    *,
    seed: int,
    check: Callable[..., None],
) -> Tensor:
    """Return the moved image; `check` is called before every step of an attack."""
    if asked.way == "random":
        return random_point(x, asked.distance, seed=seed)
    networks = bare_networks(classifier)
    bare = networks.get(asked.voter, next(iter(networks.values())))
    label = int(_probabilities(bare, x).argmax()) if asked.way == "network" else asked.label
    if label >= classifier.num_classes:
        raise RszooError(f"expected a class below {classifier.num_classes}, got {label}")

    def climbed() -> nn.Module:
        soft = without_noise(bare)
        if asked.way == "smoothed":
            soft = soft_answers(classifier, _COPIES)
        soft.register_forward_pre_hook(check)
        return soft

    attack = Attack(name="pgd", norm="l2", eps=asked.distance, steps=_STEPS, seed=seed)
    return attacked(climbed, x[None], torch.tensor([label], device=x.device), attack)[0]


def _answered(
    network: nn.Module, x: Tensor, point: Tensor, names: Sequence[str]
) -> dict[str, Any]:
    """Return what a bare network answers at a point, and whether it is what it did before."""
    before, now = (_probabilities(network, image) for image in (x, point))
    label = int(now.argmax())
    return {
        "class": names[label],
        "text": as_share(float(now[label])),
        "holds": label == int(before.argmax()),
    }


@singledispatch
def bare_networks(classifier: Classifier) -> dict[str, nn.Module]:
    """Return the networks of a classifier that classify images, as they are without noise.

    Raises:
        RszooError: it is of a kind without any.
    """
    raise RszooError(f"expected a classifier with networks, got a {type(classifier).__name__}")


@bare_networks.register
def _of_smoothed(classifier: SmoothedClassifier) -> dict[str, nn.Module]:
    return {name: classifier.base for name in classifier.voters}


@bare_networks.register
def _of_mixed(classifier: MixedClassifier) -> dict[str, nn.Module]:
    return {"standard network": classifier.standard, **bare_networks(classifier.robust)}


@bare_networks.register
def _of_experts(classifier: ExpertsClassifier) -> dict[str, nn.Module]:
    experts = classifier.experts
    return {f"expert {level}": expert.base for level, expert in enumerate(experts)}


def random_point(x: Tensor, distance: float, *, seed: int) -> Tensor:
    """Return an image moved in a random direction, its pixels held in [0, 1].

    Args:
        x: `[C, H, W]` in [0, 1].
        distance: L2, as far as which it is moved; less where there is no room for it.
        seed: of the direction, which depends on the image too.
    """
    generator = torch.Generator().manual_seed(input_seed(x, seed))
    direction = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    exact = x.cpu().double()

    def moved(length: float) -> Tensor:
        return (exact + length * direction).clamp(0.0, 1.0)

    low, high = 0.0, 1e6  # of lengths: the distance grows with it, up to the edges
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        near = float((moved(middle) - exact).norm()) <= distance
        low, high = (middle, high) if near else (low, middle)
    point = moved(low).to(x.device, x.dtype)
    return within(x[None], point[None], norm="l2", eps=distance)[0]


@torch.inference_mode()
def _probabilities(network: nn.Module, image: Tensor) -> Tensor:
    with evaluation_mode(network):
        return network(image[None].clone())[0].double().softmax(0)
