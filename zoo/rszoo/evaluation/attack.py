"""Empirical robustness: what a classifier answers to inputs that an attack has moved.

An attack that finds nothing proves nothing: the share of inputs that withstand it is an upper
bound of the share that withstand every attack, and no certificate.

Inputs are attacked a few at a time, and what is drawn for these depends on them and on the seed
alone, so that a run that is continued, to more inputs too, is the run that was not interrupted.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from rszoo.evaluation import attacks
from rszoo.evaluation.attack_log import NORMS, AttackLog, AttackRow
from rszoo.evaluation.inputs import Input, InputSet
from rszoo.evaluation.log import NO_LABEL, printable
from rszoo.evaluation.machine import this_machine, versions
from rszoo.evaluation.progress import Metering, unseen
from rszoo.evaluation.protocol import OF_ATTACKS
from rszoo.methods._attacks import box, frozen
from rszoo.smoothing.noise import input_seed

__all__ = ["Attack", "Target", "attack", "attacked", "distances", "within"]

_LESS = 1.0 - 1e-6


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is attacked.

    Attributes:
        soft: gives a network from images to log-probabilities, with a gradient; what it draws
            is from torch's global generator.
        answer: gives the label of one image `[C, H, W]`, or -1 where the classifier abstains.
        classes: how many there are.
        device: where it runs.
        stated: what the protocol of a log says of it.
    """

    soft: Callable[[], nn.Module]
    answer: Callable[[Tensor], int]
    classes: int
    device: torch.device
    stated: Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class Attack:
    """An attack with its values.

    Attributes:
        name: one of `rszoo.evaluation.attacks.names()`.
        norm: in which distances are measured.
        eps: the largest distance, pixel units.
        steps: gradient steps of an attack that has no number of its own.
        seed: of all that is drawn.
        batch_size: inputs that are attacked together.
    """

    name: str
    norm: Literal["linf", "l2"]
    eps: float
    steps: int = 20
    seed: int = 0
    batch_size: int = 32

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise ValueError(f"expected a norm of {list(NORMS)}, got {self.norm!r}")
        if not 0.0 < self.eps < float("inf") or self.steps < 1 or self.batch_size < 1:
            raise ValueError(f"expected eps > 0, steps >= 1 and batch_size >= 1, got {self}")


def attack(
    target: Target,
    inputs: InputSet,
    attack: Attack,
    *,
    log: Path | None = None,
    resume: bool = False,
    metering: Metering = unseen,
) -> list[AttackRow]:
    """Attack what the log does not hold yet, and return the rows of all inputs.

    An input is attacked if the classifier answers it rightly, or, where its class is not known,
    answers it at all. torch's global generator is left as it was.

    Args:
        target: what is attacked.
        inputs: where from.
        attack: which, and with what values.
        log: file that rows go to; None keeps them in memory alone.
        resume: continue the log that is there.
        metering: how progress is shown.

    Raises:
        RszooError: the attack needs a package that is missing, or the log is of something else.
        DataError: the log is broken.
    """
    stated = _protocol(target, inputs, attack)
    with ExitStack() as stack:
        opened = (
            None if log is None else stack.enter_context(AttackLog(log, stated, resume=resume))
        )
        rows = [] if opened is None else list(opened.rows)
        done = {row.idx for row in rows}
        work = {"total": len(inputs), "done": len(done), "unit": "inputs"}
        meter = stack.enter_context(metering(**work))
        for first in range(0, len(inputs), attack.batch_size):
            some = inputs.inputs[first : first + attack.batch_size]
            if all(one.idx in done for one in some):
                continue
            new = [row for row in _rows(target, some, attack) if row.idx not in done]
            if opened is not None:
                opened.append(new)
            rows += new
            meter.advance(len(new))
    wanted = {one.idx for one in inputs.inputs}
    return [row for row in rows if row.idx in wanted]


def _rows(target: Target, some: Sequence[Input], attack: Attack) -> list[AttackRow]:
    """Attack a few inputs together."""
    since = time.perf_counter()
    x = torch.stack([one.image() for one in some]).to(target.device)
    clean = [target.answer(image) for image in x]
    wanted = [
        answer if one.label == NO_LABEL else one.label
        for one, answer in zip(some, clean, strict=True)
    ]
    right = torch.tensor([a == w != NO_LABEL for a, w in zip(clean, wanted, strict=True)])
    moved = x.clone()
    if right.any():
        labels = torch.tensor(wanted, device=x.device)[right]
        moved[right] = attacked(target.soft, x[right], labels, attack)
    far = distances(x, moved, norm=attack.norm)
    answers = [
        target.answer(image) if was_right else before
        for image, was_right, before in zip(moved, right.tolist(), clean, strict=True)
    ]
    each = (time.perf_counter() - since) / len(some)
    return [
        AttackRow(
            idx=one.idx,
            label=one.label,
            clean=clean[i],
            attacked=answers[i],
            distance=far[i],
            seconds=each,
            input=None if one.name is None else printable(one.name),
        )
        for i, one in enumerate(some)
    ]


def attacked(soft: Callable[[], nn.Module], x: Tensor, y: Tensor, attack: Attack) -> Tensor:
    """Return attacked images, within the ball; torch's global generator is left as it was.

    Args:
        soft: gives the network that is climbed, see `Target`.
        x: images `[B, C, H, W]`, on its device.
        y: the class that each is led away from.
        attack: which, and with what values.
    """
    cuda = [x.device] if x.device.type == "cuda" else []
    with torch.random.fork_rng(cuda):
        torch.manual_seed(input_seed(x, attack.seed))
        network = soft()
        with frozen(network), torch.enable_grad():
            moved = attacks.load(attack.name).run(
                network, x, y, norm=attack.norm, eps=attack.eps, steps=attack.steps
            )
    return within(x, moved.detach(), norm=attack.norm, eps=attack.eps)


def within(x: Tensor, moved: Tensor, *, norm: str, eps: float) -> Tensor:
    """Return moved images, brought back into [0, 1] and the ball around `x` `[B, C, H, W]`.

    Their distance from x, without rounding, is at most eps.
    """
    if norm == "linf":
        low, high = box(x, torch.full_like(x, eps, dtype=torch.float64))
        return moved.clamp(low, high)
    exact = x.double()
    shift = moved.clamp(0.0, 1.0).double() - exact
    while True:
        point = (exact + shift).to(x.dtype)
        size = _size(point.double() - exact)
        outside = size > eps
        if not outside.any():
            return point
        factor = torch.where(outside, eps / size * _LESS, 1.0)
        shift = shift * factor.view(-1, *[1] * (x.ndim - 1))


def distances(x: Tensor, moved: Tensor, *, norm: str) -> list[float]:
    """Return how far each image was moved, in a norm, of the float32 pixels without rounding."""
    shift = moved.double() - x.double()
    return (shift.abs().flatten(1).amax(1) if norm == "linf" else _size(shift)).tolist()


def _size(shift: Tensor) -> Tensor:
    return torch.linalg.vector_norm(shift.flatten(1), dim=1)


def _protocol(target: Target, inputs: InputSet, attack: Attack) -> dict[str, object]:
    """Return what a log states, as JSON values."""
    how = attacks.load(attack.name).stated(classes=target.classes, steps=attack.steps)
    return {
        "kind": OF_ATTACKS,
        **target.stated,
        "inputs": dict(inputs.source),
        "attack": {"name": attack.name, "norm": attack.norm, "eps": attack.eps, **how},
        "seed": attack.seed,
        "batch_size": attack.batch_size,
        "versions": versions(),
        "machine": this_machine(),
    }
