"""What is checked when a bundle is composed or trained is checked when it is opened."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from sealing import seal
from torch import Tensor

from rszoo import data, networks
from rszoo.data import Normalization
from rszoo.errors import DataError, RszooError
from rszoo.evaluation.protocol import read_protocol
from rszoo.hub.bundle import Bundle, open_bundle
from rszoo.hub.catalog import find
from rszoo.hub.classifiers import classifier_of
from rszoo.hub.configs.network import NetworkConfig
from rszoo.hub.kinds.cascade import compose_cascade
from rszoo.hub.kinds.dual import compose_dual
from rszoo.hub.kinds.ensemble import compose_ensemble
from rszoo.hub.kinds.mixed import compose_mixed
from rszoo.hub.origin import Origin, Parent
from rszoo.hub.writing import write_bundle
from rszoo.smoothing.mixing_weights import FixedWeight

DIGITS = tuple("0123456789")
OTHER = tuple("abcdefghij")


def network_bundle(folder: Path, seed: int = 0, **changed: Any) -> Bundle:
    torch.manual_seed(seed)
    options = dict(
        kind="smoothed",
        name=folder.name,
        method="gaussian",
        dataset="digits",
        architecture={"name": "small_cnn"},
        input_shape=(1, 8, 8),
        normalization=None,
        class_names=DIGITS,
        sigma=0.25,
        trained_precision="float32",
    )
    parents = changed.pop("parents", ())
    config = NetworkConfig(**options | changed)  # type: ignore[arg-type]
    network = networks.build(
        "small_cnn", input_shape=config.input_shape, num_classes=len(config.class_names)
    )
    origin = Origin(parents=parents)
    return write_bundle(folder, config=config, network=network, recipe="a: 1\n", origin=origin)


def change(bundle: Bundle, **values: object) -> Path:
    """Change the config of a bundle, as its author could."""
    path = bundle.path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return seal(bundle.path)


def refusal(folder: Path, use: Callable[[Bundle], object] = classifier_of) -> str:
    with pytest.raises(RszooError) as caught:
        use(open_bundle(folder))
    return str(caught.value)


# Composed bundles


@pytest.fixture
def experts(tmp_path: Path) -> list[Bundle]:
    return [
        network_bundle(tmp_path / f"expert{seed}", seed, sigma=sigma)
        for seed, sigma in ((1, 0.25), (2, 0.5))
    ]


@pytest.fixture
def cascade(tmp_path: Path, experts: list[Bundle]) -> Bundle:
    made = compose_cascade(tmp_path / "cascade", experts=experts)
    classifier_of(open_bundle(made.path))
    return made


def parts_of(bundle: Bundle, key: str = "experts") -> list[dict[str, Any]]:
    return json.loads((bundle.path / "config.json").read_text())[key]


def test_a_cascade_of_other_classes_than_it_says(cascade: Bundle) -> None:
    message = f"{cascade.path}: expected the inputs and classes of its experts, got others; "
    assert refusal(change(cascade, class_names=OTHER)) == message + "compose it anew"
    shape = {"class_names": DIGITS, "input_shape": [1, 9, 9]}
    assert refusal(change(cascade, **shape)).startswith(message)


def test_a_cascade_in_the_wrong_order(cascade: Bundle) -> None:
    assert refusal(change(cascade, experts=parts_of(cascade)[::-1])) == (
        f"{cascade.path}: expected experts by increasing noise level, got [0.5, 0.25]; compose it "
        "anew"
    )


def test_a_cascade_that_asks_one_twice(cascade: Bundle) -> None:
    first, second = parts_of(cascade)
    assert refusal(change(cascade, experts=[first, first, second])).startswith(
        "expected each expert once, got "
    )


def test_levels_of_several_experts(cascade: Bundle) -> None:
    first, second = parts_of(cascade)
    at_levels = [first | {"sigma": 0.1}, second | {"sigma": 0.2}]
    assert refusal(change(cascade, experts=at_levels)) == (
        "expected one expert for at least two different noise levels, got 2 for [0.1, 0.2]; "
        "without noise levels each expert has its own"
    )
    twice = [first | {"sigma": 0.1}, first | {"sigma": 0.1}]
    assert "at least two different noise levels, got 1 for [0.1, 0.1]" in refusal(
        change(cascade, experts=twice)
    )
    half = [first, first | {"sigma": 0.3}]
    assert "at least two different noise levels" in refusal(change(cascade, experts=half))
    levels = [first | {"sigma": 0.1}, first | {"sigma": 0.2}]
    change(cascade, experts=levels)
    assert [one.sigma for one in classifier_of(open_bundle(cascade.path)).experts] == [0.1, 0.2]  # type: ignore[attr-defined]


def test_a_dual_bundle_with_experts_that_its_router_does_not_know(
    tmp_path: Path, experts: list[Bundle]
) -> None:
    parents = [Parent(name=one.config.name, weights_sha256=one.weights_digest) for one in experts]
    router = network_bundle(
        tmp_path / "router", 3, kind="router", class_names=("a", "b"), parents=tuple(parents)
    )
    dual = compose_dual(tmp_path / "dual", experts=experts, router=router)
    classifier_of(open_bundle(dual.path))
    with pytest.raises(RszooError, match="in their order"):
        compose_dual(tmp_path / "other", experts=experts[::-1], router=router)
    message = refusal(change(dual, experts=parts_of(dual)[::-1]))
    assert "expected the experts that it was trained for, in their order: a, b" in message
    message = refusal(change(dual, experts=parts_of(dual)[::-1], class_names=OTHER))
    assert "expected the inputs and classes of its experts" in message


def test_an_ensemble_that_counts_one_twice(tmp_path: Path) -> None:
    members = [network_bundle(tmp_path / f"member{seed}", seed) for seed in (1, 2)]
    ensemble = compose_ensemble(tmp_path / "ensemble", members=members)
    classifier_of(open_bundle(ensemble.path))
    first, second = parts_of(ensemble, "members")
    assert refusal(change(ensemble, members=[first, second, first])).startswith(
        "expected at least two members, each once, got "
    )
    change(ensemble, members=[first, second])
    for wrong in ({"class_names": OTHER}, {"class_names": DIGITS, "sigma": 0.3}):
        assert refusal(change(ensemble, **wrong)) == (
            f"{ensemble.path}: expected the inputs, classes and noise level of its members, got "
            "others"
        )


def test_a_mix_of_parts_for_other_classes(tmp_path: Path) -> None:
    robust = network_bundle(tmp_path / "robust", 1)
    standard = network_bundle(tmp_path / "standard", 2, kind="standard", sigma=0)
    other = network_bundle(tmp_path / "other", 3, kind="standard", sigma=0, class_names=OTHER)
    mix = compose_mixed(
        tmp_path / "mix", standard=standard, robust=robust, weight=FixedWeight(0.8)
    )
    classifier_of(open_bundle(mix.path))
    named = {"id": "other", "digest": other.weights_digest}
    message = refusal(change(mix, standard=named))
    assert message == f"{other.path}: expected the inputs and classes of {robust.path}, got others"


# Weights


@pytest.fixture
def single(tmp_path: Path) -> Bundle:
    return network_bundle(tmp_path / "single")


def rewritten(bundle: Bundle, edit: Callable[[str, Tensor], Tensor]) -> Path:
    path = bundle.path / "model.safetensors"
    save_file({name: edit(name, tensor) for name, tensor in load_file(path).items()}, path)
    return seal(bundle.path)


@pytest.mark.parametrize("dtype", [torch.int8, torch.float64, torch.int64, torch.bool])
def test_weights_that_are_stored_as_no_weights_are(single: Bundle, dtype: torch.dtype) -> None:
    stored = {torch.int8: "I8", torch.float64: "F64", torch.int64: "I64", torch.bool: "BOOL"}
    message = refusal(rewritten(single, lambda _, tensor: tensor.to(dtype)))
    assert message.startswith("model.safetensors: expected the weights of {'name': 'small_cnn'}, ")
    assert f" stored as {stored[dtype]}; the bundle is damaged" in message


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_weights_that_are_rounded(single: Bundle, dtype: torch.dtype) -> None:
    folder = rewritten(single, lambda _, tensor: tensor.to(dtype))
    assert next(open_bundle(folder).network().parameters()).dtype == torch.float32


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(single: Bundle, value: float) -> None:
    """A network of NaN would answer class 0 for every noise, with the largest radius there is."""

    def edit(name: str, tensor: Tensor) -> Tensor:
        tensor.view(-1)[-1] = value
        return tensor

    assert "got numbers that are not finite in '1." in refusal(rewritten(single, edit))


def test_sizes_are_compared_before_anything_is_made(
    single: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A config of a few bytes may name a network of any size."""
    made: list[torch.device] = []
    original = torch.empty

    def empty(*size: Any, **options: Any) -> Tensor:
        tensor = original(*size, **options)
        made.append(tensor.device)
        return tensor

    folder = change(single, input_shape=[3, 640, 640])
    monkeypatch.setattr(torch, "empty", empty)
    message = refusal(folder, Bundle.network)
    assert message.startswith("model.safetensors: expected the weights of {'name': 'small_cnn'}, ")
    assert set(made) == {torch.device("meta")}


