"""rszoo: a model zoo for certified robustness by randomized smoothing.

>>> import rszoo
>>> model = rszoo.load("builtin/digits-cat_rs-0.50")            # doctest: +SKIP
>>> model.certify(image, n0=100, n=100_000, alpha=0.001)        # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING

from rszoo.errors import DataError, HubError, IntegrityError, RecipeError, RszooError

if TYPE_CHECKING:
    from rszoo.certificates.base import ABSTAIN, Certificate, Prediction
    from rszoo.evaluation.whole_set import certify
    from rszoo.exchange.saving import save
    from rszoo.hub.catalog import list_models
    from rszoo.hub.classifiers import load
    from rszoo.smoothing.classifier import SmoothedClassifier

__version__ = "0.1.0"
__all__ = [
    "ABSTAIN",
    "Certificate",
    "DataError",
    "HubError",
    "IntegrityError",
    "Prediction",
    "RecipeError",
    "RszooError",
    "SmoothedClassifier",
    "__version__",
    "certify",
    "list_models",
    "load",
    "save",
]

# Resolved on first use, so that `import rszoo` (and `rszoo --help`) does not wait for torch.
_LAZY = {
    "ABSTAIN": "rszoo.certificates.base",
    "Certificate": "rszoo.certificates.base",
    "Prediction": "rszoo.certificates.base",
    "SmoothedClassifier": "rszoo.smoothing.classifier",
    "certify": "rszoo.evaluation.whole_set",
    "list_models": "rszoo.hub.catalog",
    "load": "rszoo.hub.classifiers",
    "save": "rszoo.exchange.saving",
}


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'rszoo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
