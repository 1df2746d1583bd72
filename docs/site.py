"""Make a site of the Markdown in this repository, for MkDocs (mkdocs.yml): `make docs`.

The pages stay what they are on a code host: a copy of them is laid out as the repository is, so
that their links to each other hold. What only a site needs is done to the copy:

    info strings of fences, such as `sh needs=network`, lose what MkDocs does not know;
    a list may follow its sentence without an empty line;
    linked files of code, such as recipes, become pages that show them;
    one page for each public module shows its docstrings (docs/reference/python.md lists them);
    the navigation is the lists of docs/README.md.
"""

import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "bench/RESULTS.md")
#: The languages of files that are shown as pages.
CODE = {".cff": "yaml", ".py": "python", ".sh": "sh", ".txt": "text", ".yaml": "yaml"}
_LINK = re.compile(r"\]\((?![a-z]+:|#)([^)\s#]+)(#[^)\s]*)?\)")
_PUBLIC = re.compile(r"(?m)^\| `(rszoo[\w.]*)` \| (.+) \|$")
_TITLE = re.compile(r"\[([^]]+)\]\(([^)#]+)\)")
_DOCTEST = re.compile(r"(?m)^>>> .*(?:\n.+)*")


class Doctests(griffe.Extension):
    """Shows the doctests of docstrings as code, wherever in a docstring they stand."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        """Put fences around them."""
        if obj.docstring is not None:
            fenced = _DOCTEST.sub(r"```pycon\n\g<0>\n```", obj.docstring.value)
            obj.docstring.value = fenced


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Lay the pages out in a temporary folder, and let MkDocs take them from there."""
    folder = Path(tempfile.mkdtemp(prefix="rszoo-site-"))
    config.docs_dir = str(folder)
    public = lay_out(folder)
    config.nav = navigation(public)
    return config


def on_post_build(config: MkDocsConfig) -> None:
    """Remove the temporary folder."""
    shutil.rmtree(config.docs_dir)


def lay_out(folder: Path) -> Mapping[str, str]:
    """Write the pages of the site, and return those of the public modules by name."""
    todo = [ROOT / name for name in PAGES] + sorted((ROOT / "docs").rglob("*.md"))
    done: set[Path] = set()
    while todo:
        page = todo.pop()
        if page in done:
            continue
        done.add(page)
        text = adapted(page)
        into = folder / _as_page(page).relative_to(ROOT)
        into.parent.mkdir(parents=True, exist_ok=True)
        into.write_text(text)
        for target in linked(page):
            if _as_page(target).suffix == ".md":
                todo.append(target)
            elif target.is_file():
                copy = folder / target.relative_to(ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(target, copy)
    return dict(_api(folder))


def linked(page: Path) -> list[Path]:
    """Return the files and folders of the repository that a page links to."""
    if page.suffix != ".md":
        return sorted(page.glob("*.yaml")) if page.is_dir() else []
    targets = [page.parent.joinpath(match[1]).resolve() for match in _LINK.finditer(_prose(page))]
    return [target for target in targets if target.exists() and target.is_relative_to(ROOT)]


def adapted(page: Path) -> str:
    """Return the Markdown of a page, of a file of code, or of a folder of them."""
    if page.is_dir():
        entries = "\n".join(f"- [{path.name}]({path.stem}.yaml.md)" for path in linked(page))
        return f"# {page.name}\n\n{entries}\n"
    if page.suffix != ".md":
        return f"# {page.name}\n\n````{CODE[page.suffix]}\n{page.read_text()}````\n"
    parts = re.split(r"(?ms)^(```.*?^```$)", page.read_text())
    parts[0::2] = [_prose_adapted(part, page) for part in parts[0::2]]
    parts[1::2] = [_fence_adapted(part) for part in parts[1::2]]
    return "".join(parts)


def navigation(public: Mapping[str, str]) -> list[Any]:
    """Return the navigation: README, the sections of docs/README.md, the public modules, ..."""
    index = (ROOT / "docs/README.md").read_text()
    sections = re.split(r"(?m)^\*\*(.+?)\.?\*\*\.?", index)
    nav: list[Any] = [{"rszoo": "README.md"}, {"Documentation": "docs/README.md"}]
    for name, text in zip(sections[1::2], sections[2::2], strict=True):
        nav.append({name: list(_entries(text))})
    nav.append({"Python, from the docstrings": [{name: page} for name, page in public.items()]})
    nav.append({"Changelog": "CHANGELOG.md"})
    nav.append({"Contributing": "CONTRIBUTING.md"})
    return nav


def _entries(section: str) -> Iterator[dict[str, str]]:
    for label, target in _TITLE.findall(section):
        path = (ROOT / "docs" / target).resolve()
        if path.suffix == ".md" and path.name not in ("README.md", "CONTRIBUTING.md"):
            title = label.replace("`", "")
            yield {title[:1].upper() + title[1:]: path.relative_to(ROOT).as_posix()}


def _api(folder: Path) -> Iterator[tuple[str, str]]:
    for match in _PUBLIC.finditer((ROOT / "docs/reference/python.md").read_text()):
        module, names = match[1], re.findall(r"`(\w+)`", match[2])
        members = "".join(f"\n        - {name}" for name in names if not name.startswith("__"))
        page = Path("docs/reference/api", f"{module}.md")
        (folder / page).parent.mkdir(exist_ok=True)
        (folder / page).write_text(
            f"# {module}\n\n::: {module}\n    options:\n      members:{members}\n"
        )
        yield module, page.as_posix()


def _prose(page: Path) -> str:
    return re.sub(r"(?ms)^```.*?^```$", "", page.read_text())


def _prose_adapted(text: str, page: Path) -> str:
    def led(match: re.Match[str]) -> str:
        target = page.parent.joinpath(match[1]).resolve()
        name = _as_page(target).name
        if target.is_dir():
            return f"]({match[1].rstrip('/')}/{name}{match[2] or ''})"
        return f"]({match[1].removesuffix(target.name)}{name}{match[2] or ''})"

    text = _LINK.sub(led, text)
    return re.sub(r"(?m)^(?![-|#>\s])(.+)\n(?=- )", r"\1\n\n", text)


def _fence_adapted(fence: str) -> str:
    first, _, rest = fence.partition("\n")
    language, *marks = first.removeprefix("```").split()
    titles = [mark.partition("=")[2] for mark in marks if mark.startswith("file=")]
    title = f' title="{titles[0]}"' if titles else ""
    return f"```{language}{title}\n{rest}"


def _as_page(path: Path) -> Path:
    """Return where a page, a file of code or a folder goes in the site."""
    if path.is_dir():
        return path / "README.md"
    return path.with_name(f"{path.name}.md") if path.suffix in CODE else path
