"""What a user states of a network that rszoo did not train."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError

from rszoo.errors import RecipeError, RszooError
from rszoo.training.recipes.problems import explain
from rszoo.training.recipes.recipe import network_model

__all__ = ["Name", "checked_network"]

#: Of a bundle or a method.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$")]


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
