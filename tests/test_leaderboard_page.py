"""The leaderboard's page: its text, and what it does in a real browser."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from html import escape, unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from rszoo.certificates.base import certificate_from_votes
from rszoo.certificates.kinds import protocol_of
from rszoo.data import known_set
from rszoo.evaluation.coverage import Coverage
from rszoo.evaluation.leaderboard.attacked import AttackedEntry, grouped_attacks
from rszoo.evaluation.leaderboard.board import grouped
from rszoo.evaluation.leaderboard.chart import styles
from rszoo.evaluation.leaderboard.entry import Entry, entry_of_log
from rszoo.evaluation.leaderboard.page import as_page
from rszoo.evaluation.leaderboard.published import published_entries
from rszoo.evaluation.leaderboard.robustbench import published_attacks
from rszoo.evaluation.log import CertificationLog, read_log
from rszoo.evaluation.look import COLOURS
from rszoo.evaluation.under_attack import UnderAttack

CHROMIUM = shutil.which("chromium")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path")

HOSTILE = (
    "\"'></th></script><script>document.title='ran'</script><img src=x onerror=alert(1)>$style"
)


IMAGES = {
    name: {"name": name, "split": "test", "digest": known.digests["test"]}
    for name in ("digits", "mnist")
    if (known := known_set(name)) is not None
}


def entry(path: Path, share: float, *, dataset: str = "digits", **facts: Any) -> Entry:
    sigma = facts.pop("sigma", 0.5)
    with CertificationLog.open(
        path, protocol_of({"inputs": IMAGES[dataset]}), resume=False
    ) as opened:
        for idx in range(100):
            votes = round((share - 0.1 * (idx % 4)) * 1000)
            given = certificate_from_votes(1, votes, n0=9, n=1000, alpha=0.001, sigma=sigma)
            opened.append(idx, 1, given, 0.1)
    return entry_of_log(read_log(path), **{"model": path.stem, **facts})


@pytest.fixture
def page(tmp_path: Path) -> str:
    made = [
        entry(tmp_path / "b-low.tsv", 0.8, dataset="mnist", method="gaussian", seconds=59.0),
        entry(tmp_path / "a-high.tsv", 1.0, dataset="mnist", method="cat_rs", seconds=7200.0),
        entry(tmp_path / "c-middle.tsv", 0.9, dataset="mnist", method="gaussian"),
        entry(tmp_path / "long.tsv", 0.9, sigma=1.0, method="macer", model="m" * 300),
        entry(tmp_path / "hostile.tsv", 0.9, model=HOSTILE, method=HOSTILE, network=HOSTILE),
    ]
    return as_page(grouped(made, published_entries()))


class Tags(HTMLParser):
    """Collects the tags of a page, and its attributes' names; checks that they are nested."""

    VOID = ("meta", "input")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_stands_alone_and_is_well_formed(page: str) -> None:
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    names = [name for name, _ in tags.seen]
    assert names.count("script") == 1
    assert not {"img", "link", "iframe", "a"} & set(names)
    for _, attributes in tags.seen:
        assert not {"src", "href"} & set(attributes)
        assert not [name for name in attributes if name.startswith("on")]
    assert "url(" not in page
    assert "@import" not in page
    assert re.sub(r"http-equiv", "", page).count("http") == 0


def test_names_are_escaped_once(page: str) -> None:
    assert HOSTILE not in page
    assert f">{escape(HOSTILE)}<" in page
    assert f'data-method="{escape(HOSTILE)}"' in page
    assert f"<option>{escape(HOSTILE)}</option>" in page


