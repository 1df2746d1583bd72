"""Whether a model has collapsed: it gives nearly every input one class, or is hardly ever right.

Such a model certifies large radii, since little changes a constant answer, and every input of its
class adds to the ACR: of models at a large noise level it may have the largest. What it says of
robustness is nothing.
"""

import numpy as np

from rszoo.certificates.base import ABSTAIN
from rszoo.evaluation.log import NO_LABEL, LogTable
from rszoo.theory.rounding import as_share, as_share_at_most

__all__ = ["why_collapsed"]

#: Of fewer labelled inputs nothing is said: chance alone may give them one class.
_FEWEST = 20
#: How far the share of one class may be from its share of the labels to 1.
_ONE_CLASS = 0.75


def why_collapsed(log: LogTable) -> str | None:
    """Return why a model is called collapsed by its log; None where it is not.

    It is, if of its certificates the share of one class is three quarters of the way from this
    class's share of the labels to 1 (of ten equal classes, 77.5 %), or if it is right and certain
    for less than twice chance, one of the number of classes among the labels. Twice chance is too
    much to ask with two or three classes: half-way from chance to 1 is the limit there.

    Args:
        log: with true labels; where radius 0 could not be certified, the classes that were
            selected count, certified or not.
    """
    labelled = log.label != NO_LABEL
    labels, answers = log.label[labelled], _answers(log)[labelled]
    classes = len(np.unique(labels))
    if len(labels) < _FEWEST or classes < 2:
        return None
    right, chance = float((answers == labels).mean()), 1 / classes
    least = min(2 * chance, (1 + chance) / 2)
    given, counts = np.unique(answers[answers != ABSTAIN], return_counts=True)
    if len(given):
        most = int(counts.argmax())
        share, base = counts[most] / counts.sum(), float((labels == given[most]).mean())
        if share - base >= _ONE_CLASS * (1.0 - base):
            return (
                f"{as_share(share)} % of its certificates are of one class, "
                f"{as_share_at_most(base)} % of the inputs are"
            )
    if right < least:
        return f"it is right for {as_share(right)} % of the inputs, chance is {as_share(chance)} %"
    return None


def _answers(log: LogTable) -> np.ndarray:
    """Return the certified class of each row, or the selected one where 0 was not tested."""
    if log.tested is None or min(log.tested) == 0.0 or log.candidate is None:
        return log.predict
    return log.candidate
