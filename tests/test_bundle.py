"""Bundles: what is written comes back, and what was tampered with is refused by name."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, load_file, save_file
from sealing import seal

from rszoo import data, networks
from rszoo.certificates.kinds.fixed import KIND as FIXED
from rszoo.errors import IntegrityError, RszooError
from rszoo.hub.bundle import Bundle, open_bundle
from rszoo.hub.classifiers import classifier_of
from rszoo.hub.configs.network import NetworkConfig
from rszoo.hub.evidence import add_evidence
from rszoo.hub.files import EVIDENCE
from rszoo.hub.origin import Origin
from rszoo.hub.writing import weights_of, write_bundle
from rszoo.smoothing.execution import Execution

FILES = {"config.json", "manifest.json", "model.safetensors", "recipe.yaml"}
DAMAGED = "the bundle is damaged or was changed by hand; fetch or make it again"


@pytest.fixture
def made(tmp_path: Path) -> tuple[Bundle, torch.nn.Module]:
    images = data.load("digits", "test")
    network = networks.build("small_cnn", input_shape=images.shape, num_classes=10).eval()
    config = NetworkConfig.of(
        images,
        name="digits-gaussian-0.25",
        method="gaussian",
        dataset="digits",
        architecture={"name": "small_cnn"},
        sigma=0.25,
        trained_precision="float32",
    )
    origin = Origin(facts={"data": images.digest}, seed=4)
    bundle = write_bundle(
        tmp_path / "runs" / "it", config=config, network=network, recipe="a: 1\n", origin=origin
    )
    return bundle, network


@pytest.fixture
def folder(made: tuple[Bundle, torch.nn.Module]) -> Path:
    return made[0].path


def refused(folder: Path, use: Callable[[Bundle], object] = lambda bundle: None) -> str:
    with pytest.raises(RszooError) as caught:
        use(open_bundle(folder))
    error = caught.value
    if isinstance(error, IntegrityError):
        assert str(error) == (
            f"{error.path}: expected {error.expected}, got {error.actual}; {DAMAGED}"
        )
        return f"{error.path}: expected {error.expected}, got {error.actual}"
    return str(error)


def test_round_trip(made: tuple[Bundle, torch.nn.Module]) -> None:
    bundle, network = made
    assert {path.name for path in bundle.path.iterdir()} == FILES
    again = open_bundle(bundle.path)
    assert again == bundle
    assert again.config.class_names == tuple("0123456789")
    assert again.config.input_shape == (1, 8, 8)
    assert again.manifest.origin.seed == 4
    assert again.recipe.read_text() == "a: 1\n"
    assert again.evidence is None
    x = torch.rand(50, 1, 8, 8)
    loaded = again.network()
    assert not loaded.training
    assert torch.equal(loaded(x), network(x))
    classifier = classifier_of(again, Execution(device="cpu", precision="float32"))
    assert (classifier.sigma, classifier.num_classes) == (0.25, 10)
    assert torch.equal(classifier.network(x), network(x))


def test_normalisation_comes_back(tmp_path: Path) -> None:
    normalization = data.Normalization(mean=(0.3, 0.4, 0.5), std=(0.2, 0.1, 0.3))
    shape = (3, 8, 8)
    network = networks.build(
        "small_cnn", input_shape=shape, num_classes=2, normalization=normalization
    ).eval()
    config = NetworkConfig(
        name="x",
        method="gaussian",
        dataset="x",
        architecture={"name": "small_cnn"},
        input_shape=shape,
        normalization=normalization,
        class_names=("a", "b"),
        sigma=0.5,
        trained_precision="bfloat16",
    )
    bundle = write_bundle(
        tmp_path / "x", config=config, network=network, recipe="", origin=Origin()
    )
    x = torch.rand(5, *shape)
    assert torch.equal(bundle.network()(x), network(x))
    without = config.model_copy(update={"normalization": None})
    other = write_bundle(
        tmp_path / "y", config=without, network=network, recipe="", origin=Origin()
    )
    assert not torch.equal(other.network()(x), network(x))


@pytest.mark.parametrize("name", sorted(FILES - {"manifest.json"}))
def test_a_flipped_bit(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    was = hashlib.sha256(content).hexdigest()
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    now = hashlib.sha256(content).hexdigest()
    assert refused(folder) == f"{name}: expected sha256 {was}, got {now}"


@pytest.mark.parametrize("name", sorted(FILES - {"manifest.json"}))
def test_a_truncated_file(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-1])
    expected = f"{name}: expected {len(content)} bytes, got {len(content) - 1} bytes"
    assert refused(folder) == expected


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_missing_file(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert refused(folder) == f"{name}: expected a file, got none"


@pytest.mark.parametrize("name", ["notes.txt", "model.pt", ".hidden", "sub"])
def test_an_extra_file(folder: Path, name: str) -> None:
    if name == "sub":
        (folder / name).mkdir()
    else:
        (folder / name).write_text("x")
    assert refused(folder) == f"{name}: expected no such file, got a file"


def test_a_link_in_place_of_a_file(folder: Path) -> None:
    shutil.move(folder / "model.safetensors", folder.parent / "elsewhere")
    (folder / "model.safetensors").symlink_to(folder.parent / "elsewhere")
    assert refused(folder) == "model.safetensors: expected a file, got a link"


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "recipe.yaml"])
def test_a_manifest_that_leaves_a_file_out(folder: Path, name: str) -> None:
    (folder / name).unlink()
    seal(folder)
    assert refused(folder) == f"{name}: expected a file of the manifest, got none"


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "sub/file", "..", "manifest.json"])
def test_a_manifest_that_names_something_else(folder: Path, name: str) -> None:
    (folder.parent / "outside").write_text("x")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name] = {"sha256": hashlib.sha256(b"x").hexdigest(), "size": 1}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert refused(folder) == f"manifest.json: expected plain file names, got {name!r}"


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: "<html>Not found</html>",
        lambda manifest: "",
        lambda manifest: "[]",
        lambda manifest: json.dumps(manifest)[:-20],
        lambda manifest: json.dumps(manifest | {"format": 2}),
        lambda manifest: json.dumps(manifest | {"files": {"config.json": {"size": 3}}}),
        lambda manifest: json.dumps(manifest | {"unknown": 1}),
    ],
    ids=["html", "empty", "list", "truncated", "newer", "no digest", "unknown key"],
)
def test_a_manifest_that_is_none(folder: Path, change: Callable[[dict], str]) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(change(manifest))
    assert refused(folder) == "manifest.json: expected a manifest of format 1, got other content"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"sigma": -1}, "sigma: Input should be greater than or equal to 0"),
        (
            {"sigma": 0},
            "sigma: Value error, expected 0 for a standard network, and more for any other",
        ),
        (
            {"kind": "standard"},
            "sigma: Value error, expected 0 for a standard network, and more for any other",
        ),
        ({"kind": "dual"}, "experts: Field required"),
        (
            {"kind": "triple"},
            "the file: Input tag 'triple' found using 'kind' does not match any of the expected "
            "tags: 'smoothed', 'router', 'standard', 'weight', 'denoiser', 'adapted', 'cascade', "
            "'denoised', 'dual', 'ensemble', 'mixed', 'mixed_standard', 'opaque'",
        ),
        ({"input_shape": [1, 8]}, "input_shape.2: Field required"),
        ({"name": "../../x"}, "name: Value error, expected a name that a file can have"),
        ({"name": ".x"}, "name: Value error, expected a name that a file can have"),
        ({"name": "a\n"}, "name: Value error, expected a name that a file can have"),
        ({"name": ""}, "name: Value error, expected a name that a file can have"),
        ({"architecture": {}}, "architecture: Value error, expected the name of a network"),
    ],
)
def test_a_config_that_is_none(folder: Path, change: dict[str, Any], complaint: str) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    seal(folder)
    assert refused(folder) == (
        f"{folder / 'config.json'}: expected a bundle's config, got {complaint}; the bundle may "
        "come from a newer rszoo"
    )


def test_a_config_with_an_unknown_network(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["architecture"] = {"name": "lenett"}
    (folder / "config.json").write_text(json.dumps(config))
    seal(folder)
    assert refused(folder, Bundle.network) == (
        f"unknown network 'lenett' (did you mean 'lenet'?); expected one of {networks.names()}, "
        "or of a library, such as torchvision:resnet18"
    )


WEIGHTS = "model.safetensors: expected the weights of {'name': 'small_cnn'}, got "


def test_weights_of_another_architecture(folder: Path) -> None:
    other = networks.build("cifar_resnet", input_shape=(1, 8, 8), num_classes=10, depth=8)
    save_file(other.state_dict(), folder / "model.safetensors")
    seal(folder)
    assert refused(folder, Bundle.network) == WEIGHTS + "other names or shapes"


def test_weights_for_another_number_of_classes(folder: Path) -> None:
    other = networks.build("small_cnn", input_shape=(1, 8, 8), num_classes=7)
    save_file(other.state_dict(), folder / "model.safetensors")
    seal(folder)
    assert refused(folder, Bundle.network) == WEIGHTS + "other names or shapes"


@pytest.mark.parametrize("more", [True, False])
def test_weights_with_a_tensor_more_or_less(folder: Path, more: bool) -> None:
    weights = load_file(folder / "model.safetensors")
    if more:
        weights["1.extra"] = torch.zeros(1)
    else:
        weights.pop(next(iter(weights)))
    save_file(weights, folder / "model.safetensors")
    seal(folder)
    assert refused(folder, classifier_of) == WEIGHTS + "other names or shapes"


@pytest.mark.parametrize("content", [b"<html>404 Not Found</html>" * 50, b"", b"\x80\x04}."])
def test_something_else_in_place_of_weights(folder: Path, content: bytes) -> None:
    (folder / "model.safetensors").write_bytes(content)
    seal(folder)
    assert refused(folder, Bundle.network) == WEIGHTS + "other content"


def test_nothing_is_used_before_it_is_checked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def touched(*_: object, **__: object) -> None:
        raise AssertionError("used before it was checked")

    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    monkeypatch.setattr("rszoo.hub.bundle.read_config", touched)
    monkeypatch.setattr("safetensors.torch.load_file", touched)
    assert refused(folder, Bundle.network).startswith("model.safetensors: expected sha256 ")


def test_no_such_folder(tmp_path: Path) -> None:
    path = tmp_path / "none"
    assert (
        refused(path) == f"expected a bundle folder, got {str(path)!r}: no such folder; "
        "rszoo ls lists the bundles there are"
    )


def test_an_existing_folder_is_replaced_only_when_asked(
    made: tuple[Bundle, torch.nn.Module],
) -> None:
    bundle, network = made
    values = {"config": bundle.config, "network": network, "recipe": "b: 2\n", "origin": Origin()}
    with pytest.raises(RszooError) as caught:
        write_bundle(bundle.path, **values)
    assert str(caught.value) == (
        f"expected a new folder, got {str(bundle.path)!r}, which exists; name another one, or "
        "replace it (--overwrite, overwrite=True)"
    )
    assert bundle.recipe.read_text() == "a: 1\n"
    replaced = write_bundle(bundle.path, replace=True, **values)
    assert replaced.recipe.read_text() == "b: 2\n"
    assert os.listdir(bundle.path.parent) == ["it"]


def test_what_is_no_bundle_is_not_replaced(
    made: tuple[Bundle, torch.nn.Module], tmp_path: Path
) -> None:
    bundle, network = made
    values = {"config": bundle.config, "network": network, "recipe": "", "origin": Origin()}
    letters = tmp_path / "letters"
    letters.mkdir()
    assert write_bundle(letters, replace=True, **values).path == letters, "it is empty"
    shutil.rmtree(letters)
    letters.mkdir()
    (letters / "dear.txt").touch()
    for place in (letters, letters / "dear.txt"):
        with pytest.raises(RszooError, match=r"^expected a bundle to replace, got "):
            write_bundle(place, replace=True, **values)
    assert (letters / "dear.txt").is_file()


@pytest.mark.parametrize(
    "place", ["_files.os.fsync", "_folders.os.replace", "hub.manifest.Manifest.write"]
)
@pytest.mark.parametrize("exists", [True, False])
def test_a_failed_write_leaves_everything_as_it_was(
    place: str,
    exists: bool,
    made: tuple[Bundle, torch.nn.Module],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundle, network = made
    before = {path.name: path.read_bytes() for path in bundle.path.iterdir()}
    target = bundle.path if exists else bundle.path.with_name("new")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(f"rszoo.{place}", full)
        with pytest.raises(RszooError) as caught:
            write_bundle(
                target,
                config=bundle.config,
                network=network,
                recipe="c: 3\n",
                origin=Origin(),
                replace=True,
            )
    assert str(caught.value) == f"cannot write {str(target)!r}: No space left on device"
    assert os.listdir(bundle.path.parent) == ["it"]
    assert {path.name: path.read_bytes() for path in bundle.path.iterdir()} == before


def test_a_replacement_that_fails_half_way_is_taken_back(
    made: tuple[Bundle, torch.nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, network = made
    replace = os.replace

    def once(source: Path, target: Path) -> None:
        if source.name.endswith(".new"):
            raise OSError(5, "Input/output error")
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("rszoo._folders.os.replace", once)
        with pytest.raises(RszooError, match="Input/output error"):
            write_bundle(
                bundle.path,
                config=bundle.config,
                network=network,
                recipe="c: 3\n",
                origin=Origin(),
                replace=True,
            )
    assert os.listdir(bundle.path.parent) == ["it"]
    assert open_bundle(bundle.path) == bundle


def test_a_bundle_that_a_kill_left_aside_is_found(made: tuple[Bundle, torch.nn.Module]) -> None:
    bundle, _ = made
    os.replace(bundle.path, bundle.path.with_name(f".{bundle.path.name}.0a1b2c3d.old"))
    bundle.path.with_name(f".{bundle.path.name}.0a1b2c3d.new").mkdir()
    assert open_bundle(bundle.path) == bundle
    assert os.listdir(bundle.path.parent) == [bundle.path.name]


def evidence(bundle: Bundle, *, weights: str) -> Path:
    log, protocol = bundle.path.parent / "log.tsv", bundle.path.parent / "log.json"
    log.write_text(" ".join(FIXED.names).replace(" ", "\t") + "\n")
    sigma = bundle.of_network.sigma
    content = {"model": {"weights_sha256": weights}, "sigma": sigma}
    protocol.write_text(json.dumps(content))
    return log


def test_evidence_is_added_and_everything_else_kept(
    made: tuple[Bundle, torch.nn.Module],
) -> None:
    bundle, _ = made
    before = {path.name: path.read_bytes() for path in bundle.path.iterdir()}
    certified = add_evidence(bundle, evidence(bundle, weights=bundle.weights_digest))
    assert certified == open_bundle(bundle.path)
    after = {path.name: path.read_bytes() for path in bundle.path.iterdir()}
    assert after.keys() == FILES | {"certificates.tsv", "certificates.json"}
    for name in FILES - {"manifest.json"}:
        assert after[name] == before[name]
    assert certified.manifest.origin == bundle.manifest.origin
    assert certified.evidence == bundle.path / "certificates.tsv"
    assert after["certificates.tsv"].startswith(b"idx\t")
    assert add_evidence(certified, evidence(bundle, weights=bundle.weights_digest)) == open_bundle(
        bundle.path
    )


def test_evidence_of_other_weights_is_refused(made: tuple[Bundle, torch.nn.Module]) -> None:
    bundle, _ = made
    given = evidence(bundle, weights="0" * 64)
    with pytest.raises(RszooError) as caught:
        add_evidence(bundle, given)
    assert str(caught.value) == (
        f"{given} is not about {bundle.path}: expected weights {bundle.weights_digest}, got "
        f"{'0' * 64}"
    )
    assert open_bundle(bundle.path) == bundle


def test_evidence_does_not_bless_a_bundle_that_was_changed(
    made: tuple[Bundle, torch.nn.Module],
) -> None:
    bundle, _ = made
    given = evidence(bundle, weights=bundle.weights_digest)
    (bundle.path / "recipe.yaml").write_text("a: 9\n")
    with pytest.raises(IntegrityError) as caught:
        add_evidence(bundle, given)
    assert caught.value.path == "recipe.yaml"
    assert EVIDENCE not in os.listdir(bundle.path)


def test_halves_are_the_model(made: tuple[Bundle, torch.nn.Module], tmp_path: Path) -> None:
    bundle, network = made
    half = write_bundle(
        tmp_path / "half",
        config=bundle.config,
        network=network,
        recipe="",
        origin=Origin(),
        half=True,
    )
    weights = "model.safetensors"
    assert half.manifest.files[weights].size < 0.51 * bundle.manifest.files[weights].size
    loaded = half.network().state_dict()
    for name, value in network.state_dict().items():
        assert loaded[name].dtype == torch.float32
        assert torch.equal(loaded[name], value.half().float())


def test_weights_that_halves_cannot_hold_are_refused(
    made: tuple[Bundle, torch.nn.Module], tmp_path: Path
) -> None:
    bundle, network = made
    with torch.no_grad():
        next(network.parameters())[0] = 1e5
    with pytest.raises(
        RszooError, match=r"float16 can hold, got larger ones in '1\.conv\.weight'"
    ):
        write_bundle(
            tmp_path / "half", config=bundle.config, network=network, origin=Origin(), half=True
        )
    assert not (tmp_path / "half").exists()


def test_whole_numbers_are_not_halved() -> None:
    network = torch.nn.BatchNorm1d(2)
    assert network.num_batches_tracked is not None
    network.num_batches_tracked.fill_(70_000)
    tensors = load(weights_of(network, half=True))
    assert tensors["num_batches_tracked"].item() == 70_000
    assert tensors["running_mean"].dtype == torch.float16
