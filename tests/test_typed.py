"""What users write passes a strict type checker: the Python of the README, from outside."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from docs_pages import ROOT, blocks

CHECKER = Path(sys.executable).with_name("basedpyright")


def problems(folder: Path) -> dict[str, list[str]]:
    """Return the errors of each file of a project of its own."""
    (folder / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "strict"}))
    done = subprocess.run(
        [CHECKER, "--pythonpath", sys.executable, "--outputjson", "--project", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[str, list[str]] = {path.name: [] for path in folder.glob("*.py")}
    for one in json.loads(done.stdout)["generalDiagnostics"]:
        if one["severity"] == "error":
            found[Path(one["file"]).name].append(one["message"])
    return found


WRONG = """
import torch
import rszoo

model = rszoo.load("builtin/digits-cat_rs-0.50")
one: list[rszoo.Certificate] = model.certify(torch.rand(1, 8, 8))
many: rszoo.Certificate = model.certify_batch(torch.rand(2, 1, 8, 8))
radius: str = rszoo.certify(model, torch.rand(2, 1, 8, 8)).radii
"""


@pytest.mark.skipif(not CHECKER.exists(), reason="basedpyright is not installed")
def test_the_readme_is_typed_and_mistakes_are_found(tmp_path: Path) -> None:
    python = [block.text for block in blocks(ROOT / "README.md") if block.language == "python"]
    assert python
    (tmp_path / "right.py").write_text("\n".join(python))
    (tmp_path / "wrong.py").write_text(WRONG)
    found = problems(tmp_path)
    assert found["right.py"] == []
    wrong = [text for text in found["wrong.py"] if "is not assignable to declared type" in text]
    assert len(wrong) == 3
