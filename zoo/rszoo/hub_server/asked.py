"""What the body of a request asks for: the values that are known, and nothing else.

A value that is not understood is refused. Taken for its opposite, a private model would be public.
"""

from typing import Any, Literal, cast

from rszoo.hub_server.errors import HubError

__all__ = ["asked_gate", "asked_private", "asked_text"]

Gate = Literal["auto", "manual", False]


def asked_private(body: dict[str, Any]) -> bool | None:
    """Return whether a repository is to be private; None where the body does not say.

    Raises:
        HubError: `visibility` or `private` has another value than those there are, or they
            contradict each other.
    """
    said = set()
    if "visibility" in body:
        said.add(_one_of(body, "visibility", "public", "private") == "private")
    if "private" in body:
        said.add(_one_of(body, "private", True, False))
    if len(said) > 1:
        raise HubError(400, "expected one visibility, got two; leave out private or visibility")
    return said.pop() if said else None


def asked_gate(body: dict[str, Any]) -> dict[str, Gate]:
    """Return the setting `gated`; empty where the body does not say.

    Raises:
        HubError: it has another value than those there are.
    """
    if "gated" not in body:
        return {}
    return {"gated": cast(Gate, _one_of(body, "gated", "auto", "manual", False))}


def asked_text(body: dict[str, Any], key: str, default: str | None = None) -> str:
    """Return a text; absent, null and empty are the same.

    Raises:
        HubError: it is no text, or there is none and no default.
    """
    value = body.get(key)
    if value is None or value == "":
        value = default
    if not isinstance(value, str):
        raise HubError(400, f"expected a text as {key!r}, got {body.get(key)!r:.80}")
    return value


def _one_of(body: dict[str, Any], key: str, *known: str | bool) -> str | bool:
    value = body[key]
    for one in known:
        if type(value) is type(one) and value == one:  # 0 and 1 are equal to False and True
            return one
    names = " or ".join(str(one).lower() if isinstance(one, bool) else repr(one) for one in known)
    raise HubError(400, f"expected {names} as {key!r}, got {value!r:.80}")
