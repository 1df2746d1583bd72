"""Dual bundles: made, certified, logged, published, and refused when a part is not the one."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result
from hub_server import RunningHub
from huggingface_hub import constants
from typer.testing import CliRunner

import rszoo
from rszoo import data, networks
from rszoo.errors import DataError, HubError, IntegrityError, RszooError
from rszoo.evaluation.log import read_log
from rszoo.hub import catalog
from rszoo.hub.attack_logs import attacks_of
from rszoo.hub.bundle import Bundle, open_bundle
from rszoo.hub.card import card_files
from rszoo.hub.catalog import find
from rszoo.hub.classifiers import classifier_of
from rszoo.hub.configs.network import NetworkConfig
from rszoo.hub.evidence import evidence_of
from rszoo.hub.ids import HubId
from rszoo.hub.kinds.dual import compose_dual
from rszoo.hub.kinds.network import smoothed_classifier
from rszoo.hub.origin import Origin, Parent
from rszoo.hub.parts import fetch_parts
from rszoo.hub.pull import pull
from rszoo.hub.push import push
from rszoo.hub.push_parts import push_with_parts
from rszoo.hub.writing import write_bundle
from rszoo.smoothing.dual import DualClassifier
from rszoo.smoothing.execution import Execution
from rszoo_cli import app

EXPERTS = ["builtin/digits-gaussian-0.25", "builtin/digits-gaussian-0.50"]


def constant(folder: Path, answer: int, *, kind: str, classes: tuple[str, ...]) -> Bundle:
    """A bundle whose network answers the same to everything."""
    images = data.load("digits", "test")
    network = networks.build("small_cnn", input_shape=images.shape, num_classes=len(classes))
    *_, bias = network.parameters()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        bias[answer] = 1.0
    config = NetworkConfig(
        kind=kind,  # type: ignore[arg-type]
        name=folder.name,
        method="dual_rs" if kind == "router" else "gaussian",
        dataset="digits",
        architecture={"name": "small_cnn"},
        input_shape=images.shape,
        normalization=None,
        class_names=classes,
        sigma=1.0,
        trained_precision="float32",
    )
    origin = Origin(seed=0, parents=())
    return write_bundle(folder, config=config, network=network, recipe="", origin=origin)


@pytest.fixture
def router(tmp_path: Path) -> Bundle:
    """A router that always takes the second expert."""
    return constant(tmp_path / "runs" / "router", 1, kind="router", classes=("small", "large"))


@pytest.fixture
def composed(router: Bundle, tmp_path: Path) -> Bundle:
    experts = [find(name) for name in EXPERTS]
    return compose_dual(tmp_path / "runs" / "dual", experts=experts, router=router)


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Turn the client to another cache."""

    def turn(name: str) -> None:
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / name))

    return turn


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_a_dual_bundle_names_its_parts(composed: Bundle, router: Bundle) -> None:
    config = json.loads((composed.path / "config.json").read_text())
    assert config["kind"] == "dual"
    assert [part["id"] for part in config["experts"]] == EXPERTS
    assert config["router"] == {"id": "router", "digest": router.weights_digest}
    model = rszoo.load(composed.path, device="cpu")
    assert isinstance(model, DualClassifier)
    assert [one.sigma for one in model.experts] == [0.25, 0.5]
    with pytest.raises(RszooError, match="expected a bundle with a network, got one made of"):
        composed.network()


