"""The documentation as a site: MkDocs has no warning, and pages need nothing from elsewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from docs_pages import PAGES, ROOT
from test_public import NAMES

import rszoo

#: What a browser fetches to show a page.
FETCHED = re.compile(
    r"""<(?:script|img|iframe|link\b(?![^>]*rel="canonical"))[^>]*\s(?:src|href)="([^"]+)"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site, built as `make docs` builds it: every warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        check=True,
    )
    return folder


def test_it_has_every_page(site: Path) -> None:
    for page in PAGES:
        name = page.relative_to(ROOT).with_suffix(".html").as_posix()
        assert (site / name.replace("README", "index")).is_file(), name


def test_pages_fetch_nothing_from_elsewhere(site: Path) -> None:
    fetched = {link for page in site.rglob("*.html") for link in FETCHED.findall(page.read_text())}
    assert any(link.endswith(".js") for link in fetched)
    assert {link for link in fetched if re.match(r"(?:[a-z]+:)?//", link)} == set()


@pytest.mark.parametrize(("module", "name"), [it for it in NAMES if it[1] != "__version__"])
def test_every_public_name_is_explained(site: Path, module: str, name: str) -> None:
    page = (site / "docs/reference/api" / f"{module}.html").read_text()
    assert re.search(rf'id="rszoo[\w.]*\.{name}" class="doc doc-heading"', page)


def test_a_guarantee_stands_out(site: Path) -> None:
    page = (site / "docs/reference/api/rszoo.theory.bounds.html").read_text()
    assert '<details class="guarantee"' in page
    assert "For every p, P(bound &lt;= p) &gt;= 1 - alpha" in page


def test_it_can_be_searched(site: Path) -> None:
    assert "clopper_pearson_lower" in (site / "search/search_index.json").read_text()


def test_the_citation_is_of_this_version() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (cited["cff-version"], cited["version"]) == ("1.2.0", rszoo.__version__)
    assert cited["license"] in (ROOT / "pyproject.toml").read_text()
