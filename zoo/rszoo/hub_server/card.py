"""What a repository says of itself: the front matter of README.md, and `.eval_results/*.yaml`.

Cards are other people's: what is not plain data is left out, so that one odd card can never spoil
the listing of all.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import yaml

from rszoo.hub_server.blobs import Blobs
from rszoo.hub_server.errors import HubError
from rszoo.hub_server.history import File, Tree
from rszoo.hub_server.names import check_repo_id

__all__ = ["MOST_VALUES", "Card", "card_of", "eval_results", "front_matter", "made_of", "tags"]

_README = "README.md"
_LARGEST = 1 << 20
_LONGEST_FRONT_MATTER = 1 << 17
MOST_VALUES = 20_000
_MOST_BITS = 63  # of an integer; readers of JSON know no larger ones


@dataclass(frozen=True)
class Card:
    """A card.

    Attributes:
        metadata: the front matter; empty where there is none, or none that can be read.
        text: the rest, Markdown.
    """

    metadata: dict[str, Any] = field(default_factory=dict)
    text: str = ""


class _Loader(yaml.SafeLoader):
    """YAML of few values, read no further than these, and without merge keys.

    With those a small text makes a very large value already here.
    """

    def __init__(self, stream: str, *, most: int) -> None:
        super().__init__(stream)
        self.most, self.budget = most, iter(range(most))

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if next(self.budget, None) is None:
            raise yaml.YAMLError(f"expected at most {self.most} values, got more")
        return super().compose_node(parent, index)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise yaml.YAMLError("a card holds no YAML merge key (<<); write the values out")


def card_of(tree: Tree, blobs: Blobs) -> Card:
    """Return the card of a state of a repository."""
    file = tree.get(_README)
    if file is None or file.size > _LARGEST:
        return Card()
    try:
        return _read_card(file.sha256, blobs)
    except OSError:  # its body was lost, which is no reason to list no other
        return Card()


@lru_cache(maxsize=4096)
def _read_card(sha256: str, blobs: Blobs) -> Card:
    content = blobs.read(sha256).decode("utf-8", "replace")
    try:
        metadata, text = front_matter(content)
    except ValueError:
        return Card(text=content)
    return Card(metadata, text)


def front_matter(content: str, *, most: int = MOST_VALUES) -> tuple[dict[str, Any], str]:
    """Return the metadata of a card and its text.

    Raises:
        ValueError: the metadata are not a YAML mapping, or of more values than `most`.
    """
    lines = content.lstrip("\ufeff").splitlines(keepends=True)
    if not lines or lines[0].rstrip() != "---":
        return {}, content
    ends = (number for number, line in enumerate(lines) if number and line.rstrip() == "---")
    end = next(ends, None)
    if end is None:
        return {}, content
    metadata = _parse("".join(lines[1:end]), most=most)
    if not isinstance(metadata, dict):
        raise ValueError(f"expected key: value lines between the two ---, got {metadata!r:.80}")
    return metadata, "".join(lines[end + 1 :])


def tags(metadata: dict[str, Any]) -> list[str]:
    """Return the tags of a card, with those that the Hub makes of other keys."""
    found = _texts(metadata.get("tags"))
    for key in ("library_name", "pipeline_tag"):
        found += _texts(metadata.get(key))
    for key, prefix in (("license", "license"), ("datasets", "dataset")):
        found += [f"{prefix}:{value}" for value in _texts(metadata.get(key))]
    return list(dict.fromkeys(found))


def made_of(metadata: dict[str, Any]) -> list[str]:
    """Return the repositories that a card names as what its model is made of."""
    return [name for name in _texts(metadata.get("base_model")) if _is_repo_id(name)]


def _is_repo_id(name: str) -> bool:
    try:
        return bool(check_repo_id(name))
    except HubError:
        return False


def eval_results(tree: Tree, blobs: Blobs) -> list[dict[str, Any]]:
    """Return the results in `.eval_results/*.yaml` that `huggingface_hub` can read."""
    return [
        entry
        for path, file in tree.items()
        if path.startswith(".eval_results/")
        and path.endswith((".yaml", ".yml"))
        and path.count("/") == 1
        for entry in _entries(file, blobs)
    ]


def _entries(file: File, blobs: Blobs) -> list[dict[str, Any]]:
    if file.size > _LONGEST_FRONT_MATTER:
        return []
    try:
        return list(_read_entries(file.sha256, blobs))
    except OSError:
        return []


@lru_cache(maxsize=4096)
def _read_entries(sha256: str, blobs: Blobs) -> tuple[dict[str, Any], ...]:
    try:
        entries = _parse(blobs.read(sha256).decode("utf-8", "replace"), most=MOST_VALUES)
    except ValueError:
        return ()
    return tuple(entry for entry in _list(entries) if _is_result(entry))


def _is_result(entry: object) -> bool:
    """Return whether the client can make a result of an entry; it would fail at others."""
    if not isinstance(entry, dict) or "value" not in entry:
        return False
    dataset, source = entry.get("dataset"), entry.get("source", {})
    return (
        isinstance(dataset, dict)
        and {"id", "task_id"} <= dataset.keys()
        and isinstance(source, dict)
        and ("url" in source or not source)
    )


def _parse(text: str, *, most: int) -> object:
    """Return plain data: what JSON can hold.

    Raises:
        ValueError: the text is not YAML of the accepted kind.
    """
    if len(text) > _LONGEST_FRONT_MATTER:
        raise ValueError(f"expected at most {_LONGEST_FRONT_MATTER} characters of YAML")
    try:
        value = _Loader(text, most=most).get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}: " if mark else ""
        raise ValueError(f"{line}{error.problem or error.context}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except Exception as error:  # PyYAML lets slip many kinds from odd dates, numbers and tags
        raise ValueError(f"not YAML: {' '.join(str(error).split())}") from None
    try:
        return _plain({} if value is None else value, iter(range(most)))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _plain(value: object, budget: Iterator[int]) -> object:
    """Return a value as JSON can hold it.

    Args:
        budget: one is taken for every part. Aliases are fine (`huggingface_hub` writes them), but
            through them a small text can stand for a value without end.
    """
    if next(budget, None) is None:
        raise ValueError("expected fewer values, got more through aliases")
    if isinstance(value, dict):
        return {str(_plain(key, budget)): _plain(item, budget) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_plain(item, budget) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        # In decimal, Python refuses to write more than 4300 digits, and needs their square.
        return str(value) if value.bit_length() < 1000 else hex(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return str(value).encode("utf-8", "replace").decode()


def _texts(value: object) -> list[str]:
    return [str(item) for item in _list(value) if isinstance(item, (str, int, float))]


def _list(value: object) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
