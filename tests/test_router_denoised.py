"""A router behind a denoiser, over experts behind theirs."""

import json
import re
from pathlib import Path

import pytest
import torch
from click.testing import Result
from denoisers import SHAPE, denoiser
from torch import nn
from typer.testing import CliRunner

from rszoo import networks
from rszoo.errors import RszooError
from rszoo.hub.bundle import Bundle, open_bundle
from rszoo.hub.catalog import find
from rszoo.hub.classifiers import classifier_of
from rszoo.hub.kinds.denoised import compose_denoised
from rszoo.hub.kinds.dual import compose_dual
from rszoo.networks.denoised import BehindDenoiser, Denoised
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.dual import DualClassifier
from rszoo_cli import app

SIGMAS = (0.25, 0.5)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Experts behind denoisers, and a router that learned behind that of the noisier one."""
    out = tmp_path_factory.mktemp("made")
    for sigma in SIGMAS:
        one = denoiser(out / f"denoiser-{sigma}", sigma)
        compose_denoised(
            out / f"expert-{sigma}", denoiser=one, classifier=find("builtin/digits-standard-0.00")
        )
    done = train(out, out)
    assert done.exit_code == 0, done.output
    assert f"--classifier {out}/digits-dual_rs-0.50 --out" in done.output
    return out


def train(made: Path, out: Path, *more: str, sigma: str = "0.5") -> Result:
    experts = ", ".join(str(made / f"expert-{one}") for one in SIGMAS)
    values = (f"experts.bundles=[{experts}]", f"experts.denoiser={made}/denoiser-0.5", *more)
    few = ("experts.draws=14", "train.epochs=2", "experts.labels=estimate")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(out)
        return CliRunner().invoke(
            app, ["train", "dual_rs", "--sigma", sigma, "--out", str(out), *few, *values]
        )


def experts(made: Path) -> list[Bundle]:
    return [open_bundle(made / f"expert-{sigma}") for sigma in SIGMAS]


def router(made: Path) -> Bundle:
    return open_bundle(made / "digits-dual_rs-0.50")


def behind(made: Path, folder: Path, sigma: float = 0.5) -> Bundle:
    one = open_bundle(made / f"denoiser-{sigma}")
    return compose_denoised(folder, denoiser=one, classifier=router(made))


def test_only_the_router_learns_and_is_stored() -> None:
    network = networks.build("small_cnn", input_shape=SHAPE, num_classes=2)
    front = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1))
    x = torch.rand(3, *SHAPE)
    both = BehindDenoiser(network, front).train()
    alone = networks.build("small_cnn", input_shape=SHAPE, num_classes=2)
    alone.load_state_dict(both.state_dict())
    torch.testing.assert_close(both.eval()(x), alone.eval()(front(x)))
    assert not torch.allclose(both(x), alone(x))
    both.train()
    assert not front.training
    both(x).sum().backward()
    assert all(parameter.grad is None for parameter in front.parameters())
    assert all(parameter.grad is not None for parameter in both.parameters())


def test_the_bundle_is_the_router_alone(made: Path) -> None:
    bundle = router(made)
    assert bundle.of_network.kind == "router"
    assert bundle.config.class_names == ("expert-0.25", "expert-0.5")
    named = [parent.name for parent in bundle.manifest.origin.parents]
    assert named == ["expert-0.25", "expert-0.5", "denoiser-0.5"]
    digests = [parent.weights_sha256 for parent in bundle.manifest.origin.parents]
    assert digests[:2] == [one.weights_digest for one in experts(made)]


def test_the_dual_model_asks_the_router_behind_its_denoiser(made: Path, tmp_path: Path) -> None:
    bundle = compose_dual(
        tmp_path / "dual", experts=experts(made), router=behind(made, tmp_path / "router")
    )
    classifier = classifier_of(bundle)
    assert isinstance(classifier, DualClassifier)
    assert isinstance(classifier.router, SmoothedClassifier)
    network = classifier.router.network
    assert isinstance(network, Denoised)
    x = torch.rand(4, *SHAPE)
    with torch.inference_mode():
        front = open_bundle(made / "denoiser-0.5").network()
        expected = router(made).network()(front(x))
        torch.testing.assert_close(network.cpu()(x), expected)
    assert classifier.router.sigma == 0.5


def test_it_is_certified_from_the_command_line(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    composed = compose_dual(
        tmp_path / "dual", experts=experts(made), router=behind(made, tmp_path / "router")
    )
    draws = ("--n", "200", "--limit", "3", "--device", "cpu", "--seed", "1")
    for words in (("certify", "--model", "dual", *draws, "--attach"), ("verify", "dual")):
        done = CliRunner().invoke(app, list(words))
        assert done.exit_code == 0, done.output
    protocol = json.loads((composed.path / "certificates.json").read_text())
    assert protocol["model"]["weights_sha256"] == open_bundle("dual").weights_digest


def test_a_router_is_refused_without_its_denoiser_and_behind_another(
    made: Path, tmp_path: Path
) -> None:
    problem = "expected the router behind the denoiser that it was trained with, denoiser-0.5"
    for one in (router(made), behind(made, tmp_path / "other", 0.25)):
        with pytest.raises(RszooError, match=problem):
            compose_dual(tmp_path / "dual", experts=experts(made), router=one)
    swapped = experts(made)[::-1]
    with pytest.raises(RszooError, match=r"in their order: expert-0\.25, expert-0\.5"):
        compose_dual(tmp_path / "dual", experts=swapped, router=behind(made, tmp_path / "router"))


@pytest.mark.parametrize(
    ("value", "sigma", "problem"),
    [
        ("denoiser-0.25", "0.5", "expected a denoiser for the images and noise level of the"),
        ("denoiser-0.5", "0.4", r"\(\(1, 8, 8\), 0.4\), got one for \(\(1, 8, 8\), 0.5\)"),
        ("expert-0.5", "0.5", "expected a bundle with a network"),
    ],
)
def test_denoisers_that_do_not_fit(
    made: Path, tmp_path: Path, value: str, sigma: str, problem: str
) -> None:
    done = train(made, tmp_path, f"experts.denoiser={made}/{value}", sigma=sigma)
    assert isinstance(done.exception, RszooError)
    assert re.search(problem, str(done.exception))
