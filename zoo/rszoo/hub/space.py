"""A Space beside a model on a hub: a small Gradio app that certifies pictures with it.

A Space is a repository whose files say how to run it; only huggingface.co runs them. No token is
among them: the Space of a private model gets one as its secret HF_TOKEN, by its owner.
"""

import re
from importlib import metadata
from pathlib import Path

from rszoo._yaml import to_yaml
from rszoo.errors import RszooError
from rszoo.hub import remote
from rszoo.hub.bundle import Bundle
from rszoo.hub.ids import HubId
from rszoo.hub.kinds import kind_of
from rszoo.hub.push import Pushed
from rszoo.hub.wheel import this_wheel

__all__ = ["check_for_space", "push_space", "space_files"]

_GRADIO = "6.31.0"
_APP = "app.py"
_TEMPLATE = Path(__file__).parent / "space_app.txt"
# Of what rszoo depends on, what loading a model and certifying pictures takes.
_NEEDED = (
    "annotated-types huggingface-hub numpy pillow pydantic pyyaml safetensors scipy torch "
    "torchvision"
).split()


def check_for_space(bundle: Bundle) -> None:
    """Refuse a bundle that certifies nothing by itself, of which no Space can be.

    Raises:
        RszooError: it is one.
    """
    if not kind_of(bundle).is_model:
        raise RszooError(
            f"{bundle.id}: expected a model that certifies pictures for a Space, got "
            f"{bundle.config.kind!r}; push it without --space"
        )


def push_space(bundle: Bundle, model: HubId, *, private: bool = False) -> Pushed:
    """Publish a Space of the same name as a model; an unchanged one makes no commit.

    Args:
        bundle: the model.
        model: where it is published, with the commit that the Space is to load.
        private: of a Space that is new.

    Raises:
        HubError: no permission, the Space was changed at the same time, or the hub has no Spaces.
    """
    place = HubId.parse(model.repo)
    files: dict[str, bytes | Path] = {**space_files(bundle, model)}
    remote.create(place, private=private, kind="space")
    head = remote.head(place, kind="space")
    stale = [name for name in head.files if name.endswith(".whl") and name not in files]
    message = f"rszoo push --space {bundle.config.name}"
    done = remote.commit(head.id, files, stale=stale, message=message, kind="space")
    there = place.at(done)
    return Pushed(there, f"{remote.endpoint()}/spaces/{place.repo}", changed=there != head.id)


def space_files(bundle: Bundle, model: HubId) -> dict[str, bytes]:
    """Return the files of a Space: the app, what it needs, its card, and rszoo itself.

    Args:
        bundle: the model.
        model: the place and the commit that the app loads it from.
    """
    name, wheel = this_wheel()
    app = _TEMPLATE.read_text(encoding="utf-8")
    return {
        _APP: app.replace('"ORG/NAME@COMMIT"', f'"{model}"').encode(),
        "requirements.txt": _requirements(bundle).encode(),
        "README.md": _card(bundle, model).encode(),
        name: wheel,
    }


def _requirements(bundle: Bundle) -> str:
    """Return the packages that the app takes, each from the version on that rszoo takes it."""
    stated = [one for one in metadata.requires("rszoo") or () if ";" not in one]
    needed = [one for one in stated if re.split(r"[^\w-]", one)[0] in _NEEDED]
    library = bundle.config.built_by
    if library is not None:
        needed.append("==".join(library.split()))
    return "".join(f"{one}\n" for one in sorted(needed))


def _card(bundle: Bundle, model: HubId) -> str:
    values = {
        "title": bundle.config.name,
        "sdk": "gradio",
        "sdk_version": _GRADIO,
        "app_file": _APP,
        "models": [model.repo],
        "tags": ["rszoo", "certified-robustness", "randomized-smoothing"],
        "pinned": False,
    }
    return (
        f"---\n{to_yaml(values)}---\n\nA certified answer for a picture, by `{model}`. Written by "
        "`rszoo push --space`, with the wheel of the rszoo that wrote it. There is no token here: "
        "for a private model, give this Space the secret `HF_TOKEN`.\n"
    )
