"""The section `experts`: the classifiers that a router chooses among."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
)

from rszoo.errors import unknown_name
from rszoo.training.recipes.problems import show
from rszoo.training.recipes.sections.base import Count, ModelSection, Sigma, TrainedBy

__all__ = ["ExpertsSpec"]

_FORMS = ({"bundles"}, {"method", "sigmas"})


class ExpertsSpec(ModelSection):
    """The classifiers that a router chooses among: `method` and `sigmas`, or `bundles`.

    Attributes:
        draws: votes of each expert per image, from which its radius follows.
        method: the experts are the bundles of this method's recipe in the output folder, which
            are trained if need be.
        sigmas: their noise levels.
        bundles: the experts' ids, as `rszoo.load` takes them; or one, that serves at `sigmas`.
        labels: what of the votes is an expert's radius: "bound", what the draws certify, or
            "estimate", what many would. A bound from 100 draws ends at 1.5 sigma, and so prefers
            the noisy expert.
        balance: 1 gives each expert the same weight among the images, 0 each image the same; the
            weight of an image is 1 / (share of its best expert)^balance.
        from_noisiest: begin with the network of the noisiest expert, but for the layers whose
            shape depends on the number of classes.
        denoiser: the id of a denoiser in front of the router, for the router's noise level; None
            for a router that sees the noise.
    """

    refusal: ClassVar[str] = "takes no experts; remove them"
    task: ClassVar[str | None] = "routing"

    draws: Count
    method: str | None = None
    sigmas: list[Sigma] | None = Field(default=None, min_length=2)
    bundles: list[str] | None = Field(default=None, min_length=1, validate_default=True)
    labels: Literal["bound", "estimate"] = "bound"
    balance: Annotated[float, Field(ge=0, le=1)] = 1.0
    from_noisiest: bool = False
    denoiser: str | None = Field(default=None, min_length=1)

    @field_validator("sigmas", "bundles")
    @classmethod
    def _each_once(cls, value: list[object] | None) -> list[object] | None:
        for entry in value or ():
            if value is not None and value.count(entry) > 1:
                raise ValueError(f"expected each expert once, got {show(entry)} more than once")
        return value

    @field_validator("bundles")
    @classmethod
    def _one_of_two_forms(cls, value: list[str] | None, info: ValidationInfo) -> list[str] | None:
        if not {"method", "sigmas"} <= info.data.keys():
            return value  # what is wrong with them is told already
        given = [key for key in ("method", "sigmas") if info.data.get(key) is not None]
        if value is not None and len(value) == 1 and given in ([], ["sigmas"]):
            if not given:
                raise ValueError(f"expected at least 2 entries, or one and sigmas, got {value}")
            return value
        if len(given) != (2 if value is None else 0):
            got = [*given, *(["bundles"] if value is not None else [])]
            raise ValueError(f"expected either method and sigmas, or bundles, got {got}")
        return value

    @model_serializer(mode="wrap")
    def _as_before(self, values_of: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # So that the digests of recipes from before these keys stay what they are.
        values = values_of(self)
        for key in ("labels", "balance", "from_noisiest", "denoiser"):
            if values[key] == type(self).model_fields[key].default:
                del values[key]
        return values

    @staticmethod
    def drop_other_form(before: dict[str, Any], now: Mapping[str, Any]) -> None:
        """Remove the experts of a weaker layer where a stronger one names them in another form.

        Args:
            before: values of the weaker layers; changed in place.
            now: values of the stronger layer.
        """
        for form, other in (_FORMS, _FORMS[::-1]):
            for key in other if now.keys() & form else ():
                before.pop(key, None)

    @classmethod
    def taken_by(cls, method: str) -> bool:
        """Return whether the method trains a router."""
        from rszoo import methods

        return methods.trains(method) == "router"

    def models(self, sigma: float) -> list[str | TrainedBy]:
        """Return the experts, or the one that serves at several noise levels; then a denoiser."""
        del sigma
        last: list[str | TrainedBy] = [] if self.denoiser is None else [self.denoiser]
        if self.bundles is not None:
            return [*self.bundles, *last]
        return [*(TrainedBy(self.method or "", level) for level in self.sigmas or ()), *last]

    def misfits(self, method: str) -> Iterator[tuple[str, str]]:
        """Yield what is wrong with the experts' own method."""
        from rszoo import methods

        del method
        if self.method is None:
            return
        if self.method not in methods.names():
            yield "method", str(unknown_name("method", self.method, methods.names()))
        elif methods.trains(self.method) != "smoothed":
            yield "method", f"expected a method that trains classifiers, got {self.method!r}"

    def next_step(self, method: str, path: str, models: Sequence[str]) -> str:
        """Return how the router is put over its experts, behind its denoiser if it has one."""
        del method
        before, experts, router = "", list(models), path
        if self.denoiser is not None:
            router = f"{path}-denoised"
            parts = ("--denoiser", experts.pop(), "--classifier", path, "--out", router)
            before = f"{shlex.join(['rszoo', 'compose', 'denoised', *parts])}, then "
        experts = [part for expert in experts for part in ("--expert", expert)]
        levels = (self.sigmas or ()) if self.bundles else ()
        experts += [part for sigma in levels for part in ("--sigma", str(sigma))]
        command = shlex.join(["rszoo", "compose", "dual", *experts, "--router", router])
        return f"compose with: {before}{command} --out DIR"
