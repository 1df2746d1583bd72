"""What people see of a model on a hub: its card, its results as data, its curve."""

import inspect
import re
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import yaml
from huggingface_hub import (
    EvalResult,
    EvalResultEntry,
    ModelCardData,
    eval_result_entries_to_yaml,
)

from rszoo.data import known_set
from rszoo.evaluation.data_set import DataSet, data_set
from rszoo.evaluation.metrics import Summary, summary
from rszoo.hub.attack_logs import attacks_of
from rszoo.hub.bundle import Bundle
from rszoo.hub.card_attacks import attacks_text
from rszoo.hub.card_results import alpha_text, results_text
from rszoo.hub.card_text import plain
from rszoo.hub.config import Part
from rszoo.hub.evidence import evidence_of
from rszoo.hub.files import CARD, CURVE, RESULTS
from rszoo.hub.kinds import kind_of
from rszoo.theory.rounding import as_radius, as_stated, floor_digits

__all__ = ["card_files"]

_NOT_STATED = "not stated"


def card_files(bundle: Bundle, repo: str, *, license: str | None = None) -> dict[str, bytes]:
    """Return the files that present a bundle on a hub: path in the repository -> content.

    They are made from the bundle alone, are no part of it, and are not read when it is loaded:
    whoever edits a card on the hub changes no model.

    Args:
        bundle: the model.
        repo: `org/name`, where it is going to be.
        license: its identifier on the hub, such as "mit".
    """
    log = evidence_of(bundle) if bundle.evidence is not None else None
    known = summary(log) if log is not None else None
    about = data_set(log.protocol) if log is not None else None
    head = _metadata(bundle, known, about, license)
    results = results_text(log, known) if log is not None and known is not None else None
    text = _text(bundle, repo, about, results=results, license=license)
    files = {CARD: f"---\n{head}\n---\n\n{text}".encode()}
    if log is not None and known is not None and about is not None:
        from rszoo.evaluation.plot import picture

        files[CURVE] = picture([replace(log, name=bundle.config.name)])
        files[RESULTS] = _results(known, about)
    return files


def _metadata(
    bundle: Bundle, known: Summary | None, about: DataSet | None, license: str | None
) -> str:
    config = bundle.config
    data = ModelCardData(
        license=license,
        library_name="rszoo",
        pipeline_tag="image-classification",
        datasets=[_dataset_id(config.dataset)],
        tags=[
            "rszoo",
            "certified-robustness",
            "randomized-smoothing",
            config.method,
            *([f"sigma:{as_stated(config.noise)}"] if config.noise else []),
        ],
        base_model=_on_a_hub(config.parts) or None,
        model_name=config.name,
        eval_results=_eval_results(known, about) if known and about else None,
    )
    return data.to_yaml()


def _on_a_hub(parts: Sequence[Part]) -> list[str]:
    """Return the repositories of what a bundle is made of, from which hubs draw its lineage."""
    on_hub = (part.id for part in parts if re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", part.id))
    return [name.partition("@")[0] for name in on_hub]


def _eval_results(known: Summary, about: DataSet) -> list[EvalResult]:
    """Return one entry for the ACR and one for each radius; their arguments say what they mean."""
    protocol = {"norm": "l2", "sigma": known.sigma, "n": known.n, "alpha": known.alpha}
    protocol |= {"bound": known.bound}
    protocol |= {"images": known.images, "data_set_checked": about.checked}

    def entry(kind: str, name: str, value: float, **more: float) -> EvalResult:
        return EvalResult(
            task_type="image-classification",
            dataset_type=_hub_name(about),
            dataset_name=about.name or _NOT_STATED,
            dataset_split=about.split,
            metric_type=kind,
            metric_name=name,
            metric_value=value,
            metric_args={**protocol, **more},
        )

    acr = float(floor_digits(known.acr, 6))
    return [
        entry("average_certified_radius", "average certified radius", acr),
        *(
            entry(
                "certified_accuracy", f"certified accuracy at r = {as_radius(r)}", share, radius=r
            )
            for r, share in known.by_radius().items()
        ),
    ]


def _results(known: Summary, about: DataSet) -> bytes:
    sigma = "several noise levels" if known.sigma is None else f"sigma={as_stated(known.sigma)}"
    notes = (
        f"L2, {sigma}, n={known.n}, alpha={alpha_text(known)}, {known.bound} bound, "
        f"{known.images} images, {about}"
    )
    entries = [
        EvalResultEntry(
            dataset_id=_hub_name(about),
            task_id=f"certified_accuracy_l2_{as_stated(r)}",
            value=share,
            notes=notes,
        )
        for r, share in known.by_radius().items()
    ]
    return yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False).encode()


def _text(
    bundle: Bundle,
    repo: str,
    about: DataSet | None,
    *,
    results: str | None,
    license: str | None,
) -> str:
    config = bundle.config
    said = kind_of(bundle).card(config, repo)
    parts = [
        f"# {plain(config.name)}",
        f"{said.called}{_subject(bundle, about)}, made with `{config.method}`. {said.about}",
        "## Use",
        *said.use,
        "## Results",
        results or "Not certified.",
        *attacks_text(attacks_of(bundle)),
        "## Intended use and limits",
        _LIMITS,
        "## How it was made",
        _training(bundle),
        "## Licence",
        license or "The publisher states none.",
    ]
    return "\n\n".join(parts) + "\n"


def _subject(bundle: Bundle, about: DataSet | None) -> str:
    """Return "for" and the data set of the evidence; without any, what the author says."""
    name = about.name if about is not None else _dataset_name(bundle.config.dataset)
    return f" for {plain(name)}" if name else ""


_LIMITS = """\
A certificate (label, radius) says: with probability at least 1 - alpha over the noise that was
drawn, the smoothed classifier gives this label to every image within that L2 distance of the
input. It holds for each input by itself, not for all inputs at once. It does not say that the
label is right, and nothing about other changes than small L2 ones (rotations, crops, another
camera). It holds for the smoothed classifier, evaluated by `certify` and `predict`; the bare
network promises nothing. Numbers of models are comparable at the same images, n, alpha and bound
only."""


def _training(bundle: Bundle) -> str:
    origin = bundle.manifest.origin
    stated = {
        "recipe": "`recipe.yaml`, resolved",
        "data set, as its author calls it": _dataset_name(bundle.config.dataset),
        "rszoo": origin.rszoo,
        "torch": origin.torch,
        "seed": origin.seed,
        "data digest": origin.facts.get("data"),
        "git commit": origin.git_commit,
    }
    listed = "\n".join(f"- {key}: {plain(str(v))}" for key, v in stated.items() if v is not None)
    return f"{_source(bundle.config.method)}\n\n{listed}"


def _source(method: str) -> str:
    """Return what the method's module says of itself and its paper."""
    from rszoo import methods

    if method not in methods.names():
        return f"Method `{plain(method)}`."
    text = inspect.getdoc(import_module(f"rszoo.methods.{method}")) or ""
    title, _, rest = text.partition("\n\n")
    return f"{title}\n\n{rest.partition(chr(10) * 2)[0]}"


def _dataset_name(dataset: str) -> str:
    """Return the name of a data set; of a path the last part, since the rest is private."""
    return Path(dataset).name or dataset


def _dataset_id(dataset: str) -> str:
    known = known_set(dataset)
    return (known and known.hub_name) or _dataset_name(dataset)


def _hub_name(about: DataSet) -> str:
    return _NOT_STATED if about.name is None else _dataset_id(about.name)
