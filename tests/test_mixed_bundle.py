"""Mixed bundles by the command line and in Python: digits, from training to verification."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sealing import seal
from typer.testing import CliRunner, Result

from rszoo import load
from rszoo.certificates.base import ABSTAIN, Certificate, Prediction
from rszoo.certificates.kinds.mixed import Mixing, mixed_certificate
from rszoo.errors import IntegrityError, RszooError
from rszoo.evaluation.log import read_log
from rszoo.hub.bundle import open_bundle
from rszoo.hub.card import card_files
from rszoo.hub.catalog import find
from rszoo.hub.configs.mixed import MixedConfig
from rszoo.hub.kinds.mixed import compose_mixed
from rszoo.hub.parts import part_of
from rszoo.networks.mixing import MixingNetwork
from rszoo.smoothing.mixed import MixedClassifier
from rszoo.smoothing.mixing_weights import FixedWeight, GradientWeight, LearnedWeight
from rszoo_cli import app

STANDARD = "runs/digits-standard-0.00"
ROBUST = "runs/digits-gaussian-0.25"


@pytest.fixture(scope="session")
def both(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder `runs` of a smoothed bundle and a standard one. Not to be changed."""
    runs = tmp_path_factory.mktemp("mixed") / "runs"
    shutil.copytree(trained, runs)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        result = invoke("train", "standard", "train.epochs=8", "--out", str(runs))
    assert result.exit_code == 0, result.output
    assert f"mix with: rszoo compose mixed --standard {runs}/digits-standard-0.00" in (
        result.stderr
    )
    return runs


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, both: Path) -> None:
    for name in (STANDARD, ROBUST):
        shutil.copytree(both.parent / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})


