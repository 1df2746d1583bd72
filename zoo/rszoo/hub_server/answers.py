"""The JSON that clients expect: repositories, trees, logs, and lists in pages."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rszoo.hub_server.blobs import Blobs
from rszoo.hub_server.card import card_of, eval_results, tags
from rszoo.hub_server.history import Commit, File, Tree
from rszoo.hub_server.repo import Repo

__all__ = ["commit_entry", "paged", "path_entries", "repo_info", "tree_entries"]


def repo_info(repo: Repo, oid: str, blobs: Blobs) -> dict[str, Any]:
    """Return what is known of a repository at a commit."""
    tree = repo.tree(oid)
    card = card_of(tree, blobs)
    info: dict[str, Any] = {
        "id": repo.id,
        "author": repo.id.partition("/")[0],
        "sha": oid,
        "lastModified": repo.history[oid].date,
        "createdAt": repo.created,
        "private": repo.private,
        "gated": repo.gated,
        "disabled": False,
        "downloads": 0,  # nobody counts here
        "likes": 0,
        "tags": tags(card.metadata),
        "cardData": card.metadata,
        "siblings": [_sibling(path, file) for path, file in tree.items()],
        "usedStorage": sum(file.size for file in tree.values()),
    }
    for key in ("library_name", "pipeline_tag", "model-index"):
        if key in card.metadata:
            info[key] = card.metadata[key]
    if results := eval_results(tree, blobs):
        info["evalResults"] = results
    return info


def tree_entries(tree: Tree, folder: str, *, recursive: bool) -> list[dict[str, Any]]:
    """Return the files and folders below a folder; "" is the root."""
    start = f"{folder}/" if folder else ""
    paths: dict[str, None] = {}
    for path in tree:
        if path.startswith(start):
            names = path[len(start) :].split("/")
            depth = len(names) if recursive else 1
            paths |= {start + "/".join(names[:length]): None for length in range(1, depth + 1)}
    return path_entries(tree, paths)


def path_entries(tree: Tree, paths: Iterable[str]) -> list[dict[str, Any]]:
    """Return the files and folders at paths; where there is neither, the path is left out."""
    folders: dict[str, str] | None = None
    entries = []
    for path in paths:
        if (file := tree.get(path)) is not None:
            entries.append(_file_entry(path, file))
            continue
        folders = _folders(tree) if folders is None else folders
        if path in folders:
            entry = {"type": "directory", "oid": folders[path], "size": 0, "path": path}
            entries.append(entry)
    return entries


def _file_entry(path: str, file: File) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "oid": file.oid, "size": file.size, "path": path}
    if file.lfs:
        entry["lfs"] = {"oid": file.sha256, "size": file.size} | _pointer_size(file)
    return entry


def _folders(tree: Tree) -> dict[str, str]:
    """Return the folders of a tree, and what tells the content of each."""
    digests: dict[str, hashlib._Hash] = {}
    for path, file in tree.items():
        line, end = f"{path}\0{file.oid}\0".encode(), path.find("/")
        while end > 0:
            digests.setdefault(path[:end], hashlib.sha1()).update(line)
            end = path.find("/", end + 1)
    return {folder: digest.hexdigest() for folder, digest in digests.items()}


def commit_entry(oid: str, commit: Commit) -> dict[str, Any]:
    """Return a line of the log."""
    return {
        "id": oid,
        "title": commit.title,
        "message": commit.message,
        "date": commit.date,
        "authors": [],
    }


def paged(request: Request, items: Sequence[Any], *, most: int) -> Response:
    """Return one page of a list, with the address of the next."""
    query = request.query_params
    start = _number(query.get("cursor"), 0)
    size = min(max(_number(query.get("limit"), most), 1), most)
    headers = {}
    if start + size < len(items):
        following = request.url.include_query_params(cursor=start + size)
        headers["Link"] = f'<{following}>; rel="next"'
    return JSONResponse(items[start : start + size], headers=headers)


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 10 else default


def _sibling(path: str, file: File) -> dict[str, Any]:
    sibling: dict[str, Any] = {"rfilename": path, "size": file.size, "blobId": file.oid}
    if file.lfs:
        sibling["lfs"] = {"sha256": file.sha256, "size": file.size} | _pointer_size(file)
    return sibling


def _pointer_size(file: File) -> dict[str, int]:
    return {"pointerSize": file.pointer_size}
