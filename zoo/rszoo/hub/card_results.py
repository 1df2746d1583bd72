"""What the card of a model says of its certificates, in Markdown."""

from decimal import Decimal

from rszoo.evaluation.data_set import data_set
from rszoo.evaluation.log import LogTable
from rszoo.evaluation.metrics import Summary
from rszoo.evaluation.simultaneous import (
    AtOnce,
    at_once,
    expected_wrong,
    why_not_at_once,
    why_not_expected,
)
from rszoo.hub.card_text import plain
from rszoo.hub.files import CURVE
from rszoo.theory.rounding import (
    as_acr,
    as_error,
    as_expected,
    as_radius,
    as_share,
    as_share_at_most,
    as_stated,
)

__all__ = ["alpha_text", "results_text"]


def results_text(log: LogTable, known: Summary) -> str:
    """Return the section of results: what was certified, the numbers, and what they do not say.

    Args:
        log: of the bundle.
        known: its summary.
    """
    about, together = data_set(log.protocol), at_once(log, known.radii)
    n = "several" if known.n is None else f"{known.n:,}"
    at_least = "" if known.undecided is None else "at least "
    error = f", standard error {as_error(known.acr_se)}" if known.acr_se is not None else ""
    parts = [
        f"{known.coverage.fraction} images of {plain(str(about))}; {known.bound} bound, n = {n}, "
        f"alpha = {alpha_text(known)}. Average certified radius "
        f"{at_least}{as_acr(known.acr)}{error}; {as_share_at_most(known.abstained)} % "
        "abstentions.",
        *_collapsed(known),
        _table(known, together),
        _of_all(log, together),
        f"![certified accuracy against radius]({CURVE})",
        "Every count behind these numbers is in `certificates.tsv`; `rszoo verify` checks them.",
    ]
    return "\n\n".join(parts)


def alpha_text(known: Summary) -> str:
    """Return the failure probability of the certificates; a merged log may have several."""
    return "several" if known.alpha is None else as_stated(known.alpha)


def _collapsed(known: Summary) -> list[str]:
    if known.collapsed is None:
        return []
    return [
        f"**Collapsed**: {known.collapsed}. Its radii say nothing of robustness, and it has no "
        "place on a leaderboard."
    ]


def _of_all(log: LogTable, together: AtOnce | None) -> str:
    """Return what holds of all certificates together."""
    wrong, these = expected_wrong(log), f"these {len(log):,} certificates"
    expected = (
        f"How many of {these} may be wrong is not stated: {why_not_expected(log)}."
        if wrong is None
        else f"Of {these} {as_expected(wrong)} are expected to be wrong at most."
    )
    if together is None:
        return f"{expected} What holds of all at once is not stated: {why_not_at_once(log)}."
    return (
        f'{expected} With probability {1 - Decimal(repr(together.alpha))} what stands under "all '
        f'at once" holds of all of them: each is certified at alpha / {together.inputs:,}, which '
        f"gives an average certified radius of {as_acr(together.acr)}."
    )


def _table(known: Summary, together: AtOnce | None) -> str:
    heads = " | ".join(map(as_radius, known.radii))
    shares = " | ".join(map(as_share, known.by_radius().values()))
    rule = "|".join(["---"] * (1 + len(known.radii)))
    table = f"| L2 radius | {heads} |\n|{rule}|\n| certified accuracy, % | {shares} |"
    if together is None:
        return table
    return (
        f"{table}\n| all at once, % | {' | '.join(map(as_share, together.certified_accuracy))} |"
    )
