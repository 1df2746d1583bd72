"""The kinds of weight that methods take, with their ranges."""

from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt

__all__ = [
    "Copies",
    "NonNegative",
    "Positive",
    "Probability",
    "Ratio",
    "Several",
    "Share",
    "Steps",
    "Votes",
]

#: Noise copies of one image in one step; also draws, starts, and whatever else is counted from 1.
Copies = Annotated[int, Ge(1)]
Several = Annotated[int, Ge(2)]
#: Votes of which 3/4 are surely more than half of the probability (one-sided, at 0.1).
Votes = Annotated[int, Ge(14)]
#: Steps of an attack.
Steps = Annotated[int, Ge(0)]
NonNegative = Annotated[float, Ge(0.0)]
Positive = Annotated[float, Gt(0.0)]
Probability = Annotated[float, Ge(0.0), Le(1.0)]
#: A share of the whole training.
Share = Annotated[float, Ge(0.0), Lt(1.0)]
#: How many times larger.
Ratio = Annotated[float, Ge(1.0)]
