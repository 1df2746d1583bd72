"""The page of forgeries names tests that there are, and says how many lines it has."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/forgeries.md").read_text(encoding="utf-8")


def test_every_test_that_the_page_names_is_there() -> None:
    named = re.findall(r"`(test_\w+)::(test_\w+)`", PAGE)
    assert len(named) >= 40
    missing = [
        f"{file}::{name}"
        for file, name in named
        if f"\ndef {name}(" not in (ROOT / f"tests/{file}.py").read_text(encoding="utf-8")
    ]
    assert missing == []


def test_what_nothing_finds_is_marked() -> None:
    rows = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| ")]
    told = [row for row in rows if "not found" in row[1]]
    assert len(told) >= 5
    assert all(row[2] == "-" for row in told)
    assert all(row[2] != "-" or "not found" in row[1] for row in rows)