def run(*arguments: str) -> str:
    result = invoke(*arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def compose(*more: str) -> str:
    weight = () if "--gradient-scale" in more or "--alpha-mix" in more else ("--alpha-mix", "0.76")
    parts = ("--standard", STANDARD, "--robust", ROBUST)
    return run("compose", "mixed", *parts, *weight, "--out", "runs/mix", *more)


def failure(*arguments: str) -> str:
    result = invoke(*arguments)
    assert isinstance(result.exception, RszooError), result.output
    return str(result.exception)


def test_from_two_trainings_to_a_verified_mix() -> None:
    assert compose() == "runs/mix\n"
    given = json.loads(
        run("certify", "-m", "runs/mix", "--n", "500", "--limit", "12", "--json", "--attach")
    )
    assert (given["images"], given["n"], given["sigma"]) == (12, 500, 0.25)
    log = read_log("runs/mix/certificates.tsv")
    assert log.protocol is not None
    assert (log.protocol.values()["alpha_mix"], log.protocol.values()["weight"]) == (0.76, "fixed")
    robust, mix = load(ROBUST), load("runs/mix")
    assert isinstance(mix, MixedClassifier)
    from rszoo import data

    images = data.load("digits", "test")
    for row, idx in enumerate(log.idx.tolist()):
        image = images.images(torch.tensor([idx]))[0]
        alone = robust.certify(image, n=500)
        assert isinstance(alone, Certificate)
        assert log.certificate(row) == mixed_certificate(alone, alpha_mix=0.76)
        assert log.certificate(row) == mix.certify(image, n=500)
    assert (log.predict != ABSTAIN).any()
    assert "12 rows, every radius follows" in run("verify", "runs/mix", "--n", "500")
    (row,) = (row for row in json.loads(run("ls", "--json")) if row["id"] == "runs/mix")
    assert (row["method"], row["sigma"], row["certified"]["images"]) == ("mixed", 0.25, 12)
    shown = json.loads(run("show", "runs/mix", "--json"))
    assert shown["parts"] == ["digits-standard-0.00", "digits-gaussian-0.25"]
    assert shown["weight"] == {"kind": "fixed", "alpha_mix": 0.76}
    assert "digits-gaussian-0.25" in run("show", "runs/mix")
    assert "mix" in run("leaderboard", "runs")


def test_the_mix_is_more_accurate_than_its_robust_part() -> None:
    from rszoo import data

    compose()
    images = data.load("digits", "test")
    mix, robust = load("runs/mix"), load(ROBUST)
    right = {"mix": 0, "robust": 0}
    for idx in range(0, 200, 4):
        image, label = images.images(torch.tensor([idx]))[0], int(images.labels[idx])
        for name, classifier in (("mix", mix), ("robust", robust)):
            answer = classifier.predict(image, n=300, alpha=0.01)
            assert isinstance(answer, Prediction)
            right[name] += answer.label == label
    assert right["mix"] > right["robust"]


def test_own_images(tmp_path: Path) -> None:
    compose()
    np.save("x.npy", np.zeros((1, 1, 8, 8), dtype=np.float32))
    (row,) = json.loads(run("certify", "-m", "runs/mix", "x.npy", "--n", "100", "--json"))
    assert row["alpha_mix"] == 0.76
    (row,) = json.loads(run("certify", "-m", ROBUST, "x.npy", "--n", "100", "--json"))
    assert "alpha_mix" not in row
    (row,) = json.loads(run("predict", "-m", "runs/mix", "x.npy", "--n", "100", "--json"))
    assert set(row) >= {"class", "p_value"}


def test_json_says_what_was_made() -> None:
    made = json.loads(compose("--json"))
    assert (made["id"], made["kind"], made["sigma"]) == ("runs/mix", "mixed", 0.25)
    assert made["standard"]["digest"] == open_bundle(STANDARD).weights_digest
    assert made["robust"]["digest"] == open_bundle(ROBUST).weights_digest
    assert made["weight"] == {"kind": "fixed", "alpha_mix": 0.76}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--alpha-mix", "0.5"), "expected 1/2 < alpha_mix <= 1, got 0.5"),
        (("--alpha-mix", "1.5"), "expected 1/2 < alpha_mix <= 1, got 1.5"),
        (("--alpha-mix", "nan"), "expected 1/2 < alpha_mix <= 1, got nan"),
        (("--gradient-scale", "0"), "expected a positive finite number, got 0.0"),
        ((), "expected one of --alpha-mix, --weight and --gradient-scale"),
        (
            ("--alpha-mix", "0.7", "--gradient-scale", "1"),
            "expected one of --alpha-mix, --weight and",
        ),
    ],
)
def test_wrong_usage(more: tuple[str, ...], message: str) -> None:
    parts = ("--standard", STANDARD, "--robust", ROBUST, "--out", "runs/mix")
    result = invoke("compose", "mixed", *parts, *more)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not Path("runs/mix").exists()


@pytest.mark.parametrize(
    ("standard", "robust", "message"),
    [
        (ROBUST, ROBUST, f"{ROBUST}: expected a standard bundle, got a smoothed one"),
        (STANDARD, STANDARD, f"{STANDARD}: expected a smoothed bundle, got a standard one"),
        (
            STANDARD,
            "runs/other",
            f"{STANDARD}: expected the inputs and classes of runs/other, got others",
        ),
        ("runs/none", ROBUST, "expected a bundle folder, got 'runs/none': no such folder"),
    ],
)
def test_parts_that_do_not_fit(standard: str, robust: str, message: str) -> None:
    rename_classes(Path(shutil.copytree(ROBUST, "runs/other")))
    arguments = ("--standard", standard, "--robust", robust, "--alpha-mix", "0.7")
    assert message in failure("compose", "mixed", *arguments, "--out", "runs/mix")
    assert not Path("runs/mix").exists()


def test_a_mix_of_a_mix_is_refused() -> None:
    compose()
    with pytest.raises(RszooError, match="expected a bundle with a network"):
        compose_mixed(
            Path("runs/two"),
            standard=find(STANDARD),
            robust=find("runs/mix"),
            weight=FixedWeight(0.7),
        )


