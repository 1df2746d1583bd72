"""What `rszoo show` prints of a bundle, for a person."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rszoo.theory.rounding import as_share, as_stated
from rszoo_cli.console import out

if TYPE_CHECKING:
    from rszoo.hub.bundle import Bundle
    from rszoo.hub.origin import Origin

__all__ = ["print_bundle"]

_MOST_CLASSES = 12


def print_bundle(bundle: "Bundle", composition: Mapping[str, Any]) -> None:
    """Print what a model is and where it comes from, as a table of labels and texts.

    Args:
        bundle: to be shown.
        composition: what is to be said of its parts, as its kind has it.
    """
    from rich.table import Table
    from rich.text import Text

    from rszoo.hub.kinds import kind_of

    kind = kind_of(bundle)
    table = Table(box=None, show_header=False, padding=(0, 1))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")  # a digest that is cut short is of no use
    for label, text in (
        *_model(bundle),
        *_composed(composition, roles=kind.roles(bundle.config)),
        *([] if kind.certificates else [("certifies", "nothing")]),
        *_origin(bundle.manifest.origin),
        ("weights", bundle.weights_digest),
    ):
        table.add_row(label, Text(text))
    out.print(table)


def _model(bundle: "Bundle") -> Iterator[tuple[str, str]]:
    config = bundle.config
    yield "model", bundle.id
    yield "data set", config.dataset
    yield "method", config.method
    yield "network", config.summary
    if config.built_by:
        yield "built by", config.built_by
    yield "sigma", "-" if config.noise is None else as_stated(config.noise)
    yield "images", " x ".join(map(str, config.input_shape))
    yield "classes", _classes(config.class_names)


def _classes(names: Sequence[str]) -> str:
    """Return how many classes there are, and the names of the first ones."""
    more = ", ..." if len(names) > _MOST_CLASSES else ""
    return f"{len(names)}: {', '.join(names[:_MOST_CLASSES])}{more}"


def _composed(
    composition: Mapping[str, Any], *, roles: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Yield what a kind says of its parts: names, numbers, or numbers that have names."""
    for key, value in composition.items():
        if key == "parts":
            text = "\n".join(f"{role} {part}" for role, part in zip(roles, value, strict=True))
        elif isinstance(value, Mapping):
            text = ", ".join(f"{name} {_short(one)}" for name, one in value.items())
        elif isinstance(value, list | tuple):
            text = ", ".join(map(_short, value))
        else:
            text = _short(value)
        yield key.replace("_", " "), text or "-"


def _short(value: object) -> str:
    return as_stated(value) if isinstance(value, float) else str(value)


def _origin(origin: "Origin") -> Iterator[tuple[str, str]]:
    """Yield where a bundle comes from, as far as it says so."""
    made_from = [
        f"{one.name or '?'} ({(one.weights_sha256 or '?')[:12]})" for one in origin.parents
    ]
    if made_from:
        yield "made from", "\n".join(made_from)
    if origin.imported is not None:
        yield "imported", f"{origin.imported.file}, sha256 {origin.imported.sha256}"
    if text := _training(origin):
        yield "trained", text
    if origin.training.noisy_accuracy is not None:
        accuracy = as_share(origin.training.noisy_accuracy)
        yield "accuracy", f"{accuracy} % of the test images, under one noise draw"
    made = {"rszoo": _rszoo(origin), "torch": origin.torch, "Python": origin.python}
    if known := [f"{name} {version}" for name, version in made.items() if version]:
        yield "made with", ", ".join(known)
    for name, digest in origin.facts.items():
        yield name.replace("_", " "), digest
    if origin.mlflow_run:
        yield "MLflow run", origin.mlflow_run


def _rszoo(origin: "Origin") -> str | None:
    """Return the version of rszoo, and the commit of a checkout of it."""
    if origin.git_commit is None or " " in origin.git_commit:  # "not a git checkout"
        return origin.rszoo
    commit, changes, _ = origin.git_commit.partition("+changes")
    return f"{origin.rszoo or '?'} at commit {commit[:12]}{changes}"


def _training(origin: "Origin") -> str:
    from rszoo.evaluation.formatting import as_duration

    training = origin.training
    said = {
        "in ": None if training.seconds is None else as_duration(training.seconds),
        "on ": training.where or origin.device,
        "seed ": None if origin.seed is None else str(origin.seed),
    }
    return ", ".join(f"{before}{text}" for before, text in said.items() if text)