def test_each_method_has_a_colour_and_models_within_it_have_dashes(tmp_path: Path) -> None:
    made = [
        entry(tmp_path / "1.tsv", 1.0, dataset="mnist", method="gaussian"),
        entry(tmp_path / "2.tsv", 0.9, dataset="mnist", method="cat_rs"),
        entry(tmp_path / "3.tsv", 0.8, dataset="mnist", method="gaussian"),
    ]
    (group,) = grouped(made, published_entries())
    given = styles(group)
    assert given[:3] == [("gaussian", ""), ("cat_rs", ""), ("gaussian", given[2][1])]
    assert given[2][1] != ""
    published = [
        (row.entry.method, colour)
        for row, (colour, _) in zip(group.rows, given, strict=True)
        if row.entry.paper
    ]
    assert len(published) == len({method for method, _ in published}) == 7
    assert all(method == colour for method, colour in published)


def test_where_draws_end_a_curve_there_is_a_wedge(tmp_path: Path) -> None:
    text = "the draws can certify no more"
    # A quarter has the votes of all draws, at 4 % before the end of the axis.
    page = as_page(grouped([entry(tmp_path / "a.tsv", 1.0)]))
    assert f'd="M{46 + int(4 * 364 / 1.04) / 4} 187.5l7 4l-7 4z"' in page
    assert page.count(text) == 1
    assert text not in as_page(grouped([entry(tmp_path / "b.tsv", 0.999)]))


def test_the_curve_has_a_corner_at_each_certified_radius(tmp_path: Path) -> None:
    one = entry(tmp_path / "a.tsv", 1.0)
    text = as_page(grouped([one]))
    path = re.search(r'<path d="(M46\.0 [^"]+)"', text)
    assert path is not None
    # 4 of 4 right from r = 0 on: the axis of shares runs from y = 252 (0 %) to 10 (100 %).
    steps = re.findall(r"H([\d.]+)V([\d.]+)", path[1])
    assert path[1].startswith("M46.0 10.0H")
    assert [float(y) for _, y in steps] == [70.5, 131.0, 191.5, 252.0]
    places = [float(x) for x, _ in steps]
    assert places == sorted(places)
    # The axis ends 4 % beyond the largest radius.
    assert places[-1] == pytest.approx(46 + 364 / 1.04, abs=0.25)


