"""Names of the files of a bundle, and of those that stand beside them on a hub."""

__all__ = [
    "CARD",
    "CONFIG",
    "CURVE",
    "EVIDENCE",
    "MANIFEST",
    "ONNX",
    "PRESENTATION",
    "PROTOCOL",
    "RECIPE",
    "RECORD",
    "RESULTS",
    "SIGNATURE",
    "WEIGHTS",
    "in_record",
    "is_of_attack",
]

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
ONNX = "model.onnx"
RECIPE = "recipe.yaml"
EVIDENCE = "certificates.tsv"
PROTOCOL = "certificates.json"
MANIFEST = "manifest.json"

#: What a bundle says of itself, beside the logs of attacks.
RECORD = (CONFIG, RECIPE, EVIDENCE, PROTOCOL)

CARD = "README.md"
CURVE = "curve.png"
RESULTS = ".eval_results/certified.yaml"
SIGNATURE = "model.sig"

#: What presents a bundle on a hub; made from it, no part of it.
PRESENTATION = (CARD, CURVE, RESULTS, SIGNATURE)


def is_of_attack(name: str) -> bool:
    """Return whether a file is a log of an attack, or its protocol.

    >>> is_of_attack("attack-pgd-linf-0.1.tsv"), is_of_attack("certificates.tsv")
    (True, False)
    """
    return name.startswith("attack-") and name.endswith((".tsv", ".json"))


def in_record(name: str) -> bool:
    """Return whether a bundle says something of itself in a file: all but its weights."""
    return name in RECORD or is_of_attack(name)
