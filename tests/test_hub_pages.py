"""The hub's web pages: what they say, and that a hostile card can do nothing, in a browser too."""

import io
import re
import urllib.request
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser

import pytest
from chromium import DESKTOP, EXECUTABLE, PHONE, Browser, browser
from hub_server import RunningHub
from huggingface_hub import CommitOperationAdd, EvalResult, ModelCardData
from PIL import Image

from rszoo.hub_server.certified import certified
from rszoo.hub_server.markdown import render


def png() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (640, 400), "blue").save(stream, "png")
    return stream.getvalue()


def card(
    dataset: str = "MNIST",
    *,
    method: str = "cat_rs",
    acr: float = 1.2345,
    radii: Sequence[float] = (0.0, 0.25, 0.3, 0.5, 1.0),
) -> str:
    arguments = {"norm": "l2", "sigma": 0.5, "n": 100000, "alpha": 0.001}
    metrics = [("certified_accuracy", 0.9 - r / 4, {"radius": r}) for r in radii]
    metrics.append(("average_certified_radius", acr, {}))
    results = [
        EvalResult(
            task_type="image-classification",
            dataset_type=dataset.lower(),
            dataset_name=dataset,
            metric_type=kind,
            metric_value=value,
            metric_args=arguments | more,
        )
        for kind, value, more in metrics
    ]
    data = ModelCardData(model_name="x", tags=["certified", method], eval_results=results)
    return f"---\n{data.to_yaml()}\n---\n"


def publish(hub: RunningHub, repo_id: str, files: dict[str, bytes | str]) -> None:
    hub.api.create_repo(repo_id)
    additions = [
        CommitOperationAdd(name, body.encode() if isinstance(body, str) else body)
        for name, body in files.items()
    ]
    hub.api.create_commit(repo_id, additions, commit_message="x")


class Page(HTMLParser):
    """What a page holds: tags with their attributes, and the text of every row."""

    def __init__(self, url: str) -> None:
        super().__init__()
        with urllib.request.urlopen(url, timeout=20) as answer:
            self.policy: str = answer.headers["Content-Security-Policy"]
            self.html: str = answer.read().decode()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.in_cell = False
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.in_cell = True

    def handle_endtag(self, tag: str) -> None:
        self.in_cell = self.in_cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.in_cell:
            self.rows[-1][-1] += data.strip()

    def all(self, tag: str, attribute: str) -> list[str | None]:
        return [attributes.get(attribute) for name, attributes in self.tags if name == tag]


BUDGET = ["images", "n", "alpha"]
STATED = ["-", "100,000", "0.001"]


def test_the_table_of_models(hub: RunningHub) -> None:
    publish(hub, "a/plain", {"x.txt": "x"})
    publish(hub, "a/low", {"README.md": card(acr=0.5, method="smoothadv")})
    publish(hub, "a/high", {"README.md": card(acr=1.2345)})
    publish(hub, "a/cifar", {"README.md": card("CIFAR-10", acr=0.61, method="my-own")})
    page = Page(hub.url)
    assert page.rows[1:6] == [
        ["model", "data set", "method", "sigma", *BUDGET, "ACR", "0.00", "0.25", "0.50", "1.00"],
        ["a/cifar", "CIFAR-10", "-", "0.5", *STATED, "0.610", "90.0", "83.7", "77.5", "65.0"],
        ["a/high", "MNIST", "cat_rs", "0.5", *STATED, "1.234", "90.0", "83.7", "77.5", "65.0"],
        ["a/low", "MNIST", "smoothadv", "0.5", *STATED, "0.500", "90.0", "83.7", "77.5", "65.0"],
        ["a/plain", *["-"] * 11],
    ]
    assert "There is no certified model here yet." in page.text
    assert "The numbers of each are stated by its author, not checked." in page.text
    assert "/a/high" in page.all("a", "href")


def test_an_empty_hub_says_how_to_fill_it(hub: RunningHub) -> None:
    page = Page(hub.url)
    assert "There is no public model here yet." in page.text
    assert f"export HF_ENDPOINT={hub.url}\n" in page.text


