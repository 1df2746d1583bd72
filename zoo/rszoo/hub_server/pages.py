"""The hub for people: a table of its models, and a page per model.

Everything from a repository is escaped, and the Content-Security-Policy forbids scripts, foreign
pictures and every style but the page's own, should that fail.
"""

import base64
import hashlib
from functools import cache
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from rszoo._each import attempted
from rszoo.hub.files import CURVE, MANIFEST
from rszoo.hub.stated import NOT_CHECKED
from rszoo.hub_server.blobs import Blobs
from rszoo.hub_server.card import card_of, made_of, tags
from rszoo.hub_server.context import hub_of, repo_of
from rszoo.hub_server.evidence import Evidence, evidence_in
from rszoo.hub_server.history import Tree
from rszoo.hub_server.markdown import render
from rszoo.hub_server.reads import visible
from rszoo.hub_server.repo import Repo
from rszoo.hub_server.tables import Row, model_rows, numbers_table, size_text
from rszoo.hub_server.under_attack import attacks_html, attacks_in

__all__ = ["index", "model", "no_icon"]

_LONGEST_CARD = 50_000  # a card of brackets alone takes a second
_MOST_TAGS = 40


def no_icon(request: Request) -> Response:
    """Browsers ask for an icon, when they please, and complain where there is nothing."""
    return Response(status_code=204)


def index(request: Request) -> Response:
    """Show the models of this hub: those with certificates, then those with a card alone."""
    blobs = hub_of(request).blobs
    rows = [row for repo in visible(request, "models") for row in _rows(repo, blobs)]
    certified = [row for row in rows if _is_checked(row)]
    others = [row for row in rows if not _is_checked(row)]
    body = "<h1>Certified models</h1>"
    if certified:
        body += numbers_table(certified, by_model=True)
    else:
        body += f"<p>There is no {'certified' if others else 'public'} model here yet.</p>"
    if others:
        table = numbers_table(others, by_model=True)
        body += f"<h2>Other models</h2><p>The numbers of each are {NOT_CHECKED}.</p>{table}"
    return _page("Certified models", body + _how_to(request))


def _is_checked(row: Row) -> bool:
    return row.certified is not None and row.certified.checked


def _rows(repo: Repo, blobs: Blobs) -> list[Row]:
    def rows() -> list[Row]:
        tree = repo.tree(repo.head)
        return model_rows(repo.id, card_of(tree, blobs).metadata, evidence_in(tree, blobs))

    found = attempted(rows, expected="a model")
    return found if isinstance(found, list) else [Row(repo.id, "-", None)]


def model(request: Request) -> Response:
    """Show the card, the numbers and the files of a model."""
    repo = repo_of(request)
    tree = repo.tree(repo.head)
    card = card_of(tree, hub_of(request).blobs)
    base = f"/{repo.id}/resolve/{repo.head}/"
    text = f'<div class="card">{_card_html(card.text, base)}</div>'
    curve = ""
    if CURVE in tree and f'src="{base}{CURVE}"' not in text:
        alt = "certified accuracy over the radius"
        curve = f'<figure><img src="{base}{CURVE}" alt="{alt}"></figure>'
    numbers = _numbers(repo.id, card.metadata, evidence_in(tree, hub_of(request).blobs))
    numbers += attacks_html(attacks_in(tree, hub_of(request).blobs))
    said = f'<p class="faint">The card; what it says is {NOT_CHECKED}.</p>' if card.text else ""
    body = _heading(repo, tree, tags(card.metadata)) + _lineage(made_of(card.metadata))
    body += numbers + _use(request, repo, tree) + said + curve + text
    return _page(repo.id, body + _files(tree, base))


def _lineage(names: list[str]) -> str:
    links = ", ".join(f'<a href="/{quote(name)}">{escape(name)}</a>' for name in names)
    return f'<p class="faint">Made of {links}</p>' if names else ""


