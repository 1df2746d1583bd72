"""What the client is told when something cannot be done.

`huggingface_hub` makes typed exceptions of the header X-Error-Code and shows X-Error-Message.
"""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rszoo.errors import RszooError

__all__ = ["HubError", "entry_not_found", "on_crash", "on_error", "repo_not_found"]


class HubError(RszooError):
    """A request that is refused.

    Attributes:
        status: of HTTP.
        code: one of the Hub's codes, such as RepoNotFound; empty where it has none.
        headers, body: said besides, for this error alone.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str = "",
        headers: dict[str, str] | None = None,
        body: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers or {}
        self.body = body or {}


def repo_not_found(repo_id: str) -> HubError:
    """Return the error for a repository that is not there, or not for this reader."""
    return HubError(404, f"no repository {repo_id!r} here", code="RepoNotFound")


def entry_not_found(path: str, *, commit: str) -> HubError:
    """Return the error for a file or folder that a commit does not hold."""
    return HubError(
        404,
        f"no {path!r} in this revision",
        code="EntryNotFound",
        headers={"X-Repo-Commit": commit},  # the client remembers that it is absent there
    )


def on_error(request: Request, error: Exception) -> Response:
    """Answer a request with the status and the text of a `HubError`."""
    assert isinstance(error, HubError)
    return _answer(error.status, str(error), error.code, error.headers, error.body)


def on_crash(request: Request, error: Exception) -> Response:
    """Answer what nobody expected; the text saves the user five silent retries."""
    return _answer(500, f"{type(error).__name__}: {error}", "", {}, {})


def _answer(
    status: int, message: str, code: str, headers: dict[str, str], body: dict[str, str]
) -> Response:
    # A header holds one line of Latin-1.
    line = " ".join(message.split()).encode("ascii", "backslashreplace").decode()[:1000]
    said = {"X-Error-Message": line} | ({"X-Error-Code": code} if code else {})
    content = {"error": message.encode("utf-8", "backslashreplace").decode()} | body
    return JSONResponse(content, status, headers=said | headers)
