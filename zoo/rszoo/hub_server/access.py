"""Who may do what: one token writes, perhaps a second one reads what is private or gated.

Public repositories are readable by everyone, as on the Hub; there an unknown token is as good as
none, since clients send the one they have for elsewhere. The bodies of LFS files are sent without
a token, to addresses that were signed for someone who had it.
"""

import hmac
import secrets
from dataclasses import dataclass, field
from typing import Literal

from rszoo.errors import RszooError
from rszoo.hub_server.errors import HubError

__all__ = ["Access", "Right"]

Right = Literal["none", "read", "write"]
_SHORTEST = 8


@dataclass(frozen=True, kw_only=True)
class Access:
    """The tokens of a hub.

    Attributes:
        token: may do everything.
        read_token: may read everything; None for no such token.
        key: of the signatures, new in every process.
    """

    token: str = field(repr=False)
    read_token: str | None = field(default=None, repr=False)
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def __post_init__(self) -> None:
        for token in (self.token, self.read_token):
            if token is not None and not (
                len(token) >= _SHORTEST and token.isascii() and token.isprintable()
            ):
                raise RszooError(
                    f"expected a token of at least {_SHORTEST} printable ASCII characters, got "
                    f"{len(token)} characters; leave it out to have one made"
                )
            if token is not None and " " in token:
                raise RszooError("expected a token without spaces, got one with; change it")
        if self.token == self.read_token:
            raise RszooError("expected two tokens, got the same one twice; change one")

    def right(self, authorization: str | None) -> Right:
        """Return what the header Authorization allows."""
        scheme, _, given = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return "none"
        if _same(given.strip(), self.token):
            return "write"
        if self.read_token is not None and _same(given.strip(), self.read_token):
            return "read"
        return "none"

    def check_write(self, authorization: str | None) -> None:
        """Refuse who may not write.

        Raises:
            HubError: 401 for no token or an unknown one, 403 for the reading one.
        """
        right = self.right(authorization)
        if right == "read":
            raise HubError(403, "this token may only read")
        if right == "none":
            what = "an unknown token" if authorization else "none"
            raise HubError(401, f"expected the token of this hub, got {what}; set HF_TOKEN")

    def signature(self, *parts: object) -> str:
        """Return what makes an address usable without a token."""
        text = "\0".join(map(str, parts))
        return hmac.new(self.key, text.encode(), "sha256").hexdigest()

    def check_signature(self, given: str, *parts: object) -> None:
        """Refuse an address that this process did not give out.

        Raises:
            HubError: 403.
        """
        if not _same(given, self.signature(*parts)):
            raise HubError(403, "this upload address is not, or no longer, valid; upload again")


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())
