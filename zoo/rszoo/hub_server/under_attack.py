"""What the logs of attacks in a repository give, as tables apart from those of certificates.

They are read as `rszoo.hub_server.evidence` reads certificates, and do not depend on these.
"""

from dataclasses import dataclass
from functools import lru_cache
from html import escape

from rszoo.evaluation.under_attack import MEANING, Attacked, UnderAttack
from rszoo.hub.attack_logs import attacks_of
from rszoo.hub.bundle import Bundle
from rszoo.hub.files import CONFIG, MANIFEST, RECIPE, is_of_attack
from rszoo.hub_server.blobs import Blobs
from rszoo.hub_server.evidence import read_in_bundle
from rszoo.hub_server.history import Tree
from rszoo.theory.rounding import as_interval, as_share, as_share_at_most

__all__ = ["Attacks", "attacks_html", "attacks_in"]

_LARGEST = 1 << 25  # bytes of all that is read
_HEADS = ("inputs", "answered rightly, %", "still under attack, at most %", "95 %", "how")


@dataclass(frozen=True, kw_only=True)
class Attacks:
    """What the logs of attacks of a model say.

    Attributes:
        found: what each says.
        problem: why logs that are there cannot be used.
    """

    found: tuple[UnderAttack, ...] = ()
    problem: str | None = None


def attacks_in(tree: Tree, blobs: Blobs) -> Attacks:
    """Return what the logs of attacks in a state of a repository say."""
    logs = [name for name in tree if is_of_attack(name)]
    if not logs or MANIFEST not in tree:
        return Attacks()
    names = [name for name in (MANIFEST, CONFIG, RECIPE, *logs) if name in tree]
    if sum(tree[name].size for name in names) > _LARGEST:
        return Attacks(problem=f"they are larger than {_LARGEST >> 20} MiB")
    digests = tuple((name, file.sha256) for name, file in sorted(tree.items()))
    try:
        return _read(digests, tuple(names), blobs)
    except OSError:
        return Attacks(problem="they cannot be read")


@lru_cache(maxsize=4096)
def _read(digests: tuple[tuple[str, str], ...], names: tuple[str, ...], blobs: Blobs) -> Attacks:
    found = read_in_bundle(dict(digests), names, blobs, _of_bundle, expected="logs of attacks")
    return Attacks(problem=found) if isinstance(found, str) else found


def _of_bundle(bundle: Bundle) -> Attacks:
    return Attacks(found=tuple(attacks_of(bundle)))


def attacks_html(attacks: Attacks) -> str:
    """Return the section on attacks, every text escaped; empty without a log of one."""
    problem = ""
    if attacks.problem is not None:
        problem = f"<p>Its logs of attacks are not used: {escape(attacks.problem)}.</p>"
    if not attacks.found:
        return problem
    tables = "".join(
        f"<h3>{escape(str(one))}: {escape(str(one.about))}</h3>{_table(one, attacks.found)}"
        for one in dict.fromkeys(one.attacked for one in attacks.found)
    )
    return f'<h2>Under attack</h2>{problem}<p class="faint">{escape(MEANING)}</p>{tables}'


def _table(attacked: Attacked, found: tuple[UnderAttack, ...]) -> str:
    heads = "".join(f'<th scope="col">{escape(head)}</th>' for head in _HEADS)
    lines = "".join(_line(one) for one in found if one.attacked == attacked)
    return (
        f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table>'
        "</div>"
    )


def _line(one: UnderAttack) -> str:
    cells = (
        one.coverage.fraction,
        as_share(one.clean),
        as_share_at_most(one.accuracy),
        as_interval(one.interval),
        one.how or "-",
    )
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
