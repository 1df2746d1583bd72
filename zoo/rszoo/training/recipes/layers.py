"""What a recipe file may hold, and how its layers are merged.

A later layer wins, key by key; a layer that names another network replaces the whole `network`
section, because options belong to one architecture; one that names experts in one of the two forms
drops those in the other. `hyperparameters` is another word for the section `weights`, until layers
are merged. The values themselves are judged only then (`rszoo.training.recipes.recipe`).
"""

from collections.abc import Container, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from rszoo.training.recipes.problems import show
from rszoo.training.recipes.recipe import OWN
from rszoo.training.recipes.sections.base import Count, Section, SigmaOrNone
from rszoo.training.recipes.sections.experts import ExpertsSpec

__all__ = [
    "ALIASES",
    "Content",
    "DataSet",
    "Profile",
    "Values",
    "contradictions",
    "merge",
    "twice",
]

#: Other words for sections, in recipe files and overrides; rszoo writes none of them.
ALIASES = {"hyperparameters": "weights"}


def twice(keys: Container[str]) -> list[str]:
    """Return one line for each section that a layer gives under both of its words.

    >>> twice({"weights", "hyperparameters"})
    ['expected weights or hyperparameters, two words for one section, got both; keep one']
    """
    return [
        f"expected {section} or {alias}, two words for one section, got both; keep one"
        for alias, section in ALIASES.items()
        if alias in keys and section in keys
    ]


class Paper(Section):
    """The publication that a method comes from."""

    title: str
    authors: str
    year: int
    url: str


class Values(Section):
    """One layer: the sections of a recipe, each with some of its keys."""

    network: dict[str, Any] = Field(default={})
    weights: dict[str, Any] = Field(default={})
    hyperparameters: dict[str, Any] = Field(default={})
    train: dict[str, Any] = Field(default={})
    targets: dict[str, Any] | None = Field(default={})
    experts: dict[str, Any] | None = Field(default={})
    parts: dict[str, Any] | None = Field(default={})
    denoised: dict[str, Any] | None = Field(default={})
    fine_tuning: dict[str, Any] | None = Field(default={})
    adapter: dict[str, Any] | None = Field(default={})
    certify: dict[str, Any] = Field(default={})

    def layer(self) -> dict[str, Any]:
        """Return the sections that the file gives."""
        given = self.model_fields_set & set(Values.model_fields)
        return {key: getattr(self, key) for key in Values.model_fields if key in given}

    @model_validator(mode="after")
    def _each_section_once(self) -> "Values":
        if problems := twice(self.model_fields_set):
            raise ValueError("; ".join(problems))
        return self


class Profile(Values):
    """A layer with further values per sigma."""

    per_sigma: dict[float, Values] = Field(default={})

    @field_validator("per_sigma", mode="before")
    @classmethod
    def _numbers_as_keys(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        by_sigma: dict[float, object] = {}
        for key, values in value.items():
            try:
                sigma = float(key)
            except (TypeError, ValueError):
                raise ValueError(f"expected a sigma as key, got {show(key)}") from None
            if sigma in by_sigma:
                raise ValueError(f"expected each sigma once, got {sigma} twice")
            by_sigma[sigma] = values
        return by_sigma


class DataSet(Profile):
    """The values for one data set; `profile` is the name of those outside `profiles`."""

    sigmas: Annotated[list[SigmaOrNone], Field(min_length=1)] | None = None
    profile: str = OWN
    profiles: dict[str, Profile] = Field(default={})


class Content(Section):
    """A recipe file as it is written."""

    method: str
    version: Count
    paper: Paper
    sigmas: list[SigmaOrNone] = Field(min_length=1)
    defaults: Values = Values()
    datasets: dict[str, DataSet] = Field(min_length=1)


def contradictions(content: Content) -> list[str]:
    """Return one line for each part of a file that could never be used."""
    problems = []
    for key, block in content.datasets.items():
        place = f"datasets.{key}"
        sigmas = block.sigmas or content.sigmas
        parts: dict[str, Profile] = {place: block}
        parts |= {f"{place}.profiles.{name}": part for name, part in block.profiles.items()}
        problems += [
            f"{where}.per_sigma.{sigma}: not in the list of sigmas {sigmas}"
            for where, part in parts.items()
            for sigma in part.per_sigma
            if sigma not in sigmas
        ]
        if block.profile in block.profiles:
            problems.append(
                f"{place}.profiles.{block.profile}: already the name of the base values"
            )
    return problems


def merge(
    layers: Sequence[tuple[str, Mapping[str, Any]]],
) -> tuple[dict[str, Any], dict[str, str]]:
    """Merge layers, the last wins; return the values, and for each path where it was written.

    The values have the sections' own words; the places have those of the layers.

    >>> merge([("a", {"train": {"lr": 1, "epochs": 2}}), ("", {"train": {"lr": 3}})])[0]
    {'train': {'lr': 3, 'epochs': 2}}
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for place, layer in layers:
        network = layer.get("network")
        if isinstance(network, Mapping) and "name" in network:
            before = values.get("network")
            if isinstance(before, dict) and before.get("name") != network["name"]:
                values["network"] = {}
        weaker, stronger = values.get("experts"), layer.get("experts")
        if isinstance(weaker, dict) and isinstance(stronger, Mapping):
            ExpertsSpec.drop_other_form(weaker, stronger)
        _merge_into(values, layer, origins, place=f"{place}." if place else "", path="")
    return values, origins


def _merge_into(
    target: dict[str, Any],
    layer: Mapping[str, Any],
    origins: dict[str, str],
    *,
    place: str,
    path: str,
) -> None:
    for written, value in layer.items():
        key = written if path else ALIASES.get(written, written)
        here, there = f"{path}{key}", f"{place}{written}"
        origins[here] = there
        if isinstance(value, Mapping):
            if not isinstance(target.get(key), dict):
                target[key] = {}
            _merge_into(target[key], value, origins, place=f"{there}.", path=f"{here}.")
        else:
            target[key] = value
