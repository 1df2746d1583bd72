"""Kinds of bundle: found by their files, and whole or refused."""

import dataclasses
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from rszoo import _registry
from rszoo.certificates import kinds as certificates
from rszoo.errors import DataError
from rszoo.evaluation.log import read_log
from rszoo.hub import configs, kinds
from rszoo.hub.bundle import open_bundle
from rszoo.hub.card import card_files
from rszoo.hub.catalog import builtin_names, find
from rszoo.hub.classifiers import classifier_of
from rszoo.hub.evidence import check_about
from rszoo.hub.kind import Kind
from rszoo.hub.parts import part_in, write_composed
from rszoo.smoothing.classifier import SmoothedClassifier

EXPERT = "builtin/digits-gaussian-0.25"

CONFIG = """
from typing import Literal
from rszoo.hub.config import ComposedConfig, Part

class EchoConfig(ComposedConfig, frozen=True):
    kind: Literal["echo"] = "echo"
    of: Part

    @property
    def noise(self): return None

    @property
    def parts(self): return (self.of,)
"""

KIND = """
from dataclasses import replace
from rszoo.hub.card_text import certifying, made_of
from rszoo.hub.kind import listed_parts
from rszoo.hub.kinds.cascade import KINDS as CASCADE
from rszoo.hub.kinds.network import smoothed_classifier
from rszoo.hub.parts import part_of

def classifier(bundle, execution):
    return smoothed_classifier(part_of(bundle, bundle.config.of), execution)

KINDS = {"echo": replace(CASCADE["cascade"], classifier=classifier, roles=lambda config: ("of",))}
"""


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    configs._any_config.cache_clear()
    kinds.all_kinds.cache_clear()


def added(monkeypatch: pytest.MonkeyPatch, folder: Path, package: Any, text: str) -> None:  # noqa: ANN401
    """Add a file `echo.py` to a package."""
    place = folder / package.__name__
    place.mkdir()
    (place / "echo.py").write_text(text)
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(place)])
    sys.modules.pop(f"{package.__name__}.echo", None)
    configs._any_config.cache_clear()
    kinds.all_kinds.cache_clear()


def test_both_folders_have_the_same_kinds() -> None:
    assert _registry.names(kinds.__name__) == _registry.names(configs.__name__)
    values = {
        value
        for found in configs.config_classes().values()
        for value in get_args(found.model_fields["kind"].annotation)
    }
    assert kinds.all_kinds().keys() == values


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Kind)])
def test_a_kind_that_lacks_a_member_is_none(name: str) -> None:
    members = {**vars(kinds.all_kinds()["cascade"])}
    del members[name]
    with pytest.raises(TypeError, match=f"missing 1 required keyword-only argument: '{name}'"):
        Kind(**members)


@pytest.mark.parametrize(
    ("name", "roles", "is_model"),
    [
        ("gaussian-0.25", (), True),
        ("standard-0.00", (), False),
        ("dual_rs-0.50", (), False),
        ("cascade-0.50", ("expert", "expert"), True),
        ("dual-0.50", ("expert", "expert", "router"), True),
    ],
)
def test_what_a_kind_says(name: str, roles: tuple[str, ...], is_model: bool) -> None:
    bundle = find(f"builtin/digits-{name}")
    kind = kinds.kind_of(bundle)
    assert kind.roles(bundle.config) == roles
    assert kind.is_model == is_model
    listed = {"parts": [part.text for part in bundle.config.parts]} if roles else {}
    assert kind.composition(bundle.config) == listed


def test_the_certificates_of_a_kind() -> None:
    certified = {one for kind in kinds.all_kinds().values() for one in kind.certificates}
    assert certified == {*certificates.names()} - {"original"}
    for name in builtin_names():
        bundle = find(name)
        if bundle.evidence is not None:
            check_about(read_log(bundle.evidence), bundle)


def test_a_log_of_certificates_that_such_a_bundle_does_not_give() -> None:
    cascade, dual = (find(f"builtin/digits-{name}-0.50") for name in ("cascade", "dual"))
    assert cascade.evidence is not None
    log = read_log(cascade.evidence)
    with pytest.raises(DataError, match="that a dual bundle gives, got cascade"):
        check_about(log, replace(dual, manifest=cascade.manifest))


def test_a_kind_is_found_by_its_two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    added(monkeypatch, tmp_path, configs, CONFIG)
    added(monkeypatch, tmp_path, kinds, KIND)
    expert = find(EXPERT)
    values = expert.config.model_dump(include={"dataset", "input_shape", "class_names"})
    config = configs.config_classes()["echo"](
        name="echo", method="echo", of=part_in(tmp_path / "echo", expert), **values
    )
    write_composed(tmp_path / "echo", config, parts=[expert])
    bundle = open_bundle(tmp_path / "echo")
    assert bundle.config == config
    assert bundle.weights_digest == bundle.manifest.files["config.json"].sha256
    assert isinstance(classifier_of(bundle), SmoothedClassifier)
    assert f"`{EXPERT}`" in card_files(bundle, "org/name")["README.md"].decode()
    assert json.loads((bundle.path / "config.json").read_text())["kind"] == "echo"


def test_a_config_that_lacks_a_member_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added(monkeypatch, tmp_path, configs, CONFIG.replace("def noise", "def noises"))
    with pytest.raises(TypeError, match="EchoConfig: expected noise as well; see BundleConfig"):
        find(EXPERT)


def test_a_kind_without_its_file_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    added(monkeypatch, tmp_path, kinds, "")
    with pytest.raises(AttributeError, match="KINDS"):
        classifier_of(find(EXPERT))