def test_the_command_line_from_parts_to_a_checked_log(
    router: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = run("compose", "dual", *(f"--expert={name}" for name in EXPERTS),
               "--router", "runs/router", "--out", "runs/dual")  # fmt: skip
    assert made.exit_code == 0, made.stderr
    assert made.stdout.strip() == "runs/dual"
    options = ["--n", "1000", "--limit", "4", "--device", "cpu", "--json"]
    done = run("certify", "--model", "runs/dual", *options, "--out", "dual.tsv", "--attach")
    assert done.exit_code == 0, done.stderr
    alone = run("certify", "--model", EXPERTS[1], *options, "--out", "alone.tsv")
    assert alone.exit_code == 0, alone.stderr
    log, single = read_log("dual.tsv"), read_log("alone.tsv")
    assert log.details
    assert set(log.details["expert_level"]) == {1}
    # The router is as sure as can be, so that the dual model is its second expert.
    assert log.votes is not None
    assert log.votes.tolist() == single.votes.tolist()  # type: ignore[union-attr]
    assert log.radius.tolist() == single.radius.tolist()
    assert log.protocol is not None
    assert [expert["sigma"] for expert in log.protocol.values()["experts"]] == [0.25, 0.5]
    assert run("show", "runs/dual").exit_code == 0
    listed = {row["id"]: row["network"] for row in json.loads(run("ls", "--json").stdout)}
    assert listed["runs/dual"] == "3 networks"
    again = run("certify", "--model", "runs/dual", *options, "--out", "dual.tsv", "--resume")
    assert again.exit_code == 0
    crew = run("certify", "--model", "runs/dual", *options[:-1], "--device", "cpu,cpu",
               "--out", "crew.tsv")  # fmt: skip
    assert crew.exit_code == 0, crew.stderr
    assert read_log("crew.tsv").radius.tolist() == log.radius.tolist()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("radius", "9.0"),
        ("router_radius", "1.9"),
        ("router_votes", "10"),
        ("expert_radius", "1.5"),
        ("votes", "900"),
        ("votes", "5000"),
        ("predict", "-1"),
        ("router_sigma", "0.1"),
        ("expert_level", "0"),
        ("lowest_level", "2"),
        ("lowest_level", "0"),  # a consensus, without what the other expert says
        ("highest_level", "2"),
        ("others", "0:0.25:1.0:1000:1000:1000"),
        ("others", "0:0.25:1.0"),
        ("experts", "1"),
        ("experts", "3"),
        ("router_votes", "1000000000000"),
        ("router_spent", "0"),
        ("n0", "1"),
    ],
)
def test_a_row_that_claims_more_than_its_votes_give(
    composed: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, column: str, value: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("certify", "-m", "runs/dual", "--n", "1000", "--limit", "1", "--out", "a.tsv",
               "--device", "cpu").exit_code == 0  # fmt: skip
    header, row = Path("a.tsv").read_text().splitlines()
    values = dict(zip(header.split("\t"), row.split("\t"), strict=True))
    assert read_log("a.tsv").certificate(0).details is not None
    values[column] = value
    if column == "predict":
        values["correct"] = "0"
    Path("a.tsv").write_text(header + "\n" + "\t".join(values.values()) + "\n")
    with pytest.raises(DataError, match=r"a\.tsv, line 2: expected "):
        read_log("a.tsv")


def test_parts_that_do_not_fit(router: Bundle, tmp_path: Path) -> None:
    experts = [find(name) for name in EXPERTS]
    to = tmp_path / "runs" / "dual"
    with pytest.raises(RszooError, match="expected at least two experts, got 1"):
        compose_dual(to, experts=experts[:1], router=router)
    with pytest.raises(RszooError, match=r"expected a router with 3 classes .* with 2 cl"):
        compose_dual(to, experts=[*experts, experts[0]], router=router)
    with pytest.raises(RszooError, match="got a smoothed one with 10 classes"):
        compose_dual(to, experts=experts, router=experts[0])
    with pytest.raises(RszooError, match="as an expert, got one of kind 'router'"):
        compose_dual(to, experts=[experts[0], router], router=router)
    other = constant(tmp_path / "runs" / "other", 0, kind="smoothed", classes=("a", "b"))
    with pytest.raises(RszooError, match="other: expected the inputs and classes of builtin/"):
        compose_dual(to, experts=[experts[0], other], router=router)
    assert not to.exists()


def test_a_part_that_is_missing_or_changed(composed: Bundle, router: Bundle) -> None:
    aside = shutil.move(router.path, router.path.with_name("aside"))
    with pytest.raises(RszooError, match="its part router is missing: expected a bundle folder"):
        classifier_of(composed)
    constant(router.path, 0, kind="router", classes=("small", "large"))
    with pytest.raises(IntegrityError, match=r"^router: expected the part of .* with digest "):
        classifier_of(composed)
    shutil.rmtree(router.path)
    shutil.move(aside, router.path)
    weights = router.path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match=r"^model\.safetensors: expected \d+ bytes"):
        classifier_of(composed)


def test_it_may_be_moved_with_its_parts(composed: Bundle, tmp_path: Path) -> None:
    moved = shutil.move(tmp_path / "runs", tmp_path / "elsewhere")
    assert isinstance(
        classifier_of(open_bundle(Path(moved) / "dual"), Execution(device="cpu")), DualClassifier
    )


def on_hub(bundle: Bundle, name: str) -> Bundle:
    return pull(push(bundle, HubId(name), uncertified=True).id)


