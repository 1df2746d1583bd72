"""The certification log of a bundle, and whether it is about that bundle."""

from rszoo.errors import DataError, RszooError
from rszoo.evaluation.log import LogTable, read_log
from rszoo.hub.bundle import Bundle

__all__ = ["check_about", "evidence_of"]


def evidence_of(bundle: Bundle, *, called: str) -> LogTable:
    """Return the certification log of a bundle.

    Args:
        bundle: what is certified.
        called: what messages call it.

    Raises:
        RszooError: it is not certified, or its log cannot be used.
        DataError: its log is about another model.
    """
    if bundle.evidence is None:
        raise RszooError(
            f"{called} is not certified; rszoo certify --model {called} --attach does it"
        )
    log = read_log(bundle.evidence)
    check_about(log, bundle)
    return log


def check_about(log: LogTable, bundle: Bundle) -> None:
    """Refuse a log that is not about a bundle.

    Raises:
        DataError: other weights, another noise level, or nothing that says so.
    """
    if log.protocol is None:
        raise DataError(f"{log.path}: expected its protocol beside it, got none")
    model = log.protocol.get("model")
    stated = {
        "weights": model.get("weights_sha256") if isinstance(model, dict) else None,
        "sigma": log.protocol.get("sigma"),
        "alpha_mix": None if log.alpha_mix is None else max(log.alpha_mix, default=None),
    }
    actual = {
        "weights": bundle.weights_digest,
        # Where it is searched for each input, it is in the rows.
        "sigma": None if log.per_input is not None else bundle.config.noise,
        "alpha_mix": bundle.config.alpha_mix,
    }
    for name, value in actual.items():
        if stated[name] != value:
            raise DataError(
                f"{log.path} is not about {bundle.path}: expected {name} {value}, got "
                f"{stated[name]}"
            )
