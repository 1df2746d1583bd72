"""The models that a task is made of: whether they fit, and how the new bundle names them."""

from rszoo.errors import RszooError
from rszoo.hub.bundle import Bundle
from rszoo.hub.origin import Parent
from rszoo.training.recipes.recipe import Recipe
from rszoo.training.setting import Setting

__all__ = ["check_same_data", "check_same_network", "parent_of"]


def check_same_data(bundle: Bundle, setting: Setting, recipe: Recipe) -> None:
    """Refuse a bundle for other inputs or classes than those of a training's data.

    Raises:
        RszooError: it is.
    """
    config, images = bundle.config, setting.images
    if (config.input_shape, config.class_names) != (images.shape, images.class_names):
        raise RszooError(
            f"{bundle.id}: expected a model for the inputs and classes of {recipe.dataset!r}, got "
            f"one for others ({config.dataset!r})"
        )


def check_same_network(bundle: Bundle, recipe: Recipe) -> None:
    """Refuse a bundle whose network is another than that of a recipe.

    Raises:
        RszooError: it is.
    """
    found = bundle.of_network.architecture
    if found != recipe.network.model_dump():
        raise RszooError(
            f"{bundle.id}: expected the recipe's network, {recipe.network.model_dump()}, got "
            f"{found}; change the recipe's network"
        )


def parent_of(bundle: Bundle, *, sigma: float | None = None) -> Parent:
    """Return how a bundle's origin names another, at another noise level than its own if so."""
    name, digest = bundle.config.name, bundle.weights_digest
    if sigma is None:
        return Parent(name=name, weights_sha256=digest)
    return Parent(name=name, weights_sha256=digest, sigma=sigma)
