"""Commits, branches, tags and their end, through the real `huggingface_hub` client."""

import threading
from pathlib import Path

import pytest
from hub_files import FILES, NAME, NEW, contents, pushed
from hub_server import RunningHub, Server
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    hf_hub_download,
    snapshot_download,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)


def test_branches_tags_and_the_log(hub: RunningHub, folder: Path) -> None:
    first = pushed(hub, folder)
    api = hub.api
    api.create_branch(NAME, branch="work/next")
    api.create_branch(NAME, branch="work/next", exist_ok=True)
    done = api.upload_file(
        path_or_fileobj=b"new",
        path_in_repo="new.txt",
        repo_id=NAME,
        revision="work/next",
        commit_message="One more\n\nwith a reason",
    )
    api.create_tag(NAME, tag="v1", revision="work/next", tag_message="first")
    with pytest.raises(HfHubHTTPError, match="'v1' exists already"):
        api.create_tag(NAME, tag="v1")
    api.create_tag(NAME, tag="v1", exist_ok=True)

    refs = api.list_repo_refs(NAME, include_pull_requests=True)
    assert {ref.name: ref.target_commit for ref in refs.branches} == {
        "main": first,
        "work/next": done.oid,
    }
    assert [(ref.name, ref.ref, ref.target_commit) for ref in refs.tags] == [
        ("v1", "refs/tags/v1", done.oid)
    ]
    log = api.list_repo_commits(NAME, revision="work/next")
    assert [entry.commit_id for entry in log[:2]] == [done.oid, first]
    assert [entry.title for entry in log] == [
        "One more",
        "Upload folder using huggingface_hub",
        "initial commit",
    ]
    assert log[0].message == "with a reason"
    assert not api.file_exists(NAME, "new.txt")
    assert api.file_exists(NAME, "new.txt", revision="work/next")
    assert api.file_exists(NAME, "new.txt", revision="v1")

    api.delete_tag(NAME, tag="v1")
    api.delete_branch(NAME, branch="work/next")
    with pytest.raises(RevisionNotFoundError):
        api.delete_tag(NAME, tag="v1")
    with pytest.raises(HfHubHTTPError, match="main branch cannot be deleted"):
        api.delete_branch(NAME, branch="main")
    assert api.file_exists(NAME, "new.txt", revision=done.oid)


def test_removing_and_copying(hub: RunningHub, folder: Path) -> None:
    pushed(hub, folder)
    hub.api.create_commit(
        NAME,
        [
            CommitOperationDelete("config.json"),
            CommitOperationDelete("logs/"),
            CommitOperationCopy("big.tsv", "again/big.tsv"),
            CommitOperationCopy("empty.txt", "again/empty.txt"),
        ],
        commit_message="tidy",
    )
    gone = {"config.json", *(name for name in FILES if name.startswith("logs/"))}
    assert set(hub.api.list_repo_files(NAME)) == (set(NEW | FILES) - gone) | {
        "again/big.tsv",
        "again/empty.txt",
    }
    got = hf_hub_download(NAME, "again/big.tsv")
    assert Path(got).read_bytes() == FILES["big.tsv"]
    with pytest.raises(EntryNotFoundError):
        hub.api.delete_file("config.json", NAME)


def test_a_delete_is_for_good(hub: RunningHub, folder: Path) -> None:
    pushed(hub, folder)
    hub.api.delete_repo(NAME)
    assert not hub.api.repo_exists(NAME)
    with pytest.raises(RepositoryNotFoundError):
        hub.api.delete_repo(NAME)
    hub.api.delete_repo(NAME, missing_ok=True)
    hub.api.create_repo(NAME)
    assert hub.api.list_repo_files(NAME) == list(NEW)


def test_a_restart_changes_nothing(
    tmp_path: Path, hub: RunningHub, other_server: Server, folder: Path
) -> None:
    root = tmp_path / "other"
    with other_server.hub(root) as other:
        commit = pushed(other, folder)
        other.api.create_tag(NAME, tag="v1")
        other.api.update_repo_settings(NAME, private=True)
    with other_server.hub(root) as other:
        info = other.api.model_info(NAME, revision="v1")
        assert (info.sha, info.private) == (commit, True)
        got = snapshot_download(NAME, endpoint=other.url, token=other.token)
        assert contents(got) == NEW | FILES


def test_a_commit_on_an_old_state_is_refused(hub: RunningHub, folder: Path) -> None:
    old = pushed(hub, folder)
    hub.api.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id=NAME, parent_commit=old)
    with pytest.raises(HfHubHTTPError) as caught:
        hub.api.upload_file(
            path_or_fileobj=b"2", path_in_repo="a", repo_id=NAME, parent_commit=old
        )
    assert caught.value.response.status_code == 412
    assert Path(hf_hub_download(NAME, "a")).read_bytes() == b"1"


def test_of_commits_at_once_one_wins(hub: RunningHub, folder: Path) -> None:
    head, results = pushed(hub, folder), []
    start = threading.Barrier(6)

    def commit(number: int) -> None:
        addition = CommitOperationAdd("winner", b"%d" % number)
        start.wait()
        try:
            hub.api.create_commit(NAME, [addition], commit_message="x", parent_commit=head)
            results.append(number)
        except HfHubHTTPError as error:
            results.append(error.response.status_code)

    threads = [threading.Thread(target=commit, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results)[1:] == [412] * 5
    winner = next(result for result in results if result != 412)
    assert Path(hf_hub_download(NAME, "winner")).read_bytes() == b"%d" % winner
    assert len(hub.api.list_repo_commits(NAME)) == 3