def test_it_travels_with_its_parts(
    hub: RunningHub,
    router: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    empty_cache: Callable[[str], None],
) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.token)
    experts = [find(EXPERTS[0]), on_hub(find(EXPERTS[1]), "org/expert")]
    local = compose_dual(tmp_path / "runs" / "local", experts=experts, router=router)
    with pytest.raises(RszooError, match="its parts router are on no hub: push them too"):
        push(local, HubId("org/dual"), uncertified=True)
    composed = compose_dual(
        tmp_path / "runs" / "dual", experts=experts, router=on_hub(router, "org/router")
    )
    x = data.load("digits", "test").images(torch.arange(2))
    before = classifier_of(composed, Execution(device="cpu")).certify_batch(x, n0=10, n=1000)
    pushed = push(composed, HubId("org/dual"), uncertified=True)
    empty_cache("second")
    assert run("pull", str(pushed.id)).exit_code == 0
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # its parts came with it
    fetched = find(str(pushed.id))
    assert (
        classifier_of(fetched, Execution(device="cpu")).certify_batch(x, n0=10, n=1000) == before
    )
    monkeypatch.chdir(tmp_path)
    options = ["--n0", "10", "--n", "1000", "--limit", "2", "--device", "cpu", "--out", "a.tsv"]
    assert run("certify", "-m", str(pushed.id), *options).exit_code == 0
    log = read_log("a.tsv")
    assert [log.certificate(row).votes for row in range(2)] == [one.votes for one in before]
    empty_cache("third")
    with pytest.raises(HubError, match="cannot reach"):
        pull(pushed.id)


def test_it_is_pushed_with_its_parts(
    hub: RunningHub,
    composed: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    empty_cache: Callable[[str], None],
) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.token)
    monkeypatch.chdir(tmp_path)
    small = ["--n0", "10", "--n", "500", "--limit", "3", "--device", "cpu", "--seed", "1"]
    assert run("certify", "-m", "runs/dual", *small, "--attach").exit_code == 0
    few = ["--norm", "l2", "--eps", "0.1", "--limit", "2", "--n", "100", "--draws", "2"]
    assert run("attack", "runs/dual", *few, "--device", "cpu", "--attach").exit_code == 0
    here = find("runs/dual")
    log = evidence_of(here)
    before = hub.faults.count("/commit/")
    with pytest.raises(RszooError, match=r"parts router are on no hub: push them too \(--with-p"):
        run("push", "runs/dual", "org/dual")
    assert hub.faults.count("/commit/") == before

    done = run("push", "runs/dual", "org/dual", "--with-parts", "--license", "mit", "--json")
    assert done.exit_code == 0, done.output
    part = next(line for line in done.stderr.splitlines() if line.startswith("part: "))
    assert part.startswith("part: org/router@")
    assert find("runs/dual").weights_digest == here.weights_digest, "it stays as it was"
    empty_cache("second")
    shutil.rmtree("runs/router")
    there = find(json.loads(done.stdout)["id"])
    assert [one.id for one in there.config.parts][-1] == part.removeprefix("part: ")
    assert [one.digest for one in there.config.parts] == [one.digest for one in here.config.parts]
    pushed = evidence_of(there)
    assert [pushed.certificate(row) for row in range(3)] == [
        log.certificate(row) for row in range(3)
    ]
    assert attacks_of(there) == attacks_of(here) != []
    assert run("verify", there.id, "--n", "500", "--sample", "1").exit_code == 0
    assert run("certify", "-m", there.id, *small, "--out", "a.tsv").exit_code == 0
    checked = run("verify", "a.tsv", "--sample", "0", "--replay", "0")  # by the id in the log
    assert (checked.exit_code, checked.stderr) == (0, f"model: {there.id}\n")


def test_pushing_it_again_with_its_parts_makes_no_commit(
    hub: RunningHub, composed: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.token)
    first = push_with_parts(composed, HubId("org/dual"), uncertified=True)
    assert [one.changed for one in first] == [True, True]
    again = push_with_parts(composed, HubId("org/dual"), uncertified=True)
    assert [(one.id, one.changed) for one in again] == [(one.id, False) for one in first]
    alone = push_with_parts(find(EXPERTS[0]), HubId("org/expert"))
    assert [str(one.id).partition("@")[0] for one in alone] == ["org/expert"]


def test_two_parts_of_one_name_have_no_place(
    hub: RunningHub, composed: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.token)
    with pytest.raises(RszooError, match="got org/router for 'router' and the bundle itself"):
        push_with_parts(composed, HubId("org/router"), uncertified=True)
    assert not hub.faults.count("/commit/")


