"""Draws per second: this engine, others, and the bare network.

    python bench/certify_speed.py [WORKLOAD...] [--json] [--seconds 2] [--repeats 3] [--threads 2]
                                  [--device cuda] [--out FILE]

rszoo    SmoothedClassifier's counting loop, noise included, the network by PyTorch (--no-fused)
shared   the same, one chunk after the other, of which torch's threads share every operation
compiled the same with --compile
fused    the same with the fused kernels, where they run and serve the network
art      PyTorchRandomizedSmoothing.certify of adversarial-robustness-toolbox 1.20, if installed
classic  float32, contiguous, batches of 1000, counts moved to the CPU after every batch
limit    the compiled network on noise that is already in memory, torch's threads sharing every
         operation: with one thread, no engine of it can be faster
bare     the fused network on that noise

Engines take turns within a repeat, so that a machine whose speed drifts treats them alike. With
--out the rows are written as JSON whenever one is measured: what is done is there if time ends.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from rszoo import networks
from rszoo.networks.compiled import Compiled
from rszoo.networks.execution import autocast, place, resolve_device, resolve_precision
from rszoo.networks.fused.network import fused_network
from rszoo.smoothing.batch_size import measured_batch_size
from rszoo.smoothing.noise import Stream
from rszoo.smoothing.votes import count_votes

WORKLOADS = {
    "small_cnn/digits": ("small_cnn", (1, 8, 8), {}),
    "lenet/mnist": ("lenet", (1, 28, 28), {}),
    "cifar_resnet20/cifar10": ("cifar_resnet", (3, 32, 32), {"depth": 20}),
    "cifar_resnet110/cifar10": ("cifar_resnet", (3, 32, 32), {"depth": 110}),
}
SIGMA = 0.5
Engine = Callable[[int], None]


def engines(workload: str, device: torch.device, precision: str) -> dict[str, Engine]:
    """Return one function per engine; each draws and classifies so many noisy images."""
    name, shape, options = WORKLOADS[workload]
    network = networks.build(name, input_shape=shape, num_classes=10, **options).eval()
    classic_network = networks.build(name, input_shape=shape, num_classes=10, **options).eval()
    classic_network.load_state_dict(network.state_dict())
    network, classic_network = place(network, device), classic_network.to(device)
    x = torch.rand(shape, device=device)
    size = measured_batch_size(network, x.shape, device, precision)
    compiled = Compiled(network, size)
    kernels = fused_network(network, None, input_shape=shape, precision=precision, device=device)

    def counting(draws: int, network: nn.Module) -> None:
        count_votes(
            network,
            x,
            sigma=SIGMA,
            draws=draws,
            stream=Stream.ESTIMATION,
            seed=0,
            num_classes=10,
            precision=precision,
            batch_size=1000 if network is kernels else size,
        )

    @torch.no_grad()
    def classic(draws: int) -> None:
        counts = np.zeros(10, dtype=int)
        for start in range(0, draws, 1000):
            batch = x.repeat((min(1000, draws - start), 1, 1, 1))
            answers = classic_network(batch + torch.randn_like(batch) * SIGMA).argmax(1)
            for answer in answers.cpu().numpy():
                counts[answer] += 1

    class Shared(nn.Sequential):
        """A network of which nobody knows whether several threads may evaluate it at once."""

    ready = torch.randn((1000, *shape), device=device).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def bare(draws: int, network: nn.Module, size: int) -> None:
        with autocast(device, precision):
            for _ in range(draws // size):
                network(ready[:size])
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    given: dict[str, Engine] = {"rszoo": partial(counting, network=network)}
    if device.type == "cpu":
        given["shared"] = partial(counting, network=Shared(network))
    if kernels is not None:
        given["fused"] = partial(counting, network=kernels)
        given["bare"] = partial(bare, network=kernels, size=1000)
    given["classic"] = classic
    if find_spec("art"):
        given["art"] = art(classic_network, x)
    # Last, as they are compiled first.
    given["compiled"] = partial(counting, network=compiled)
    given["limit"] = partial(bare, network=compiled, size=size)
    return given


def art(network: nn.Module, x: torch.Tensor) -> Engine:
    """Return the engine of IBM's toolbox; its draws for selecting a class are counted as well."""
    from art.estimators.certification.randomized_smoothing import PyTorchRandomizedSmoothing

    smoothed = PyTorchRandomizedSmoothing(
        model=network,
        loss=nn.CrossEntropyLoss(),
        input_shape=tuple(x.shape),
        nb_classes=10,
        sample_size=100,
        scale=SIGMA,
        alpha=0.001,
        device_type="gpu" if x.device.type == "cuda" else "cpu",
    )
    image = x.cpu().numpy()[None]

    def engine(draws: int) -> None:
        smoothed.certify(image, n=draws - 100, batch_size=1000)

    return engine


