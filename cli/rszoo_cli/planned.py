"""`rszoo certify --dry-run`: what a certification would take."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rszoo_cli.console import err, out

if TYPE_CHECKING:
    from rszoo.evaluation.inputs import InputSet
    from rszoo.hub.bundle import Bundle
    from rszoo.smoothing.interface import Budget

__all__ = ["FASTER", "print_plan"]

#: What to do where one image takes long.
FASTER = (
    "--radii, fewer draws (--n) or a GPU (--device cuda) take less, and OMP_NUM_THREADS=1 where "
    "other work shares the cores"
)


def print_plan(
    bundle: "Bundle",
    inputs: "InputSet",
    budget: "Budget",
    *,
    searched: bool,
    json: bool,
    **how: Any,
) -> None:
    """Print how many draws there are to do, and how long they take on this machine.

    Args:
        bundle: what would be certified.
        inputs, budget, how: see `rszoo.evaluation.plan.planned`.
        searched: whether the noise would be searched for each input.
        json: print JSON, and nothing else, to stdout.
    """
    from rszoo.evaluation.formatting import slow_image
    from rszoo.evaluation.plan import planned
    from rszoo.hub.job import subject_of

    plan = planned(subject_of(bundle, searched=searched), inputs, budget, **how)
    if json:
        out.print_json(
            data={**asdict(plan), "seconds": plan.seconds, "seconds_each": plan.seconds_each}
        )
    else:
        out.print(f"certify {bundle.config.name}: {plan}", highlight=False, soft_wrap=True)
    if warning := slow_image(plan.seconds_each, faster=FASTER):
        err.print(warning, style="yellow", soft_wrap=True)
