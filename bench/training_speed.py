"""Seconds per training step: rszoo against plain readings of the original code.

    python bench/training_speed.py [METHOD...] [--network lenet] [--threads 2] [--json]
                                   [--device cuda] [--no-capture] [--no-fused] [--out FILE]

A step is forward, backward and update for 256 noisy images (MACER: as many images, 16 copies of
each of 16), with the published weights for sigma 0.5, after all warm-ups. Both sides do the same
number of (image, copy, attack step) evaluations from the same random numbers, and their losses are
compared: where they differ the exit code is 1. They take turns, so that a machine whose speed
drifts treats them alike; the median of the turns' ratios is given.

The limit is the bare network: the forward and backward passes of rszoo's step, on the same
batches, and nothing else. On a GPU rszoo's steps are replayed from a CUDA graph, unless
--no-capture, and fused kernels evaluate their attacks where they fit, unless --no-fused.
"unfused" is the same step with attacks by PyTorch, and "launched" is that without a graph, in the
same turns; "fused" and "captured" are how many times as fast kernels and the replay make it. With
--out each row is written as JSON when it is measured.
"""

import argparse
import copy
import inspect
import json
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from _originals import LOSSES, LeNet, with_plain_layers
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from rszoo import methods, networks
from rszoo.networks.cuda_graphs import CudaGraphs
from rszoo.networks.execution import (
    autocast,
    evaluation_mode,
    place,
    resolve_device,
    resolve_precision,
)
from rszoo.networks.fused.attackable import attackable
from rszoo.training.captured import Captured
from rszoo.training.checkpoint import TrainingState
from rszoo.training.loop import build_optimizer
from rszoo.training.recipes.files import load_recipe
from rszoo.training.step import Step

NETWORKS = {
    "lenet": ("lenet", "mnist", {}),
    "cifar_resnet20": ("cifar_resnet", "cifar10", {"depth": 20}),
    "cifar_resnet110": ("cifar_resnet", "cifar10", {"depth": 110}),
}
SIGMA = 0.5
#: Relative difference of losses up to which both sides have computed the same, by our precision;
#: the original's is float32.
TOLERANCE = {"float32": 1e-4, "bfloat16": 1e-2}
NOISY_IMAGES = 256
#: Sides that are measured where something makes a step faster, and what does.
MORE = {"launched": "captured", "unfused": "fused"}
#: Takes a step, and returns its loss, for which only the original's waits.
Side = Callable[[], float | Tensor]


def weights_of(method: str, dataset: str) -> dict[str, object]:
    """Return the published weights, with everything that is deferred or warmed up in force."""
    return dict(load_recipe(method).resolve(dataset=dataset, sigma=SIGMA).weights)


def sides_of(
    method: str, network: str, precision: str, device: torch.device, *, capture: bool, fused: bool
) -> tuple[dict[str, Side], Callable[[], "list[Call]"], nn.Module]:
    """Return one step for each side, what notes the network's forwards in one, and the network."""
    name, dataset, options = NETWORKS[network]
    shape = (1, 28, 28) if dataset == "mnist" else (3, 32, 32)
    weights = weights_of(method, dataset)
    images = NOISY_IMAGES // int(str(weights.get("m", 1)))
    x, y = torch.rand(images, *shape).to(device), torch.randint(10, (images,)).to(device)
    extra = {
        "soft_targets": torch.rand(images, 10).softmax(1).to(device),
        "sigmas": torch.full((images,), SIGMA, device=device),
    }
    train = load_recipe("gaussian").resolve(dataset=dataset, sigma=SIGMA).train
    bound = methods.load(method, **weights)
    values = [extra[taken] for taken in bound.takes]

    torch.manual_seed(0)
    built = networks.build(name, input_shape=shape, num_classes=10, **options)
    start = copy.deepcopy(built.state_dict())
    theirs = networks.build(name, input_shape=shape, num_classes=10, **options)
    theirs[1] = LeNet() if name == "lenet" else with_plain_layers(theirs[1])
    theirs.load_state_dict(start)
    theirs = theirs.to(device)
    optimizer = build_optimizer(theirs, train)
    known = inspect.signature(LOSSES[method]).parameters
    plain = partial(LOSSES[method], **{k: v for k, v in weights.items() if k in known})

    def original() -> float:
        torch.manual_seed(1)
        value = plain(theirs, x, y, *values, sigma=SIGMA)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        optimizer.step()
        return value.item()

    def ours(model: nn.Module, *, captured: bool, fused: bool | None) -> tuple[Side, bool]:
        state = TrainingState(model, build_optimizer(model, train))
        how = {"precision": precision, "device": device, "on_obstacle": print}
        form = attackable(model, fused, input_shape=shape, **how)
        step = Step.of(state, bound, train, sigma=SIGMA, precision=precision, attackable=form)
        take = Captured(step, CudaGraphs(device, on_obstacle=print)) if captured else step
        batch = [x.contiguous(memory_format=torch.channels_last), y, *values]

        def run() -> Tensor:
            torch.manual_seed(1)
            step.total.zero_()
            take(batch, progress=1.0, lr=train.lr)
            return step.total

        if captured or form is not None:
            for _ in range(5):  # by then it is, and kernels are compiled
                run()
            model.load_state_dict(start)
        return run, form is not None and form.attacked

    models = [place(copy.deepcopy(built), device) for _ in range(3)]
    step, kernels = ours(models[0], captured=capture, fused=None if fused else False)
    sides = {"rszoo": step}
    if kernels:
        sides["unfused"], _ = ours(models[1], captured=capture, fused=False)
    launched, _ = ours(models[2], captured=False, fused=False)
    if capture:
        sides["launched"] = launched
    return sides | {"original": original}, partial(calls_in, launched, models[2]), models[2]


