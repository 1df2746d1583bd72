"""How accurate models are on clean images, and on images that were attacked through each of them.

    python bench/mixed_accuracy.py runs/digits-standard-0.00 builtin/digits-cat_rs-0.25 runs/mix

Accuracy is that of `rszoo predict`, where abstaining is wrong; of a standard bundle that of its
network. The attack is projected gradient ascent of the cross-entropy in an L2 ball: that of the
mix with the mean prediction on fixed noise copies in place of the votes, through the mixing
network too. What survives it is no certificate.
"""

import argparse
from collections.abc import Callable

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor

from rszoo import data
from rszoo.data import ImageSet
from rszoo.hub.catalog import find
from rszoo.hub.classifiers import classifier_of
from rszoo.methods._attacks import ascend_images
from rszoo.methods._copies import log_mean, noisy_log_probs
from rszoo.networks.mixing import log_mix
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.execution import Execution
from rszoo.smoothing.mixed import MixedClassifier
from rszoo.smoothing.mixing_weights import LearnedWeight
from rszoo.smoothing.noise import gaussian_copies

COPIES, STEPS = 32, 20

# Images `[B, C, H, W]` -> log-probabilities `[B, classes]`, and -> labels `[B]`.
Function = Callable[[Tensor], Tensor]


def votes(robust: SmoothedClassifier, images: Tensor) -> Function:
    """Return the log of the mean prediction on noise copies that stay the same."""
    noise = gaussian_copies(images, COPIES, robust.sigma)
    return lambda x: log_mean(noisy_log_probs(robust.network, x, noise))


def mixed(mix: MixedClassifier, images: Tensor) -> Function:
    log_h = votes(mix.robust, images)

    def log_probs(x: Tensor) -> Tensor:
        logits, weight = mix.standard(x), torch.full((len(x),), mix.weight.alpha_min or 0.0)
        if isinstance(mix.weight, LearnedWeight):
            network = mix.weight.network
            weight = network.weight(network(logits, mix.robust.network(x)))
        return log_mix(logits.log_softmax(-1), log_h(x), weight)

    return log_probs


def functions(model: str, images: Tensor, n: int) -> tuple[Function, Function]:
    """Return what the attack goes through, and what it is an attack on."""
    bundle = find(model)
    if bundle.config.kind == "standard":
        network = bundle.network()
        return lambda x: network(x).log_softmax(-1), lambda x: network(x).argmax(1)
    classifier = classifier_of(bundle, Execution(device="cpu", precision="float32"))

    def answer(x: Tensor) -> Tensor:
        return torch.tensor([one.label for one in classifier.predict_batch(x, n=n)])

    if isinstance(classifier, MixedClassifier):
        return mixed(classifier, images), answer
    assert isinstance(classifier, SmoothedClassifier)
    return votes(classifier, images), answer


def accuracies(model: str, images: ImageSet, *, epsilons: list[float], n: int) -> list[float]:
    """Return the accuracy on clean images, and at each radius of the attack."""
    torch.manual_seed(0)
    x, y = images.images(torch.arange(len(images))), images.labels
    log_probs, answer = functions(model, x, n)
    found = []
    for epsilon in [0.0, *epsilons]:
        attacked = ascend_images(
            lambda points: F.nll_loss(log_probs(points), y, reduction="sum"),
            x,
            steps=STEPS if epsilon else 0,
            step_size=2.5 * epsilon / STEPS,
            radius=epsilon,
        )
        with torch.no_grad():
            found.append((answer(attacked) == y).double().mean().item())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--epsilon", type=float, nargs="*", default=[0.25, 0.5])
    parser.add_argument("-n", type=int, default=1000)
    arguments = parser.parse_args()
    images = data.load(arguments.dataset, "test")
    table = Table("model", "clean", *(f"attacked, {radius:g}" for radius in arguments.epsilon))
    for model in arguments.models:
        found = accuracies(model, images, epsilons=arguments.epsilon, n=arguments.n)
        table.add_row(model, *(f"{100 * share:.1f}" for share in found))
    Console().print(table)


if __name__ == "__main__":
    main()