def rename_classes(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["class_names"][0] = "nought"
    (folder / "config.json").write_text(json.dumps(config))
    seal(folder)


def test_an_existing_bundle_is_kept() -> None:
    compose()
    arguments = ("--standard", STANDARD, "--robust", ROBUST, "--out", "runs/mix")
    message = failure("compose", "mixed", *arguments, "--alpha-mix", "0.9")
    assert message.startswith("expected a new folder, got 'runs/mix', which exists; name another")
    assert open_bundle("runs/mix").config.alpha_mix == 0.76
    compose("--alpha-mix", "0.9", "--overwrite")
    assert open_bundle("runs/mix").config.alpha_mix == 0.9


def test_a_part_that_is_gone_or_another_is_named() -> None:
    compose()
    shutil.move(STANDARD, "elsewhere")
    assert "runs/mix: its part digits-standard-0.00 is missing" in failure(
        "predict", "-m", "runs/mix", "x.npy"
    )
    weights = load_file("elsewhere/model.safetensors")
    save_file({key: value + 1 for key, value in weights.items()}, "elsewhere/model.safetensors")
    seal(Path("elsewhere"))
    shutil.move("elsewhere", STANDARD)
    with pytest.raises(IntegrityError, match=r"digits-standard-0\.00: expected the part of runs"):
        load("runs/mix")


@pytest.mark.parametrize("part", [STANDARD, ROBUST])
def test_verify_names_a_part_that_changed(part: str) -> None:
    compose()
    run("certify", "-m", "runs/mix", "--n", "200", "--limit", "2", "--attach")
    run("verify", "runs/mix", "--n", "200")
    path = Path(part, "model.safetensors")
    save_file({key: value + 1 for key, value in load_file(path).items()}, path)
    seal(Path(part))
    for more in ((), ("--sample", "0")):
        message = failure("verify", "runs/mix", *more)
        assert message.startswith(f"{Path(part).name}: expected the part of runs/mix with digest")
    shutil.rmtree(part)
    assert f"its part {Path(part).name} is missing" in failure("verify", "runs/mix")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"sigma": 0.5}, "expected the sigma, classes and inputs of runs/digits-gaussian-0.25"),
        ({"sigma": 0}, "sigma: Input should be greater than 0"),
        ({"weight": {"kind": "fixed", "alpha_mix": 0.5}}, "Input should be greater than 0.5"),
        ({"weight": {"kind": "fixed"}}, "alpha_mix: Field required"),
        ({"weight": {"kind": "magic"}}, "Input tag 'magic' found"),
        ({"robust": {"id": "x"}}, "robust.digest: Field required"),
        (
            {
                "weight": {
                    "kind": "learned",
                    "alpha_min": 0.8,
                    "alpha_max": 0.7,
                    "hidden": 4,
                    "weights_sha256": "0" * 64,
                }
            },
            "expected at least alpha_min",
        ),
        (
            {
                "weight": {
                    "kind": "learned",
                    "alpha_min": 0.7,
                    "alpha_max": 0.8,
                    "hidden": 4,
                    "weights_sha256": "0" * 64,
                }
            },
            "model.safetensors: expected a mixing network with digest 000",
        ),
    ],
)
def test_a_config_that_is_none(change: dict, complaint: str) -> None:
    compose()
    path = Path("runs/mix/config.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    seal(path.parent)
    with pytest.raises(RszooError) as caught:
        load("runs/mix")
    assert complaint in str(caught.value)


def test_parts_that_change_places_are_refused() -> None:
    compose()
    path = Path("runs/mix/config.json")
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"standard": config["robust"]}))
    seal(path.parent)
    with pytest.raises(RszooError, match="expected a standard bundle as the part of runs/mix"):
        load("runs/mix")


def learned(alpha_min: float = 0.8) -> LearnedWeight:
    network = MixingNetwork(hidden=5, alpha_min=alpha_min, alpha_max=0.95)
    torch.nn.init.normal_(network.out.weight)
    return LearnedWeight(network)


