"""What a user states of a network that rszoo did not train."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from rszoo import networks
from rszoo.errors import RecipeError, RszooError
from rszoo.training.recipes.problems import explain
from rszoo.training.recipes.recipe import network_model
from rszoo.training.recipes.sections.base import Section, SigmaOrNone

__all__ = ["Name", "NetworkKind", "Statement", "checked_network", "kind_of_network"]

#: Of a bundle or a method.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$")]

#: Of a bundle with a network that rszoo did not train.
NetworkKind = Literal["smoothed", "standard", "denoiser"]


def kind_of_network(name: str, *, sigma: float) -> NetworkKind:
    """Return the kind of bundle for a network, by what it gives and its noise level.

    Args:
        name: of the network, for `rszoo.networks.build`.
        sigma: noise level of its training, or of what it removes; 0 for none.

    Raises:
        RszooError: it is a denoiser of no noise, or gives neither logits nor images.
    """
    given = networks.gives(name)
    if given == "logits":
        return "smoothed" if sigma else "standard"
    if given != "images":
        raise RszooError(f"expected a network that classifies or denoises, got {name!r}")
    if not sigma:
        raise RszooError(f"expected the noise level that {name!r} removes, sigma > 0, got 0")
    return "denoiser"


def checked_network(stated: Mapping[str, Any]) -> dict[str, Any]:
    """Return the name of a network and its options, with the defaults filled in.

    Raises:
        RecipeError: an unknown name, or an option that is unknown or out of range.
    """
    try:
        model = network_model(str(stated.get("name")))
    except RszooError as error:
        raise RecipeError([f"network.name: {error}"]) from None
    try:
        return model.model_validate(dict(stated), strict=True).model_dump()
    except ValidationError as error:
        raise RecipeError(explain(error, model, prefix="network.")) from None


class Statement(Section):
    """The user's statement on a checkpoint; it takes the place of a recipe in the bundle.

    Attributes:
        name: of the bundle.
        method: how the network was trained; any name.
        dataset: a name or a path that `rszoo.data.load` takes.
        sigma: noise level of the training, or of what a denoiser removes; 0 for none, which makes
            a standard bundle.
        normalization: whether the network's first layer subtracts the data set's mean and divides
            by its standard deviation ("full"), only subtracts ("centre"), or is absent ("none");
            "library": what the library of the network says of its weights.
        network: the architecture's name, and its options as further keys.
    """

    name: Name
    method: Name = "unknown"
    dataset: str = Field(min_length=1)
    sigma: SigmaOrNone
    normalization: Literal["full", "centre", "none", "library"]
    network: dict[str, Any]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Statement":
        """Check values nested as this class is, and fill in the architecture's defaults.

        Raises:
            RecipeError: a value is missing, unknown or out of range.
        """
        try:
            stated = cls.model_validate(values)
        except ValidationError as error:
            raise RecipeError(explain(error, cls)) from None
        return stated.model_copy(update={"network": checked_network(stated.network)})
