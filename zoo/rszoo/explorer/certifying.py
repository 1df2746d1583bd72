"""From an image to the events of its certificate: votes as they arrive, and at last the answer."""

from collections.abc import Sequence
from typing import Any

from rszoo.certificates.base import ABSTAIN, Certificate
from rszoo.certificates.kinds import kind
from rszoo.explorer.asked import AskedCertificate
from rszoo.explorer.pictures import Kept
from rszoo.explorer.session import Session
from rszoo.explorer.standing import RADIUS_DIGITS, Standing, bar, sigma_text
from rszoo.explorer.watched import Told, Votes, watched
from rszoo.explorer.why import why
from rszoo.explorer.work import Emit
from rszoo.smoothing.interface import Budget
from rszoo.theory.radii import certified_radius, largest_radius, linf_radius
from rszoo.theory.rounding import as_proportion, as_stated, floor_digits

__all__ = ["certify"]


def certify(session: Session, asked: AskedCertificate, emit: Emit) -> None:
    """Certify an image, and emit `votes` at every look, then `certificate`.

    Guarantee:
        The certificate in the event `certificate` is that of `Classifier.certify` for the same
        image and budget under the session's seed; nothing before it is one.

    Args:
        session: which models and images there are.
        asked: which of them, and the budget.
        emit: takes the events.

    Raises:
        RszooError: there is no such model or image, or a network is broken.
    """
    kept = session.pictures[asked.image]
    classifier, names = session.classifier(asked.model), session.class_names
    budget = Budget(n0=asked.n0, n=asked.n, alpha=asked.alpha, seed=session.seed)
    standing = Standing(classifier, names, n=asked.n, alpha=asked.alpha)

    def tell(votes: Votes) -> None:
        emit("votes", standing.values(votes))

    told = Told(votes=tell, draws=emit.check)
    certificate = watched(classifier, told).certify_within(budget, kept.image)
    voter = kind(classifier.kind(budget)).voters(certificate)[0].name
    emit(
        "certificate",
        {
            **_stated(certificate, kept, names),
            "voter": voter,
            "nearest": _nearest(standing.counts[voter], certificate.candidate, names),
            "why": why(certificate),
            "seed": budget.seed,
            "command": _command(asked, budget),
        },
    )


def _stated(certificate: Certificate, kept: Kept, names: Sequence[str]) -> dict[str, Any]:
    """Return what a certificate states, as JSON values."""
    certified = certificate.label != ABSTAIN
    most = largest_radius(certificate.n, certificate.alpha, certificate.sigma)
    alone = certified_radius(certificate.p_lower, certificate.sigma)
    linf = linf_radius(certificate.radius, kept.image.numel())
    return {
        "label": certificate.label if certified else None,
        "class": names[certificate.label] if certified else None,
        "true_class": None if kept.label is None else names[kept.label],
        "radius": certificate.radius,
        "radius_text": floor_digits(certificate.radius, RADIUS_DIGITS),
        "linf_text": floor_digits(linf, RADIUS_DIGITS),
        "most_text": floor_digits(most, RADIUS_DIGITS),
        # Of the network that answers; what others and mixing leave of it is the radius.
        "voter_radius": alone,
        "voter_radius_text": floor_digits(alone, RADIUS_DIGITS),
        "p_lower": certificate.p_lower,
        "p_lower_text": as_proportion(certificate.p_lower),
        "candidate": certificate.candidate,
        "candidate_class": names[certificate.candidate],
        "votes": certificate.votes,
        "draws": certificate.draws,
        "n0": certificate.n0,
        "n": certificate.n,
        "alpha": as_stated(certificate.alpha),
        "sigma": sigma_text(certificate.sigma),
    }


def _nearest(counts: Sequence[int], candidate: int, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the two classes with the most votes beside the candidate, as JSON values."""
    ranked = sorted(range(len(counts)), key=lambda c: -counts[c])
    return [bar(counts, c, names) for c in ranked if c != candidate][:2]


def _command(asked: AskedCertificate, budget: Budget) -> str:
    """Return the command that gives the same certificate, of the file of the image."""
    return (
        f"rszoo certify --model {asked.model} {asked.image}.npy --n {budget.n} --n0 {budget.n0} "
        f"--alpha {as_stated(budget.alpha)} --seed {budget.seed}"
    )