@dataclass(frozen=True)
class Call:
    """What decides how long one forward of the network and its backward take."""

    images: Tensor
    training: bool
    with_gradient: bool
    of_images: bool
    of_weights: bool


def calls_in(step: Side, network: nn.Module) -> list[Call]:
    """Return the forwards of a network in one step."""
    calls: list[Call] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        (x,) = inputs
        calls.append(
            Call(
                images=x.detach().clone(),
                training=module.training,
                with_gradient=torch.is_grad_enabled(),
                of_images=x.requires_grad,
                of_weights=next(module.parameters()).requires_grad,
            )
        )

    with network.register_forward_hook(note):
        step()
    return calls


def replay(network: nn.Module, calls: list[Call], precision: str, device: torch.device) -> float:
    """Run the network forwards and backwards as in `calls`, and wait for the device."""
    for call in calls:
        network.requires_grad_(call.of_weights)
        x = call.images.requires_grad_(call.of_images)
        mode = nullcontext() if call.training else evaluation_mode(network)
        with torch.set_grad_enabled(call.with_gradient), mode, autocast(device, precision):
            logits = network(x)
        if logits.requires_grad:
            wanted = [tensor for tensor in (x, *network.parameters()) if tensor.requires_grad]
            torch.autograd.grad(logits, wanted, torch.ones_like(logits))
    network.requires_grad_(True)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return 0.0


def seconds_per_step(step: Side, seconds: float, device: torch.device) -> float:
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        step()
        count += 1
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (time.perf_counter() - started) / count


def compare(
    method: str,
    network: str,
    *,
    seconds: float,
    precision: str,
    device: torch.device,
    capture: bool,
    fused: bool,
) -> dict[str, object]:
    how = {"capture": capture, "fused": fused}
    sides, noted, plain = sides_of(method, network, precision, device, **how)
    first = {name: float(step()) for name, step in sides.items()}
    sides["limit"] = partial(replay, plain, noted(), precision, device)
    turns = [
        {name: seconds_per_step(step, seconds, device) for name, step in sides.items()}
        for _ in range(3)
    ]
    original = first["original"]
    return {
        "method": method,
        "network": network,
        "device": str(device),
        "precision": precision,
        **{f"{name}_ms": 1e3 * statistics.median(turn[name] for turn in turns) for name in sides},
        "ratio": statistics.median(turn["original"] / turn["rszoo"] for turn in turns),
        "limit": statistics.median(turn["original"] / turn["limit"] for turn in turns),
        "share": statistics.median(turn["limit"] / turn["rszoo"] for turn in turns),
        "captured": statistics.median(
            turn["launched"] / turn.get("unfused", turn["rszoo"]) for turn in turns
        )
        if capture
        else None,
        "fused": statistics.median(turn["unfused"] / turn["rszoo"] for turn in turns)
        if "unfused" in sides
        else None,
        "loss_difference": max(abs(one - original) for one in first.values()) / abs(original),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("methods", nargs="*", default=list(LOSSES))
    parser.add_argument("--network", choices=NETWORKS, default="lenet")
    parser.add_argument("--seconds", type=float, default=3.0, help="per side and turn")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--no-capture", action="store_true", help="on a GPU: no CUDA graphs")
    parser.add_argument("--no-fused", action="store_true", help="on a GPU: no fused kernels")
    parser.add_argument("--out", type=Path, help="write the rows here, as JSON, one by one")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = resolve_device(options.device)
    precision = resolve_precision(options.precision, device)
    how = {"seconds": options.seconds, "precision": precision, "device": device}
    how["capture"] = device.type == "cuda" and not options.no_capture
    how["fused"] = not options.no_fused
    rows: list[dict[str, object]] = []
    for method in options.methods:
        rows.append(compare(method, options.network, **how))
        if options.out is not None:
            options.out.write_text(json.dumps(rows, indent=2))
    if options.json:
        print(json.dumps(rows, indent=2))
    else:
        show(rows, f"{options.network}, {precision}, {options.threads} threads; ms per step")
    most = TOLERANCE[precision]
    if any(float(str(row["loss_difference"])) > most for row in rows):
        raise SystemExit(f"expected losses that differ by {most:g} at most")


def show(rows: list[dict[str, object]], title: str) -> None:
    columns = ["method", "rszoo", "original", "faster", "limit", "of limit", "losses"]
    more = [(side, by) for side, by in MORE.items() if any(row[by] for row in rows)]
    table = Table(*columns, *(name for both in more for name in both), padding=0)
    for row in rows:
        cells = [
            str(row["method"]),
            f"{row['rszoo_ms']:.1f}",
            f"{row['original_ms']:.1f}",
            f"{row['ratio']:.2f}",
            f"{row['limit']:.2f}",
            f"{row['share']:.2f}",
            f"{row['loss_difference']:.1e}",
        ]
        for side, by in more:
            cells += [f"{row[f'{side}_ms']:.1f}", f"{row[by]:.2f}"] if row[by] else ["-", "-"]
        table.add_row(*cells)
    Console().print(title, table)


if __name__ == "__main__":
    main()
