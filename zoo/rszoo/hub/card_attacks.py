"""What the card of a model says of attacks on it, in Markdown: tables apart from certificates."""

from collections.abc import Iterator, Sequence

from rszoo.evaluation.under_attack import MEANING, Attacked, UnderAttack
from rszoo.hub.card_text import plain
from rszoo.theory.rounding import as_interval, as_share, as_share_at_most

__all__ = ["attacks_text"]


def attacks_text(found: Sequence[UnderAttack]) -> list[str]:
    """Return the section on attacks, its paragraphs; none without a log of one.

    Args:
        found: of the bundle.
    """
    if not found:
        return []
    tables = [_table(attacked, found) for attacked in dict.fromkeys(o.attacked for o in found)]
    return ["## Under attack", plain(MEANING), *tables]


def _table(attacked: Attacked, found: Sequence[UnderAttack]) -> str:
    title = f"**{plain(str(attacked))}**, {plain(str(attacked.about))}"
    lines = "\n".join(_lines([one for one in found if one.attacked == attacked]))
    return f"{title}\n\n{lines}"


def _lines(found: Sequence[UnderAttack]) -> Iterator[str]:
    yield "| inputs | answered rightly, % | still under attack, at most % | 95 % | how |"
    yield "|---|---|---|---|---|"
    for one in found:
        cells = (
            one.coverage.fraction,
            as_share(one.clean),
            as_share_at_most(one.accuracy),
            as_interval(one.interval),
            plain(one.how) or "-",
        )
        yield f"| {' | '.join(cells)} |"
