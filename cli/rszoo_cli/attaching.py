"""What `rszoo certify` does with a finished log."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rszoo_cli.console import err

if TYPE_CHECKING:
    from rszoo.hub.bundle import Bundle

__all__ = ["check_attachable", "finish_log"]


def check_attachable(bundle: "Bundle", *, attach: bool) -> None:
    """Refuse to put a log into a bundle that is not in a folder of the user's own."""
    from rszoo.hub.catalog import is_own

    if attach and not is_own(bundle):
        raise typer.BadParameter("--attach is for bundles in a folder of your own")


def finish_log(bundle: "Bundle", log_file: Path | None, *, attach: bool, overwrite: bool) -> None:
    """Say where the log is, if there is one, and put it into the bundle if asked to."""
    if log_file is None:
        return
    from rszoo.hub.evidence import add_evidence

    err.print(f"log: {log_file}", highlight=False, soft_wrap=True)
    if attach:
        certified = add_evidence(bundle, log_file, overwrite=overwrite)
        err.print(f"the log is now in {bundle.path}", highlight=False, soft_wrap=True)
        _record(certified)


def _record(bundle: "Bundle") -> None:
    """Tell MLflow; the certificates are safe whatever comes of it."""
    from rszoo.errors import RszooError
    from rszoo.training.tracking.recording import record_certificates

    try:
        entry = record_certificates(bundle)
    except RszooError as error:
        err.print(f"warning: {error}", style="yellow", markup=False, soft_wrap=True)
        return
    if entry is not None:
        err.print(f"in MLflow's registry: {entry}", highlight=False, markup=False, soft_wrap=True)
