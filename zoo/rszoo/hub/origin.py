"""What the manifest of a bundle says of where it comes from.

Bundles are other people's, and of many versions. What is unknown here, or of another form, is kept
as it came, so that a manifest is written again as it was; it is read as if it were not there.
"""

from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic_core import to_jsonable_python

from rszoo.hub.limits import MOST_PARENTS

__all__ = ["Checked", "ImportedFile", "Origin", "Parent", "Trained"]

S = TypeVar("S", bound="_AsItCame")


class _AsItCame(BaseModel):
    """Values that are read as far as they can be, and written as they came."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    _given: Any = PrivateAttr()

    @model_validator(mode="wrap")
    @classmethod
    def _keep(cls: type[S], given: Any, read: ModelWrapValidatorHandler[S]) -> S:  # noqa: ANN401
        if not isinstance(given, dict):  # an object of the class, or an error
            return read(given)
        try:
            found = read(given)
        except ValidationError as error:
            wrong = {one["loc"][0] for one in error.errors()}
            found = read({key: value for key, value in given.items() if key not in wrong})
        found._given = to_jsonable_python(given)
        return found

    @model_serializer
    def _as_given(self) -> Any:  # noqa: ANN401
        return self._given


class Parent(_AsItCame):
    """A model that another one was made from.

    Attributes:
        name: of its bundle.
        weights_sha256: its `Bundle.weights_digest`.
        sigma: the noise level at which it served, where that is another than its own.
    """

    name: str | None = None
    weights_sha256: str | None = None
    sigma: float | None = None


def _or_nothing(given: object) -> object:
    return given if isinstance(given, dict | Parent) else {}


class Trained(BaseModel):
    """The record of a training: what it took, and what came of it.

    Attributes:
        seconds: what the epochs took, without the networks that the method builds on.
        hardware: what they ran on.
        processes: how many trained together, each on such hardware.
        captured: steps were replayed from a CUDA graph, with learning rates in float32.
        fused: attacks within steps were evaluated by fused kernels, which round otherwise.
        noisy_accuracy: share of the test images that are right under one noise draw.
    """

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)

    seconds: Annotated[float, Field(ge=0)] | None = None
    hardware: Annotated[str, Field(max_length=100)] | None = None
    processes: Annotated[int, Field(ge=1)] = 1
    captured: bool = False
    fused: bool = False
    noisy_accuracy: Annotated[float, Field(ge=0, le=1)] | None = None

    @property
    def where(self) -> str | None:
        """The hardware, and how much of it."""
        if self.hardware is None or self.processes == 1:
            return self.hardware
        return f"{self.processes} x {self.hardware}"


class ImportedFile(BaseModel):
    """The checkpoint that a bundle was made from.

    Attributes:
        file: its name.
        sha256: its digest.
        arch: what it calls its network; None if it does not say.
        epoch: completed epochs; None if it does not say.
    """

    model_config = ConfigDict(frozen=True)

    file: str
    sha256: str
    arch: str | None
    epoch: int | None


class Checked(BaseModel):
    """The result of the check of a checkpoint when it was imported.

    Attributes:
        images: so many test images.
        noisy_accuracy: share of them that are right under one noise draw, by standardisation.
    """

    model_config = ConfigDict(frozen=True)

    images: int
    noisy_accuracy: dict[str, float]


class Origin(_AsItCame):
    """The origin of a bundle. Any of it may be missing, and none of it is checked.

    Attributes:
        facts: digests that tell one training from another: of its recipe, of its data, and of the
            models that the recipe names.
        seed: of the training.
        rszoo, torch, python: versions.
        git_commit: of the code, with "+changes" where files differed.
        device: kind of the device that it was trained on.
        parents: the models that it was made from, in the order that its method has.
        mlflow_run: id of its run; None where nothing was tracked.
        training: what the training took.
        imported: the checkpoint, of a bundle that was made from one.
        check: what that was found to do; None without the data.
    """

    facts: dict[str, str] = Field(default_factory=dict)
    seed: int | None = None
    rszoo: str | None = None
    torch: str | None = None
    python: str | None = None
    git_commit: str | None = None
    device: str | None = None
    parents: Annotated[
        tuple[Annotated[Parent, BeforeValidator(_or_nothing)], ...], Field(max_length=MOST_PARENTS)
    ] = ()
    mlflow_run: str | None = None
    training: Trained = Trained()
    imported: ImportedFile | None = None
    check: Checked | None = None
