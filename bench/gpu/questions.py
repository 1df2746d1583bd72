"""Questions that only a GPU can answer, each a function that gives a line.

    python bench/gpu/questions.py [--device cuda] [--out FILE]

The answers are written when they are found. A digest of noise is to be compared between cards.
"""

import argparse
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import nn

from rszoo import networks
from rszoo.networks.execution import autocast, place, resolve_device, resolve_precision
from rszoo.networks.fused.network import Fused, fused_network
from rszoo.smoothing import schemes
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.noise import Stream

SHAPE = (3, 32, 32)


class Asked:
    """What the questions are asked of: a device and a network on it.

    Attributes:
        device, precision: where and how it runs.
        network: a CIFAR ResNet-20 with random weights.
        fused: the same by fused kernels; None where they do not run.
    """

    def __init__(self, device: torch.device) -> None:
        torch.manual_seed(0)
        self.device = device
        self.precision = resolve_precision("auto", device)
        network = networks.build("cifar_resnet", input_shape=SHAPE, num_classes=10, depth=20)
        self.network = place(network.eval(), device)
        self.fused: Fused | None = fused_network(
            self.network, None, input_shape=SHAPE, precision=self.precision, device=device
        )

    @property
    def evaluated(self) -> dict[str, nn.Module]:
        """The networks by name."""
        return {"PyTorch": self.network, **({"fused": self.fused} if self.fused else {})}

    def wait(self) -> None:
        """Wait for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def noise(asked: Asked) -> Iterator[tuple[str, str]]:
    for name in schemes.names():
        scheme = schemes.load(name)
        drawn, on_cpu = (
            scheme.chunk(torch.Size(SHAPE), seed=1, chunk=Stream.ESTIMATION, device=device).cpu()
            for device in (asked.device, torch.device("cpu"))
        )
        digest = hashlib.sha256(drawn.contiguous().numpy().tobytes()).hexdigest()[:16]
        first = ", ".join(f"{value:.6f}" for value in drawn.flatten()[:3].tolist())
        same = "that of a CPU" if torch.equal(drawn, on_cpu) else "not that of a CPU"
        text = f"What is the noise ({scheme.name}) of seed 1, chunk 0?"
        yield text, f"{digest} ({first}, ...), {same}"


def drawing(asked: Asked) -> Iterator[tuple[str, str]]:
    for name in schemes.names():
        where = {"seed": 1, "device": asked.device}
        done, scheme = 0, schemes.load(name)
        scheme.chunk(torch.Size(SHAPE), chunk=0, **where)
        asked.wait()
        started = time.perf_counter()
        while time.perf_counter() - started < 0.5:
            done += scheme.chunk(torch.Size(SHAPE), chunk=done % 1000, **where).numel()
            asked.wait()
        rate = done / (time.perf_counter() - started)
        yield f"Numbers per second drawn by {scheme.name}?", f"{rate:,.0f}"


@torch.inference_mode()
def batches(asked: Asked) -> Iterator[tuple[str, str]]:
    x = torch.rand(1000, *SHAPE, device=asked.device)
    for name, network in asked.evaluated.items():
        with autocast(asked.device, asked.precision):
            whole = network(x).float()
            for size in (40, 250):
                parts = torch.cat([network(some).float() for some in x.split(size)])
                equal = int((parts == whole).all(1).sum())
                flips = int((parts.argmax(1) != whole.argmax(1)).sum())
                yield (
                    f"Are logits by {name} in batches of {size} those in one of 1,000?",
                    f"equal for {equal} images of 1,000; {flips} other answers",
                )


@torch.inference_mode()
def speeds(asked: Asked) -> Iterator[tuple[str, str]]:
    sizes = (1000, 4000) if asked.device.type == "cuda" else (8,)
    for name, network in asked.evaluated.items():
        for size in sizes:
            x = torch.rand(size, *SHAPE, device=asked.device)
            with autocast(asked.device, asked.precision):
                network(x)
                asked.wait()
                started, done = time.perf_counter(), 0
                while time.perf_counter() - started < 0.5:
                    network(x)
                    done += size
                    asked.wait()
            rate = done / (time.perf_counter() - started)
            yield f"Images per second by {name} in batches of {size}?", f"{rate:,.0f}"


def single_inputs(asked: Asked) -> Iterator[tuple[str, str]]:
    options = {"sigma": 0.5, "num_classes": 10, "input_shape": SHAPE, "device": asked.device}
    counts = (1000, 100_000) if asked.device.type == "cuda" else (20,)
    for fused in (False, True) if asked.fused else (False,):
        classifier = SmoothedClassifier(
            asked.network, **options, precision=asked.precision, fused=fused
        )
        for n in counts:
            x = torch.rand(SHAPE)
            classifier.certify(x, n0=100, n=n)
            started = time.perf_counter()
            classifier.certify(x, n0=100, n=n)
            took = time.perf_counter() - started
            yield f"Seconds of an image at n = {n:,}, fused={fused}?", f"{took:.4f}"


def memory(asked: Asked) -> Iterator[tuple[str, str]]:
    if asked.device.type != "cuda":
        return
    options = {"sigma": 0.5, "num_classes": 10, "input_shape": SHAPE, "device": asked.device}
    classifier = SmoothedClassifier(asked.network, **options, precision=asked.precision)
    for n in (1000, 100_000):
        torch.cuda.reset_peak_memory_stats(asked.device)
        classifier.certify(torch.rand(SHAPE), n0=100, n=n)
        peak = torch.cuda.max_memory_allocated(asked.device)
        yield f"Most memory at n = {n:,}?", f"{peak / 1e6:,.0f} MB"


QUESTIONS: tuple[Callable[[Asked], Iterator[tuple[str, str]]], ...] = (
    noise,
    drawing,
    batches,
    speeds,
    single_inputs,
    memory,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    asked = Asked(resolve_device(options.device))
    rows: list[dict[str, str]] = []
    for question in QUESTIONS:
        for text, answer in question(asked):
            rows.append({"question": text, "answer": answer})
            print(text, answer, flush=True)
            if options.out is not None:
                options.out.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