# Configs


@pytest.mark.parametrize(
    "std", [[0.0], [-0.3], [float("inf")], [float("nan")], [0.1, 0.1], [], [1e999]]
)
def test_standard_deviations_that_nothing_can_be_divided_by(single: Bundle, std: list) -> None:
    message = refusal(change(single, normalization={"mean": [0.5], "std": std}))
    assert "normalization" in message or "got: " in message
    with pytest.raises(ValueError, match=r"^expected (finite means and|as many means as) stand"):
        Normalization((0.5,), tuple(std))


def test_a_normalization_of_other_channels(single: Bundle) -> None:
    constants = {"mean": [0.5] * 3, "std": [0.5] * 3}
    assert "expected a mean and a standard deviation for 1 channels" in refusal(
        change(single, normalization=constants)
    )


@pytest.mark.parametrize(
    ("architecture", "problem"),
    [
        ({"name": "cifar_resnet", "depth": "20"}, "expects another depth, got '20'"),
        ({"name": "cifar_resnet", "depth": None}, "expects another depth, got None"),
        ({"name": "cifar_resnet", "depth": [20]}, "expects another depth, got [20]"),
        ({"name": "cifar_resnet", "depth": {"a": 1}}, "expects another depth, got {'a': 1}"),
        ({"name": "cifar_resnet", "depth": 20.0}, "expects another depth, got 20.0"),
        ({"name": "cifar_resnet", "depth": True}, "expects another depth, got True"),
        ({"name": "cifar_resnet", "depth": 6000002}, "expects a depth of the form 6n+2"),
        ({"name": "cifar_resnet", "depth": -6000002}, "expects a depth of the form 6n+2"),
        ({"name": "mixing", "hidden": "16"}, "expects another hidden, got '16'"),
        ({"name": "mixing", "hidden": 10**9}, "expects another hidden, got 1000000000"),
        ({"name": "mixing", "alpha_min": "0.9"}, "expects another alpha_min, got '0.9'"),
        ({"name": "small_cnn", "width": 3}, "has no options ['width']"),
    ],
)
def test_options_of_the_wrong_type(
    single: Bundle, architecture: dict[str, Any], problem: str
) -> None:
    assert problem in refusal(change(single, architecture=architecture))


