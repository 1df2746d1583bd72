"""What the bound of the runner-up gives of the votes of shipped models: ACR and accuracy, beside.

    python bench/runner_up.py FOLDER

FOLDER holds logs that `rszoo certify --runner-up` made under the seed, n and precision of the
shipped ones (`bench/runner_up.sh` makes them): of the same votes, as is checked.
"""

import argparse
from pathlib import Path

import numpy as np

from rszoo.evaluation.log import LogTable, read_log
from rszoo.evaluation.metrics import summary
from rszoo.hub.catalog import find
from rszoo.hub.evidence import evidence_of
from rszoo.theory.radii import largest_radius
from rszoo.theory.rounding import as_acr, as_share, as_stated


def compared(name: str, log: LogTable) -> list[str]:
    """Return a line of the table: of the shipped log, and of the one with the runner-up."""
    known = evidence_of(find(f"builtin/{name}"))
    assert known.votes is not None
    assert log.votes is not None
    same = np.array_equal(known.idx, log.idx) and np.array_equal(known.votes, log.votes)
    one, two = (summary(table, [0.0, 0.25, 0.5, 0.75, 1.0]) for table in (known, log))
    assert one.n is not None
    assert one.alpha is not None
    assert one.sigma is not None
    cap = 0.98 * largest_radius(one.n, one.alpha, one.sigma)
    near = [float((table.correct & (table.radius >= cap)).mean()) for table in (known, log)]
    return [
        name.removeprefix("digits-"),
        "same" if same else "OTHER",
        as_share(one.clean),
        as_acr(one.acr),
        as_acr(two.acr),
        f"{two.acr / one.acr:.3f}" if one.acr else "-",
        *(
            f"{as_share(a)} / {as_share(b)}"
            for a, b in zip(one.certified_accuracy, two.certified_accuracy, strict=True)
        ),
        f"{as_share(near[0])} / {as_share(near[1])}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    head = ["model", "votes", "right", "ACR", "runner-up", "times"]
    head += [f"r {as_stated(r)}" for r in (0.0, 0.25, 0.5, 0.75, 1.0)] + ["98 % of the cap"]
    print("|", " | ".join(head), "|")
    print("|" + "---|" * len(head))
    for path in sorted(folder.glob("*.tsv"), key=lambda path: (path.stem[-4:], path.stem)):
        print("|", " | ".join(compared(path.stem, read_log(path))), "|")


if __name__ == "__main__":
    main()
