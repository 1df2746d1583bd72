"""Write FOLDER/results.md and FOLDER/results.json: what bench/gpu/run.sh has measured so far.

python bench/gpu/table.py FOLDER
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: Engines of bench/certify_speed.py in the order of columns, and which ratios are given.
ENGINES = ("rszoo", "compiled", "fused", "classic", "limit", "bare", "art")


def rows_in(folder: Path, pattern: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of the JSON files that have been written."""
    for path in sorted(folder.glob(pattern)):
        yield from json.loads(path.read_text())


def certifying(rows: list[dict[str, Any]]) -> list[str]:
    """Return the table of draws per second, with those of the fused network by the others'."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        found.setdefault(row["workload"], {"card": row["card"]})[row["engine"]] = row
    lines = [
        "| workload | card | " + " | ".join(ENGINES) + " | fused / rszoo | fused / limit |",
        "|---|---|" + "---|" * (len(ENGINES) + 2),
    ]
    for workload, row in found.items():
        rates = {name: row[name]["draws_per_second"] for name in ENGINES if name in row}
        ratios = [
            f"{rates['fused'] / rates[other]:.2f}" if {"fused", other} <= {*rates} else "-"
            for other in ("rszoo", "limit")
        ]
        cells = [f"{rates[name]:,}" if name in rates else "-" for name in ENGINES]
        lines.append("| " + " | ".join([workload, row["card"], *cells, *ratios]) + " |")
    return lines


def training(rows: list[dict[str, Any]]) -> list[str]:
    """Return the table of milliseconds per step."""
    lines = [
        "| method | network | rszoo, ms | attacks by PyTorch, ms | times as fast | launched, ms "
        "| times as fast | original, ms | faster | limit | losses differ by |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [
            row["method"],
            row["network"],
            f"{row['rszoo_ms']:.1f}",
            *(_beside(row, "unfused_ms", "fused") + _beside(row, "launched_ms", "captured")),
            f"{row['original_ms']:.1f}",
            f"{row['ratio']:.2f}",
            f"{row['limit']:.2f}",
            f"{row['loss_difference']:.1e}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _beside(row: dict[str, Any], side: str, ratio: str) -> list[str]:
    """Return what a side took, and by how much it is beaten; dashes for no such side."""
    return [f"{row[side]:.1f}", f"{row[ratio]:.2f}"] if row[ratio] else ["-", "-"]


def main() -> None:
    folder = Path(sys.argv[1])
    results = {
        "certify": list(rows_in(folder, "certify-*.json")),
        "training": list(rows_in(folder, "training-*.json")),
        "questions": list(rows_in(folder, "questions.json")),
        "steps": [json.loads(one) for one in (folder / "steps.jsonl").read_text().splitlines()],
    }
    lines = ["# Measured by bench/gpu/run.sh", "", "## Draws per second", ""]
    lines += certifying(results["certify"])
    lines += ["", "## Milliseconds per training step", "", *training(results["training"])]
    lines += ["", "## Questions", ""]
    lines += [f"- {row['question']} **{row['answer']}**" for row in results["questions"]]
    lines += ["", "## Steps", "", "| step | seconds | |", "|---|---|---|"]
    lines += [f"| {one['step']} | {one['seconds']} | {one['ends']} |" for one in results["steps"]]
    (folder / "results.json").write_text(json.dumps(results, indent=2))
    (folder / "results.md").write_text("\n".join(lines) + "\n")
    print((folder / "results.md").read_text())


if __name__ == "__main__":
    main()
