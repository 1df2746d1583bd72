"""The exceptions of rszoo: one root, few children, each carrying its data as attributes.

RszooError
├── RecipeError     a recipe or an override that cannot be used (.problems)
├── DataError       a data set or an input that cannot be read
├── HubError        a hub that cannot be reached, or refuses
└── IntegrityError  a bundle whose content is not what its manifest says (.path)
"""

import difflib
from collections.abc import Iterable, Sequence

__all__ = [
    "DataError",
    "HubError",
    "IntegrityError",
    "RecipeError",
    "RszooError",
    "did_you_mean",
    "listed",
    "unknown_name",
]


class RszooError(Exception):
    """Root of every error that rszoo raises on purpose; its text is meant for the user."""


class DataError(RszooError):
    """A data set or an input cannot be read, or has the wrong shape."""


class HubError(RszooError):
    """A hub cannot be reached, does not have what is asked for, or refuses it."""


class RecipeError(RszooError):
    """A recipe, or an override of one, cannot be used.

    Attributes:
        problems: one line per problem, each beginning with the path of the key.
    """

    def __init__(self, problems: Sequence[str], *, source: str | None = None) -> None:
        self.problems = list(problems)
        self.source = source
        head = f"{source}: " if source else ""
        if len(self.problems) > 1:
            head = f"{head.rstrip()}\n  "
        super().__init__(head + "\n  ".join(self.problems))


class IntegrityError(RszooError):
    """A file of a bundle is missing, extra, truncated or changed.

    Attributes:
        path: the file, as named in the manifest.
        expected: what the manifest says (a digest, a size, "absent", ...).
        actual: what was found.
    """

    def __init__(self, path: str, *, expected: str, actual: str, hint: str) -> None:
        self.path = path
        self.expected = expected
        self.actual = actual
        super().__init__(f"{path}: expected {expected}, got {actual}; {hint}")


#: Names that a message lists.
_MOST_NAMES = 20
#: Entries of a list that are written, where it has more than one besides.
_MOST_WRITTEN = 5


def unknown_name(kind: str, name: object, known: Iterable[str]) -> RszooError:
    """Return the error for a name that no registry knows, with the nearest ones suggested.

    Of many known names only the three that are nearest are listed.
    """
    known = sorted(known)
    if len(known) > _MOST_NAMES:
        near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.0)
        return RszooError(f"unknown {kind} {name!r}; expected one of {len(known)}, such as {near}")
    return RszooError(
        f"unknown {kind} {name!r}{did_you_mean(name, known)}; expected one of {known}"
    )


def listed(names: Iterable[str]) -> str:
    """Return names with commas between them, of many the first and the last.

    >>> listed(["0.25", "0.5"]), listed(map(str, range(43)))
    ('0.25, 0.5', '0, 1, 2, 3, ..., 42 (43 in all)')
    """
    all_names = list(names)
    if len(all_names) <= _MOST_WRITTEN + 1:
        return ", ".join(all_names)
    first, last = all_names[: _MOST_WRITTEN - 1], all_names[-1]
    return f"{', '.join(first)}, ..., {last} ({len(all_names)} in all)"


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return a question after the nearest of the known names; nothing when none is near.

    >>> did_you_mean("gausian", ["gaussian", "macer"])
    " (did you mean 'gaussian'?)"
    """
    near = difflib.get_close_matches(str(name), sorted(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
