"""How an answer of a memory is stored: a certificate as JSON, and a digest of its image."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict

from torch import Tensor

from rszoo.certificates.base import ABSTAIN, Certificate
from rszoo.certificates.kinds.memory import Remembered

__all__ = ["details_of", "from_text", "image_digest", "is_region", "to_text"]

# What the details of a certificate are called in the file.
_DETAILS = "per_input"

# What memories of before say of other kinds of certificates: nothing.
_EMPTY = ("routing", "alpha_mix")


def image_digest(image: Tensor) -> bytes:
    """Return the sha256 of an image, float32 and on the CPU, and of its shape."""
    return hashlib.sha256(f"{tuple(image.shape)}:".encode() + image.numpy().tobytes()).digest()


def is_region(answer: Certificate) -> bool:
    """Return whether an answer is from its own evidence, and not from within a region."""
    details = details_of(answer)
    return answer.label != ABSTAIN and details.source == details.order


def details_of(answer: Certificate) -> Remembered:
    """Return what the memory adds to an answer of its own."""
    assert isinstance(answer.details, Remembered)  # of every answer of a memory
    return answer.details


def to_text(answer: Certificate, shape: Sequence[int]) -> str:
    """Return an answer, and the shape of its image, as JSON."""
    values = asdict(answer)
    details = values.pop("details")
    del values["class_name"]  # of the classifier, which names it again
    return json.dumps({**values, _DETAILS: details, "shape": list(shape)}, allow_nan=False)


def from_text(text: str) -> Certificate:
    """Return the answer that `to_text` has written; a `TypeError` where it is none."""
    values = json.loads(text)
    for name in ("shape", *_EMPTY):
        values.pop(name, None)
    return Certificate(details=Remembered(**values.pop(_DETAILS)), **values)
