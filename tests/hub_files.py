"""The files of a model, as tests send them through the real client."""

from pathlib import Path

import pytest
from hub_server import RunningHub

from rszoo.hub_server.attributes import ATTRIBUTES

NAME = "team/model"
FILES = {
    "config.json": b'{"sigma": 0.5}\n',
    "model.safetensors": bytes(range(256)) * 40,
    "big.tsv": b"idx\tlabel\n" * 150_000,
    "empty.txt": b"",
    "logs/deep/run 1 \u00e4.txt": b"spaces and umlauts\n",
    ".eval_results/certified.yaml": b"- {dataset: {id: mnist, task_id: l2}, value: 0.5}\n",
}
NEW = {".gitattributes": ATTRIBUTES}  # what a repository holds from the first
LARGE = {"model.safetensors", "big.tsv"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path / "upload", FILES)


def written(folder: Path, files: dict[str, bytes]) -> Path:
    for name, body in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    return folder


def contents(folder: str | Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in Path(folder).rglob("*")
        if path.is_file()
    }


def pushed(hub: RunningHub, folder: Path, repo_id: str = NAME) -> str:
    hub.api.create_repo(repo_id)
    return hub.api.upload_folder(repo_id=repo_id, folder_path=folder).oid
