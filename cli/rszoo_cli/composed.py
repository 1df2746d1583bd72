"""What `rszoo compose` says of the bundle that it has made."""

from typing import TYPE_CHECKING

from rszoo_cli.console import err, out

if TYPE_CHECKING:
    from rszoo.hub.bundle import Bundle

__all__ = ["show_composed"]


def show_composed(bundle: "Bundle", *, json: bool, use: str = "certify") -> None:
    """Print the id of a new bundle, or all of its config, and what it is for."""
    if json:
        out.print_json(data={"id": bundle.id, **bundle.config.model_dump(mode="json")})
        return
    out.print(bundle.id, markup=False, highlight=False, soft_wrap=True)
    text = f"next: rszoo {use} --model {bundle.id}"
    err.print(text, markup=False, highlight=False, soft_wrap=True)
