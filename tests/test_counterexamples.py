"""Certificates of real models under attack: no point of a certified ball may answer otherwise.

The search knows a classifier by its interface alone, so that any that certifies can be put to it:
random points of the sphere at 0.99 of the radius, and points driven along gradients of what the
classifier is made of. All are looked at with few draws, and the most suspicious again with many.

An answer other than the certified label is a counter-example. None must be found, up to what the
guarantees allow: each certificate is wrong with probability `ALPHA_CERTIFY` at most, each
prediction with many draws with `ALPHA_PREDICT`; over all that are made here this is below 1e-3.
Beside each search the same search has to find the mistake in certificates that are wrong.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rszoo import data, load, networks
from rszoo.certificates.base import ABSTAIN, Certificate, Prediction
from rszoo.methods._attacks import ascend_noise_on_sphere
from rszoo.methods._copies import log_mean, noisy_log_probs
from rszoo.networks.mixing import MixingNetwork
from rszoo.smoothing.cascade import CascadeClassifier
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.dual import DualClassifier
from rszoo.smoothing.interface import Classifier
from rszoo.smoothing.mixed import MixedClassifier
from rszoo.smoothing.mixing_weights import LearnedWeight
from rszoo.smoothing.noise import gaussian_copies
from rszoo.theory.radii import certified_radius

# Points of a ball may have pixels outside [0, 1].
pytestmark = pytest.mark.filterwarnings("ignore:expected pixels")

ALPHA_CERTIFY, ALPHA_PREDICT = 1e-5, 1e-7
INPUTS, STARTS, SUSPECTS = 6, 10, 3
SHARE = 0.99  # of the radius; the rest is for rounding

# Images `[B, C, H, W]` -> for each, how far from the right answer it seems to be, `[B]`.
Mistake = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Subject:
    """A classifier, and for an input and a label the mistakes that may lead astray there."""

    classifier: Classifier
    mistakes: Callable[[Tensor, int], Sequence[Mistake]]


@dataclass
class Search:
    """What was tried and found."""

    certificates: int = 0
    predictions: int = 0
    found: int = 0

    @property
    def failure(self) -> float:
        """How probable it is at most that right methods lead to a find."""
        return self.certificates * ALPHA_CERTIFY + self.predictions * ALPHA_PREDICT


def points_around(x: Tensor, radius: float, mistakes: Sequence[Mistake]) -> Tensor:
    """Return points at 0.99 of the radius: random ones, and where each mistake drives them."""
    start = torch.randn(STARTS, 1, *x.shape)
    start *= SHARE * radius / torch.linalg.vector_norm(start, dim=(2, 3, 4), keepdim=True)
    driven = [
        ascend_noise_on_sphere(
            lambda noise, mistake=mistake: mistake(x + noise[:, 0]).sum(),
            start,
            steps=6,
            step_size=radius / 2,
        )
        for mistake in mistakes
    ]
    return x + torch.cat([start, *driven])[:, 0]


def predictions(classifier: Classifier, points: Tensor, **options: float) -> list[Prediction]:
    return classifier.predict_batch(points, **options)  # type: ignore[arg-type]


def counterexamples(subject: Subject, x: Tensor, label: int, radius: float, search: Search) -> int:
    """Return how many of the most suspicious points certainly have another label."""
    points = points_around(x, radius, subject.mistakes(x, label))
    assert torch.linalg.vector_norm(points - x, dim=(1, 2, 3)).max() < radius
    looks = predictions(subject.classifier, points, n=50, alpha=0.5, seed=1)

    def trust(i: int) -> float:
        return -looks[i].p_value if looks[i].label == label else looks[i].p_value - 2.0

    worst = sorted(range(len(points)), key=trust)[:SUSPECTS]
    search.predictions += len(worst)
    sure = predictions(subject.classifier, points[worst], n=3000, alpha=ALPHA_PREDICT, seed=2)
    return sum(one.label not in (ABSTAIN, label) for one in sure)


def search_in(
    subject: Subject, images: Tensor, claim: Callable[[Certificate], Certificate]
) -> Search:
    """Search the balls that are claimed of what the classifier certifies."""
    search = Search()
    for x in images:
        given = subject.classifier.certify(x, n0=50, n=3000, alpha=ALPHA_CERTIFY)
        assert isinstance(given, Certificate)
        search.certificates += 1
        given = claim(given)
        if given.label != ABSTAIN:
            search.found += counterexamples(subject, x, given.label, given.radius, search)
    return search


# --- the models: those that come with rszoo, and two networks that are trained here


def trained(classes: Tensor, *, num_classes: int, sigma: float) -> nn.Module:
    """Return a network that has learnt for a second what classes the training digits have."""
    torch.manual_seed(0)  # fixtures of a module are made before the seed of a test
    images = data.load("digits", "train")
    network = networks.build("small_cnn", input_shape=images.shape, num_classes=num_classes)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for indices in torch.randperm(len(images)).repeat(3).split(128):
        x = images.images(indices)
        loss = F.cross_entropy(network(x + gaussian_copies(x, 1, sigma)[0]), classes[indices])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval().requires_grad_(False)


def smoothed(name: str) -> SmoothedClassifier:
    classifier = load(f"builtin/digits-{name}", device="cpu", precision="float32")
    assert isinstance(classifier, SmoothedClassifier)
    return classifier


def astray(part: SmoothedClassifier, x: Tensor, answer: int) -> Mistake:
    """Return how little a smoothed part is for an answer."""
    noise = gaussian_copies(x[None], 8, part.sigma)

    def mistake(points: Tensor) -> Tensor:
        copies = noise.expand(-1, len(points), *x.shape)
        return -log_mean(noisy_log_probs(part.network, points, copies))[:, answer]

    return mistake


def contrary(network: nn.Module) -> nn.Module:
    """Return a network that answers 9 for 0, 8 for 1, and so on."""
    classes = nn.Linear(10, 10, bias=False).requires_grad_(False)
    classes.weight.copy_(torch.eye(10).flip(0))
    return nn.Sequential(network, classes)


def replaced(part: SmoothedClassifier, network: nn.Module) -> SmoothedClassifier:
    return SmoothedClassifier(
        network,
        sigma=part.sigma,
        num_classes=part.num_classes,
        input_shape=part.input_shape,
        class_names=part.class_names,
        device="cpu",
        precision="float32",
    )


def of_smoothed(name: str) -> Subject:
    part = smoothed(name)
    return Subject(part, lambda x, label: [astray(part, x, label)])


@pytest.fixture(scope="module")
def dual() -> DualClassifier:
    """Two experts, of which a router takes one for the first five digits and one for the rest."""
    return DualClassifier([smoothed("cat_rs-0.25"), smoothed("cat_rs-0.50")], router(2))


@pytest.fixture(scope="module")
def three() -> DualClassifier:
    experts = [smoothed(f"cat_rs-{sigma}") for sigma in ("0.25", "0.50", "1.00")]
    return DualClassifier(experts, router(3))


def router(levels: int) -> SmoothedClassifier:
    chosen = data.load("digits", "train").labels * levels // 10
    network = trained(chosen, num_classes=levels, sigma=0.5)
    return SmoothedClassifier(
        network, sigma=0.5, num_classes=levels, device="cpu", precision="float32"
    )


def of_dual(dual: DualClassifier) -> Subject:
    def mistakes(x: Tensor, label: int) -> list[Mistake]:
        levels = [astray(dual.router, x, level) for level in range(len(dual.experts))]
        return [astray(expert, x, label) for expert in dual.experts] + levels

    return Subject(dual, mistakes)


def of_experts(cascade: CascadeClassifier) -> Subject:
    return Subject(
        cascade, lambda x, label: [astray(expert, x, label) for expert in cascade.experts]
    )


@pytest.fixture(scope="module")
def standard() -> nn.Module:
    return trained(data.load("digits", "train").labels, num_classes=10, sigma=0.0)


def of_mix(mix: MixedClassifier) -> Subject:
    def mistakes(x: Tensor, label: int) -> list[Mistake]:
        robust = astray(mix.robust, x, label)

        def alone(points: Tensor) -> Tensor:
            return -mix.standard(points).log_softmax(-1)[:, label]

        return [robust, alone, lambda points: robust(points) + alone(points)]

    return Subject(mix, mistakes)


def learned() -> LearnedWeight:
    network = MixingNetwork(alpha_min=0.6, alpha_max=1.0)
    nn.init.normal_(network.out.weight, std=10.0)
    return LearnedWeight(network)


@pytest.fixture(params=["smoothed", "dual", "three", "cascade", "mixed", "learned"])
def subject(
    request: pytest.FixtureRequest,
    dual: DualClassifier,
    three: DualClassifier,
    standard: nn.Module,
) -> Subject:
    robust = smoothed("cat_rs-0.25")
    made: dict[str, Callable[[], Subject]] = {
        "smoothed": lambda: of_smoothed("gaussian-0.50"),
        "dual": lambda: of_dual(dual),
        "three": lambda: of_dual(three),
        "cascade": lambda: of_experts(CascadeClassifier(three.experts)),
        "mixed": lambda: of_mix(MixedClassifier(standard, robust, weight=0.76)),
        "learned": lambda: of_mix(MixedClassifier(standard, robust, weight=learned())),
    }
    return made[request.param]()


@pytest.fixture
def images() -> Tensor:
    return data.load("digits", "test").images(torch.arange(INPUTS) * 7)


def times(factor: float) -> Callable[[Certificate], Certificate]:
    return lambda given: replace(given, radius=factor * given.radius)


def test_no_point_of_a_certified_ball_answers_otherwise(subject: Subject, images: Tensor) -> None:
    search = search_in(subject, images, times(1.0))
    assert search.predictions >= 3 * SUSPECTS, "it certifies something"
    assert search.failure < 1e-3 / 8  # eight such searches are made
    assert search.found == 0


def test_the_same_search_finds_the_mistake_in_radii_that_are_three_times_too_large(
    subject: Subject, images: Tensor
) -> None:
    assert search_in(subject, images, times(3.0)).found >= 3


def test_a_router_that_is_not_certified_is_found_out(dual: DualClassifier, images: Tensor) -> None:
    """Where the experts contradict each other, the radius of the expert alone does not hold."""
    expert = smoothed("cat_rs-0.25")
    both = DualClassifier([expert, replaced(expert, contrary(expert.network))], dual.router)

    def expert_alone(given: Certificate) -> Certificate:
        assert given.details is not None
        return replace(given, radius=given.details.expert_radius)

    subject = of_dual(both)
    search = search_in(subject, images, times(1.0))
    assert search.predictions >= 3 * SUSPECTS
    assert search.failure < 1e-3 / 8
    assert search.found == 0
    assert search_in(subject, images, expert_alone).found >= 2


def test_a_standard_part_that_is_not_reckoned_with_is_found_out(
    standard: nn.Module, images: Tensor
) -> None:
    """Where it contradicts, and has nearly half the weight, the robust radius does not hold."""
    robust = smoothed("cat_rs-0.25")
    subject = of_mix(MixedClassifier(contrary(standard), robust, weight=0.52))

    def robust_alone(given: Certificate) -> Certificate:
        return replace(given, radius=certified_radius(given.p_lower, robust.sigma))

    search = search_in(subject, images, times(1.0))
    assert search.failure < 1e-3 / 8
    assert search.found == 0
    assert search_in(subject, images, robust_alone).found >= 2
