"""The one door to torchvision, which also opens where its compiled operators cannot load.

A torchvision wheel built for CUDA does not find its library beside a CPU build of torch, yet it
registers Python fakes for two of the operators that the library would have brought, and the import
fails on the first of them (pytorch/vision#9077). Data sets, transforms and models need no compiled
operator; with the two schemas declared, everything but those operators works. Where torchvision
imports by itself nothing is done: looking for the library beforehand would have to know its file
name, and declaring an operator twice aborts the process.
"""

import importlib
import sys
from types import ModuleType

import torch

_OPERATORS = ("nms", "qnms")

# A library that is garbage-collected takes its schemas with it.
_declared: list[torch.library.Library] = []


def import_torchvision() -> ModuleType:
    """Return the torchvision package, usable for data sets, transforms and models.

    Raises:
        ImportError: torchvision is not installed.
        RuntimeError: torchvision fails to import for any other reason than the one described
            above.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "operator torchvision::" not in str(error) or _declared:
            raise
    _forget_half_imported()
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in _OPERATORS:
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declared.append(library)
    return importlib.import_module("torchvision")


def _forget_half_imported() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
