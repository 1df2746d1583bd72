"""Tags of the commits of a model on a hub."""

from huggingface_hub.errors import HfHubHTTPError

from rszoo.errors import HubError
from rszoo.hub._client import api, has_changed, patiently
from rszoo.hub._explained import explained
from rszoo.hub.ids import HubId

__all__ = ["check_tag", "tag"]


def check_tag(head: HubId, name: str, *, changes: bool) -> None:
    """Refuse a tag that what is about to be committed could not have.

    Args:
        head: the commit before.
        name: of the tag.
        changes: whether there will be another commit; if not, `head` may have the tag.

    Raises:
        HubError: another commit has it, or it is a branch.
    """
    with explained(head, writing=True):
        _has_tag(head.repo, name, commit=None if changes else head.revision)


def tag(model: HubId, name: str) -> None:
    """Give the commit of `model` a tag, unless it has it.

    Raises:
        HubError: another commit has it, or it is a branch.
    """
    with explained(model, writing=True):
        if _has_tag(model.repo, name, commit=model.revision):
            return
        try:
            patiently(lambda: api().create_tag(model.repo, tag=name, revision=model.revision))
        except HfHubHTTPError as error:
            if not (has_changed(error) and _has_tag(model.repo, name, commit=model.revision)):
                raise


def _has_tag(repo: str, name: str, *, commit: str | None) -> bool:
    """Return whether there is a tag, which only `commit` may have."""
    refs = patiently(lambda: api().list_repo_refs(repo))
    if name in [branch.name for branch in refs.branches]:
        raise HubError(f"expected a new tag, got {name!r}, which is a branch of {repo}")
    there = {ref.name: ref.target_commit for ref in refs.tags}
    if there.get(name, commit) != commit:
        raise HubError(f"expected a new tag, got {name!r}, which {repo} has at {there[name]}")
    return name in there
