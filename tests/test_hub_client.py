"""The hub through the real `huggingface_hub` client: up, down, lists, cards, errors."""

from pathlib import Path

import pytest
from hub_files import FILES, LARGE, NAME, NEW, contents, pushed
from hub_server import RunningHub, Server
from huggingface_hub import (
    CommitOperationAdd,
    EvalResult,
    ModelCard,
    ModelCardData,
    hf_hub_download,
    snapshot_download,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)


def test_create(hub: RunningHub) -> None:
    url = hub.api.create_repo(NAME)
    assert (url, url.repo_id) == (f"{hub.url}/{NAME}", NAME)
    assert hub.api.create_repo(NAME, exist_ok=True).repo_id == NAME
    with pytest.raises(HfHubHTTPError) as caught:
        hub.api.create_repo(NAME)
    assert caught.value.response.status_code == 409
    with pytest.raises(HfHubHTTPError, match="'team/model' exists already"):
        hub.api.create_repo("Team/MODEL")
    assert hub.api.create_repo("alone").repo_id == "local/alone"
    assert hub.api.list_repo_files(NAME) == [".gitattributes"]


def test_a_folder_goes_up_and_comes_back(hub: RunningHub, folder: Path, tmp_path: Path) -> None:
    first = pushed(hub, folder)
    assert set(hub.api.list_repo_files(NAME)) == set(NEW | FILES)
    info = hub.api.model_info(NAME, files_metadata=True)
    assert info.siblings is not None
    assert {entry.rfilename for entry in info.siblings if entry.lfs} == LARGE
    assert {entry.rfilename: entry.size for entry in info.siblings} == {
        name: len(body) for name, body in (NEW | FILES).items()
    }
    hub.api.create_tag(NAME, tag="v1.0")
    (folder / "config.json").write_bytes(b"{}\n")
    second = hub.api.upload_folder(repo_id=NAME, folder_path=folder).oid
    assert first != second

    for number, (revision, expected) in enumerate(
        {"v1.0": FILES, first: FILES, "main": FILES | {"config.json": b"{}\n"}}.items()
    ):
        cache = tmp_path / f"cache{number}"
        got = snapshot_download(NAME, revision=revision, cache_dir=cache, endpoint=hub.url)
        assert Path(got).name == (second if revision == "main" else first)
        assert contents(got) == NEW | expected
    verified = hub.api.verify_repo_checksums(NAME, local_dir=folder)
    assert (verified.checked_count, verified.mismatches) == (len(FILES), [])


def test_a_new_repository_says_what_goes_by_lfs(hub: RunningHub, folder: Path) -> None:
    hub.api.create_repo(NAME)
    (first,) = hub.api.list_repo_commits(NAME)
    assert first.title == "initial commit"
    text = Path(hf_hub_download(NAME, ".gitattributes", revision=first.commit_id)).read_text()
    lines = text.splitlines()
    assert "*.safetensors filter=lfs diff=lfs merge=lfs -text" in lines
    assert len(lines) == len(set(lines)) > 30
    names = ["x.SafeTensors", "a/x.tar.gz", "x.lfs.y", "events.out.tfevents", "x.txt", "x.tars"]
    hub.api.create_commit(
        NAME, [CommitOperationAdd(name, b"x") for name in names], commit_message="x"
    )
    info = hub.api.get_paths_info(NAME, names)
    assert [entry.path for entry in info if getattr(entry, "lfs", None)] == names[:4]


def test_what_is_there_is_not_sent_again(hub: RunningHub, folder: Path) -> None:
    first = pushed(hub, folder)
    assert hub.faults.count("PUT /lfs/") == len(LARGE)
    again = hub.api.upload_folder(repo_id=NAME, folder_path=folder)
    assert again.oid == first
    assert hub.faults.count("/commit/") == 1
    hub.api.create_repo("team/copy")
    hub.api.upload_folder(repo_id="team/copy", folder_path=folder)
    assert hub.faults.count("PUT /lfs/") == len(LARGE)


