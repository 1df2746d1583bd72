"""How far a dual model of two experts could reach, wherever its router's threshold lay.

    python bench/router_reach.py LOG LOG ROUTER     # logs of `rszoo certify --runner-up`, by sigma

A router of two experts asks the one of less noise where the difference of its logits is above a
threshold, 0 as it is trained. For other thresholds, which give that expert so many images, the
dual model's ACR and certified accuracy are estimated: the experts' radii are those of all draws
of their logs, and the router's is sigma_r Phi^-1(share of its draws), without a bound. Each image
is asked of one expert; where both agree a dual model may certify them together, which is left out.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from cascade_reach import Experts, Floats
from scipy.special import ndtri
from torch import Tensor

from rszoo import data
from rszoo.evaluation.log import read_log
from rszoo.hub.bundle import Bundle
from rszoo.hub.catalog import find

RADII = (0.0, 0.5, 1.0, 1.5, 2.0)
PERCENT = (30, 20, 15, 10, 7, 5, 3, 2, 1)


@torch.inference_mode()
def differences(router: Bundle, images: Tensor, draws: int) -> Floats:
    """Return the first logit less the second, `[images, draws]`."""
    network, sigma = router.network().eval(), router.config.sigma
    noise = torch.Generator().manual_seed(0)
    found = np.empty((len(images), draws), np.float32)
    for i, image in enumerate(images):
        copies = image + sigma * torch.randn(draws, *image.shape, generator=noise)
        logits = network(copies)
        found[i] = (logits[:, 0] - logits[:, 1]).numpy()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("logs", type=Path, nargs=2)
    parser.add_argument("router")
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--draws", type=int, default=400)
    given = parser.parse_args()
    logs = [read_log(path) for path in given.logs]
    experts, router = Experts(logs), find(given.router)
    tests = data.load(router.config.dataset, "test", root=given.data_root)
    difference = differences(router, tests.images(torch.tensor(logs[0].idx)), given.draws)

    def line(what: str, radii: Floats, right: np.ndarray) -> None:
        shares = " ".join(f"{100 * (right & (radii >= r)).mean():5.1f}" for r in RADII)
        print(f"{what:<32} ACR {np.where(right, radii, 0).mean():.3f}  right at r {shares}")

    def routed(threshold: float) -> tuple[Floats, np.ndarray]:
        share = (difference > threshold).mean(1)
        chosen = (share <= 0.5).astype(int)
        most = np.clip(np.maximum(share, 1 - share), 0.5, 1 - 0.1 / given.draws)
        reach = (router.config.sigma or 0.0) * ndtri(most)
        images = np.arange(len(chosen))
        own, right = experts.oracle.radii[chosen, images], experts.oracle.right[chosen, images]
        return np.minimum(own, reach), right & (reach > 0)

    print(f"radii {RADII}")
    for k, sigma in enumerate(experts.sigmas):
        line(f"expert at {sigma:g}", experts.oracle.radii[k], experts.oracle.right[k])
    line("oracle", experts.oracle.radii.max(0), experts.oracle.right.any(0))
    line("as trained", *routed(0.0))
    for percent in PERCENT:
        threshold = np.percentile(np.median(difference, 1), 100 - percent)
        line(f"{percent} % of images to the first", *routed(float(threshold)))


if __name__ == "__main__":
    main()