def test_the_page_of_a_model(hub: RunningHub) -> None:
    text = card() + "# Title\n\n[the recipe](recipe.yaml)\n"
    publish(hub, "a/b", {"README.md": text, "curve.png": png(), "recipe.yaml": "x: 1\n"})
    assert "Tags:" not in Page(f"{hub.url}/a/b").text
    for tag in ("v1.0", "v2.0"):
        hub.api.create_tag("a/b", tag=tag)
    page = Page(f"{hub.url}/a/b")
    assert "Tags: v1.0, v2.0" in page.text
    assert ["data set", "method", "sigma", *BUDGET, "ACR"] == page.rows[1][:7]
    assert page.rows[2][:7] == ["MNIST", "cat_rs", "0.5", *STATED, "1.234"]
    assert "Numbers stated by its author, not checked" in page.text
    # 0.3 is none of the usual radii.
    assert page.rows[1][7:] == ["0.00", "0.25", "0.30", "0.50", "1.00"]
    assert page.all("img", "src") == [f"/a/b/resolve/{hub.api.model_info('a/b').sha}/curve.png"]
    assert ["recipe.yaml", "5 B"] in page.rows
    for href in page.all("a", "href"):
        assert urllib.request.urlopen(f"{hub.url}{href}", timeout=20).status == 200
    publish(hub, "a/shown", {"README.md": "![c](./curve.png)", "curve.png": png()})
    assert len(Page(f"{hub.url}/a/shown").all("img", "src")) == 1


def test_a_page_says_how_to_use_a_model_and_what_it_is_made_of(hub: RunningHub) -> None:
    hostile = '<img src="x" onerror="alert(1)">/x'
    named = ["team/first", "team/second", hostile, "../../etc", "javascript:alert(1)", 7]
    data = ModelCardData(base_model=named, tags=["certified"])
    publish(hub, "a/made", {"README.md": f"---\n{data.to_yaml()}\n---\n", "manifest.json": "{}"})
    page = Page(f"{hub.url}/a/made")
    assert [link for link in page.all("a", "href") if link and link.startswith("/team")] == [
        "/team/first",
        "/team/second",
    ]
    assert "Made of team/first, team/second" in page.text
    assert "onerror" not in page.html.replace("&lt;img src=&quot;x&quot; onerror=", "")
    use = page.text.partition("On the command line")[2]
    assert f"export HF_ENDPOINT={hub.url}\nrszoo certify --model a/made photo.png" in use
    assert "rszoo verify a/made" in use

    publish(hub, "a/files", {"x.txt": "x"})
    other = Page(f"{hub.url}/a/files").text
    assert "rszoo certify" not in other  # it is no bundle
    assert "hf download a/files" in other
    assert "Made of" not in other


def test_a_whole_curve_is_shown_at_the_usual_radii(hub: RunningHub) -> None:
    publish(hub, "a/b", {"README.md": card(radii=[step / 100 for step in range(100)])})
    assert Page(f"{hub.url}/a/b").rows[1][7:] == ["0.00", "0.25", "0.50", "0.75"]


def test_certified_numbers_that_are_none() -> None:
    def found(metric: dict[str, object]) -> list[object]:
        result = {"dataset": {"name": "MNIST"}, "metrics": [metric]}
        return list(certified({"model-index": [{"results": [result]}]}))

    good = {"type": "certified_accuracy", "value": 0.5, "args": {"radius": 0.5}}
    assert len(found(good)) == 1
    for change in (
        {"type": "accuracy"},
        {"value": 1.01},
        {"value": -0.1},
        {"value": "0.5"},
        {"value": True},
        {"value": 10**400},
        {"args": {}},
        {"args": {"radius": -0.25}},
        {"args": {"radius": None}},
        {"args": 3},
    ):
        assert found(good | change) == []


BASE = "/a/b/resolve/0/"


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>\n"),
        ("[x](JaVaScRiPt:alert(1))", "<p>[x](JaVaScRiPt:alert(1))</p>\n"),
        ("[x](&#106;avascript:alert(1))", "<p>[x](javascript:alert(1))</p>\n"),
        ("[x](data:text/html,x)", "<p>[x](data:text/html,x)</p>\n"),
        ("[x](//evil.example)", "<p>[x](//evil.example)</p>\n"),
        ("<javascript:alert(1)>", "<p>&lt;javascript:alert(1)&gt;</p>\n"),
        ("<b onclick=x>y</b>", "<p>&lt;b onclick=x&gt;y&lt;/b&gt;</p>\n"),
        ("[x](../../c/d)", '<p><a href="#">x</a></p>\n'),
        ("[x](/etc/passwd)", '<p><a href="#">x</a></p>\n'),
        ("[x](%2e%2e/%2e%2e/y)", '<p><a href="#">x</a></p>\n'),
        ("[x](a/../b.txt)", f'<p><a href="{BASE}b.txt">x</a></p>\n'),
        ("[x](#part)", '<p><a href="#part">x</a></p>\n'),
        (
            "[x](https://arxiv.org)",
            '<p><a href="https://arxiv.org" rel="noopener noreferrer nofollow">x</a></p>\n',
        ),
        ("![x](https://evil.example/x.png)", "<p>[picture: x]</p>\n"),
        ("![x](//evil.example/x.png)", "<p>![x](//evil.example/x.png)</p>\n"),
        ("![x](/c/d/resolve/main/x.png)", "<p>[picture: x]</p>\n"),
        ("![x](../x.png)", "<p>[picture: x]</p>\n"),
        ("![x](a%20b.png)", f'<p><img src="{BASE}a%20b.png" alt="x"></p>\n'),
        ('![x](y.png "\\" onerror=alert(1)")', None),
    ],
)
def test_markdown(text: str, html: str | None) -> None:
    shown = render(text, base=BASE)
    if html is None:
        html = f'<p><img src="{BASE}y.png" alt="x" title="&quot; onerror=alert(1)"></p>\n'
    assert shown.replace(" />", ">") == html


