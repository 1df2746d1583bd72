"""The origin in a manifest: read as far as it can be, and written as it came."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from rszoo.errors import IntegrityError
from rszoo.hub.bundle import open_bundle
from rszoo.hub.catalog import builtin_names, find
from rszoo.hub.evidence import add_evidence
from rszoo.hub.files import EVIDENCE, MANIFEST, PROTOCOL
from rszoo.hub.manifest import Manifest
from rszoo.hub.origin import Origin, Parent, Trained


@pytest.mark.parametrize("name", builtin_names())
def test_the_manifests_that_come_with_rszoo_are_written_again_as_they_are(name: str) -> None:
    bundle = find(name)
    assert bundle.manifest.to_json() == (bundle.path / MANIFEST).read_text()
    origin = bundle.manifest.origin
    assert origin.rszoo is not None
    given = origin.model_dump()
    assert {key for key in given if key not in Origin.model_fields} == set()
    for key in ("seed", "torch", "python", "git_commit", "device", "mlflow_run", "facts"):
        assert given.get(key, getattr(origin, key)) == getattr(origin, key)
    assert [parent.weights_sha256 for parent in origin.parents] == [
        parent["weights_sha256"] for parent in given["parents"]
    ]


def test_certificates_are_added_to_an_origin_of_another_version(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(find("builtin/digits-gaussian-0.25").path, tmp_path / "it"))
    manifest = json.loads((folder / MANIFEST).read_text())
    strange = {"weather": ["mild"], **manifest["origin"], "parents": ["nobody"]}
    manifest["origin"] = strange
    (folder / MANIFEST).write_text(json.dumps(manifest))
    for name in (EVIDENCE, PROTOCOL):
        shutil.copyfile(folder / name, tmp_path / name)
    bundle = add_evidence(open_bundle(folder), tmp_path / EVIDENCE)
    written = json.loads((folder / MANIFEST).read_text())["origin"]
    assert list(written.items()) == list(strange.items())
    assert [parent.name for parent in bundle.manifest.origin.parents] == [None]


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"seed": "x"}, {"seed": None}),
        ({"facts": ["x"], "seed": 3}, {"facts": {}, "seed": 3}),
        ({"facts": {"recipe": 1}}, {"facts": {}}),
        ({"parents": "nobody"}, {"parents": ()}),
        ({"training": {"seconds": -1.0, "hardware": "cpu"}}, {"training": Trained()}),
        ({"training": {"seconds": 2}}, {"training": Trained(seconds=2.0)}),
        ({"check": {"images": "many"}}, {"check": None}),
        ({"mlflow_run": 7, "git_commit": None}, {"mlflow_run": None, "git_commit": None}),
    ],
)
def test_what_cannot_be_read_is_as_if_it_were_not_there(
    given: dict[str, Any], read: dict[str, Any]
) -> None:
    origin = Origin.model_validate(given)
    assert {key: getattr(origin, key) for key in read} == read
    assert origin.model_dump() == given
    assert Origin.model_validate_json(origin.model_dump_json()) == origin


def test_parents_keep_their_places() -> None:
    given = [{"name": "a", "weights_sha256": "1", "sigma": 0.5}, "nobody", {"name": 1}, {}]
    parents = Origin.model_validate({"parents": given}).parents
    assert [(one.name, one.weights_sha256, one.sigma) for one in parents] == [
        ("a", "1", 0.5), (None, None, None), (None, None, None), (None, None, None),
    ]  # fmt: skip


def test_what_is_made_is_written_without_what_was_not_said() -> None:
    made = Origin(
        seed=1,
        parents=(Parent(name="a"), Parent(name="b", sigma=0.5)),
        mlflow_run=None,
        training=Trained(seconds=1.5),
    )
    assert made.model_dump() == {
        "seed": 1,
        "parents": [{"name": "a"}, {"name": "b", "sigma": 0.5}],
        "mlflow_run": None,
        "training": {
            "seconds": 1.5,
            "hardware": None,
            "processes": 1,
            "captured": False,
            "fused": False,
            "noisy_accuracy": None,
        },
    }
    assert Origin.model_validate(made.model_dump()) == made


@pytest.mark.parametrize("given", [[], "x", None, 3])
def test_an_origin_is_an_object(given: object, tmp_path: Path) -> None:
    with pytest.raises(ValidationError):
        Origin.model_validate(given)
    (tmp_path / MANIFEST).write_text(json.dumps({"files": {}, "origin": given}))
    with pytest.raises(IntegrityError, match="expected a manifest of format 1"):
        Manifest.read(tmp_path)