def test_uploads_in_parts(
    tmp_path: Path, hub: RunningHub, other_server: Server, folder: Path
) -> None:
    with other_server.hub(tmp_path / "other", part_size=1_000_000) as other:
        pushed(other, folder)
        assert other.faults.count("PUT /lfs/[0-9a-f]+/[0-9a-f]+/") == 2
        got = snapshot_download(NAME, endpoint=other.url, cache_dir=tmp_path / "cache")
        assert contents(got) == NEW | FILES
        assert list((other.root / "uploads").iterdir()) == []


def test_a_part_is_retried(
    tmp_path: Path, hub: RunningHub, other_server: Server, folder: Path
) -> None:
    with other_server.hub(tmp_path / "other", part_size=1_000_000) as other:
        other.faults.fail("PUT /lfs/.*/2$|PUT /lfs/.*/2\\?", times=1)
        pushed(other, folder)
        got = hf_hub_download(NAME, "big.tsv", endpoint=other.url)
        assert Path(got).read_bytes() == FILES["big.tsv"]


def test_trees(hub: RunningHub, folder: Path) -> None:
    pushed(hub, folder)
    (deep,) = hub.api.list_repo_tree(NAME, "logs")
    assert deep.path == "logs/deep"
    paths = [entry.path for entry in hub.api.list_repo_tree(NAME, recursive=True)]
    assert set(paths) == set(NEW | FILES) | {"logs", "logs/deep", ".eval_results"}
    assert len(paths) == len(set(paths))
    found = hub.api.get_paths_info(NAME, ["logs", "config.json", "missing"])
    assert [entry.path for entry in found] == ["logs", "config.json"]
    with pytest.raises(EntryNotFoundError):
        list(hub.api.list_repo_tree(NAME, "nowhere"))


def test_lists_come_in_pages(tmp_path: Path, hub: RunningHub, other_server: Server) -> None:
    with other_server.hub(tmp_path / "other", page_size=2) as other:
        for number in range(5):
            other.api.create_repo(f"team/model-{number}")
        files = [CommitOperationAdd(f"{number}.txt", b"x") for number in range(5)]
        other.api.create_commit("team/model-0", files, commit_message="files")
        names = [model.id for model in other.api.list_models()]
        assert sorted(names) == [f"team/model-{number}" for number in range(5)]
        assert names[0] == "team/model-0"  # the newest first
        assert other.faults.count("GET /api/models$|GET /api/models\\?") == 3
        assert len(list(other.api.list_models(limit=3))) == 3
        entries = other.api.list_repo_tree("team/model-0")
        names = [".gitattributes", *(f"{number}.txt" for number in range(5))]
        assert [entry.path for entry in entries] == names
        for number in range(3):
            other.api.upload_file(
                path_or_fileobj=b"%d" % number, path_in_repo="f", repo_id="team/model-1"
            )
        assert len(other.api.list_repo_commits("team/model-1")) == 4


CARD = """---
license: apache-2.0
library_name: rszoo
pipeline_tag: image-classification
datasets: [mnist]
tags: [certified-robustness, cat_rs]
---
# A model
"""


def test_filters(hub: RunningHub) -> None:
    for repo_id in ("team/mnist-cat", "team/other", "Zoo/mnist-plain"):
        hub.api.create_repo(repo_id)
    hub.api.upload_file(
        path_or_fileobj=CARD.encode(), path_in_repo="README.md", repo_id="team/mnist-cat"
    )

    def listed(**query: str | list[str]) -> set[str]:
        return {model.id for model in hub.api.list_models(**query)}  # type: ignore[arg-type]

    assert listed() == {"team/mnist-cat", "team/other", "Zoo/mnist-plain"}
    assert listed(author="team") == {"team/mnist-cat", "team/other"}
    assert listed(search="MNIST") == {"team/mnist-cat", "Zoo/mnist-plain"}
    assert listed(search="mnist", author="Zoo") == {"Zoo/mnist-plain"}
    for tag in ("cat_rs", "rszoo", "license:apache-2.0", "dataset:mnist"):
        assert listed(filter=tag) == {"team/mnist-cat"}
    assert listed(filter=["cat_rs", "rszoo"]) == {"team/mnist-cat"}
    assert listed(filter=["cat_rs", "absent"]) == set()
    assert listed(pipeline_tag="image-classification") == {"team/mnist-cat"}
    created = [model.id for model in hub.api.list_models(sort="created_at")]
    assert created == ["Zoo/mnist-plain", "team/other", "team/mnist-cat"]
    assert list(hub.api.list_datasets()) == []


