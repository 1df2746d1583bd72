"""How a model looks in every picture: a colour for its method, dashes for its noise level.

The colours are fixed, so that a method is found again in another picture. What is composed of
several models is black, in dark surroundings white.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rszoo import methods
from rszoo.evaluation.log import LogTable

__all__ = ["COLOURS", "Look", "looks", "method_named", "method_of"]

#: For each method the colour on white, and on black. Each has a contrast of 3 at least (WCAG 2.2,
#: 1.4.11), and the hues are those of Okabe and Ito (2008), https://jfly.uni-koeln.de/color/, which
#: readers with any colour blindness can tell apart, as far as these go.
COLOURS = {
    "composed": ("#000000", "#f2f2f2"),
    "gaussian": ("#7f7f7f", "#a3a3a3"),
    "cat_rs": ("#d55e00", "#ff8a4c"),
    "smoothadv": ("#00579c", "#4d9fe8"),
    "consistency": ("#00805c", "#35c79c"),
    "smoothmix": ("#b8508e", "#f0a3cc"),
    "macer": ("#b07800", "#f2bd42"),
    "stability": ("#3a94d0", "#9bd8ff"),
    "smoothadv_consistency": ("#00a0a0", "#6fe3e0"),
    "hard_dropping": ("#882255", "#d9679e"),
    "insta_rs": ("#7a4fc4", "#b99cff"),
    "denoised": ("#8a5a2b", "#c99763"),
    # What has none of these names, in the order in which it comes.
    "other-0": ("#7d8000", "#d0d03c"),
    "other-1": ("#332288", "#8f80f0"),
    "other-2": ("#d81b60", "#ff6f9f"),
    "other-3": ("#33691e", "#8bc34a"),
}
_OTHERS = sorted(name for name in COLOURS if name.startswith("other"))
_COMPOSED = ("cascade", "dual", "ensemble", "mixed")
#: What is the same to the eye.
_SAME = {"denoising": "denoised", **dict.fromkeys(_COMPOSED, "composed")}
_NAME = re.compile(r".+-([a-z0-9_]+)-\d+\.\d\d")


@dataclass(frozen=True)
class Look:
    """How one model is drawn.

    Attributes:
        colour: key of `COLOURS`.
        dashes: number of its pattern; 0 is a line without gaps.
    """

    colour: str
    dashes: int


def looks(models: Sequence[tuple[str, float | None]]) -> list[Look]:
    """Return how the models of one picture look, no two alike if there are colours enough.

    Args:
        models: method of each, or another name where it is not known, and its noise level; None
            where there are several.
    """
    levels = sorted({sigma for _, sigma in models if sigma is not None})
    named = [_SAME.get(method, method) for method, _ in models]
    spare = [*_OTHERS, *(colour for colour in COLOURS if colour not in {*named, *_OTHERS})]
    others: dict[str, str] = {}
    given: list[Look] = []
    for name, (_, sigma) in zip(named, models, strict=True):
        colour = name
        if name not in COLOURS:
            colour = others.setdefault(name, spare[len(others) % len(spare)])
        dashes = levels.index(sigma) if sigma is not None else 0
        while Look(colour, dashes) in given:
            dashes += 1
        given.append(Look(colour, dashes))
    return given


def method_of(log: LogTable) -> str | None:
    """Return the method of a log, or that its model is composed; None where nothing says."""
    certified = log.protocol.model if log.protocol else None
    named = method_named(certified.name if certified else log.name)
    several = log.protocol is not None and len(log.protocol.networks) > 1
    return "composed" if named is None and several else named


def method_named(bundle: str | None) -> str | None:
    """Return the method in a bundle's name, if that is one that rszoo gives."""
    named = _NAME.fullmatch(bundle or "")
    known = (*methods.names(), "denoised", *_COMPOSED)
    return named[1] if named and named[1] in known else None
