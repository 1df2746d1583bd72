"""What all of `rszoo compose` does before and after a bundle is made."""

from pathlib import Path
from typing import TYPE_CHECKING

from rszoo.errors import RszooError
from rszoo_cli.console import err, out

if TYPE_CHECKING:
    from rszoo.hub.bundle import Bundle

__all__ = ["check_free", "show_composed"]


def check_free(to: Path, overwrite: bool) -> None:
    """Refuse a folder that exists, before there is any work.

    Raises:
        RszooError: it exists, and is not to be replaced.
    """
    if to.exists() and not overwrite:
        raise RszooError(f"{to} exists; choose another --out, or --overwrite replaces it")


def show_composed(bundle: "Bundle", *, json: bool, use: str = "certify --model") -> None:
    """Print the id of a new bundle, or all of its config, and what it is for.

    Args:
        bundle: the new one.
        json: whether to print its config, and nothing else.
        use: the command that comes next, up to the id.
    """
    if json:
        out.print_json(data={"id": bundle.id, **bundle.config.model_dump(mode="json")})
        return
    out.print(bundle.id, markup=False, highlight=False, soft_wrap=True)
    text = f"next: rszoo {use} {bundle.id}"
    err.print(text, markup=False, highlight=False, soft_wrap=True)