@pytest.fixture
def browser(tmp_path: Path) -> Callable[..., Any]:
    """Return a function that opens a page in Chromium, and what its driver reports."""

    def run(page: str, driver: str = "", *, dark: bool = False) -> str:
        assert CHROMIUM is not None
        target = tmp_path / "page.html"
        target.write_text(page + (f"<script>{driver}</script>" if driver else ""))
        flags = [f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
        done = subprocess.run(
            [
                CHROMIUM,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                f"--user-data-dir={tmp_path / 'profile'}",
                *flags,
                "--virtual-time-budget=2000",
                "--dump-dom",
                target.as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            env=os.environ | {"HOME": str(tmp_path)},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def driven(  # noqa: ANN201  # whatever the driver returns
    browser: Callable[..., str], page: str, driver: str, *, dark: bool = False
):
    """Run a driver in the page, with the page's policy taken off; return what it reports."""
    free = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    assert free != page
    dom = browser(
        free,
        f"const report = (() => {{{driver}}})(); "
        "const at = document.createElement('pre'); at.id = 'report';"
        "at.textContent = JSON.stringify(report); document.body.append(at);",
        dark=dark,
    )
    found = re.search(r'<pre id="report">(.*?)</pre>', dom, re.DOTALL)
    assert found is not None, dom[-2000:]
    return json.loads(unescape(found[1]))


HELPERS = """
const $ = (s, r = document) => [...r.querySelectorAll(s)];
const shown = (e) => !e.closest('[hidden]');
const section = $('section').find((s) => s.dataset.dataset === 'mnist');
const names = () => $('tbody tr', section).filter(shown)
    .map((r) => r.cells[0].textContent.trim());
const set = (name, value) => {
  const field = document.forms[0].elements[name];
  if (typeof value === 'boolean') field.checked = value; else field.value = value;
  field.dispatchEvent(new Event('input', {bubbles: true}));
};
const head = (text) => $('thead button', section).find((b) => b.textContent === text);
const sorted = () => $('thead th', section).map((h) => h.getAttribute('aria-sort'))
    .filter(Boolean);
"""


@needs_browser
def test_sorting(browser: Callable[..., str], page: str) -> None:
    found = driven(
        browser,
        page,
        HELPERS
        + """
        set('published', false);
        const steps = [names()];
        for (const column of ['ACR', 'ACR', 'model', 'model', 'r 0.50']) {
          head(column).click();
          steps.push([...names(), ...sorted()]);
        }
        for (const _ of [1, 2]) {
          head('training').click();
          steps.push(names());
        }
        set('published', true);
        head('p 0.9').click();
        steps.push($('tbody tr', section).slice(-7).every((r) => r.className === 'published'));
        head('p 0.9').click();
        steps.push($('tbody tr', section).slice(-7).every((r) => r.className === 'published'));
        head('inputs').click();
        steps.push($('tbody tr', section).slice(0, 3).map((r) => r.cells[6].textContent));
        return steps;
        """,
    )
    high, middle, low = "a-high", "c-middle", "b-low"
    assert found == [
        [high, middle, low],
        [high, middle, low, "descending"],
        [low, middle, high, "ascending"],
        [high, low, middle, "ascending"],
        [middle, low, high, "descending"],
        [high, middle, low, "descending"],
        [high, low, middle],  # by time, 2.0 h before 59.0 s; what is not known below
        [low, high, middle],
        True,  # what is not known stays below, up or down
        True,
        ["100", "100", "100"],  # what has a place stays above "10,000"
    ]


@needs_browser
def test_filters(browser: Callable[..., str], page: str) -> None:
    found = driven(
        browser,
        page,
        HELPERS
        + """
        const state = () => [
          $('section').filter(shown).length,
          $('tbody tr').filter(shown).length,
          $('svg g[data-row]').filter(shown).length,
          $('figure li[data-row]').filter(shown).length,
          $('output')[0].textContent,
        ];
        const steps = [state()];
        const clear = () => {
          for (const name of ['text', 'dataset', 'sigma', 'method']) set(name, '');
          set('published', true);
        };
        for (const [name, value] of [
          ['published', false], ['dataset', 'mnist'], ['sigma', '1'], ['method', 'gaussian'],
          ['text', 'MIDDLE mnist'], ['text', 'mmmm SIGMA'], ['text', 'no such thing'],
        ]) {
          set(name, value);
          steps.push(state());
          clear();
        }
        const hostile = $('[name=method] option').map((o) => o.value).find((v) => v.length > 20);
        set('method', hostile);
        steps.push(state());
        return steps;
        """,
    )
    # 3 of MNIST beside 7 published results, one hostile, one at sigma 1
    counts = [(3, 12), (3, 5), (1, 10), (1, 1), (1, 3), (1, 1), (1, 1), (0, 0), (1, 1)]
    assert found == [
        [sections, rows, rows, rows, f"{rows} of 12 entries"] for sections, rows in counts
    ]


@needs_browser
def test_the_script_runs_under_the_page_s_own_policy_and_no_other_does(
    browser: Callable[..., str], page: str
) -> None:
    dom = browser(page, "document.title = 'ran'")
    assert "<title>rszoo leaderboard</title>" in dom
    assert re.search(r"<output[^>]*>12 of 12 entries</output>", dom)
    assert "<form hidden" not in dom


WIDTHS = """
const wide = [...document.querySelectorAll('body *')].filter(
  (e) => !e.closest('.scroll table') && !e.closest('svg')
      && e.getBoundingClientRect().right > innerWidth + 0.5);
parent.postMessage(JSON.stringify({
  width: innerWidth, scroll: document.documentElement.scrollWidth,
  wide: wide.map((e) => e.tagName),
  chart: document.querySelector('figure > svg').getBoundingClientRect().width,
  text: document.querySelector('figure > svg text').getBoundingClientRect().height,
  table: document.querySelector('.scroll').scrollWidth,
}), '*');
"""


@needs_browser
def test_nothing_is_wider_than_a_phone(
    browser: Callable[..., str], page: str, tmp_path: Path
) -> None:
    free = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    (tmp_path / "inner.html").write_text(f"{free}<script>{WIDTHS}</script>")
    dom = browser(
        "<!doctype html><pre id=report></pre><script>"
        "onmessage = (e) => { document.getElementById('report').textContent = e.data; };</script>"
        '<iframe src="inner.html" style="border:0;width:390px;height:800px"></iframe>'
    )
    found = re.search(r'<pre id="report">(.+?)</pre>', dom)
    assert found is not None, dom[-2000:]
    report = json.loads(unescape(found[1]))
    assert report["width"] == 390
    assert report["wide"] == []
    assert report["scroll"] <= 390
    assert report["chart"] > 300
    assert report["text"] >= 10
    assert report["table"] > 390  # the table scrolls within its own frame


CONTRAST = """
const rgb = (text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
const light = (text) => {
  const [r, g, b] = rgb(text).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const page = getComputedStyle(document.body).backgroundColor;
const ratio = (text) => {
  const [a, b] = [light(text), light(page)].sort();
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
};
const lines = COLOURS.map((name) => {
  const g = document.createElement('p');
  g.className = name;
  document.body.append(g);
  return getComputedStyle(g).color;
});
return {
  page: light(page),
  lines: Math.min(...lines.map(ratio)),
  colours: new Set(lines).size,
  text: ratio(getComputedStyle(document.querySelector('svg text')).fill),
  small: ratio(getComputedStyle(document.querySelector('small')).color),
  mark: ratio(getComputedStyle(document.querySelector('.mark')).color),
};
"""


@needs_browser
@pytest.mark.parametrize("dark", [False, True])
def test_everything_can_be_read_in_light_and_dark(
    browser: Callable[..., str], page: str, dark: bool
) -> None:
    script = CONTRAST.replace("COLOURS", json.dumps([*COLOURS]))
    found = driven(browser, page, script, dark=dark)
    assert (found["page"] < 0.1) is dark
    assert found["colours"] == len(COLOURS) == 16
    assert found["lines"] >= 3  # WCAG 2.2, 1.4.11: graphics
    assert min(found["text"], found["small"], found["mark"]) >= 4.5  # 1.4.3: text


@needs_browser
def test_tables_of_attacks_are_sorted_and_filtered_too(
    browser: Callable[..., str], tmp_path: Path
) -> None:
    published = published_attacks()
    covered = Coverage(listed=5, count=5, stated=True, missing=())
    one = UnderAttack(
        attacked=published[0][0], how="", coverage=covered, right=3, right_under_attack=1
    )
    mine = AttackedEntry(
        model="mine", method="part", network=None, profile=None, sigma=0.0, results=(one,)
    )
    groups = grouped([entry(tmp_path / "a.tsv", 1.0, sigma=0.25)])
    found = driven(
        browser,
        as_page(groups, grouped_attacks([mine], published)),
        HELPERS.replace("'mnist'", "'cifar10'")
        + """
        const steps = [names().slice(0, 2)];
        head('right %').click();
        steps.push([...names().slice(0, 2), ...sorted()]);
        set('method', 'trades');
        steps.push(names());
        set('method', '');
        set('published', false);
        steps.push(names());
        set('sigma', '0.25');
        steps.push($('section').map((s) => s.hidden));
        return steps;
        """,
    )
    assert found == [
        ["mine", "published Bartoldson2024Adversarial_WRN-94-16"],
        ["mine", "published Bai2023Improving_edm", "descending"],
        ["published Zhang2019Theoretically"],
        ["mine"],
        [False, True],
    ]
