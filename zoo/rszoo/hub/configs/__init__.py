"""What each kind of bundle says of itself, one file each.

The registry is this folder: the file `NAME.py` holds the class `NameConfig`, a `BundleConfig`
whose field `kind` says which values of it are read so. `rszoo.hub.kinds` has what is done with
them, under the same names.
"""

import inspect
from functools import cache, reduce
from operator import or_
from pathlib import Path
from typing import Any

from pydantic import Field, RootModel, ValidationError, create_model

from rszoo import _registry
from rszoo._json import read_json_bytes
from rszoo.errors import RszooError
from rszoo.hub.config import BundleConfig

__all__ = ["config_classes", "read_config"]


def config_classes() -> dict[str, type[BundleConfig]]:
    """Return the class of each file of this folder: that of one network, then the composed ones.

    Raises:
        TypeError: a class lacks what `BundleConfig` asks for.
    """
    names = sorted(_registry.names(__name__), key=lambda name: name != "network")
    return {name: _class(name) for name in names}


def read_config(path: Path) -> BundleConfig:
    """Read `config.json`.

    Raises:
        RszooError: it is not a bundle's config.
    """
    try:
        return _any_config().model_validate_json(read_json_bytes(path)).root
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        loc = first["loc"][1:] if len(first["loc"]) > 1 else first["loc"]  # without the kind
        key = ".".join(map(str, loc)) or "the file"
        raise RszooError(
            f"{path}: expected a bundle's config, got {key}: {first['msg']}; the bundle may "
            "come from a newer rszoo"
        ) from error
    except ValueError as error:
        raise RszooError(
            f"{path}: expected a bundle's config, got another text: {error}"
        ) from error


@cache
def _any_config() -> type[RootModel[Any]]:
    """Return a model of any config, read by the class that its `kind` belongs to."""
    union: Any = reduce(or_, config_classes().values())
    return create_model(
        "AnyConfig", __base__=RootModel[Any], root=(union, Field(discriminator="kind"))
    )


def _class(name: str) -> type[BundleConfig]:
    called = "".join(map(str.capitalize, name.split("_")))  # my_kind: MyKindConfig
    found = getattr(_registry.load(__name__, name, kind="kind of bundle"), f"{called}Config")
    if inspect.isabstract(found):
        missing = ", ".join(sorted(found.__abstractmethods__))
        raise TypeError(f"{found.__name__}: expected {missing} as well; see BundleConfig")
    return found
