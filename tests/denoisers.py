"""Bundles with a denoiser that has learned nothing."""

from pathlib import Path
from typing import Any

from rszoo import networks
from rszoo.hub.bundle import Bundle
from rszoo.hub.configs.network import NetworkConfig
from rszoo.hub.origin import Origin
from rszoo.hub.writing import write_bundle

SHAPE = (1, 8, 8)


def denoiser(folder: Path, sigma: float = 0.5, **changed: Any) -> Bundle:
    """Write a bundle with an untrained denoiser."""
    values: dict[str, Any] = {
        "input_shape": SHAPE,
        "class_names": tuple("0123456789"),
        "kind": "denoiser",
        "architecture": {"name": "dncnn", "depth": 2, "width": 4},
    }
    config = NetworkConfig(
        name=folder.name,
        method="denoising",
        dataset="digits",
        normalization=None,
        sigma=sigma,
        trained_precision="float32",
        **(values | changed),
    )
    options = dict(config.architecture)
    network = networks.build(
        options.pop("name"),
        input_shape=config.input_shape,
        num_classes=len(config.class_names),
        **options,
    )
    return write_bundle(folder, config=config, network=network, recipe="", origin=Origin())
