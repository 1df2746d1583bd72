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
]

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
ONNX = "model.onnx"
RECIPE = "recipe.yaml"
EVIDENCE = "certificates.tsv"
PROTOCOL = "certificates.json"
MANIFEST = "manifest.json"

#: What a bundle says of itself: all but its weights.
RECORD = (CONFIG, RECIPE, EVIDENCE, PROTOCOL)

CARD = "README.md"
CURVE = "curve.png"
RESULTS = ".eval_results/certified.yaml"
SIGNATURE = "model.sig"

#: What presents a bundle on a hub; made from it, no part of it.
PRESENTATION = (CARD, CURVE, RESULTS, SIGNATURE)
