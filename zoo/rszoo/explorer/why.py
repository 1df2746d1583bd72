"""Which part of a model gave a certificate, and what the others leave of its radius, in words."""

from functools import singledispatch

from rszoo.certificates.base import ABSTAIN, Certificate, Details
from rszoo.certificates.experts import Experts, Reach
from rszoo.certificates.kinds.dual import Routing
from rszoo.certificates.kinds.mixed import Mixing
from rszoo.explorer.standing import RADIUS_DIGITS, sigma_text
from rszoo.theory.rounding import as_stated, floor_digits

__all__ = ["why"]


def why(certificate: Certificate) -> list[str]:
    """Return sentences on the parts that a certificate rests on; none where it is one network."""
    return _why(certificate.details, certificate)


@singledispatch
def _why(details: Details | None, certificate: Certificate) -> list[str]:
    return []


@_why.register
def _of_mix(details: Mixing, certificate: Certificate) -> list[str]:
    return [
        f"The smoothed network weighs {as_stated(details.alpha_mix)} of 1: where it is sure "
        "enough, nothing that the standard network says outvotes it."
    ]


@_why.register
def _of_cascade(details: Experts, certificate: Certificate) -> list[str]:
    said = [
        "Experts are asked from the noisiest on, until one has a class with more than half.",
        _answering(details, certificate),
        *(_reach(one, "has more than half on no other class") for one in details.others),
    ]
    if details.expert_level == details.experts - 1:
        said.append("It is asked first, so that the others do not matter.")
    return [*said, _smallest(details, certificate)]


@_why.register
def _of_dual(details: Routing, certificate: Certificate) -> list[str]:
    if details.highest_level - details.lowest_level + 1 == details.experts:
        said = ["All experts are asked for the same class: whom the router asks does not matter."]
    else:
        said = [_router(details)]
    said.append(_answering(details, certificate))
    said += [_reach(one, "answers the same class") for one in details.others]
    return [*said, _smallest(details, certificate)]


def _router(details: Routing) -> str:
    lowest, highest = details.lowest_level, details.highest_level
    named = f"expert {lowest}" if lowest == highest else f"experts {lowest} to {highest}"
    if not details.router_spent:
        return f"The router seems to ask {named}; that was not tested, as an expert is not sure."
    router = Reach(
        level=details.experts,
        sigma=details.router_sigma,
        radius=details.router_radius,
        votes=details.router_votes,
        draws=details.router_draws,
        spent=details.router_spent,
    )
    return _tested(router, "The router", f"asks {named} and no other")


def _answering(details: Experts, certificate: Certificate) -> str:
    named = f"Expert {details.expert_level} of {details.experts} (counted from 0)"
    if certificate.p_lower < 0.5:
        return f"{named} seems to answer, and is not sure enough of any class."
    return f"{named} answers this class within {_text(details.expert_radius)}."


def _reach(one: Reach, does: str) -> str:
    return _tested(one, f"Expert {one.level}", does)


def _tested(one: Reach, who: str, does: str) -> str:
    """Return what a sequential test has decided of a part."""
    named = f"{who} (sigma {sigma_text(one.sigma)})"
    if not one.draws:
        return f"{named} may do otherwise: {one.spent:,} draws do not show that it {does}."
    return (
        f"{named} certainly {does} within {_text(one.radius)}, which {one.draws:,} draws decided."
    )


def _smallest(details: Experts, certificate: Certificate) -> str:
    if certificate.label == ABSTAIN:
        return "Not all of these parts are sure enough at the image itself: the model abstains."
    return f"The smallest of these radii is the model's: {_text(certificate.radius)}."


def _text(radius: float) -> str:
    return floor_digits(radius, RADIUS_DIGITS)
