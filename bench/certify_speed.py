"""Draws per second: this engine, the classic loop of the field, and the bare network.

    python bench/certify_speed.py [--json] [--seconds 2] [--repeats 3]

rszoo    SmoothedClassifier's counting loop, noise included
classic  float32, contiguous, batches of 1000, counts moved to the CPU after every batch
limit    the same network on noise that is already in memory: no engine can be faster

Engines take turns within a repeat, so that a machine whose speed drifts treats them alike.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from rszoo import networks
from rszoo.networks.execution import autocast, place, resolve_device, resolve_precision
from rszoo.smoothing.noise import Stream
from rszoo.smoothing.votes import count_votes, default_batch_size

WORKLOADS = {
    "small_cnn/digits": ("small_cnn", (1, 8, 8), {}),
    "lenet/mnist": ("lenet", (1, 28, 28), {}),
    "cifar_resnet20/cifar10": ("cifar_resnet", (3, 32, 32), {"depth": 20}),
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

    def rszoo(draws: int) -> None:
        count_votes(
            network,
            x,
            sigma=SIGMA,
            draws=draws,
            stream=Stream.ESTIMATION,
            seed=0,
            num_classes=10,
            precision=precision,
        )

    @torch.no_grad()
    def classic(draws: int) -> None:
        counts = np.zeros(10, dtype=int)
        for start in range(0, draws, 1000):
            batch = x.repeat((min(1000, draws - start), 1, 1, 1))
            answers = classic_network(batch + torch.randn_like(batch) * SIGMA).argmax(1)
            for answer in answers.cpu().numpy():
                counts[answer] += 1

    size = default_batch_size(x.shape, device)
    ready = torch.randn((size, *shape), device=device).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def limit(draws: int) -> None:
        with autocast(device, precision):
            for _ in range(draws // size):
                network(ready)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return {"rszoo": rszoo, "classic": classic, "limit": limit}


def rate(engine: Engine, seconds: float) -> float:
    """Return draws per second, over at least `seconds`."""
    draws, spent, chunk = 0, 0.0, 2000
    while spent < seconds:
        started = time.perf_counter()
        engine(chunk)
        spent += time.perf_counter() - started
        draws += chunk
    return draws / spent


def measure(seconds: float, repeats: int) -> list[dict[str, object]]:
    """Return the median rate of every workload and engine, with all repeats."""
    device = resolve_device()
    precision = resolve_precision("auto", device)
    rows: list[dict[str, object]] = []
    for workload in WORKLOADS:
        contestants = engines(workload, device, precision)
        rates: dict[str, list[float]] = {name: [] for name in contestants}
        for engine in contestants.values():
            rate(engine, 0.2)  # warm up
        for _ in range(repeats):
            for name, engine in contestants.items():
                rates[name].append(rate(engine, seconds))
        for name, values in rates.items():
            rows.append(
                {
                    "workload": workload,
                    "engine": name,
                    "draws_per_second": round(statistics.median(values)),
                    "repeats": [round(value) for value in values],
                    "device": str(device),
                    "precision": precision,
                    "threads": torch.get_num_threads(),
                }
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--seconds", type=float, default=2.0, help="per engine and repeat")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    rows = measure(arguments.seconds, arguments.repeats)
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    table = Table("workload", "engine", "draws/s", "lowest-highest", box=None)
    for row in rows:
        repeats = row["repeats"]
        table.add_row(
            str(row["workload"]),
            str(row["engine"]),
            f"{row['draws_per_second']:,}",
            f"{min(repeats):,}-{max(repeats):,}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