def test_a_table_has_no_style_of_its_own() -> None:
    shown = render("| a | b |\n|--:|---|\n| 1 | 2 |\n", base=BASE)
    assert "style" not in shown
    assert '<td class="right">1</td>\n<td>2</td>' in shown


# In a browser.

HOSTILE = """---
tags: ['"><script>document.title="pwned"</script>', '<img src=x onerror=alert(1)>']
model-index:
- results:
  - dataset: {name: '<script>document.title="pwned"</script>'}
    metrics:
    - {type: acr, value: 1.0, args: {norm: '<script>document.title="pwned"</script>', sigma: 0.5}}
---
<script>document.title = "pwned"</script>
<img src="x" onerror="document.title='pwned'">
<style>body { display: none }</style>
<meta http-equiv="refresh" content="0; url=http://127.0.0.1:1/">

[click](javascript:document.title='pwned') ![remote](http://127.0.0.1:1/x.png)
![own](own.svg)
"""
SVG = """<svg xmlns="http://www.w3.org/2000/svg" onload="top.document.title='pwned'">
<script>top.document.title = "pwned"</script><image href="http://127.0.0.1:1/y.png"/></svg>"""


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if EXECUTABLE is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    with browser(tmp_path_factory.mktemp("chromium")) as running:
        yield running


def test_a_hostile_card_in_a_browser(hub: RunningHub, tab: Browser) -> None:
    page = f"<!doctype html><title>fine</title>{HOSTILE}"
    publish(hub, "a/evil", {"README.md": HOSTILE, "own.svg": SVG, "page.html": page})
    for path in ("/", "/a/evil", "/a/evil/resolve/main/own.svg"):
        tab.open(hub.url + path)
        assert tab.evaluate("document.title") in ("Certified models", "a/evil", "")
        assert path.endswith("svg") or tab.evaluate("document.scripts.length") == 0
        assert all(url.startswith(f"{hub.url}/") for url in tab.requests.values())
    tab.open(f"{hub.url}/a/evil")
    assert tab.complaints == []
    assert [url.rpartition("/")[2] for url in tab.requests.values()] == ["evil", "own.svg"]
    assert tab.evaluate("[...document.links].filter(a => a.protocol == 'javascript:').length") == 0


def test_a_browser_that_asks_for_an_icon_has_nothing_to_complain_of(hub: RunningHub) -> None:
    with urllib.request.urlopen(f"{hub.url}/favicon.ico", timeout=20) as answer:
        assert (answer.status, answer.read()) == (204, b"")


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_the_pages_in_a_browser(hub: RunningHub, tab: Browser, size: tuple[int, int]) -> None:
    text = card() + "# Title\n\n| a | b |\n|--:|---|\n| 1 | " + "wide " * 60 + "|\n\n"
    text += "```\n" + "long" * 99 + "\n```\n" + "x" * 300
    publish(hub, "team/" + "long-name-" * 6 + "end", {"README.md": text, "curve.png": png()})
    backgrounds = set()
    for path in ("/", "/team/" + "long-name-" * 6 + "end"):
        for dark in (False, True):
            tab.open(hub.url + path, size=size, dark=dark)
            assert tab.complaints == []
            assert tab.evaluate("document.documentElement.scrollWidth") == size[0]
            heads = tab.evaluate("getComputedStyle(document.querySelector('thead')).display")
            assert heads == ("none" if size == PHONE else "table-header-group")
            color = tab.evaluate("getComputedStyle(document.body).backgroundColor")
            backgrounds.add((dark, color))
    assert len(backgrounds) == 2
    assert tab.evaluate("document.images[0].naturalWidth") == 640
    assert tab.evaluate("document.images[0].width") <= size[0]
    assert re.search(r"style-src 'sha256-[^']+'", Page(f"{hub.url}/").policy)
