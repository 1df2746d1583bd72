"""A network that looks at its batch gets no certificate; any other gets the one it always got."""

import pickle
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rszoo import networks
from rszoo.certificates.base import certificate_from_votes
from rszoo.errors import RszooError
from rszoo.evaluation.crew import certify_inputs_with
from rszoo.evaluation.inputs import Input
from rszoo.evaluation.on_devices import device_crew
from rszoo.networks.ensemble import Ensemble
from rszoo.smoothing.cascade import CascadeClassifier
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.dual import DualClassifier
from rszoo.smoothing.insta import InstaClassifier
from rszoo.smoothing.interface import Budget, Classifier
from rszoo.smoothing.mixed import MixedClassifier
from rszoo.smoothing.noise import Stream
from rszoo.smoothing.one_by_one import TOLERANCE, OneByOne
from rszoo.smoothing.votes import count_votes

SHAPE = (1, 4, 4)
REFUSED = r"^expected a network that treats the images of a batch one by one, got"


def half_space(x: Tensor) -> Tensor:
    """Return logits that change sign where the mean of the pixels is 1/2."""
    score = x.flatten(1).mean(1) - 0.5
    return torch.stack([-score, score], 1)


class Applied(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def majority(x: Tensor) -> Tensor:
    answer = half_space(x).argmax(1).mode().values
    return nn.functional.one_hot(answer, 2).float().expand(len(x), 2)


def large_batches_alone(x: Tensor) -> Tensor:
    logits = half_space(x)
    return logits.mean(0).expand_as(logits) if len(x) >= 500 else logits


CHEATS: dict[str, Callable[[Tensor], Tensor]] = {
    "average of logits": lambda x: half_space(x).mean(0).expand(len(x), 2),
    "a tenth of the average": lambda x: 0.9 * half_space(x) + 0.1 * half_space(x).mean(0),
    "average of images": lambda x: half_space(x.mean(0).expand_as(x)),
    "batch statistics": lambda x: nn.functional.batch_norm(
        half_space(x), None, None, training=True
    ),
    "majority": majority,
    "the first answers for all": lambda x: half_space(x)[:1].expand(len(x), 2),
    "the place in the batch": lambda x: half_space(x) * torch.arange(len(x))[:, None],
    "the next": lambda x: half_space(x).roll(1, 0),
    "order": lambda x: half_space(x)[half_space(x)[:, 0].argsort()],
    "large batches alone": large_batches_alone,
    "its own noise": lambda x: half_space(x + torch.rand_like(x)),
}


def smoothed(network: nn.Module, **changed: Any) -> SmoothedClassifier:
    options: dict[str, Any] = {"sigma": 0.5, "device": "cpu", "precision": "float32", **changed}
    return SmoothedClassifier(network, num_classes=2, input_shape=SHAPE, **options)


def test_what_such_a_network_would_get() -> None:
    """The mean is 0.05 / 4 above 1/2: the boundary is at a distance of 0.05 in L2."""
    x = torch.full(SHAPE, 0.5 + 0.05 / 4)
    cheat = Applied(CHEATS["average of logits"])
    settings: dict[str, Any] = {"sigma": 0.5, "seed": 0, "num_classes": 2}
    votes, honest = (
        count_votes(one, x, draws=10_000, stream=Stream.ESTIMATION, **settings)[1]
        for one in (cheat, Applied(half_space))
    )
    claims = {"n0": 100, "n": 10_000, "alpha": 0.001, "sigma": 0.5}
    assert certificate_from_votes(1, votes, **claims).radius == pytest.approx(1.599, abs=1e-3)
    assert 0.02 < certificate_from_votes(1, honest, **claims).radius < 0.05
    with pytest.raises(RszooError, match=REFUSED):
        smoothed(cheat).certify(x)


@pytest.mark.parametrize("name", CHEATS)
@pytest.mark.parametrize("precision", TOLERANCE)
def test_it_is_refused(name: str, precision: str) -> None:
    classifier = smoothed(Applied(CHEATS[name]), precision=precision)
    with pytest.raises(RszooError, match=REFUSED):
        classifier.certify(torch.full(SHAPE, 0.55), n=2000)


@pytest.mark.parametrize("settings", [{}, {"radii": (0.0, 0.25)}])
def test_at_given_radii_and_for_predictions_too(settings: dict[str, Any]) -> None:
    classifier = smoothed(Applied(CHEATS["average of logits"]))
    with pytest.raises(RszooError, match=REFUSED):
        classifier.certify(torch.full(SHAPE, 0.55), n=2000, **settings)
    with pytest.raises(RszooError, match=REFUSED):
        classifier.predict(torch.full(SHAPE, 0.55))


def test_the_message_says_what_was_found() -> None:
    classifier = smoothed(Applied(CHEATS["the first answers for all"]))
    with pytest.raises(RszooError) as caught:
        classifier.certify(torch.full(SHAPE, 0.55), n=2000)
    assert "in a batch of 100 that change by" in str(caught.value)
    assert "of their scale (more than 0.01) among other neighbours" in str(caught.value)


def composed(cheat: SmoothedClassifier) -> dict[str, Classifier]:
    honest = smoothed(Applied(half_space))
    noisier = smoothed(Applied(half_space), sigma=1.0)
    return {
        "expert": CascadeClassifier([cheat, noisier]),
        "last expert": CascadeClassifier([honest, cheat.with_sigma(1.0)]),
        "expert of a dual": DualClassifier([honest, cheat], honest),
        "router": DualClassifier([honest, noisier], cheat),
        "robust part": MixedClassifier(Applied(half_space), cheat, weight=0.8),
        "own noise levels": InstaClassifier(cheat),
    }


def test_it_is_refused_as_a_part_of_others() -> None:
    # A classifier that was tried once is not tried again: each has a part of its own.
    for name in composed(smoothed(Applied(half_space))):
        classifier = composed(smoothed(Applied(CHEATS["average of logits"])))[name]
        with pytest.raises(RszooError, match=REFUSED):
            classifier.certify(torch.full(SHAPE, 0.55), n=2000)


@pytest.mark.parametrize(
    "name", [name for name in networks.names() if networks.gives(name) == "logits"]
)
@pytest.mark.parametrize("precision", TOLERANCE)
def test_every_architecture_passes(name: str, precision: str) -> None:
    shape = {"lenet": (1, 28, 28), "small_cnn": (1, 8, 8)}.get(name, (3, 32, 32))
    options: dict[str, Any] = {"depth": 8} if name == "cifar_resnet" else {}
    network = networks.build(name, input_shape=shape, num_classes=10, **options)
    classifier = SmoothedClassifier(
        network, sigma=0.5, num_classes=10, input_shape=shape, precision=precision, device="cpu"
    )
    certificate = classifier.certify(torch.rand(shape), n0=8, n=8)
    assert certificate.draws == 8


class InPlace(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return half_space(x.sub_(0.1))


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.InstanceNorm2d(1), nn.Flatten(), nn.Linear(16, 2)),
        nn.Sequential(nn.GroupNorm(1, 1), nn.Flatten(), nn.Linear(16, 2)),
        nn.Sequential(nn.LayerNorm(4), nn.Flatten(), nn.Linear(16, 2)),
        nn.Sequential(nn.BatchNorm2d(1), nn.Dropout(), nn.Flatten(), nn.Linear(16, 2)),
        Ensemble([nn.Sequential(nn.Flatten(), nn.Linear(16, 2)) for _ in range(2)]),
        InPlace(),
        Applied(lambda x: half_space(x) + 1000),
        Applied(lambda x: torch.zeros(len(x), 2)),
        Applied(lambda x: half_space(x).log()),  # -inf or NaN for a class
    ],
    ids=lambda network: str(network).partition("(")[0],
)
def test_others_pass_with_the_votes_that_they_have_alone(network: nn.Module) -> None:
    x = torch.rand(SHAPE)
    settings: dict[str, Any] = {"seed": 3, "stream": Stream.ESTIMATION}
    classifier = smoothed(network)
    try:
        alone = count_votes(network, x, sigma=0.5, draws=1500, num_classes=2, **settings)
    except RszooError as error:  # of NaN, which is no matter of neighbours
        with pytest.raises(RszooError, match=str(error)):
            classifier.votes(x, n=1500, **settings)
        return
    assert classifier.votes(x, n=1500, **settings) == alone


