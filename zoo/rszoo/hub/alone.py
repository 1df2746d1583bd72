"""Which certificates may stand in a bundle as its own."""

from rszoo.errors import RszooError
from rszoo.evaluation.log import LogTable

__all__ = ["check_of_bundle_alone"]


def check_of_bundle_alone(log: LogTable) -> None:
    """Refuse certificates of a model together with a memory, which no bundle holds.

    Raises:
        RszooError: the log has such.
    """
    if log.per_input is not None:
        raise RszooError(
            f"{log.path}: expected certificates of a bundle alone, got those of one with a memory "
            "of earlier answers, which it does not hold; certify without --per-input-sigma"
        )