def test_a_card_with_results(hub: RunningHub, folder: Path) -> None:
    arguments = {"norm": "l2", "radius": 0.5, "sigma": 0.25, "n": 100000, "alpha": 0.001}
    results = [
        EvalResult(
            task_type="image-classification",
            dataset_type="mnist",
            dataset_name="MNIST",
            metric_type=metric,
            metric_value=0.61,
            metric_args=arguments,  # the client writes them once, and a YAML alias
        )
        for metric in ("certified_accuracy", "acr")
    ]
    data = ModelCardData(model_name="m", license="mit", tags=["cat_rs"], eval_results=results)
    (folder / "README.md").write_text(f"---\n{data.to_yaml()}\n---\n# m\n")
    pushed(hub, folder)
    card = ModelCard.load(NAME)
    assert card.data.eval_results == results
    info = hub.api.model_info(NAME)
    assert info.card_data is not None
    assert info.card_data.license == "mit"
    assert info.tags == ["cat_rs", "license:mit"]
    assert info.eval_results is not None
    assert [(entry.dataset_id, entry.value) for entry in info.eval_results] == [("mnist", 0.5)]


def test_a_bad_card_is_refused_before_it_is_committed(hub: RunningHub) -> None:
    hub.api.create_repo(NAME)
    for card in ("---\na: [\n---\n", "---\n- a list\n---\n", "---\na: &x [*x]\n---\n"):
        with pytest.raises(ValueError, match=r"Invalid metadata in README\.md"):
            hub.api.upload_file(
                path_or_fileobj=card.encode(), path_in_repo="README.md", repo_id=NAME
            )
    assert len(hub.api.list_repo_commits(NAME)) == 1


def test_data_sets(hub: RunningHub, folder: Path) -> None:
    hub.api.create_repo("team/data", repo_type="dataset")
    hub.api.upload_folder(repo_id="team/data", repo_type="dataset", folder_path=folder)
    got = snapshot_download("team/data", repo_type="dataset")
    assert contents(got) == NEW | FILES
    assert [entry.id for entry in hub.api.list_datasets()] == ["team/data"]
    with pytest.raises(RepositoryNotFoundError):
        hub.api.model_info("team/data")


def test_errors_have_their_types(hub: RunningHub, folder: Path) -> None:
    pushed(hub, folder)
    with pytest.raises(RepositoryNotFoundError):
        hf_hub_download("team/none", "config.json")
    with pytest.raises(RevisionNotFoundError):
        hf_hub_download(NAME, "config.json", revision="v9")
    with pytest.raises(RevisionNotFoundError):
        snapshot_download(NAME, revision="0" * 40, cache_dir=folder / "cache")
    with pytest.raises(EntryNotFoundError):
        hf_hub_download(NAME, "none.json")
    hub.api.update_repo_settings(NAME, gated="manual")
    with pytest.raises(GatedRepoError):
        hf_hub_download(NAME, "config.json", token=False)
    assert hub.client(False).model_info(NAME).gated == "manual"
    hf_hub_download(NAME, "config.json", token=hub.read_token)
    with pytest.raises(RepositoryNotFoundError):
        hub.api.upload_folder(repo_id="team/none", folder_path=folder)
    with pytest.raises(RevisionNotFoundError):
        hub.api.upload_folder(repo_id=NAME, folder_path=folder, revision="none")
