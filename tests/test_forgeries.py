"""The pages of forgeries and of defences name tests that there are, for every claim."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/forgeries.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["forgeries.md", "defences.md"])
def test_every_test_that_a_page_names_is_there(name: str) -> None:
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    named = re.findall(r"`(test_\w+)::(test_\w+)`", page)
    assert len(named) >= 40
    missing = [
        f"{file}::{name}"
        for file, name in named
        if f"\ndef {name}(" not in (ROOT / f"tests/{file}.py").read_text(encoding="utf-8")
    ]
    assert missing == []


def test_every_defence_has_its_test() -> None:
    page = (ROOT / "docs/defences.md").read_text(encoding="utf-8")
    claims = [line for line in page.splitlines() if re.match(r"\| (?!what is tried)", line)]
    assert len(claims) >= 30
    assert [line for line in claims if "`test_" not in line.split(" | ")[2]] == []


def test_what_nothing_finds_is_marked() -> None:
    rows = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| ")]
    told = [row for row in rows if "not found" in row[1]]
    assert len(told) >= 5
    assert all(row[2] == "-" for row in told)
    assert all(row[2] != "-" or "not found" in row[1] for row in rows)