@pytest.mark.parametrize("layer", [nn.BatchNorm2d, nn.SyncBatchNorm])
def test_batch_statistics_are_refused_before_anything_is_drawn(layer: type[nn.Module]) -> None:
    features = nn.Sequential(nn.Conv2d(1, 2, 1), layer(2, track_running_stats=False))
    network = nn.Sequential(features, nn.Flatten(), nn.Linear(32, 2))
    with pytest.raises(RszooError, match=f"{REFUSED} {layer.__name__} '0.1' without running stat"):
        smoothed(network)


def test_a_layer_that_stays_in_training_mode_is_found() -> None:
    class Stuck(nn.BatchNorm2d):
        def train(self, mode: bool = True) -> "Stuck":
            return super().train(True)

    network = nn.Sequential(Stuck(1), nn.Flatten(), nn.Linear(16, 2))
    with pytest.raises(RszooError, match=REFUSED):
        smoothed(network).certify(torch.rand(SHAPE), n=2000)


def test_a_network_is_tried_on_its_first_batch_and_on_the_first_full_one() -> None:
    sizes: list[int] = []

    def counted(x: Tensor) -> Tensor:
        sizes.append(len(x))
        return half_space(x)

    classifier = smoothed(Applied(counted), batch_size=200)
    image, tried = torch.rand(SHAPE), [3] * 8
    classifier.certify(image, n0=100, n=400)
    assert sizes == [100, *tried, 200, *tried, 200]
    sizes.clear()
    large = smoothed(Applied(counted), batch_size=5000)  # no batch has more than 1000
    large.certify(image, n0=100, n=2000)
    assert sizes == [100, *tried, 1000, *tried, 1000]
    sizes.clear()
    classifier.with_sigma(0.25).certify(image, n0=100, n=400)
    assert sizes == [100, 200, 200]


class AverageOfLogits(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return half_space(x).mean(0).expand(len(x), 2)


def test_workers_try_it_too() -> None:
    """Those on other devices, and those to which a classifier travels as bytes."""
    classifier = smoothed(AverageOfLogits())
    travelled = pickle.loads(pickle.dumps(classifier))
    one = Input(0, 1, lambda: torch.full(SHAPE, 0.55))
    with device_crew([classifier, travelled]) as crew, pytest.raises(RszooError, match=REFUSED):
        next(certify_inputs_with(crew, classifier, [one], Budget(n=2000)))
    with pytest.raises(RszooError, match=REFUSED):
        travelled.certify(one.image(), n=2000)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize(("share", "refused"), [(0.003, False), (0.05, True)])
def test_the_change_is_one_of_scale(scale: float, share: float, refused: bool) -> None:
    def leaning(x: Tensor) -> Tensor:
        return scale * (half_space(x) + share * half_space(x[:1]))

    tried = OneByOne(Applied(leaning), batch_size=10, precision="float32")
    batch = 0.55 + 0.5 * torch.randn(10, *SHAPE)
    with pytest.raises(RszooError, match=REFUSED) if refused else nullcontext():
        tried(batch)
