"""`rszoo compose dual`: a router over experts."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rszoo_cli.compose._shown import check_free, show_composed
from rszoo_cli.options import DataRoot, Json

if TYPE_CHECKING:
    from rszoo.hub.bundle import Bundle

__all__ = ["dual"]


def dual(
    expert: Annotated[
        list[str],
        typer.Option(
            metavar="ID", help="A smoothed bundle; once for each, in the order of the router's."
        ),
    ],
    to: Annotated[Path, typer.Option("--out", help="The new bundle's folder.")],
    sigma: Annotated[
        list[float] | None,
        typer.Option(
            help="A noise level of the only expert; once for each, in the order of the router's.",
            show_default="each expert at its own",
        ),
    ] = None,
    router: Annotated[
        str | None, typer.Option(metavar="ID", help="A router for these experts.")
    ] = None,
    train_router: Annotated[
        bool,
        typer.Option("--train-router", help="Train one by the recipe dual_rs, beside the bundle."),
    ] = False,
    rounds: Annotated[
        int,
        typer.Option(
            min=0,
            help="With --train-router and --sigma: fine-tune the expert under the noise that the "
            "router gives, and again with a new router, so many times.",
        ),
    ] = 0,
    profile: Annotated[
        str | None, typer.Option(help="With --train-router: of its recipe.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    data_root: DataRoot = None,
    json: Json = False,
) -> None:
    """Put a router over experts (Dual RS): strong at small and at large radii.

    The new bundle names its parts and holds none of them: they have to stay where they are, or be
    on a hub.

    Without a router to train: rszoo compose cascade.

    Example:

        rszoo compose dual --expert runs/a-0.25 --expert runs/a-1.00 --router runs/r --out runs/d

        rszoo compose dual --expert runs/b --sigma 0.25 --sigma 1 --train-router --rounds 1 \\
            --out runs/e
    """
    from rszoo.hub.catalog import find
    from rszoo.hub.kinds.dual import compose_dual, levels_of

    if (router is None) == (not train_router):
        raise typer.BadParameter("expected either --router or --train-router")
    if rounds and not (train_router and sigma):
        raise typer.BadParameter("expected --rounds with --train-router and --sigma only")
    check_free(to, overwrite)
    experts = [find(one) for one in expert]
    levels_of(experts, sigma or None)
    if router is None:
        experts, chosen = _trained(
            experts, sigma, rounds, to, profile=profile, data_root=data_root, overwrite=overwrite
        )
    else:
        chosen = find(router)
    bundle = compose_dual(
        to, experts=experts, sigmas=sigma or None, router=chosen, overwrite=overwrite
    )
    show_composed(bundle, json=json)


def _trained(
    experts: "list[Bundle]",
    sigmas: list[float] | None,
    rounds: int,
    to: Path,
    *,
    profile: str | None,
    data_root: Path | None,
    overwrite: bool,
) -> "tuple[list[Bundle], Bundle]":
    """Return the experts, fine-tuned if there are rounds, and a router trained for them."""
    from rszoo.training.rounds import in_rounds, trained_router
    from rszoo_cli.train import shown_observer

    options = {
        "profile": profile,
        "data_root": data_root,
        "overwrite": overwrite,
        "observer": shown_observer(),
    }
    if rounds and sigmas:
        folder = to.parent / f"{to.name}-rounds"
        tuned, router = in_rounds(experts[0], sigmas, rounds=rounds, out=folder, **options)
        return [tuned], router
    return experts, trained_router(experts, sigmas, out=to.parent, **options)
