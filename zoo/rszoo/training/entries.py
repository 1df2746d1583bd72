"""Entries of the leaderboard: of bundles, folders of them, logs, and the models on a hub."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from rszoo._each import attempted
from rszoo._yaml import parse_yaml
from rszoo.errors import RecipeError, RszooError
from rszoo.evaluation.leaderboard.attacked import AttackedEntry
from rszoo.evaluation.leaderboard.entry import Entry, entry_of_log
from rszoo.evaluation.log import printable, read_log
from rszoo.hub.attack_logs import attacks_of, has_attacks
from rszoo.hub.bundle import Bundle
from rszoo.hub.catalog import builtin_bundles, bundles_in, find
from rszoo.hub.evidence import evidence_of
from rszoo.hub.files import MANIFEST
from rszoo.hub.ids import HubId
from rszoo.training.recipes.file import is_published
from rszoo.training.recipes.recipe import PUBLISHED, Recipe

__all__ = [
    "Found",
    "entries_at",
    "entry_of_attacks",
    "entry_of_bundle",
    "hub_entries",
    "usual_entries",
]

#: A name, and what there is of it: an entry, one of attacks, or what is wrong with it.
Found = tuple[str, Entry | AttackedEntry | RszooError]


def usual_entries(runs: Path) -> Iterator[Found]:
    """Yield the bundles that come with rszoo, and those in the runs folder if there is one.

    Yields:
        The id or path, and the entry or what is wrong with it. A bundle that is not certified
        has none, but may have one of attacks.
    """
    for name, bundle in builtin_bundles():
        yield from _of_bundle(name, bundle)
    for path, bundle in bundles_in(runs):
        yield from _of_bundle(str(path), bundle)


def entries_at(paths: Sequence[str]) -> Iterator[Found]:
    """Yield the entries of bundles, of folders with bundles or logs in them, and of logs.

    Args:
        paths: ids or paths of bundles, folders, files. What is given twice counts once.

    Yields:
        See `usual_entries`.

    Raises:
        RszooError: what is named itself, rather than found in a folder, has no entry.
    """
    seen: set[str] = set()
    for path in paths:
        found = list(_at(path))
        yield from (one for one in found if one[0] not in seen)
        seen.update(name for name, _ in found)


def hub_entries(*, author: str | None = None, search: str | None = None) -> Iterator[Found]:
    """Yield the entries of the models of rszoo on the hub; their weights are not fetched.

    Args:
        author: user or organisation.
        search: part of the id.

    Yields:
        See `usual_entries`.

    Raises:
        HubError: the hub cannot be reached.
    """
    from rszoo.hub.listing import listed
    from rszoo.hub.pull import pull_record

    for one in listed(author=author, search=search):
        name = printable(one.id)
        at = HubId.parse(f"{one.id}@{one.commit}")
        bundle = attempted(lambda at=at: pull_record(at), expected="a bundle")
        yield from _of_bundle(name, bundle)


def entry_of_bundle(name: str, bundle: Bundle) -> Entry:
    """Return the entry of a certified bundle.

    Raises:
        RszooError: it is not certified, or its log cannot be used.
    """
    log = evidence_of(bundle)
    config, record = bundle.config, bundle.manifest.origin.training
    return entry_of_log(
        log,
        model=name,
        method=config.method,
        network=config.summary,
        profile=_profile(bundle),
        seconds=record.seconds,
        hardware=record.where,
        owner=_owner(name),
    )


def entry_of_attacks(name: str, bundle: Bundle) -> AttackedEntry:
    """Return the entry of a bundle with logs of attacks, apart from that of its certificates.

    Raises:
        DataError: one of the logs cannot be used.
    """
    config = bundle.config
    return AttackedEntry(
        model=printable(name),
        method=printable(config.method),
        network=printable(config.summary),
        profile=None if (profile := _profile(bundle)) is None else printable(profile),
        sigma=config.noise,
        results=tuple(attacks_of(bundle)),
    )


def _at(path: str) -> Iterator[Found]:
    folder = Path(path)
    if folder.is_file():
        yield path, _of_log(folder)
    elif folder.is_dir() and not (folder / MANIFEST).exists():
        yield from _in_folder(folder)
    else:
        bundle = find(path)
        if bundle.evidence is not None or not has_attacks(bundle):
            yield path, entry_of_bundle(path, bundle)
        if has_attacks(bundle):
            yield path, entry_of_attacks(path, bundle)


def _in_folder(folder: Path) -> Iterator[Found]:
    found = list(bundles_in(folder))
    logs = sorted(path for path in folder.glob("*.tsv") if path.is_file())
    if not found and not logs:
        raise RszooError(
            f"expected bundles or logs (.tsv) in {str(folder)!r}, got none; "
            "rszoo ls lists the bundles there are"
        )
    for path, bundle in found:
        yield from _of_bundle(str(path), bundle)
    for path in logs:
        yield str(path), attempted(lambda path=path: _of_log(path), expected="a log")


def _of_log(path: Path) -> Entry:
    return entry_of_log(read_log(path), model=str(path))


def _of_bundle(name: str, bundle: Bundle | RszooError) -> Iterator[Found]:
    if isinstance(bundle, RszooError):
        yield name, bundle
        return
    if bundle.evidence is not None:
        found = attempted(lambda: entry_of_bundle(name, bundle), expected="a log of certificates")
        yield name, found
    if has_attacks(bundle):
        yield name, attempted(lambda: entry_of_attacks(name, bundle), expected="logs of attacks")


def _owner(name: str) -> str:
    """Return whose a bundle is by its id; "" for one that lies here."""
    return "" if Path(name).exists() else name.partition("/")[0]


def _profile(bundle: Bundle) -> str | None:
    """Return the profile of a bundle's recipe; None where there is none of rszoo's.

    Whoever wrote the recipe may call it published: it is said to be so only if its values are.
    """
    try:
        text = bundle.recipe.read_text(encoding="utf-8")
        values = parse_yaml(text)
    except (OSError, ValueError):
        return None
    profile = values.get("profile") if isinstance(values, dict) else None
    if not isinstance(profile, str):
        return None
    if PUBLISHED not in profile.casefold() or _is_published(text, bundle):
        return profile
    return f"called {profile} by its author"


def _is_published(text: str, bundle: Bundle) -> bool:
    """Return whether a recipe is the bundle's, and is what it calls itself: published."""
    try:
        recipe = Recipe.from_yaml(text)
    except RecipeError:
        return False
    config = bundle.config
    told = (recipe.method, recipe.dataset, recipe.sigma)
    return (
        recipe.profile == PUBLISHED
        and told == (config.method, config.dataset, config.noise)
        and is_published(recipe)
    )
