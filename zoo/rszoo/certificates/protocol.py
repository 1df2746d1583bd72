"""The protocol of a certification log: what was certified, and how, for anybody to repeat.

It is a JSON file beside the log, and may be anybody's. What it states is checked; what it does not
state is not known. Each kind of certificate has a class of its own, which adds what it states.
"""

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rszoo.certificates.work import MOST_TESTS

__all__ = ["Evaluation", "Inputs", "Machine", "Model", "Network", "Protocol"]

_Probability = Annotated[float, Field(gt=0, lt=1)]
_Draws = Annotated[int, Field(ge=1, strict=True)]
_Radius = Annotated[float, Field(ge=0)]
_Sigma = Annotated[float, Field(gt=0)]
_Count = Annotated[int, Field(ge=1, lt=1 << 53, strict=True)]


class _Statement(BaseModel):
    """A part of a protocol. What a newer rszoo adds is kept."""

    # Built when something is read: of the kinds there are, a log needs one.
    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False, defer_build=True)


class Model(_Statement):
    """The bundle that was certified.

    Attributes:
        name: of the bundle.
        id: where it is, if others can find it there.
        weights_sha256: `Bundle.weights_digest`.
    """

    name: str | None = None
    id: str | None = None
    weights_sha256: str | None = None


class Inputs(_Statement):
    """The inputs that a log is about: of a data set, or the user's own.

    A log is complete if it lists every one of them. Of a data set these are the first `count` of
    the images 0, step, 2 step, ...

    Attributes:
        name, split: of the data set.
        size: how many images the split has.
        step, count: which of them; None where the log does not say, as those of before.
        own: how many inputs of the user's own there were.
        digest: sha256 of the images.
    """

    name: str | None = None
    split: str | None = None
    size: _Count | None = None
    step: _Count | None = None
    count: _Count | None = None
    own: Annotated[str, Field(pattern="^[0-9]{1,18}$")] | None = None
    digest: str | None = None

    @property
    def indices(self) -> range | None:
        """The indices of the inputs; None where they are not stated."""
        if self.own is not None:
            return range(int(self.own))
        if self.step is None or self.count is None:
            return None
        return range(0, self.step * self.count, self.step)

    @model_validator(mode="after")
    def _within_the_set(self) -> "Inputs":
        if self.size is not None and self.indices and self.indices[-1] >= self.size:
            raise ValueError(f"expected inputs of {self.size}, got number {self.indices[-1]}")
        return self


class Machine(_Statement):
    """What the last bits of a network's answers depend on beside versions and `Evaluation`.

    Attributes:
        processor: name of the CPU.
        cpu_capability: the instructions that torch uses, such as "AVX512".
        threads: that torch has, for one operation or for as many chunks of noise at once.
        gpu_threads: that torch's generator deals its numbers to on a GPU, of which they depend.
    """

    processor: str | None = None
    cpu_capability: str | None = None
    threads: Annotated[int, Field(ge=1)] | None = None
    gpu_threads: Annotated[int, Field(ge=1)] | None = None


class Evaluation(_Statement):
    """How a smoothed network was evaluated.

    Attributes:
        precision: "float32" or "bfloat16".
        batch_size: noisy inputs per forward; None where it was not the same throughout.
        compiled: whether the network was compiled.
        fused: whether fused kernels evaluated the network.
        opaque: whether it is an ONNX file, of which only operators and answers are known.
        device: kind of device.
        noise: name of the scheme by which noise is drawn.
    """

    precision: str | None = None
    batch_size: Annotated[int, Field(ge=1)] | None = None
    compiled: bool = False
    fused: bool = False
    opaque: bool = False
    device: str | None = None
    noise: str | None = None


class Network(Evaluation):
    """A smoothed network that is one of several.

    Attributes:
        sigma: standard deviation of its noise, pixel units.
    """

    sigma: _Sigma


class Protocol(Evaluation):
    """The protocol of a log.

    Attributes:
        kind: of the certificates, see `rszoo.certificates.kinds`.
        model: the bundle.
        inputs: what was certified.
        sigma: standard deviation of the noise, pixel units; None where there are several.
        n0, n, alpha: see `Certificate`.
        n_max: draws where all of the n agree; None where no more are made then.
        top_k: how many classes each set has that is certified; None where one class is.
        seed: of all noise.
        radii: the only radii that could be certified, pixel units; None where every radius could.
        tolerance: how much radius was given up to save draws, pixel units.
        versions: of the software, by name.
        machine: where it ran; None where that is not known, or was not the same throughout.
    """

    kind: str
    model: Model | None = None
    inputs: Inputs | None = None
    sigma: _Sigma | None = None
    n0: _Draws | None = None
    n: _Draws | None = None
    n_max: _Draws | None = None
    top_k: _Draws | None = None
    alpha: _Probability | None = None
    seed: Annotated[int, Field(strict=True)] | None = None
    radii: Annotated[tuple[_Radius, ...], Field(min_length=1, max_length=MOST_TESTS)] | None = None
    tolerance: _Radius = 0.0
    versions: dict[str, str] = {}
    machine: Machine | None = None

    #: Whether the kind is certified at given radii only.
    at_radii: ClassVar[bool] = False

    #: Whether the kind makes more draws where all of the n agree.
    extends: ClassVar[bool] = False

    #: Whether the kind certifies sets of classes.
    of_sets: ClassVar[bool] = False

    @model_validator(mode="after")
    def _has_top_k(self) -> "Protocol":
        if (self.top_k is not None) != self.of_sets:
            raise ValueError(f"expected {'a' if self.of_sets else 'no'} top_k")
        return self

    @model_validator(mode="after")
    def _has_radii(self) -> "Protocol":
        if (self.radii is not None) != self.at_radii:
            raise ValueError(f"expected {'some' if self.at_radii else 'no'} radii")
        if self.tolerance and self.radii is None:
            raise ValueError(f"expected no tolerance without radii, got {self.tolerance!r}")
        return self

    @model_validator(mode="after")
    def _has_n_max(self) -> "Protocol":
        if (self.n_max is not None) != self.extends:
            raise ValueError(f"expected {'an' if self.extends else 'no'} n_max")
        if self.n_max is not None and self.n is not None and self.n_max <= self.n:
            raise ValueError(f"expected n_max above n={self.n}, got {self.n_max}")
        return self

    @property
    def evaluation(self) -> Evaluation:
        """How the networks were evaluated, which is the same for all of them."""
        return self

    @property
    def networks(self) -> tuple[Evaluation, ...]:
        """How each of the networks was evaluated."""
        return (self,)

    @property
    def all_fused(self) -> bool | None:
        """Whether fused kernels evaluated all networks; None if some, but not all."""
        found = {network.fused for network in self.networks}
        return found.pop() if len(found) == 1 else None

    def values(self) -> dict[str, Any]:
        """Return what is stated, as JSON values."""
        return self.model_dump(mode="json", exclude_unset=True)
