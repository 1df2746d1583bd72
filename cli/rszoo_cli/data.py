"""`rszoo data`: what is in a data set, and the digests that stand for it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from rszoo_cli.console import err, out
from rszoo_cli.options import DataRoot, Download, Json
from rszoo_cli.usage import check_not_read, check_redirect

__all__ = ["data"]


def data(
    dataset: Annotated[
        str, typer.Argument(help="A data set's name, a folder of class folders, or an .npz file.")
    ],
    to: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.json", help="Write it as JSON.")
    ] = None,
    data_root: DataRoot = None,
    download: Download = False,
    json: Json = False,
) -> None:
    """Read a data set and show what is in it, with the digest of each split.

    Equal digests mean equal data; those of the training images are in every bundle.

    Example:

        rszoo data mnist --download --out mnist.json
    """
    from rszoo._files import write_json_atomically

    if to is not None:
        check_redirect(to)
        check_not_read(to, dataset)
    described = _described(dataset, data_root, download)
    if to is not None:
        to.parent.mkdir(parents=True, exist_ok=True)
        write_json_atomically(to, _digests(described))
    if json:
        out.print_json(data=described)
    else:
        _print(described)
    for doubt in described["doubts"]:
        text = f"doubt: {doubt}"
        err.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)
    if to is not None:
        err.print(f"wrote {to}", markup=False, highlight=False, soft_wrap=True)


def _described(dataset: str, root: Path | None, download: bool) -> dict[str, Any]:
    from rszoo.data import load
    from rszoo.data.doubts import counts_of, doubts
    from rszoo.data.splits import SPLITS

    train, test = (load(dataset, split, root=root, download=download) for split in SPLITS)
    return {
        "dataset": train.name,
        "shape": list(train.shape),
        "class_names": list(train.class_names),
        "splits": {
            images.split: {
                "images": len(images),
                "digest": images.digest,
                "shape": list(images.shape),
                "counts": list(counts_of(images).values()),
            }
            for images in (train, test)
        },
        "doubts": doubts(dataset, train, test),
    }


def _digests(described: dict[str, Any]) -> dict[str, Any]:
    """Return what stands for the data in a file, which changes with them alone."""
    splits = {
        split: {key: values[key] for key in ("images", "digest")}
        for split, values in described["splits"].items()
    }
    kept = ("dataset", "shape", "class_names")
    return {**{key: described[key] for key in kept}, "splits": splits}


def _print(described: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    shape = "x".join(map(str, described["shape"]))
    out.print(
        f"{described['dataset']}: images of {shape} in {len(described['class_names'])} classes\n",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    splits: dict[str, Any] = described["splits"]
    table = Table("split", box=None, pad_edge=False)
    table.add_column("images", justify="right")
    table.add_column("digest", overflow="fold")
    for split, values in splits.items():
        table.add_row(split, f"{values['images']:,}", values["digest"])
    out.print(table)
    out.print()
    classes = Table("label", "class", box=None, pad_edge=False)
    for split, values in splits.items():
        classes.add_column(f"{split} ({'x'.join(map(str, values['shape']))})", justify="right")
    for label, name in enumerate(described["class_names"]):
        counts = [f"{values['counts'][label]:,}" for values in splits.values()]
        classes.add_row(str(label), Text(name), *counts)
    out.print(classes)
