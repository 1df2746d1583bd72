"""The explorer's page in a browser: on a phone and on a desk, light and dark."""

import json
import time
from collections.abc import Iterator

import pytest
from chromium import DESKTOP, EXECUTABLE, PHONE, Browser, browser
from explorer import SEED, opened
from hub_server import Server

from rszoo.explorer.app import make_app
from rszoo.explorer.session import Session
from rszoo.theory.rounding import floor_digits

MODEL = "builtin/digits-gaussian-0.25"
PLACE = 48  # whose bare network an attack misleads closer than the radius


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if EXECUTABLE is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    with browser(tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture(scope="module")
def session() -> Session:
    return opened(MODEL.removeprefix("builtin/"))


@pytest.fixture
def url(session: Session, hub_server: Server) -> Iterator[str]:
    hub_server.app = make_app(session, hosts=["127.0.0.1"])
    try:
        yield hub_server.url
    finally:
        hub_server.app = None


def wait(tab: Browser, condition: str) -> None:
    end = time.monotonic() + 60
    while not tab.evaluate(condition):
        assert time.monotonic() < end, (condition, tab.complaints, text(tab, "error"))
        time.sleep(0.05)


def text(tab: Browser, id: str) -> str:
    return tab.evaluate(f"document.getElementById({json.dumps(id)}).textContent")


def is_shown(id: str) -> str:
    return f"document.getElementById('{id}').checkVisibility()"


def put(tab: Browser, id: str, value: object, event: str = "change") -> None:
    place = f"document.getElementById('{id}')"
    tab.evaluate(
        f"{place}.value = {json.dumps(value)}; {place}.dispatchEvent(new Event('{event}'))"
    )


def click(tab: Browser, id: str) -> None:
    tab.evaluate(f"document.getElementById('{id}').click()")


def rows(tab: Browser) -> list[str]:
    return tab.evaluate("document.getElementById('answers').innerText").splitlines()


def start(tab: Browser, url: str, *, size: tuple[int, int], dark: bool) -> None:
    tab.open(url, size=size, dark=dark)
    wait(tab, "!document.getElementById('certify').disabled")
    put(tab, "place", PLACE)
    wait(tab, f"document.getElementById('named').textContent.includes('image {PLACE}')")


@pytest.mark.parametrize(
    ("size", "dark"),
    [(PHONE, True), (DESKTOP, False)],
    ids=["phone", "desktop"],
)
def test_a_certificate_and_an_adversary(
    url: str, tab: Browser, session: Session, size: tuple[int, int], dark: bool
) -> None:
    start(tab, url, size=size, dark=dark)
    assert not tab.evaluate(is_shown("answer"))
    put(tab, "n", 20_000)
    click(tab, "certify")
    wait(tab, is_shown("adversary"))
    kept = session.test_image(PLACE)
    right = session.classifier(MODEL).certify(kept.image, n=20_000, seed=SEED)
    radius = floor_digits(right.radius, 4)
    assert text(tab, "verdict") == f"{right.class_name}, certified within {radius}"
    assert f"{right.votes:,} of 20,000 draws on {right.class_name}" in text(tab, "evidence")
    assert not tab.evaluate(is_shown("caution"))
    click(tab, "sweep")
    wait(tab, "document.querySelectorAll('#tried circle').length == 20")
    dots = tab.evaluate(
        "[...document.querySelectorAll('#tried circle')].map(e => e.getAttribute('class')).join()"
    ).split(",")
    smoothed, bare = dots[:10], dots[10:]
    assert {*smoothed[:5]} == {"same"}  # closer than the radius
    assert bare[-1] == "other"
    put(tab, "distance", 0.97 * right.radius, "input")
    assert text(tab, "far").endswith(f"closer than the radius {radius}")
    wait(tab, "document.querySelectorAll('#tried circle').length == 22")
    assert [row.split("\t")[-1] for row in rows(tab)] == ["as before", "changed"]
    assert tab.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert tab.complaints == []
    assert all(one.startswith(f"{url}/") for one in tab.requests.values())


def test_nothing_is_a_certificate_before_all_draws(url: str, tab: Browser) -> None:
    start(tab, url, size=DESKTOP, dark=False)
    put(tab, "n", 1_000_000)
    click(tab, "certify")
    wait(tab, "document.querySelectorAll('#voters .line').length > 0")
    assert tab.evaluate(is_shown("caution"))
    assert "nothing here is a certificate yet" in text(tab, "caution")
    assert "radius so far, no certificate" in text(tab, "voters")
    assert not tab.evaluate(is_shown("answer"))
    click(tab, "stop")
    wait(tab, "document.getElementById('arriving').textContent.startsWith('Stopped')")
    assert not tab.evaluate(is_shown("answer"))
    assert not tab.evaluate(is_shown("adversary"))


def test_a_drawing_is_an_image(url: str, tab: Browser) -> None:
    start(tab, url, size=PHONE, dark=False)
    tab.evaluate("document.querySelector('[data-tab=drawn]').click()")
    before = tab.evaluate("document.getElementById('image').src")
    box = json.loads(
        tab.evaluate("JSON.stringify(document.getElementById('drawing').getBoundingClientRect())")
    )
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 4
    for kind, down in (("mousePressed", 0.0), ("mouseMoved", 60.0), ("mouseReleased", 60.0)):
        tab.call(
            "Input.dispatchMouseEvent",
            type=kind,
            x=x,
            y=y + down,
            button="left",
            buttons=1,
            clickCount=1,
        )
    wait(tab, f"document.getElementById('image').src != {json.dumps(before)}")
    assert text(tab, "named") == "drawing. scaled from 280 x 280 to 8 x 8"
    assert tab.complaints == []


def test_what_is_refused_is_said(url: str, tab: Browser) -> None:
    start(tab, url, size=PHONE, dark=True)
    tab.evaluate(
        "{const given = new DataTransfer();"
        "given.items.add(new File(['no picture'], '<b>bad.png'));"
        "const field = document.getElementById('file'); field.files = given.files;"
        "field.dispatchEvent(new Event('change'))}"
    )
    wait(tab, is_shown("error"))
    assert text(tab, "error").startswith("<b>bad.png: cannot be read as an image")
    assert tab.evaluate("document.querySelectorAll('#error b').length") == 0