def rate(engine: Engine, seconds: float) -> float:
    """Return draws per second, over at least `seconds`."""
    draws, spent, chunk = 0, 0.0, 2000
    while spent < seconds:
        started = time.perf_counter()
        engine(chunk)
        spent += time.perf_counter() - started
        draws += chunk
        chunk = min(2 * chunk, 100_000)  # those of one certificate
    return draws / spent


def measure(options: argparse.Namespace) -> list[dict[str, object]]:
    """Return the median rate of every workload and engine, with all repeats."""
    device = resolve_device(options.device)
    precision = resolve_precision(options.precision, device)
    done: list[dict[str, object]] = []
    rows: list[dict[str, object]] = []
    for workload in options.workloads:
        contestants = engines(workload, device, precision)
        of_all = {
            "workload": workload,
            "device": str(device),
            "card": name_of(device),
            "precision": precision,
            "threads": torch.get_num_threads(),
        }
        rates: dict[str, list[float]] = {}
        for _ in range(options.repeats):
            for name in options.engines or contestants:
                if name not in contestants:
                    continue
                if name not in rates:
                    contestants[name](2000)  # warm up, compile
                rates.setdefault(name, []).append(rate(contestants[name], options.seconds))
                rows = done + [{**of_all, **row_of(one, rates[one])} for one in rates]
                if options.out is not None:
                    options.out.write_text(json.dumps(rows, indent=2))
        done = rows
    return rows


def row_of(engine: str, rates: list[float]) -> dict[str, object]:
    """Return what was measured of an engine."""
    return {
        "engine": engine,
        "draws_per_second": round(statistics.median(rates)),
        "repeats": [round(value) for value in rates],
    }


def name_of(device: torch.device) -> str:
    """Return the name of a card; of a CPU the instructions that torch uses."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return torch.backends.cpu.get_cpu_capability()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workloads", nargs="*", default=list(WORKLOADS))
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--seconds", type=float, default=2.0, help="per engine and repeat")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", help="cpu, cuda, ...; without it a GPU if there is one")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--engines", nargs="*", help="only these")
    parser.add_argument("--out", type=Path, help="write the rows here, as JSON, one by one")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = measure(arguments)
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    table = Table("workload", "engine", "draws/s", "lowest-highest", "our best is", box=None)
    ours: dict[object, dict[str, object]] = {}
    for row in rows:
        if row["engine"] in ("rszoo", "compiled", "fused"):
            best = ours.get(row["workload"], row)
            ours[row["workload"]] = max(best, row, key=lambda one: one["draws_per_second"])
    for row in rows:
        repeats = row["repeats"]
        pairs = zip(ours[row["workload"]]["repeats"], repeats, strict=True)
        ratios = [ours / other for ours, other in pairs]
        table.add_row(
            str(row["workload"]),
            str(row["engine"]),
            f"{row['draws_per_second']:,}",
            f"{min(repeats):,}-{max(repeats):,}",
            f"{statistics.median(ratios):.2f} times ({min(ratios):.2f}-{max(ratios):.2f})",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