def test_what_is_only_shown_needs_no_parts(
    hub: RunningHub,
    router: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    empty_cache: Callable[[str], None],
) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.token)
    composed = compose_dual(
        tmp_path / "runs" / "dual",
        experts=[find(name) for name in EXPERTS],
        router=on_hub(router, "org/router"),
    )
    pushed = push(composed, HubId("org/dual"), uncertified=True)
    empty_cache("second")
    weights = r"GET .*org/router.*model\.safetensors"
    before = hub.faults.count(weights)
    shown = run("show", str(pushed.id), "--json")
    assert json.loads(shown.stdout)["parts"] == [part.id for part in composed.config.parts]
    assert hub.faults.count(weights) == before
    assert isinstance(rszoo.load(str(pushed.id), device="cpu"), DualClassifier)
    assert hub.faults.count(weights) == before + 1


def test_a_path_in_somebody_elses_bundle(
    hub: RunningHub, composed: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.token)
    monkeypatch.setattr("rszoo.hub.push.own_parts", lambda bundle: [])
    pushed = push(composed, HubId("org/dual"), uncertified=True)
    with pytest.raises(RszooError, match="expected a part on a hub, got the path 'router'"):
        fetch_parts(pull(pushed.id))


def test_verify(composed: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    certify = ["certify", "-m", "runs/dual", "--n", "1000", "--limit", "2", "--device", "cpu"]
    assert run(*certify, "--out", "a.tsv").exit_code == 0
    verify = [
        "verify",
        "a.tsv",
        "-m",
        "runs/dual",
        "--n",
        "1000",
        "--device",
        "cpu",
        "--seed",
        "5",
    ]
    true = run(*verify)
    assert true.exit_code == 0, true.output
    assert "2 inputs certified again" in " ".join(true.stdout.split())
    # Another router than the one of the log, with the same digest in its protocol.
    header, *rows = Path("a.tsv").read_text().splitlines()
    names = header.split("\t")
    levels = {"lowest_level", "highest_level", "expert_level"}
    changed = [
        "\t".join("0" if name in levels else cell for name, cell in zip(names, cells, strict=True))
        for cells in (row.split("\t") for row in rows)
    ]
    Path("a.tsv").write_text("\n".join([header, *changed]) + "\n")
    with pytest.raises(DataError, match=r"line 2: expected sigma=0\.25 by its protocol, got 0\.5"):
        run(*verify)


def test_a_router_for_other_experts(router: Bundle, tmp_path: Path) -> None:
    experts = [find(name) for name in EXPERTS]
    parents = tuple(
        Parent(name=one.config.name, weights_sha256=one.weights_digest) for one in experts
    )
    taught = write_bundle(
        tmp_path / "runs" / "taught",
        config=router.config,
        network=router.network(),
        recipe="",
        origin=Origin(parents=parents),
    )
    assert compose_dual(tmp_path / "runs" / "right", experts=experts, router=taught)
    with pytest.raises(RszooError, match="taught: expected the experts that it was trained for"):
        compose_dual(tmp_path / "runs" / "wrong", experts=experts[::-1], router=taught)


def test_one_network_at_several_noise_levels(
    router: Bundle, composed: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["--sigma", "0.25", "--sigma", "0.75", "--router", "runs/router"]
    made = run("compose", "dual", "--expert", EXPERTS[1], *options, "--out", "runs/levels")
    assert made.exit_code == 0, made.stderr
    bundle = open_bundle(Path("runs/levels"))
    config = json.loads((bundle.path / "config.json").read_text())
    assert [(part["id"], part["sigma"]) for part in config["experts"]] == [
        (EXPERTS[1], 0.25),
        (EXPERTS[1], 0.75),
    ]
    # Others are written as ever.
    assert "sigma" not in (composed.path / "config.json").read_text()
    assert f"`{EXPERTS[1]} at sigma 0.75`" in card_files(bundle, "org/name")["README.md"].decode()
    shown = run("show", "runs/levels", "--json")
    assert json.loads(shown.stdout)["parts"][0] == f"{EXPERTS[1]} at sigma 0.25"
    model = classifier_of(bundle, Execution(device="cpu"))
    assert isinstance(model, DualClassifier)
    assert [one.sigma for one in model.experts] == [0.25, 0.75]
    assert model.experts[0].network is model.experts[1].network
    done = run("certify", "-m", "runs/levels", "--n", "1000", "--limit", "2", "--device", "cpu",
               "--out", "a.tsv", "--per-input-sigma", "dual", "--attach")  # fmt: skip
    assert done.exit_code == 0, done.output
    log = read_log("a.tsv")
    alone = smoothed_classifier(find(EXPERTS[1]), Execution(device="cpu")).with_sigma(0.75)
    x = data.load("digits", "test").images(torch.from_numpy(log.idx))
    given = [log.certificate(row) for row in range(len(log))]
    expected = alone.certify_batch(x, n=1000)
    assert [(one.votes, one.sigma) for one in given] == [(o.votes, o.sigma) for o in expected]
    assert run("verify", "runs/levels", "--n", "1000", "--device", "cpu").exit_code == 0
    with pytest.raises(RszooError, match="expected a bundle with one network, whose noise can be"):
        run("certify", "-m", "runs/levels", "--per-input-sigma", "memory", "--limit", "1")


@pytest.mark.parametrize(
    ("experts", "sigmas"), [(EXPERTS, [0.25, 0.5]), (EXPERTS[:1], [0.5]), (EXPERTS[:1], [1, 1])]
)
def test_noise_levels_that_do_not_fit(
    router: Bundle, tmp_path: Path, experts: list[str], sigmas: list[float]
) -> None:
    with pytest.raises(RszooError, match="expected one expert for at least two different noise"):
        compose_dual(
            tmp_path / "runs" / "d",
            experts=[find(one) for one in experts],
            sigmas=sigmas,
            router=router,
        )


def test_a_router_for_other_noise_levels(router: Bundle, tmp_path: Path) -> None:
    expert = find(EXPERTS[0])
    parent = {"name": expert.config.name, "weights_sha256": expert.weights_digest}
    taught = write_bundle(
        tmp_path / "runs" / "taught",
        config=router.config,
        network=router.network(),
        recipe="",
        origin=Origin(parents=tuple(Parent(**parent, sigma=sigma) for sigma in (0.25, 1.0))),
    )
    for sigmas in ([1.0, 0.25], [0.25, 0.5]):
        with pytest.raises(RszooError, match="expected the experts that it was trained for"):
            compose_dual(tmp_path / "runs" / "d", experts=[expert], sigmas=sigmas, router=taught)
    assert compose_dual(
        tmp_path / "runs" / "d", experts=[expert], sigmas=[0.25, 1.0], router=taught
    )


def test_which_router_by_the_command_line(tmp_path: Path) -> None:
    experts = [f"--expert={name}" for name in EXPERTS]
    for options in ([], ["--router", "x", "--train-router"]):
        done = run("compose", "dual", *experts, "--out", str(tmp_path / "d"), *options)
        assert done.exit_code == 2
        assert "expected either --router or --train-router" in " ".join(done.stderr.split())


@pytest.mark.slow
def test_a_router_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    experts = [f"--expert={name}" for name in EXPERTS]
    done = run("compose", "dual", *experts, "--train-router", "--out", "runs/dual")
    assert done.exit_code == 0, done.output
    assert isinstance(
        classifier_of(open_bundle(Path("runs/dual")), Execution(device="cpu")), DualClassifier
    )


def test_a_bundle_does_not_replace_its_part(router: Bundle) -> None:
    experts = [find(name) for name in EXPERTS]
    with pytest.raises(RszooError, match="expected another folder than that of a part, got "):
        compose_dual(router.path, experts=experts, router=router, overwrite=True)
    assert open_bundle(router.path).config == router.config


def test_a_folder_that_exists_is_seen_before_a_router_is_trained(composed: Bundle) -> None:
    experts = [f"--expert={name}" for name in EXPERTS]
    with pytest.raises(RszooError, match="exists; choose another --out, or --overwrite"):
        run("compose", "dual", *experts, "--train-router", "--out", str(composed.path))


def test_the_parts_of_a_dual_bundle_that_comes_with_rszoo_come_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tmp_path / "made"
    experts = [
        constant(made / name, answer, kind="smoothed", classes=tuple("0123456789"))
        for answer, name in ((3, "low"), (5, "high"))
    ]
    router = constant(made / "router", 1, kind="router", classes=("low", "high"))
    compose_dual(made / "dual", experts=experts, router=router)
    monkeypatch.setattr(catalog, "_builtin_folder", lambda: tmp_path / "builtin")
    shutil.copytree(made, tmp_path / "builtin")
    shutil.rmtree(made)
    monkeypatch.chdir(tmp_path / "builtin" / "low")
    certificate = rszoo.load("builtin/dual", device="cpu").certify(torch.zeros(1, 8, 8), n=1000)
    assert certificate.label == 5  # type: ignore[union-attr]

    shutil.rmtree(tmp_path / "builtin" / "router")
    with pytest.raises(RszooError, match="builtin/dual: its part router is missing: unknown"):
        rszoo.load("builtin/dual")
