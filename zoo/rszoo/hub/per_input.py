"""A smoothed bundle under a noise level that is searched for each input."""

from typing import TYPE_CHECKING, Any

from rszoo._yaml import parse_yaml
from rszoo.errors import RszooError
from rszoo.hub.bundle import Bundle
from rszoo.hub.kinds import kind_of
from rszoo.smoothing.execution import Execution

if TYPE_CHECKING:
    from rszoo.smoothing.insta import InstaClassifier
    from rszoo.smoothing.memory import Memory

__all__ = ["per_input_classifier"]

_USUAL_SPREAD = 2.0


def per_input_classifier(
    bundle: Bundle, execution: Execution | None = None, *, memory: "Memory | None" = None
) -> "InstaClassifier":
    """Return the classifier of a smoothed bundle with noise levels that fit the inputs.

    They are searched in [sigma / spread, sigma spread]: the spread of the recipe for a bundle that
    Insta-RS has trained, 2 for any other.

    Args:
        bundle: of one network.
        execution: where and how it runs; None: as `Execution` has it.
        memory: what makes the radii sound; None: they are nominal.

    Raises:
        RszooError: it is not a smoothed bundle.
    """
    from rszoo.smoothing.insta import InstaClassifier
    from rszoo.smoothing.search import Search

    smoothed = kind_of(bundle).smoothed
    if smoothed is None:
        raise RszooError(
            f"{bundle.id}: expected a bundle with one network, whose noise can be searched, got "
            "one made of other bundles"
        )
    classifier = smoothed(bundle, execution or Execution())
    search = Search.around(classifier.sigma, spread=_spread(bundle))
    return InstaClassifier(classifier, search=search, memory=memory)


def _spread(bundle: Bundle) -> float:
    """Return what the recipe says, which may be anybody's."""
    if bundle.config.method != "insta_rs":
        return _USUAL_SPREAD
    try:
        recipe: Any = parse_yaml(bundle.recipe.read_text(encoding="utf-8"))
        spread = float(recipe["weights"]["spread"])
    except (ValueError, TypeError, LookupError):
        return _USUAL_SPREAD
    return spread if 1.0 < spread <= 100.0 else _USUAL_SPREAD