def _use(request: Request, repo: Repo, tree: Tree) -> str:
    """Return the commands for a model, of rszoo where it is a bundle."""
    lines = [_endpoint(request)]
    if MANIFEST in tree:
        lines += [
            f"rszoo certify --model {repo.id} photo.png    # class and radius of a picture",
            f"rszoo certify --model {repo.id}    # of the test images",
            f"rszoo verify {repo.id}    # draws its votes again",
        ]
    lines.append(f"hf download {repo.id}")
    return f"<h2>On the command line</h2><pre><code>{escape(chr(10).join(lines))}</code></pre>"


def _endpoint(request: Request) -> str:
    return f"export HF_ENDPOINT={str(request.base_url).rstrip('/')}"


def _numbers(repo_id: str, metadata: dict[str, Any], evidence: Evidence) -> str:
    rows = model_rows(repo_id, metadata, evidence)
    problem = ""
    if evidence.problem is not None:
        problem = f"<p>Its certificates are not used: {escape(evidence.problem)}.</p>"
    if not any(row.certified for row in rows):
        return problem
    title = "Certified" if evidence.certified else f"Numbers {NOT_CHECKED}"
    return f"<h2>{title}</h2>{problem}{numbers_table(rows, by_model=False)}"


def _heading(repo: Repo, tree: Tree, tags: list[str]) -> str:
    shown = "".join(f"<li>{escape(tag)}</li>" for tag in tags[:_MOST_TAGS])
    size = size_text(sum(file.size for file in tree.values()))
    flags = "".join(f" · {name}" for name in ("private", "gated") if getattr(repo, name))
    named = ", ".join(f"<code>{escape(name)}</code>" for name in list(repo.tags)[-_MOST_TAGS:])
    versions = f'<p class="faint">Tags: {named}</p>' if named else ""
    return (
        f'<p class="faint"><a href="/">All models</a></p><h1>{escape(repo.id)}</h1>'
        f'<p class="faint">{escape(repo.modified[:10])} · <code>{repo.head[:10]}</code> · {size}'
        f'{flags}</p>{versions}<ul class="tags">{shown}</ul>'
    )


def _card_html(text: str, base: str) -> str:
    if len(text) > _LONGEST_CARD:
        return f'<p>The card is long: <a href="{base}README.md">README.md</a></p>'
    return render(text, base=base)


def _files(tree: Tree, base: str) -> str:
    rows = "".join(
        f'<tr><td><a href="{escape(base + quote(path))}">{escape(path)}</a></td>'
        f'<td class="right">{size_text(file.size)}</td></tr>'
        for path, file in tree.items()
    )
    return f'<h2>Files</h2><div class="wide"><table><tbody>{rows}</tbody></table></div>'


def _how_to(request: Request) -> str:
    lines = [
        _endpoint(request),
        "rszoo ls --hub    # the models here",
        "rszoo certify --model ORG/NAME photo.png    # class and radius of a picture",
        "",
        "export HF_TOKEN=...      # to write: the token that rszoo hub serve printed",
        "rszoo push BUNDLE ORG/NAME",
        "",
        "export HF_HUB_DISABLE_XET=1    # other clients: there is no Xet here",
        "hf download ORG/NAME",
        "hf upload ORG/NAME FOLDER",
    ]
    return f"<h2>Use this hub</h2><pre><code>{escape(chr(10).join(lines))}</code></pre>"


def _page(title: str, body: str) -> Response:
    style, policy = _style()
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body><main>{body}</main>"
        "<footer>rszoo hub · certified numbers are computed from certificates.tsv; "
        "<code>rszoo verify</code> checks the certificates</footer></body></html>"
    )
    headers = {"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer"}
    return HTMLResponse(html, headers=headers)


@cache
def _style() -> tuple[str, str]:
    """Return the style sheet, and the policy that allows it and nothing else."""
    style = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return style, (
        f"default-src 'none'; img-src 'self'; style-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )
