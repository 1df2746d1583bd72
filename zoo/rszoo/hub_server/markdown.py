"""Markdown of other people as HTML that can do nothing but be read.

No HTML of theirs passes, no script, no style, and no picture from anywhere but their repository.
"""

import posixpath
import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import quote, unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

__all__ = ["render"]

_SCHEME = re.compile(r"(?:https?|mailto):", re.IGNORECASE)
_ALIGNED = {"text-align:right": "right", "text-align:center": "center"}


@lru_cache(maxsize=256)
def render(text: str, *, base: str) -> str:
    """Return the HTML of a Markdown text.

    Args:
        base: address of the repository's files, ending in "/"; relative links lead there.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.validateLink = _is_safe
    tokens = parser.parse(text)
    for token in tokens:
        style = token.attrs.pop("style", None)  # the page allows no style of its own
        if style in _ALIGNED:
            token.attrs["class"] = _ALIGNED[style]
        if token.children:
            token.children = list(_rewritten(token.children, base))
    return parser.renderer.render(tokens, parser.options, {})


def _is_safe(url: str) -> bool:
    """Return whether a link is of a harmless scheme, or relative."""
    first = re.split(r"[/?#]", url, maxsplit=1)[0]
    return bool(_SCHEME.match(url)) or (":" not in first and not url.startswith("//"))


def _rewritten(tokens: Iterable[Token], base: str) -> Iterable[Token]:
    for token in tokens:
        if token.type == "link_open":
            _rewrite_link(token, base)
        elif token.type == "image":
            inside = _inside(str(token.attrs["src"]), base)
            if inside is None:
                token = Token("text", "", 0, content=f"[picture: {token.content or 'elsewhere'}]")
            else:
                token.attrs["src"] = inside
        yield token


def _rewrite_link(token: Token, base: str) -> None:
    href = str(token.attrs["href"])
    if _SCHEME.match(href):
        token.attrs["rel"] = "noopener noreferrer nofollow"
    elif not href.startswith("#"):
        token.attrs["href"] = _inside(href, base) or "#"


def _inside(url: str, base: str) -> str | None:
    """Return the address of a file of the repository, or None for one elsewhere."""
    path = unquote(re.split(r"[?#]", url, maxsplit=1)[0])
    path = posixpath.normpath(path) if path else "."
    outside = _SCHEME.match(url) or path.startswith(("/", "..")) or path == "."
    return None if outside else base + quote(path)
