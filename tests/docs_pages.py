"""The pages of the docs: their blocks of code, as a script that does what a reader does.

CONTRIBUTING.md, section Docs, says what the info string of a block may be.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[1]
#: Made from the command line itself; its blocks are usage, not commands.
GENERATED = ROOT / "docs/reference/cli.md"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]
NAMES = [path.relative_to(ROOT).as_posix() for path in PAGES if path != GENERATED]

RUN = {"sh", "console", "python"}
SHOWN = {"text", "yaml", "json"}
NEEDS = {"gpu", "network", "cluster", "browser"}
_WAIT = 60  # seconds for a server to say that it is there


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block.

    Attributes:
        line: where it begins, from 1.
        language: first word of its info string.
        marks: its other words, `key=value`.
        text: what is in it.
    """

    line: int
    language: str
    marks: dict[str, str]
    text: str

    @property
    def runs(self) -> bool:
        """Whether there is something to run here."""
        return self.language in RUN and not self.marks.keys() & {"needs", "file"}

    @property
    def lines(self) -> list[str]:
        """What a reader types, continued lines joined; of Python nothing."""
        if self.language not in ("sh", "console"):
            return []
        joined = self.text.replace("\\\n", " ").splitlines()
        if self.language == "sh":
            return joined
        return [line[2:] for line in joined if line.startswith("$ ")]

    @property
    def output(self) -> list[str]:
        """What a reader is shown; "..." stands for what was left out."""
        if self.language != "console":
            return []
        lines = self.text.replace("\\\n", " ").splitlines()
        return [line for line in lines if not line.startswith("$ ")]

    def problems(self) -> Iterator[str]:
        """Say what is wrong with the info string: nothing is left out silently."""
        known = {"file"} | ({"needs", "terminal", "machine"} if self.language in RUN else set())
        if self.language not in RUN | SHOWN:
            yield f"expected one of {sorted(RUN | SHOWN)} after the fence, got {self.language!r}"
        for key, value in self.marks.items():
            if key not in known:
                yield f"expected one of {sorted(known)}, got {key}={value}"
            if key == "needs" and not set(value.split(",")) <= NEEDS:
                yield f"expected needs= of {sorted(NEEDS)}, got {value!r}"

    def script(self) -> str:
        """Return it as lines of bash."""
        if "file" in self.marks:
            return (
                f"cat > {shlex.quote(self.marks['file'])} <<'END_OF_FILE'\n{self.text}END_OF_FILE"
            )
        if self.language == "python":
            return f"python - <<'END_OF_PYTHON'\n{self.text}END_OF_PYTHON"
        typed = "\n".join(self.lines)
        if "machine" in self.marks:
            elsewhere = f"$HOME/machine-{self.marks['machine']}"
            return f"mkdir {elsewhere}\ncd {elsewhere}\nexport HF_HOME=$PWD/hf\n{typed}"
        if "terminal" not in self.marks:
            return typed
        log = f"terminal-{self.marks['terminal']}"
        waits = f"[ $(wc -l < {log}) -ge {len(self.output)} ] && break; sleep 0.1"
        return (
            f"( {typed}\n) > {log} 2>&1 &\n"
            f"for _ in {{1..{10 * _WAIT}}}; do {waits}; done; cat {log}"
        )


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page."""
    found = []
    for token in MarkdownIt().parse(page.read_text()):
        if token.type == "fence" and token.map is not None:
            language, *marks = token.info.split() or [""]
            pairs = (mark.partition("=") for mark in marks)
            found.append(
                Block(
                    line=token.map[0] + 1,
                    language=language,
                    marks={key: value for key, _, value in pairs},
                    text=token.content,
                )
            )
    return found


def typed_lines(page: Path) -> list[tuple[int, str]]:
    """Return what a reader of the page types, with where; of the generated page its examples."""
    if page != GENERATED:
        return [(block.line, line) for block in blocks(page) for line in block.lines]
    tokens = [token for token in MarkdownIt().parse(page.read_text()) if token.map is not None]
    return [
        (token.map[0] + 1, line)
        for token in tokens
        if token.type == "code_block"
        for line in token.content.replace("\\\n", " ").splitlines()
    ]


def script(page: Path) -> str:
    """Return what a reader of the page does, in order; each block prints its line first."""
    parts = ["set -euo pipefail"]
    for block in blocks(page):
        if block.runs or "file" in block.marks:
            parts += [f"echo '::: {block.line}'", block.script()]
    return "\n".join(parts) + "\n"


def commands(line: str) -> Iterator[list[str]]:
    """Yield the arguments of every `rszoo` in a line of shell.

    >>> list(commands("A=1 rszoo ls --json > x && torchrun --nnodes 2 -m rszoo_cli train a  # b"))
    [['ls', '--json'], ['train', 'a']]
    """
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if not set(word) <= set("();<>|&"):
            words.append(word)
            continue
        if "rszoo" in words[:2]:
            yield words[words.index("rszoo") + 1 :]
        elif "rszoo_cli" in words:
            yield words[words.index("rszoo_cli") + 1 :]
        words = []


def words(text: str) -> set[str]:
    """Return the words of an output, without numbers, paths and lines drawn.

    >>> sorted(words("runs/a-0.5 is finished: 12 of 30  ── n = 4"))
    ['finished', 'is', 'of']
    """
    found = (word.strip(".,:;()[]") for word in text.split())
    return {word for word in found if re.fullmatch(r"[A-Za-z][A-Za-z-]+", word)}


def _inline(page: Path) -> Iterator[Token]:
    for token in MarkdownIt().enable("table").parse(page.read_text()):
        yield from token.children or ()


def phrases(page: Path) -> list[str]:
    """Return the commands within sentences, as `rszoo ls --hub`."""
    found = (token.content for token in _inline(page) if token.type == "code_inline")
    return [text for text in found if re.match(r"rszoo\s", text)]


def links(page: Path) -> list[str]:
    """Return where the links and pictures of a page lead."""
    found = (token.attrGet("href") or token.attrGet("src") for token in _inline(page))
    return [str(link) for link in found if link is not None]


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    tokens = MarkdownIt().parse(page.read_text())
    pairs = pairwise(tokens)
    titles = [after.content for token, after in pairs if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
