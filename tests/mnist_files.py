"""Files in the format of MNIST, as torchvision reads them."""

from pathlib import Path

import numpy as np

__all__ = ["write_mnist"]


def write_mnist(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Write the same images [N, H, W] and labels [N] as both splits."""
    folder.mkdir(parents=True)
    for part in ("train", "t10k"):
        _write_idx(folder / f"{part}-images-idx3-ubyte", images)
        _write_idx(folder / f"{part}-labels-idx1-ubyte", labels)


def _write_idx(path: Path, values: np.ndarray) -> None:
    """Write a magic number, the sizes, the bytes."""
    header = bytes([0, 0, 8, values.ndim]) + b"".join(
        size.to_bytes(4, "big") for size in values.shape
    )
    path.write_bytes(header + values.astype(np.uint8).tobytes())
