"""What all sections of a recipe have in common, and those that name other models."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

__all__ = ["Count", "ModelSection", "Section", "Sigma", "SigmaOrNone", "TrainedBy"]


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Count = Annotated[int, Field(ge=1), BeforeValidator(_whole)]
Sigma = Annotated[float, Field(gt=0, le=100)]
# 0 is for methods without noise, whose bundles must not be named after -0.0.
SigmaOrNone = Annotated[float, Field(ge=0, le=100), AfterValidator(abs)]


class Section(BaseModel):
    """Base of all parts of a recipe: unknown keys and converted types are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


@dataclass(frozen=True)
class TrainedBy:
    """A model that a method's own recipe trains, in the output folder of the one that takes it.

    Attributes:
        method: name of the method, and of its recipe.
        sigma: noise level of the model.
    """

    method: str
    sigma: float


class ModelSection(Section, ABC):
    """A section that says which other models a training takes.

    Its methods are told by the constants and signatures of their files. Everything else that
    depends on a section is asked of it.

    Attributes:
        refusal: what is said to a method that does not take the section.
        task: the file of `rszoo.training.tasks` that learns from the models; None where they
            only give per-example data to the usual task.
        written_as_null: whether a recipe without the section says so, which its digest covers.
    """

    refusal: ClassVar[str]
    task: ClassVar[str | None] = None
    written_as_null: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def taken_by(cls, method: str) -> bool:
        """Return whether a method takes the section."""

    @classmethod
    def needed_by(cls, method: str) -> bool:
        """Return whether a method cannot do without the section."""
        return cls.taken_by(method)

    @abstractmethod
    def models(self, sigma: float) -> list[str | TrainedBy]:
        """Return the models that a training takes, in the order in which its task has them.

        Args:
            sigma: noise level of the training.

        Returns:
            The id of a bundle, as `rszoo.load` takes it, or what trains the model.
        """

    def misfits(self, method: str) -> Iterator[tuple[str, str]]:
        """Yield key and problem of each value that does not fit the method."""
        del method
        yield from ()

    def next_step(self, method: str, path: str, models: Sequence[str]) -> str | None:
        """Return what to do with the new bundle, where that is not to certify it.

        Args:
            method: of the training.
            path: folder of the bundle.
            models: ids of the section's models, in their order.
        """
        del method, path, models
        return None
