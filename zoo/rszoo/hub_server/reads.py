"""Routes that tell what there is: repositories, trees, references, logs."""

from typing import Any
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rszoo.hub_server.answers import commit_entry, paged, path_entries, repo_info, tree_entries
from rszoo.hub_server.context import hub_of, kind_of, param, read_body, repo_of, right_of
from rszoo.hub_server.errors import HubError, entry_not_found
from rszoo.hub_server.repo import MAIN, Repo

__all__ = ["commits", "info", "paths_info", "refs", "repos", "tree", "visible", "whoami"]

_SORTS = ("createdAt", "lastModified")

# What a list says of a repository unless more is asked for.
_BRIEF = "id author private gated createdAt lastModified downloads likes tags".split()
_BRIEF += ["library_name", "pipeline_tag"]


def whoami(request: Request) -> Response:
    """Tell what a token may do; there are no users."""
    right = right_of(request)
    if right == "none":
        raise HubError(401, "expected the token of this hub; set HF_TOKEN")
    token = {"displayName": "rszoo hub", "role": right}
    user = {"type": "user", "id": "local", "name": "local", "fullname": "this hub", "orgs": []}
    return JSONResponse(
        user | {"isPro": False, "auth": {"type": "access_token", "accessToken": token}}
    )


def repos(request: Request) -> Response:
    """List repositories: `author`, `search`, `filter`, `pipeline_tag`, `sort`, `limit`."""
    blobs = hub_of(request).blobs
    found = [
        repo_info(repo, repo.head, blobs) for repo in visible(request, param(request, "kind"))
    ]
    found = [info for info in found if _wanted(info, request)]
    if (sort := request.query_params.get("sort")) in _SORTS:
        found.sort(key=lambda info: info[sort], reverse=True)
    asked = _asked(request)
    brief = [{key: info[key] for key in info if asked is None or key in asked} for info in found]
    return paged(request, brief, most=hub_of(request).page_size)


def _asked(request: Request) -> set[str] | None:
    """Return which values a list is to hold; None for all."""
    query = request.query_params
    if query.get("full", "").lower() in ("1", "true"):
        return None
    if expand := query.getlist("expand") + query.getlist("expand[]"):
        return {"id", *expand}
    cards = query.get("cardData", "").lower() in ("1", "true")
    return {*_BRIEF, *(("cardData", "model-index") if cards else ())}


def visible(request: Request, kind: str) -> list[Repo]:
    """Return the repositories that the sender of a request may see, newest first."""
    private = right_of(request) != "none"
    return [
        repo for repo in hub_of(request).store.all(kind_of(kind)) if private or not repo.private
    ]


def _wanted(info: dict[str, Any], request: Request) -> bool:
    query = request.query_params
    filters = [tag for text in query.getlist("filter") for tag in text.split(",") if tag]
    tags = [*info["tags"], info["author"]]
    return (
        query.get("author", info["author"]) == info["author"]
        and query.get("search", "").lower() in info["id"].lower()
        and query.get("pipeline_tag", info.get("pipeline_tag")) == info.get("pipeline_tag")
        and all(tag in tags for tag in filters)
    )


def info(request: Request) -> Response:
    """Tell about a repository at a revision."""
    repo = repo_of(request)
    oid = repo.find(param(request, "revision", MAIN))
    return JSONResponse(repo_info(repo, oid, hub_of(request).blobs))


def tree(request: Request) -> Response:
    """List a folder of a revision."""
    repo = repo_of(request)
    oid = repo.find(param(request, "revision"))
    folder = param(request, "path").strip("/")
    recursive = request.query_params.get("recursive", "").lower() in ("1", "true")
    entries = tree_entries(repo.tree(oid), folder, recursive=recursive)
    if folder and not entries:
        raise entry_not_found(folder, commit=oid)
    return paged(request, entries, most=hub_of(request).page_size)


async def paths_info(request: Request) -> Response:
    """Tell about some paths of a revision; those that do not exist are left out."""
    form = parse_qs((await read_body(request)).decode("utf-8", "replace"))
    repo = await run_in_threadpool(repo_of, request)
    files = repo.tree(repo.find(param(request, "revision")))
    paths = dict.fromkeys(path.strip("/") for path in form.get("paths", []))
    return JSONResponse(path_entries(files, paths))


def refs(request: Request) -> Response:
    """List the branches and the tags of a repository."""
    repo = repo_of(request)

    def listed(folder: str, names: dict[str, str]) -> list[dict[str, str]]:
        return [
            {"name": name, "ref": f"refs/{folder}/{name}", "targetCommit": oid}
            for name, oid in names.items()
        ]

    return JSONResponse(
        {
            "branches": listed("heads", repo.branches),
            "tags": listed("tags", repo.tags),
            "converts": [],
            "pullRequests": [],
        }
    )


def commits(request: Request) -> Response:
    """List a revision and what came before it."""
    log = repo_of(request).log(param(request, "revision"))
    entries = [commit_entry(oid, commit) for oid, commit in log]
    return paged(request, entries, most=hub_of(request).page_size)
