"""The folder of a hub: how it grows, what a kill leaves of it, and roots of the first layout."""

import json
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from forks import Forks
from hub_files import FILES, NAME, contents, pushed
from hub_server import RunningHub, Server
from hub_wire import Wire
from huggingface_hub import CommitOperationAdd, snapshot_download
from typer.testing import CliRunner

from rszoo.errors import RszooError
from rszoo.hub_server import conversion
from rszoo.hub_server.changes import Change
from rszoo.hub_server.history import File
from rszoo.hub_server.store import Store, open_store
from rszoo_cli import app

OLD = Path(__file__).parent / "fixtures" / "34f3b01" / "hub"
MODELS = ("team/digits", "team/levels")


def file(store: Store, text: str) -> File:
    body = text.encode()
    return File.regular(body, store.blobs.put(body))


def commit(store: Store, repo_id: str, **texts: str) -> str:
    changes = [Change(path, file(store, text)) for path, text in texts.items()]
    return store.commit("models", repo_id, "main", changes, title="x")


def everything(root: Path) -> dict[str, object]:
    """Return what a hub serves: the commits, references and files of its models."""
    with open_store(root) as store:
        return {
            repo.id: {
                "references": {**repo.branches, **repo.tags},
                "settings": (repo.private, repo.gated, repo.created),
                "trees": {
                    oid: {
                        path: (file, store.blobs.read(file.sha256))
                        for path, file in repo.tree(oid).items()
                    }
                    for oid in repo.history.all()
                },
                "log": [(oid, one.title, one.date, one.parent) for oid, one in repo.log("main")],
            }
            for repo in store.all("models")
        }


def format_of(root: Path, name: str) -> int:
    return json.loads((root / f"repos/models/{name}.json").read_bytes())["format"]


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("path", ["same.txt", "{}.txt", "folder/{}/f.txt"])
def test_a_commit_adds_what_it_changes(tmp_path: Path, path: str) -> None:
    sizes, oids = [], []
    with open_store(tmp_path) as store:
        store.create("models", NAME, private=False)
        for number in range(60):
            oids.append(commit(store, NAME, **{path.format(number): f"{number}"}))
            sizes.append(size_of(tmp_path / "repos") + size_of(tmp_path / "commits"))
    grown = [after - before for before, after in pairwise(sizes)]
    assert max(grown) < min(grown) + 20
    with open_store(tmp_path) as store:
        repo = store.get("models", NAME)
        for number, oid in reversed(list(enumerate(oids))):
            tree = repo.tree(oid)
            paths = {path.format(n) for n in range(number + 1)}
            assert list(tree) == sorted({".gitattributes", *paths})
            assert store.blobs.read(tree[path.format(number)].sha256) == b"%d" % number
        assert [oid for oid, _ in repo.log("main")][:-1] == oids[::-1]


def test_a_root_of_the_first_layout(tmp_path: Path) -> None:
    root = tmp_path / "hub"
    shutil.copytree(OLD, root)
    was = contents(root)
    before = everything(root)
    assert contents(root).items() >= was.items(), "reading changes nothing"
    assert set(before) == set(MODELS)
    content = json.loads((OLD / "repos/models/team/digits.json").read_bytes())
    for oid, old in content["commits"].items():
        new = before["team/digits"]["trees"][oid]  # type: ignore[index]
        assert {path: file.model_dump() for path, (file, _) in new.items()} == old["tree"]

    with open_store(root) as store:
        added = commit(store, "team/digits", new="1")
        assert [format_of(root, name) for name in MODELS] == [2, 2], "with the first change"
        store.change("models", "team/levels", lambda repo: repo.with_tag("v9", "main"))
    after = everything(root)
    digits, levels = (after[name] for name in MODELS)
    assert digits["trees"].pop(added).keys() == {  # type: ignore[index]
        "new",
        *before["team/digits"]["trees"][before["team/digits"]["references"]["main"]],  # type: ignore[index]
    }
    assert digits["trees"] == before["team/digits"]["trees"]  # type: ignore[index]
    assert digits["log"][1:] == before["team/digits"]["log"]  # type: ignore[index]
    assert levels["references"].pop("v9") == levels["references"]["main"]  # type: ignore[index]
    assert levels == before["team/levels"]


