"""What `rszoo certify` bounds, and when it may stop drawing.

`--runner-up`, `--choose-bound`, `--n-max` and `--top-k`; `--radii`, `--adaptive` and
`--radius-tol`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rszoo.certificates.work import Test
    from rszoo.hub.bundle import Bundle
    from rszoo.hub.kind import Early

__all__ = ["bound_named", "early_stopping"]

_USUAL_TOLERANCE = 0.1  # of sigma, of several the largest


def bound_named(
    bundle: "Bundle",
    options: Mapping[str, Any],
    *,
    n: int,
    early: bool,
    attach: bool,
) -> dict[str, Any]:
    """Return what is to be bounded and from how many draws, where that is not the usual.

    Args:
        bundle: what is certified.
        options: runner_up, choose_bound, n_max and top_k.
        n: draws.
        early: whether the draws may stop early.
        attach: whether the log is to go into the bundle.
    """
    from rszoo.hub.kinds import kind_of

    n_max, top_k = options["n_max"], options["top_k"]
    asked: dict[str, dict[str, Any]] = {
        "--runner-up": {"bound": "runner-up"} if options["runner_up"] else {},
        "--choose-bound": {"bound": "chosen"} if options["choose_bound"] else {},
        "--n-max": {"n_max": n_max} if n_max is not None else {},
        "--top-k": {"top_k": top_k} if top_k is not None else {},
    }
    given = [option for option, limits in asked.items() if limits]
    if not given:
        return {}
    if len(given) > 1:
        raise typer.BadParameter(f"expected {' or '.join(given)}, got both")
    if kind_of(bundle).smoothed is None:
        raise typer.BadParameter(f"{given[0]} is not for models made of others; leave it out")
    if early and not options["runner_up"]:
        raise typer.BadParameter(f"expected {given[0]} without --radii and --adaptive")
    if n_max is not None and n_max <= n:
        raise typer.BadParameter(f"expected --n-max above --n {n}, got {n_max}")
    if top_k is not None:
        _check_top_k(top_k, len(bundle.config.class_names), attach=attach)
    return asked[given[0]]


def _check_top_k(top_k: int, classes: int, *, attach: bool) -> None:
    """Refuse a set of all classes, and to show certificates of sets as a bundle's evidence."""
    if top_k >= classes:
        raise typer.BadParameter(f"expected --top-k below the {classes} classes, got {top_k}")
    if attach:
        raise typer.BadParameter(
            "--attach is for certificates of answers, which --top-k gives none of; leave it out"
        )


def early_stopping(
    bundle: "Bundle",
    radii: str | None,
    adaptive: bool,
    radius_tol: float | None,
    *,
    n: int,
    alpha: float,
    runner_up: bool,
) -> dict[str, Any]:
    """Return the radii to certify at, and the tolerance; nothing when all draws are wanted.

    Args:
        bundle: what is certified.
        radii, adaptive, radius_tol, runner_up: the options.
        n, alpha: of each certificate.
    """
    if radii is None and not adaptive and radius_tol is None:
        return {}
    from rszoo.hub.kinds import kind_of

    early = kind_of(bundle).early(bundle)
    if early is None:
        raise typer.BadParameter(
            "--radii and --adaptive are for models that certify; this one only predicts"
        )
    if radii is not None and (adaptive or radius_tol is not None):
        raise typer.BadParameter("expected --radii or --adaptive, got both")
    if not adaptive and radius_tol is not None:
        raise typer.BadParameter("expected --adaptive with --radius-tol, got none")
    budget = {"n": n, "alpha": alpha, "runner_up": runner_up}
    if radii is None:
        return _grid(early, radius_tol, **budget)
    return {"radii": _listed(early, radii, **budget)}


