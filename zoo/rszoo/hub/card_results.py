"""What the card of a model says of its certificates, in Markdown."""

from rszoo.evaluation.data_set import DataSet
from rszoo.evaluation.metrics import Summary
from rszoo.hub.card_text import plain
from rszoo.hub.files import CURVE
from rszoo.theory.rounding import (
    as_acr,
    as_error,
    as_radius,
    as_share,
    as_share_at_most,
    as_stated,
)

__all__ = ["alpha_text", "results_text"]


def results_text(known: Summary, about: DataSet) -> str:
    """Return the section of results: what was certified, the numbers, and what they do not say."""
    n = "several" if known.n is None else f"{known.n:,}"
    bound = "" if known.undecided is None else "at least "
    error = f", standard error {as_error(known.acr_se)}" if known.acr_se is not None else ""
    parts = [
        f"{known.coverage.fraction} images of {plain(str(about))}; n = {n}, alpha = "
        f"{alpha_text(known)}. Average certified radius {bound}{as_acr(known.acr)}{error}; "
        f"{as_share_at_most(known.abstained)} % abstentions.",
        *_collapsed(known),
        _table(known),
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


def _table(known: Summary) -> str:
    heads = " | ".join(as_radius(r) for r in known.radii)
    shares = " | ".join(as_share(share) for share in known.certified_accuracy)
    rule = "|".join(["---"] * (1 + len(known.radii)))
    return f"| L2 radius | {heads} |\n|{rule}|\n| certified accuracy, % | {shares} |"