# Ends at the n-th time that something gets onto the disk, for every n there is.
KILLING = """
import os, shutil, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_hub_layout import MODELS, OLD, commit, everything, format_of
from rszoo.hub_server import files
from rszoo.hub_server.store import open_store

os.fsync = lambda file: None  # for those who pull the plug, which takes its time
folder = Path(sys.argv[2])
before = everything(shutil.copytree(OLD, folder / "before"))
steps = converted = kept = 0
done = False
while not done:
    steps += 1
    root = shutil.copytree(OLD, folder / str(steps))
    child = os.fork()
    if child == 0:
        left = steps
        def counted(call):
            def counting(*arguments):
                global left
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*arguments)
            return counting
        with open_store(root) as store:
            for name in ("fsync", "replace", "open", "mkdir"):
                setattr(os, name, counted(getattr(os, name)))
            commit(store, "team/digits", new="1")
        os._exit(0)
    done = os.waitpid(child, 0)[1] == 0
    after = everything(root)
    formats = {format_of(root, name) for name in MODELS}
    assert len(formats) == 1, "all or nothing"
    converted += formats == {2}
    main = after["team/digits"]["references"].pop("main")
    was = before["team/digits"]["references"]["main"]
    assert after["team/levels"] == before["team/levels"]
    trees = after["team/digits"]["trees"]
    assert trees.items() >= before["team/digits"]["trees"].items()
    assert main in (was, *(trees.keys() - before["team/digits"]["trees"].keys()))
    assert not done or main != was
    assert main == was or formats == {2}
    kept += main != was
    assert not list((root / "uploads").iterdir())
    with open_store(root) as store:
        commit(store, "team/digits", again="2")
        new = store.get("models", "team/digits")
        assert ("new" in new.tree(new.head)) == (main != was)
    shutil.rmtree(root)
print(steps, converted, kept)
"""


def test_a_kill_while_it_is_converted(forks: Forks, tmp_path: Path) -> None:
    with open(tmp_path / "said", "wb") as said:
        process = forks.start(
            "-c", KILLING, str(Path(__file__).parent), str(tmp_path), stdout=said
        )
        assert process.wait(120) == 0
    steps, converted, kept = map(int, (tmp_path / "said").read_text().split())
    assert steps > 20, "there are as many moments at which it can be killed"
    assert 1 <= kept < converted < steps


def test_what_an_older_rszoo_changed_before_anything_was_written_stays(tmp_path: Path) -> None:
    """Killed just after the journal was written, and then served by an older rszoo."""
    root = Path(shutil.copytree(OLD, tmp_path / "hub"))
    with open_store(root) as store, pytest.MonkeyPatch.context() as patch:
        patch.setattr(conversion, "finish", stop)
        with pytest.raises(KeyboardInterrupt):
            commit(store, "team/digits", new="1")
    (path,) = root.glob("repos/models/team/digits.json")
    content = json.loads(path.read_bytes())
    path.write_text(json.dumps(content | {"private": not content["private"]}))
    after = everything(root)
    assert after["team/digits"]["settings"][0] is not content["private"]  # type: ignore[index]
    assert not (root / "converting.json").exists()
    with open_store(root) as store:
        commit(store, "team/levels", new="1")
    assert everything(root)["team/digits"] == after["team/digits"]
    assert [format_of(root, name) for name in MODELS] == [2, 2]


