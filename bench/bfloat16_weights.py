"""Images per second on one core in bfloat16: autocast, and a network whose weights are bfloat16.

    python bench/bfloat16_weights.py

Both take turns; it is the time of the core that counts, not that of the clock.
"""

import copy
import statistics
import time

import torch
from torch import Tensor, nn

from rszoo import networks
from rszoo.networks.execution import autocast, place
from rszoo.smoothing.votes import default_batch_size

CPU = torch.device("cpu")
WORKLOADS = {
    "LeNet": ("lenet", (1, 28, 28), {}, 2000),
    "ResNet-20": ("cifar_resnet", (3, 32, 32), {"depth": 20}, 250),
}
TURNS = 6


def rate(network: nn.Module, batches: tuple[Tensor, ...], dtype: torch.dtype) -> float:
    """Return images per second of a core, of which a conversion to `dtype` is part."""
    started = time.thread_time()
    for batch in batches:
        network(batch.to(dtype))
    return sum(map(len, batches)) / (time.thread_time() - started)


@torch.inference_mode()
def main() -> None:
    torch.set_num_threads(1)
    for workload, (name, shape, options, images) in WORKLOADS.items():
        network = networks.build(name, input_shape=shape, num_classes=10, **options).eval()
        network = place(network, CPU)
        cast = place(copy.deepcopy(network).bfloat16(), CPU)
        noisy = torch.rand(shape) + 0.5 * torch.randn((images, *shape))
        noisy = noisy.contiguous(memory_format=torch.channels_last)
        batches = noisy.split(default_batch_size(noisy.shape[1:], CPU))
        turns = []
        for _ in range(TURNS + 1):
            with autocast(CPU, "bfloat16"):
                before = rate(network, batches, torch.float32)
            turns.append((before, rate(cast, batches, torch.bfloat16)))
        before, now = (statistics.median(rates) for rates in zip(*turns[1:], strict=True))
        ratios = [b / a for a, b in turns[1:]]
        print(
            f"{workload}: autocast {before:,.0f}, bfloat16 weights {now:,.0f}, ratio "
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
