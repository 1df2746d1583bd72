"""Ensembles: the average of logits, composed, certified, logged, published and verified."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from hub_server import RunningHub
from torch import nn
from typer.testing import CliRunner

import rszoo
from rszoo import data, networks
from rszoo.errors import IntegrityError, RszooError
from rszoo.evaluation.log import read_log
from rszoo.hub.bundle import Bundle, open_bundle
from rszoo.hub.card import card_files
from rszoo.hub.catalog import find
from rszoo.hub.classifiers import classifier_of
from rszoo.hub.configs.network import NetworkConfig
from rszoo.hub.ids import HubId
from rszoo.hub.kinds.ensemble import compose_ensemble
from rszoo.hub.origin import Origin
from rszoo.hub.push import push
from rszoo.hub.writing import write_bundle
from rszoo.networks.ensemble import Ensemble
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.execution import Execution
from rszoo_cli import app


def member(folder: Path, seed: int, *, sigma: float = 0.5, kind: str = "smoothed") -> Bundle:
    """Write a bundle with an untrained network of its own."""
    images = data.load("digits", "test")
    torch.manual_seed(seed)
    network = networks.build("small_cnn", input_shape=images.shape, num_classes=10)
    config = NetworkConfig.of(
        images,
        name=folder.name,
        kind=kind,
        method="gaussian",
        dataset="digits",
        architecture={"name": "small_cnn"},
        sigma=sigma,
        trained_precision="float32",
    )
    return write_bundle(folder, config=config, network=network, recipe="", origin=Origin())


@pytest.fixture
def members(tmp_path: Path) -> list[Bundle]:
    return [member(tmp_path / name, seed) for seed, name in enumerate("abc")]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def linear(*weights: float) -> nn.Module:
    network = nn.Linear(1, len(weights))
    with torch.no_grad():
        network.weight.copy_(torch.tensor(weights)[:, None])
        network.bias.zero_()
    return network


def test_the_average_by_hand() -> None:
    ensemble = Ensemble([linear(1.0, 0.0), linear(0.0, 4.0), linear(2.0, 2.0)])
    assert ensemble(torch.tensor([[1.0], [-2.0]])).tolist() == [[1.0, 2.0], [-2.0, -4.0]]
    with pytest.raises(ValueError, match="expected at least two networks, got 1"):
        Ensemble([linear(1.0, 0.0)])


def test_linear_networks_are_certified_as_their_average() -> None:
    # The average of linear classifiers is linear: its radius is its margin.
    ensemble = Ensemble([linear(1.0, 0.0), linear(0.0, 2.0)])  # class 1 where x > 0
    classifier = SmoothedClassifier(ensemble, sigma=0.5, num_classes=2, device="cpu")
    given = classifier.certify(torch.tensor([1.0]), n=10_000)
    assert isinstance(given, rszoo.Certificate)
    assert (given.label, 0.9 < given.radius < 1.0) == (1, True)


def test_its_network_is_the_average_of_its_members(members: list[Bundle], tmp_path: Path) -> None:
    bundle = compose_ensemble(tmp_path / "abc", members=members)
    x = torch.rand(5, 1, 8, 8)
    logits = torch.stack([one.network()(x) for one in members])
    torch.testing.assert_close(
        classifier_of(bundle, Execution(device="cpu")).network(x), logits.mean(0)
    )
    assert (bundle.config.noise, bundle.config.summary) == (0.5, "3 networks")
    assert open_bundle(bundle.path).config == bundle.config


def test_from_the_command_line_to_a_verified_log(
    members: list[Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    listed = [argument for one in "abc" for argument in ("--member", one)]
    assert run("compose", "ensemble", *listed, "--out", "abc").stdout == "abc\n"
    draws = ["--model", "abc", "--n", "500", "--limit", "3", "--device", "cpu"]
    assert run("certify", *draws, "--attach").exit_code == 0
    log = read_log(open_bundle("abc").evidence or "")
    assert log.kind.name == "fixed"
    assert log.protocol is not None
    assert log.protocol.sigma == 0.5
    verified = run("verify", "abc", "--sample", "3", "--n", "500", "--seed", "1")
    assert "3 inputs certified again, with seed 1: all agree" in verified.stdout
    shown = json.loads(run("show", "abc", "--json").stdout)
    assert shown["parts"] == ["a", "b", "c"]
    early = run("certify", *draws, "--radii", "0,0.1", "--out", "early.tsv")
    assert early.exit_code == 0
    assert read_log("early.tsv").kind.name == "early"
    text = card_files(open_bundle("abc"), repo="org/abc")["README.md"].decode()
    assert "averages the logits of 3 networks" in text
    with pytest.raises(RszooError, match="got one made of other bundles"):
        run("export", "abc", "--out", "exported")


def test_a_member_that_was_changed(members: list[Bundle], tmp_path: Path) -> None:
    bundle = compose_ensemble(tmp_path / "abc", members=members)
    assert classifier_of(bundle).num_classes == 10
    write = {"config": members[1].config, "recipe": "", "origin": Origin(), "replace": True}
    write_bundle(members[1].path, network=members[0].network(), **write)
    with pytest.raises(IntegrityError, match="it was trained again since; compose anew"):
        classifier_of(bundle)


def test_members_that_do_not_fit(members: list[Bundle], tmp_path: Path) -> None:
    others: list[tuple[list[Any], str]] = [
        ([members[0]], "expected at least two members, each once"),
        ([members[0], members[0]], "expected at least two members, each once"),
        ([members[0], member(tmp_path / "q", 7, sigma=0.25)], r"noise level of .* \(sigma 0.25\)"),
        ([members[0], member(tmp_path / "r", 8, kind="router")], "got a router one"),
        ([members[0], find("builtin/digits-dual-0.50")], "got one made of other bundles"),
    ]
    for chosen, problem in others:
        with pytest.raises(RszooError, match=problem):
            compose_ensemble(tmp_path / "abc", members=chosen)
    assert not (tmp_path / "abc").exists()


def test_published_and_pulled_with_its_members(
    hub: RunningHub, members: list[Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    ids = []
    for one in "abc":
        ids.append(str(push(open_bundle(one), HubId(f"org/{one}"), uncertified=True).id))
    listed = [argument for one in ids for argument in ("--member", one)]
    assert run("compose", "ensemble", *listed, "--out", "abc").exit_code == 0
    assert run("push", "abc", "org/abc", "--uncertified").exit_code == 0
    assert run("pull", "org/abc").exit_code == 0
    x = torch.rand(1, 8, 8)
    here = rszoo.load("abc", device="cpu").certify(x, n0=10, n=200)
    assert rszoo.load("org/abc", device="cpu").certify(x, n0=10, n=200) == here