def _grid(
    early: "Early", radius_tol: float | None, *, n: int, alpha: float, runner_up: bool
) -> dict[str, Any]:
    """Return a grid of radii that is fine enough for a tolerance, and the tolerance."""
    from rszoo.certificates.work import check_work
    from rszoo.smoothing.decisions import largest_of, radii_up_to
    from rszoo.smoothing.runner_up import check_steps, largest_between

    sigma = early.sigmas[-1]
    tolerance = _USUAL_TOLERANCE * sigma if radius_tol is None else radius_tol
    if not 0.01 * sigma <= tolerance <= 10 * sigma:
        raise typer.BadParameter(
            f"expected --radius-tol between {0.01 * sigma:g} and {10 * sigma:g} for sigma "
            f"{sigma:g}, got {tolerance:g}"
        )
    try:
        if runner_up:
            check_steps(n=n, alpha=alpha)
            grid = radii_up_to(largest_between(n=n, alpha=alpha, sigma=sigma), tolerance)
        else:
            cap = largest_of(early.ways, lost=early.lost, n=n, alpha=alpha)
            grid = radii_up_to(cap, tolerance)
            check_work(_tests(early, grid, n=n, alpha=alpha))
    except ValueError as error:
        raise typer.BadParameter(f"{error}; enlarge --radius-tol or lower --n") from None
    if not grid:
        raise typer.BadParameter(f"expected more draws: --n {n} certify no radius of this mix")
    return {"radii": grid, "tolerance": tolerance}


def _listed(
    early: "Early", radii: str, *, n: int, alpha: float, runner_up: bool
) -> tuple[float, ...]:
    """Return the radii that are listed, if n draws can certify them."""
    from rszoo.certificates.work import check_work
    from rszoo.smoothing.runner_up import RunnerUpTests
    from rszoo.theory.radii import needed_probability
    from rszoo.theory.sequential import enough

    try:
        given = tuple(sorted({float(radius) for radius in radii.split(",")}))
    except ValueError:
        raise typer.BadParameter(
            f"expected --radii as numbers with commas between them, got {radii!r}"
        ) from None
    try:
        _check_reach(early, given, n=n, alpha=alpha, runner_up=runner_up)
        if runner_up:
            RunnerUpTests.of(given, sigma=early.sigmas[-1], n=n, alpha=alpha)
        else:
            tests = list(_tests(early, given, n=n, alpha=alpha))
            check_work(tests)
            for one in tests:
                enough(needed_probability(one.radius, one.sigma), n, alpha)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return given


def _check_reach(
    early: "Early", given: Sequence[float], *, n: int, alpha: float, runner_up: bool
) -> None:
    """Refuse radii that n draws cannot certify, whatever the votes.

    Raises:
        ValueError: there are some, or n is too small or too large for steps.
    """
    from rszoo.errors import listed
    from rszoo.smoothing.decisions import largest_of
    from rszoo.smoothing.runner_up import check_steps, largest_between
    from rszoo.theory.rounding import as_stated, floor_digits

    if runner_up:
        check_steps(n=n, alpha=alpha)
        cap = largest_between(n=n, alpha=alpha, sigma=early.sigmas[-1])
    else:
        cap = largest_of(early.ways, lost=early.lost, n=n, alpha=alpha)
    if beyond := [radius for radius in given if not 0.0 <= radius <= cap]:
        sigmas = ", ".join(map(as_stated, early.sigmas))
        raise ValueError(
            f"expected --radii from 0 to {floor_digits(cap, 4)}, the largest that {n:,} draws "
            f"(--n) certify of this model, at sigma {sigmas} and alpha {as_stated(alpha)}, got "
            f"{listed(map(str, beyond))}; with more draws, or a model of larger sigma, larger "
            "ones can be"
        )


def _tests(early: "Early", radii: Sequence[float], *, n: int, alpha: float) -> "Iterator[Test]":
    """Yield the tests of all parts, at the radii that the draws of each can certify."""
    from rszoo.certificates.work import Test
    from rszoo.smoothing.decisions import largest_left

    for sigma in early.sigmas:
        cap = largest_left(early.lost, sigma=sigma, n=n, alpha=alpha)
        yield from (Test(one + early.lost, sigma, n, alpha) for one in radii if one <= cap)
