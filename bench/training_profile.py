"""Where the time of a training step goes, for each method.

    python bench/training_profile.py [METHOD...] [--network lenet] [--threads 1]

The steps are those of `training_speed.py`, seen by `torch.profiler`: the share of convolutions,
of their backward passes, and of the other kinds of layers, both passes, attacks included. What a
method does itself (noise, losses, the arithmetic of attacks) is in the last column, with the
optimiser.
"""

import argparse
from collections import Counter

import torch
from _originals import LOSSES
from rich.console import Console
from rich.table import Table
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile
from training_speed import NETWORKS, Side, sides_of

from rszoo.networks.execution import resolve_precision

#: Kind of layer -> the names of its operators, or how they begin.
KINDS = {
    "conv": ("aten::conv2d", "aten::convolution", "aten::mkldnn_convolution"),
    "backward": ("ConvolutionBackward", "_ConvolutionBackward"),
    "pool": ("aten::max_pool2d", "MaxPool2D", "aten::adaptive_avg", "aten::avg_pool"),
    "norm": ("aten::batch_norm", "NativeBatchNorm", "CudnnBatchNorm"),
    "relu": ("aten::relu", "ReluBackward"),
    "linear": ("aten::linear", "AddmmBackward"),
}
OTHER = "rest"
STEPS = 3


def kind_of(event: FunctionEvent | None) -> str:
    """Return the kind of the outermost known operator around an event."""
    kind = OTHER
    while event is not None:
        name = event.name.removeprefix("autograd::engine::evaluate_function: ")
        for known, beginnings in KINDS.items():
            if name.startswith(beginnings):
                kind = known
        event = event.cpu_parent
    return kind


def shares(step: Side) -> tuple[float, Counter[str]]:
    """Return milliseconds per step, and the share of each kind."""
    step()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(STEPS):
            step()
    took: Counter[str] = Counter()
    for event in profiler.events() or []:
        took[kind_of(event)] += event.self_cpu_time_total
    total = took.total()
    return total / STEPS / 1e3, Counter({kind: part / total for kind, part in took.items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("methods", nargs="*", default=list(LOSSES))
    parser.add_argument("--network", choices=NETWORKS, default="lenet")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cpu = torch.device("cpu")
    precision = resolve_precision("auto", cpu)
    table = Table("method", "ms", *KINDS, OTHER, padding=0)
    for method in options.methods:
        how = {"capture": False, "fused": False}
        sides, *_ = sides_of(method, options.network, precision, cpu, **how)
        took, parts = shares(sides["rszoo"])
        table.add_row(method, f"{took:.0f}", *(f"{parts[kind]:.0%}" for kind in (*KINDS, OTHER)))
    Console().print(f"{options.network}, {precision}, {options.threads} threads", table)


if __name__ == "__main__":
    main()
