"""One row of the leaderboard, before it is compared with anything."""

from dataclasses import dataclass

from rszoo.evaluation.data_set import data_set
from rszoo.evaluation.log import LogTable, printable
from rszoo.evaluation.look import method_named
from rszoo.evaluation.metrics import Summary, inputs_digest, summary
from rszoo.evaluation.p_distribution import PDistribution, p_distribution, why_unknown

__all__ = ["Entry", "entry_of_log"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Entry:
    """A certified model. Its texts are other people's: printable, on one line, not escaped.

    Attributes:
        model: the bundle's id, or the path of the log; for published numbers, where they are.
        dataset: whose images are certified; None where the log does not say.
        checked: whether the images are known to be that data set's, rather than called so.
        method, network, profile: how the model was made; None where nothing says.
        summary: the metrics of the log; without intervals for published numbers.
        p: the distribution of p, or None; `without_p` then says why.
        inputs: a digest of which inputs are certified; None for published numbers.
        log: what was certified; None for published numbers.
        paper: of published numbers; None for a model that is at hand.
        seconds, hardware: what the training took, and where; None where nothing says.
        owner: whose it is: the account on a hub; "" for what is at hand.
    """

    model: str
    dataset: str | None
    checked: bool
    method: str | None
    network: str | None
    profile: str | None
    summary: Summary
    p: PDistribution | None = None
    without_p: str | None = None
    inputs: str | None = None
    log: LogTable | None = None
    paper: str | None = None
    seconds: float | None = None
    hardware: str | None = None
    owner: str = ""


def entry_of_log(
    log: LogTable,
    *,
    model: str,
    method: str | None = None,
    network: str | None = None,
    profile: str | None = None,
    seconds: float | None = None,
    hardware: str | None = None,
    owner: str = "",
) -> Entry:
    """Return the entry of a certification log.

    Args:
        log: at least one row, with true labels.
        model, network, profile, seconds, hardware, owner: see `Entry`.
        method: what to say; None reads it from the bundle's name in the log, if that is one that
            rszoo gives (`mnist-cat_rs-0.50`).

    Raises:
        DataError: the log has no rows, or no true labels.
    """
    certified = log.protocol.model if log.protocol else None
    found = data_set(log.protocol)
    method = method or method_named(certified.name if certified else None)
    return Entry(
        model=printable(model),
        dataset=found.name and printable(found.name),
        checked=found.checked,
        method=method and printable(method),
        network=network and printable(network),
        profile=profile and printable(profile),
        summary=summary(log),
        p=p_distribution(log),
        without_p=why_unknown(log),
        inputs=inputs_digest(log),
        log=log,
        seconds=seconds,
        hardware=hardware and printable(hardware),
        owner=owner,
    )
