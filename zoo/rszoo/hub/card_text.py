"""What the card of a model says of its kind, in Markdown."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rszoo.hub.config import BundleConfig

__all__ = ["CardText", "certifying", "made_of", "plain"]


@dataclass(frozen=True, kw_only=True)
class CardText:
    """The parts of a card that depend on the kind of bundle.

    Attributes:
        called: what the model is, to go before "for MNIST".
        about: a sentence on its network and its noise, or on its parts.
        use: paragraphs on what to type.
    """

    called: str
    about: str
    use: Sequence[str]


def certifying(about: str, repo: str) -> CardText:
    """Return the text of a classifier that certifies.

    Args:
        about: the sentence on what it is made of.
        repo: `org/name`, where it is.
    """
    return CardText(
        called="An image classifier with certified robustness",
        about=about,
        use=[
            "```python\nimport rszoo\n"
            f'model = rszoo.load("{repo}")\n'
            "certificate = model.certify(image)  # [C, H, W] in [0, 1]; label, radius, p_lower\n"
            "```",
            f"From a shell: `rszoo certify --model {repo} photo.png`.",
        ],
    )


def made_of(config: BundleConfig) -> str:
    """Return a sentence that names the parts of a composed bundle."""
    listed = ", ".join(f"`{part.text}`" for part in config.parts)
    return f"It is made of other models, which are fetched with it: {listed}."


def plain(text: str) -> str:
    """Return a text that Markdown and HTML take as it is."""
    return re.sub(r"([\\`*_{}\[\]<>()#!|$&])", r"\\\1", text).replace("\n", " ")
