"""What a bundle says of itself: `config.json`, read strictly, since bundles are other people's."""

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from rszoo.data import ImageSet, Normalization
from rszoo.errors import RszooError

__all__ = ["BundleConfig"]

Pixels = Annotated[int, Field(ge=1, le=65536)]


class BundleConfig(BaseModel):
    """The model in a bundle.

    Attributes:
        format: version of this layout.
        kind: "smoothed": one network under one noise level.
        name: of the bundle, `<data set>-<method>-<sigma>`.
        method: how it was trained.
        dataset: name or path of the data set, as given in training.
        architecture: name of the network and its options.
        input_shape: channels, height, width.
        normalization: applied inside the network; None for none.
        class_names: one per class.
        sigma: noise level, in pixel units with images in [0, 1].
        trained_precision: in which precision the network was trained; it is stored in float32.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    format: Literal[1] = 1
    kind: Literal["smoothed"] = "smoothed"
    name: str
    method: str
    dataset: str
    architecture: dict[str, Any]
    input_shape: tuple[Pixels, Pixels, Pixels]
    normalization: Normalization | None
    class_names: Annotated[tuple[str, ...], Field(min_length=2)]
    sigma: Annotated[float, Field(gt=0, le=100)]
    trained_precision: Literal["float32", "bfloat16"]

    @field_validator("name")
    @classmethod
    def _names_a_file(cls, value: str) -> str:
        # Logs and folders are named after it, and it may come from anybody.
        if not 0 < len(value) <= 200 or value[0] in ".~" or re.search(r"[/\\\x00-\x1f]", value):
            raise ValueError("expected a name that a file can have")
        return value

    @field_validator("architecture")
    @classmethod
    def _has_name(cls, value: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(value.get("name"), str):
            raise ValueError("expected the name of a network")
        return value

    @classmethod
    def of(cls, images: ImageSet, **values: Any) -> "BundleConfig":
        """Return the config of a model trained on `images`; `values` are the other fields."""
        return cls(
            input_shape=images.shape,
            normalization=images.normalization,
            class_names=images.class_names,
            **values,
        )

    def to_json(self) -> str:
        """Return the text of `config.json`."""
        return json.dumps(self.model_dump(mode="json"), indent=2) + "\n"

    @classmethod
    def read(cls, path: Path) -> "BundleConfig":
        """Read `config.json`.

        Raises:
            RszooError: it is not a bundle's config.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(map(str, first["loc"])) or "the file"
            raise RszooError(
                f"{path}: expected a bundle's config, got {key}: {first['msg']}; the bundle may "
                "come from a newer rszoo"
            ) from error
