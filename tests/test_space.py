"""`rszoo push --space`: a Gradio app beside a model, by the real client on a hub of our own."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from hub_server import READ_TOKEN, TOKEN, RunningHub
from huggingface_hub import hf_hub_download
from PIL import Image
from typer.testing import CliRunner

import rszoo
from rszoo.hub.bundle import Bundle
from rszoo.hub.catalog import find
from rszoo.hub.space import check_for_space
from rszoo.hub.wheel import this_wheel
from rszoo_cli import app

MODEL = "org/digits"
FILES = ["README.md", "app.py", "requirements.txt", f"rszoo-{rszoo.__version__}-py3-none-any.whl"]

# What the app takes of gradio, which is not among the development tools.
GRADIO = """
import os
ANALYTICS = os.environ["GRADIO_ANALYTICS_ENABLED"]
class Error(Exception): pass
class Block:
    def __init__(self, *given, **options): self.options = options
    def __enter__(self): return self
    def __exit__(self, *error): pass
    def click(self, function, inputs, outputs): pass
    def launch(self, **options): pass
Blocks = Row = Column = File = Radio = Button = Image = Markdown = Block
"""
TRY = """
import json, runpy, sys
app = runpy.run_path("app.py")
import gradio, rszoo
shown, said = app["certify"]("nine.png", "1000")
try:
    app["certify"]("bad.png", "1000")
except gradio.Error as error:
    refused = str(error)
values = {"said": said, "shape": shown.shape, "seed": app["SEED"], "refused": refused}
values |= {"code": rszoo.__file__, "analytics": gradio.ANALYTICS, "model": app["MODEL"]}
values |= {"options": app["demo"].options}
print(json.dumps(values))
"""


@pytest.fixture
def certified(tmp_path: Path) -> Bundle:
    """A certified bundle in a folder."""
    source = find("builtin/digits-cat_rs-0.50").path
    return find(shutil.copytree(source, tmp_path / "runs" / source.name))


@pytest.fixture
def writer(hub: RunningHub, monkeypatch: pytest.MonkeyPatch) -> RunningHub:
    """The hub, with a token that may write."""
    monkeypatch.setenv("HF_TOKEN", hub.token)
    return hub


def pushed(bundle: Bundle, *options: str) -> str:
    result = CliRunner().invoke(app, ["push", bundle.id, MODEL, "--space", *options])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_space_beside_a_model(writer: RunningHub, certified: Bundle) -> None:
    said = pushed(certified)
    assert f"pushed: {writer.url}/spaces/{MODEL}" in said
    there = {*writer.api.list_repo_files(MODEL, repo_type="space")}
    assert there - {".gitattributes"} == {*FILES}
    assert [one.id for one in writer.api.list_spaces()] == [MODEL]
    assert [one.id for one in writer.api.list_models()] == [MODEL]
    texts = {
        name: Path(hf_hub_download(MODEL, name, repo_type="space")).read_bytes() for name in FILES
    }
    front = yaml.safe_load(texts["README.md"].decode().split("---")[1])
    assert front["sdk"] == "gradio"
    assert front["app_file"] == "app.py"
    assert front["models"] == [MODEL]
    commit = writer.api.model_info(MODEL).sha
    assert f'MODEL = "{MODEL}@{commit}"' in texts["app.py"].decode()
    needed = [line.split(">=")[0] for line in texts["requirements.txt"].decode().splitlines()]
    assert {"torch", "numpy", "huggingface-hub"} <= {line.split("<")[0] for line in needed}
    assert not {"mlflow", "dvc", "gradio"} & {*needed}
    for text in texts.values():
        assert TOKEN.encode() not in text
        assert READ_TOKEN.encode() not in text


def test_an_unchanged_space_makes_no_commit(writer: RunningHub, certified: Bundle) -> None:
    pushed(certified)
    before = writer.api.space_info(MODEL).sha
    assert pushed(certified).count("nothing has changed") == 2
    assert writer.api.space_info(MODEL).sha == before
    said = json.loads(CliRunner().invoke(app, ["push", certified.id, MODEL, "--json"]).stdout)
    assert "space" not in said


def test_a_private_space(writer: RunningHub, certified: Bundle) -> None:
    said = pushed(certified, "--private", "--json")
    assert json.loads(said)["space"] == f"{writer.url}/spaces/{MODEL}"
    assert list(writer.client(False).list_spaces()) == []
    assert writer.api.space_info(MODEL).private


def test_the_app_certifies_as_the_library_that_it_brings(
    writer: RunningHub,
    certified: Bundle,
    tmp_path: Path,
) -> None:
    pushed(certified)
    folder = tmp_path / "space"
    writer.api.snapshot_download(MODEL, repo_type="space", local_dir=folder)
    (folder / "gradio.py").write_text(GRADIO)
    (folder / "bad.png").write_bytes(b"no picture")
    Image.linear_gradient("L").resize((8, 8)).save(folder / "nine.png")
    environment = {key: value for key, value in os.environ.items() if key != "HF_TOKEN"}
    done = subprocess.run(
        [sys.executable, "-c", TRY],
        cwd=folder,
        env=environment | {"HF_ENDPOINT": writer.url, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    model = rszoo.load(certified.path, device="cpu")
    image = rszoo.data.read_images([folder / "nine.png"], shape=(1, 8, 8))[0][1]
    right = model.certify(image, n=1000, seed=values["seed"])
    if right.label == rszoo.ABSTAIN:
        assert "**The model abstains**" in values["said"]
    else:
        radius = rszoo.theory.rounding.floor_digits(right.radius, 4)
        assert values["said"].startswith(f"**{right.class_name}, certified within {radius}**")
    assert values["shape"] == [256, 256]
    assert "cannot be read as an image" in values["refused"]
    assert values["analytics"] == "False"
    assert values["options"]["analytics_enabled"] is False
    assert not Path(values["code"]).is_relative_to(Path(rszoo.__file__).parents[1])


def test_a_wheel_is_one_and_always_the_same(tmp_path: Path) -> None:
    name, body = this_wheel()
    assert (name, body) == this_wheel()
    (tmp_path / name).write_bytes(body)
    with zipfile.ZipFile(tmp_path / name) as wheel:
        names = wheel.namelist()
        record = wheel.read(f"rszoo-{rszoo.__version__}.dist-info/RECORD").decode()
    assert [line.split(",")[0] for line in record.splitlines()] == names
    assert "rszoo/hub/space_app.txt" in names
    assert not [one for one in names if one.startswith("rszoo/builtin/") or "__pycache__" in one]
    assert len(body) < 2**21


@pytest.mark.parametrize("model", ["digits-standard-0.00", "digits-dual_rs-0.50"])
def test_what_certifies_nothing_has_no_space(model: str) -> None:
    with pytest.raises(rszoo.RszooError, match="expected a model that certifies pictures"):
        check_for_space(find(f"builtin/{model}"))
