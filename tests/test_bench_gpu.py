"""The table of bench/gpu/run.sh has what was measured before time ran out."""

import json
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parents[1] / "bench/gpu"


def test_the_table_of_a_run_that_was_cut_off(tmp_path: Path) -> None:
    steps = [{"step": "tests", "seconds": 9, "ends": "exit 124"}]
    (tmp_path / "steps.jsonl").write_text("\n".join(map(json.dumps, steps)))
    shared = {"workload": "w", "card": "a card"}
    rates = {"rszoo": 100, "fused": 250}
    rows = [shared | {"engine": name, "draws_per_second": rate} for name, rate in rates.items()]
    (tmp_path / "certify-w.json").write_text(json.dumps(rows))
    times = {
        "rszoo_ms": 10.0,
        "launched_ms": 39.0,
        "unfused_ms": 15.0,
        "original_ms": 40.0,
        "ratio": 4.0,
        "limit": 3.0,
    }
    others = {
        "method": "m",
        "network": "n",
        "captured": 2.6,
        "fused": 1.5,
        "loss_difference": 0.001,
    }
    (tmp_path / "training-n.json").write_text(json.dumps([times | others]))
    (tmp_path / "training-o.json").write_text(
        json.dumps([times | others | {"network": "o", "captured": None, "fused": None}])
    )
    subprocess.run([sys.executable, str(BENCH / "table.py"), str(tmp_path)], check=True)
    table = (tmp_path / "results.md").read_text()
    assert "| w | a card | 100 | - | 250 | - | - | - | - | 2.50 | - |" in table
    assert "| m | n | 10.0 | 15.0 | 1.50 | 39.0 | 2.60 | 40.0 | 4.00 | 3.00 | 1.0e-03 |" in table
    assert "| m | o | 10.0 | - | - | - | - | 40.0 | 4.00 | 3.00 | 1.0e-03 |" in table
    assert "| tests | 9 | exit 124 |" in table
    assert json.loads((tmp_path / "results.json").read_text())["certify"] == rows


def test_wrong_usage_says_what_is_right() -> None:
    for script in ("run.sh", "cifar10.sh", "denoised.sh"):
        done = subprocess.run([BENCH / script, "--what"], capture_output=True, text=True)
        assert done.returncode == 2
        assert f"bench/gpu/{script} " in done.stdout
        assert "[--minutes " in done.stdout