def stop(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_an_older_rszoo_does_not_take_a_new_root_for_an_empty_one(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        store.create("models", NAME, private=False)
    (path,) = (tmp_path / "repos").glob("*/*/*.json")  # what it looks for
    assert json.loads(path.read_bytes())["format"] == 2  # and refuses


def test_a_commit_that_is_lost_is_missed(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        store.create("models", NAME, private=False)
        oid = commit(store, NAME, f="1")
        commit(store, NAME, f="2")
    (path,) = (tmp_path / "commits").rglob(f"{oid}.json")
    text = path.read_bytes()
    path.unlink()
    with pytest.raises(RszooError, match=f"expected the commit {oid}"), open_store(tmp_path):
        pass
    path.write_bytes(text[:-5])
    with pytest.raises(RszooError, match=rf"{oid}\.json: expected commits"), open_store(tmp_path):
        pass


def test_what_killed_writes_left_is_gone_at_the_next_start(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        store.create("models", NAME, private=False)
    left = [tmp_path / name for name in ("blobs/.x.ab12.tmp", "uploads/0a", "uploads/ff/00001")]
    left.append(tmp_path / "repos/models/team/.model.json.ab12.tmp")
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
    with open_store(tmp_path):
        pass
    assert not any(path.exists() for path in left)


def run_gc(root: Path) -> str:
    done = CliRunner().invoke(app, ["hub", "gc", "--root", str(root)], catch_exceptions=False)
    return done.stdout


def test_gc_removes_what_no_model_has(
    tmp_path: Path,
    hub_client: Callable[[str], None],
    hub_server: Server,
    folder: Path,
) -> None:
    root = tmp_path / "root"
    with hub_server.hub(root) as hub:
        hub_client(hub.url)
        old = pushed(hub, folder)
        hub.api.upload_file(path_or_fileobj=b"new", path_in_repo="config.json", repo_id=NAME)
        for repo_id in ("team/other", "team/third"):
            hub.api.create_repo(repo_id)
            shared = CommitOperationAdd("m", b"shared")
            hub.api.create_commit(repo_id, [shared], commit_message="x")
        hub.api.upload_file(path_or_fileobj=b"x" * 3000, path_in_repo="b", repo_id="team/other")
        hub.api.delete_repo("team/other")
        with pytest.raises(RszooError, match="is served by another process; stop it"):
            run_gc(root)
    was = everything(root)
    assert run_gc(root) == "removed 1 file, 3.0 kB\n"
    assert run_gc(root) == "removed 0 files, 0 B\n"
    assert everything(root) == was
    assert len(list((root / "commits").iterdir())) == 2
    with hub_server.hub(root) as hub:
        hub_client(hub.url)
        got = snapshot_download(NAME, revision=old)
        assert contents(got).items() >= FILES.items()


def test_gc_of_a_root_of_the_first_layout(tmp_path: Path) -> None:
    root = shutil.copytree(OLD, tmp_path / "hub")
    (root / "blobs" / ("0" * 64)).write_bytes(b"left over")
    before = everything(root)
    assert run_gc(root) == "removed 1 file, 9 B\n"
    assert everything(root) == before


def test_gc_touches_nothing_but_a_hub(tmp_path: Path) -> None:
    (tmp_path / "cache" / "blobs").mkdir(parents=True)
    (tmp_path / "cache" / "blobs" / ("0" * 64)).write_bytes(b"of something else")
    for name in ("none", "cache"):
        with pytest.raises(RszooError, match="expected the folder of a hub, with a folder repos"):
            run_gc(tmp_path / name)
    assert len(list(tmp_path.rglob("*"))) == 3


def test_a_name_that_is_taken_again_has_no_old_commits(hub: RunningHub) -> None:
    wire = Wire(hub)
    hub.api.create_repo(NAME)
    assert wire.add("f").status == 200
    old = hub.api.model_info(NAME).sha
    hub.api.delete_repo(NAME)
    hub.api.create_repo(NAME)
    assert wire("GET", f"/{NAME}/resolve/{old}/f").status == 404
