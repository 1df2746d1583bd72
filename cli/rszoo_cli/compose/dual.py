"""`rszoo compose dual`: a router over experts."""

from pathlib import Path
from typing import Annotated

import typer

from rszoo_cli.compose._shown import check_free, show_composed
from rszoo_cli.options import DataRoot, Json
from rszoo_cli.panels import advanced, output
from rszoo_cli.values import count

__all__ = ["dual"]


_Experts = Annotated[
    list[str],
    typer.Option(
        metavar="ID", help="A smoothed bundle; once for each, in the order of the router's."
    ),
]
_Out = Annotated[Path, output("--out", metavar="FOLDER", help="The new bundle's.")]
_Sigmas = Annotated[
    list[float] | None,
    typer.Option(
        help="A noise level of the only expert; once for each, in the order of the router's.",
        show_default="each expert at its own",
    ),
]
_Router = Annotated[str | None, typer.Option(metavar="ID", help="A router for these experts.")]
_TrainRouter = Annotated[
    bool,
    typer.Option("--train-router", help="Train one by the recipe dual_rs, beside the bundle."),
]
_Rounds = Annotated[
    int,
    advanced(
        metavar="N",
        parser=count(0),
        help="With --train-router and --sigma: fine-tune the expert under the noise that the "
        "router gives, and again with a new router, so many times.",
    ),
]
_Profile = Annotated[
    str | None, advanced(metavar="NAME", help="With --train-router: of its recipe.")
]
_Overwrite = Annotated[bool, output("--overwrite", help="Replace what is there.")]


def dual(
    expert: _Experts,
    to: _Out,
    sigma: _Sigmas = None,
    router: _Router = None,
    train_router: _TrainRouter = False,
    rounds: _Rounds = 0,
    profile: _Profile = None,
    overwrite: _Overwrite = False,
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
    if (router is None) == (not train_router):
        raise typer.BadParameter("expected either --router or --train-router")
    if rounds and not (train_router and sigma):
        raise typer.BadParameter("expected --rounds with --train-router and --sigma only")
    from rszoo.hub.catalog import find
    from rszoo.hub.kinds.dual import compose_dual

    check_free(to, overwrite)
    experts, sigmas = [find(one) for one in expert], sigma or None
    if router is not None:
        bundle = compose_dual(
            to, experts=experts, sigmas=sigmas, router=find(router), overwrite=overwrite
        )
    else:
        from rszoo.training.rounds import trained_dual
        from rszoo_cli.train_shown import Shown

        bundle = trained_dual(
            to,
            experts=experts,
            sigmas=sigmas,
            rounds=rounds,
            profile=profile,
            data_root=data_root,
            overwrite=overwrite,
            observer=Shown(),
        )
    show_composed(bundle, json=json)