def test_a_learned_weight_is_kept_with_the_bundle() -> None:
    weight = learned()
    bundle = compose_mixed(
        Path("runs/mix"), standard=find(STANDARD), robust=find(ROBUST), weight=weight
    )
    assert bundle.config.alpha_mix == 0.8
    mix = load("runs/mix")
    assert isinstance(mix, MixedClassifier)
    assert isinstance(mix.weight, LearnedWeight)
    g, h = torch.randn(6, 10), torch.randn(6, 10)
    assert torch.equal(mix.weight.network(g, h), weight.network(g, h))
    given = mix.certify(torch.zeros(1, 8, 8), n=100)
    assert isinstance(given, Certificate)
    assert given.details == Mixing(alpha_mix=0.8)
    run("certify", "-m", "runs/mix", "--n", "100", "--limit", "3", "--attach")
    protocol = json.loads(Path("runs/mix/certificates.json").read_text())
    assert (protocol["alpha_mix"], protocol["alpha_max"]) == (0.8, 0.95)
    assert open_bundle("runs/mix").weights_digest == bundle.weights_digest
    run("verify", "runs/mix", "--n", "100")


def test_another_mixing_network_than_the_composed_one_is_refused() -> None:
    weight = learned()
    compose_mixed(Path("runs/mix"), standard=find(STANDARD), robust=find(ROBUST), weight=weight)
    path = Path("runs/mix/model.safetensors")
    save_file({key: value + 1 for key, value in load_file(path).items()}, path)
    seal(path.parent)
    with pytest.raises(IntegrityError, match="expected a mixing network with digest"):
        load("runs/mix")


def test_a_mixing_network_of_another_shape_is_refused() -> None:
    weight = learned()
    compose_mixed(Path("runs/mix"), standard=find(STANDARD), robust=find(ROBUST), weight=weight)
    path = Path("runs/mix/config.json")
    config = json.loads(path.read_text())
    config["weight"]["hidden"] = 6
    path.write_text(json.dumps(config))
    seal(path.parent)
    with pytest.raises(IntegrityError, match="expected a mixing network with 6 hidden units"):
        load("runs/mix")


def test_a_weight_by_the_gradient_predicts_and_certifies_nothing() -> None:
    compose("--gradient-scale", "0.5")
    np.save("x.npy", np.zeros((1, 1, 8, 8), dtype=np.float32))
    (row,) = json.loads(run("predict", "-m", "runs/mix", "x.npy", "--n", "100", "--json"))
    assert row["n"] == 100
    for inputs in ((), ("x.npy",)):
        message = failure("certify", "-m", "runs/mix", *inputs, "--n", "10")
        assert message.startswith("no certificate holds for GradientWeight(scale=0.5)")
    assert not Path("certificates").exists()
    bundle = open_bundle("runs/mix")
    assert isinstance(bundle.config, MixedConfig)
    assert part_of(bundle, bundle.config.robust).weights_digest == find(ROBUST).weights_digest
    mix = load("runs/mix")
    assert isinstance(mix, MixedClassifier)
    assert mix.weight == GradientWeight(0.5)
    card = card_files(bundle, "me/mix")["README.md"].decode()
    assert "certified robustness for" not in card
    assert "It predicts, and certifies nothing: `rszoo predict --model me/mix photo.png`" in card


def test_a_log_of_a_larger_weight_than_the_bundles_is_found() -> None:
    compose()
    run("certify", "-m", "runs/mix", "--n", "200", "--limit", "2")
    compose("--alpha-mix", "0.9", "--overwrite")
    result = invoke("verify", "certificates/mix.tsv", "-m", "runs/mix")
    assert "is not about" in str(result.exception)
    protocol = Path("certificates/mix.json")
    content = json.loads(protocol.read_text())
    content["model"]["weights_sha256"] = open_bundle("runs/mix").weights_digest
    protocol.write_text(json.dumps(content))
    assert "expected alpha_mix 0.9, got 0.76" in failure(
        "verify", "certificates/mix.tsv", "-m", "runs/mix"
    )