def doubled(path: Path, key: str) -> None:
    """Write a key of a JSON object a second time, in front."""
    text = path.read_text()
    path.write_text('{"' + key + '": null,' + text.lstrip()[1:])


@pytest.mark.parametrize("key", ["sigma", "class_names"])
def test_a_config_that_says_a_thing_twice(single: Bundle, key: str) -> None:
    doubled(single.path / "config.json", key)
    assert refusal(seal(single.path)) == (
        f"{single.path / 'config.json'}: expected a bundle's config, got another text: "
        f"expected each key once, got {key!r} twice"
    )


def test_a_manifest_and_a_protocol_that_say_a_thing_twice(single: Bundle, tmp_path: Path) -> None:
    doubled(single.path / "manifest.json", "files")
    assert "manifest.json: expected a manifest of format 1, got other content" in refusal(
        single.path
    )
    path = tmp_path / "protocol.json"
    path.write_text('{"kind": "fixed", "sigma": 0.25, "sigma": 0.5}')
    with pytest.raises(DataError, match="expected each key once, got 'sigma' twice"):
        read_protocol(path)
    path.write_bytes(b"\xef\xbb\xbf" + b'{"kind": "fixed", "sigma": 0.25}')  # an editor's mark
    assert read_protocol(path).sigma == 0.25


def test_the_builtin_bundles_pass_every_check() -> None:
    shape = data.load("digits", "test").shape
    assert find("builtin/digits-gaussian-0.25").network()(torch.zeros(1, *shape)).shape == (1, 10)


def test_a_pipe_in_place_of_a_file(single: Bundle) -> None:
    (single.path / "recipe.yaml").unlink()
    os.mkfifo(single.path / "recipe.yaml")
    assert "recipe.yaml: expected a file, got none" in refusal(single.path)
    (single.path / "manifest.json").unlink()
    os.mkfifo(single.path / "manifest.json")
    assert "manifest.json: expected a file, got none" in refusal(single.path)
