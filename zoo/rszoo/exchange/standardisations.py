"""The standardisations that an imported network may have as its first layer."""

from rszoo import networks
from rszoo.data import ImageSet, KnownSet, Normalization
from rszoo.errors import RszooError
from rszoo.exchange.stated import Statement
from rszoo.networks.library import Facts

__all__ = ["standardisations"]


def standardisations(
    known: ImageSet | KnownSet, facts: Facts, statement: Statement
) -> dict[str, Normalization | None]:
    """Return the standardisations that a network of a data set may have been trained with.

    Args:
        known: the data set, or what is known without its files.
        facts: what the library of the network says of its weights.
        statement: says which one it has.

    Raises:
        RszooError: the stated one is not among them.
    """
    stated, network = statement.normalization, statement.network["name"]
    choices: dict[str, Normalization | None] = {"none": None}
    if networks.gives(network) == "images":
        if stated in choices:
            return choices
        raise RszooError(
            f"expected normalization 'none', got {stated!r}: the denoiser {network!r} takes "
            "images in [0, 1] as they are"
        )
    customary = known.normalization
    if customary is not None:
        centre = Normalization(customary.mean, (1.0,) * len(customary.mean))
        choices = {"full": customary, "centre": centre, **choices}
    of_library = _of_library(facts, channels=known.shape[0])
    if of_library is not None:
        choices["library"] = of_library
    if stated in choices:
        return choices
    if stated == "library":
        raise RszooError(
            f"expected normalization 'full', 'centre' or 'none', got 'library': the library of "
            f"{network!r} says none for {known.shape[0]} channels; a folder "
            "with config.json or preprocessor_config.json does"
        )
    raise RszooError(
        f"expected normalization 'none', got {stated!r}: data set "
        f"{statement.dataset!r} has no customary standardisation"
    )


def _of_library(facts: Facts, *, channels: int) -> Normalization | None:
    """Return the standardisation that a library says, for images of so many channels."""
    if facts.mean is None or facts.std is None or len(facts.mean) != channels:
        return None
    try:
        return Normalization(facts.mean, facts.std)
    except ValueError:  # it may stand in anybody's file
        return None
