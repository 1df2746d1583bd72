"""Where a source tree writes numbers with a format of its own, which rounds to the nearest.

A place is an expression of one of these forms, outside the module that rounds claims:

    f"{share:.1%}", f"{acr:.3f}"     a format that cuts a number short: %, e, f
    f"{sigma:g}"                     g as well, of what certificates speak of
    "{:.1f}".format(x), "%.1f" % x   the same in older dress
    format(x, ".1f"), round(x, 3)    and as calls
    value.quantize(...)              rounding of a decimal
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["ROOM", "rounded_places"]

#: Below the folder of packages: where claims are rounded.
ROOM = "rszoo/theory/rounding.py"
#: What knows nothing of models, and has no claims to write.
_WITHOUT_CLAIMS = ("rszoo/_", "rszoo/data/", "rszoo/networks/")

_CUTS = re.compile(r"[%efEF]$")
_CUTS_SETTINGS = re.compile(r"[gG]$")
_SETTING = re.compile(r"acr|accura|alpha|level|noise|radi|share|sigma|^[npqr]$", re.IGNORECASE)
_OLD = re.compile(r"\{[^{}]*:[^{}]*[%efgEFG]\}|%[-+ 0#]*\d*(\.\d+)?[efgEFG]")


def rounded_places(*packages: Path) -> list[str]:
    """Return the places outside the room, as `package/file.py: expression`, sorted."""
    return sorted(
        f"{name}: {ast.unparse(place)}"
        for package in packages
        for path in package.rglob("*.py")
        if (name := str(path.relative_to(package.parent))) != ROOM
        and not name.startswith(_WITHOUT_CLAIMS)
        for place in _places(ast.parse(path.read_text(encoding="utf-8")))
    )


def _places(tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        match node:
            case ast.FormattedValue(value=value, format_spec=ast.JoinedStr() as spec):
                if _cuts(spec.values[-1], value):
                    yield value
            case ast.Call(func=ast.Attribute(attr="quantize")):
                yield node
            case ast.Call(func=ast.Attribute(value=ast.Constant(value=str(text)), attr="format")):
                if _OLD.search(text):
                    yield node
            case ast.BinOp(left=ast.Constant(value=str(text)), op=ast.Mod()):
                if _OLD.search(text):
                    yield node
            case ast.Call(func=ast.Name(id="format" | "round"), args=[_, _]):
                yield node


def _cuts(form: ast.expr, value: ast.expr) -> bool:
    """Return whether a format cuts a value short."""
    if not isinstance(form, ast.Constant):
        return True
    text = str(form.value)
    named = _SETTING.search(ast.unparse(value)) is not None
    return bool(_CUTS.search(text) or (named and _CUTS_SETTINGS.search(text)))
