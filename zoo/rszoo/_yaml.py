"""The only place where YAML text becomes values, and values become YAML text.

The accepted YAML is small on purpose: one document, numbers and booleans as in YAML 1.2 (so that
`1e-1` is a number and `yes` is not a boolean), no duplicate keys, no anchors, aliases or tags.
"""

import re
from collections.abc import Hashable, Mapping
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node

__all__ = ["parse_yaml", "to_yaml"]

_LONGEST = 2**20

_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)$")
_FLOAT = re.compile(
    r"[-+]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)$"
)
_BOOL = re.compile(r"(?:true|True|TRUE|false|False|FALSE)$")
_NULL = re.compile(r"(?:~|null|Null|NULL|)$")


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML's own mechanism)

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        event = self.peek_event()  # pyright: ignore[reportAttributeAccessIssue]
        for what in ("anchor", "tag"):
            if getattr(event, what, None) is not None:
                kind = "alias" if isinstance(event, yaml.AliasEvent) else what
                message = f"a recipe holds no YAML {kind}; write the value out"
                raise yaml.MarkedYAMLError(problem=message, problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        lines: dict[object, int] = {}
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                continue  # the base class reports it
            line = key_node.start_mark.line + 1
            if key in lines:
                message = f"key {key!r} was given before, in line {lines[key]}; keep one"
                raise yaml.MarkedYAMLError(problem=message, problem_mark=key_node.start_mark)
            lines[key] = line
        return super().construct_mapping(node, deep=deep)


for _tag, _pattern, _first in (
    ("bool", _BOOL, list("tTfF")),
    ("int", _INT, list("-+0123456789")),
    ("float", _FLOAT, list("-+0123456789.")),
    ("null", _NULL, ["~", "n", "N", ""]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _pattern, _first)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


# Besides what YAML 1.1 takes for a number, text that `_Loader` takes for one must be quoted too.
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))


def parse_yaml(text: str) -> object:
    """Return the value of a YAML text; an empty text is None.

    Raises:
        ValueError: the text is not YAML of the accepted kind; the message names the line where
            it can.

    >>> parse_yaml("{lr: 1e-1, nesterov: no}")
    {'lr': 0.1, 'nesterov': 'no'}
    """
    if len(text) > _LONGEST:
        raise ValueError(f"expected at most {_LONGEST} characters, got {len(text)}")
    try:
        return yaml.load(text, Loader=_Loader)  # derived from SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}: " if mark else ""
        parts = [part for part in (error.context, error.problem) if part]
        raise ValueError(line + ", ".join(parts)) from None
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML: {' '.join(str(error).split())}") from None
    except ValueError:  # Python's own limit for int()
        raise ValueError("expected numbers of at most 4300 digits") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def to_yaml(values: Mapping[str, object]) -> str:
    """Return the values as YAML text, which `parse_yaml` turns back into equal values."""
    return yaml.dump(dict(values), Dumper=_Dumper, sort_keys=False, allow_unicode=True)
