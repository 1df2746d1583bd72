"""The kinds of weight that methods take, with their ranges."""

from typing import Annotated

from annotated_types import Ge, Gt

__all__ = ["Copies", "NonNegative", "Positive", "Steps"]

#: Noise copies of one image in one step.
Copies = Annotated[int, Ge(1)]
#: Steps of an attack.
Steps = Annotated[int, Ge(0)]
NonNegative = Annotated[float, Ge(0.0)]
Positive = Annotated[float, Gt(0.0)]
