"""YAML text to values: what is read, what is refused and with which words."""

import pytest

from rszoo._yaml import parse_yaml, to_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-1", 0.1),
        ("1E5", 100000.0),
        ("-2.5e-3", -0.0025),
        (".5", 0.5),
        ("7", 7),
        ("-7", -7),
        ("010", "010"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("true", True),
        ("yes", "yes"),
        ("null", None),
        ("", None),
        (".nan", ".nan"),
        ("2023-01-01", "2023-01-01"),
        ("'1'", "1"),
        ("[1, 2.0, a]", [1, 2.0, "a"]),
        ("{a: {b: 1}}", {"a": {"b": 1}}),
        ("{<<: 1}", {"<<": 1}),
    ],
)
def test_values_are_read_as_in_yaml_1_2(text: str, value: object) -> None:
    read = parse_yaml(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2", "line 4: key 'c' was given before, in line 3; keep one"),
        ("a: &x 1", "line 1: a recipe holds no YAML anchor; write the value out"),
        ("a: 1\nb: *x", "line 2: a recipe holds no YAML alias; write the value out"),
        (
            "a: !!python/object/apply:os.getcwd []",
            "line 1: a recipe holds no YAML tag; write the value out",
        ),
        ("? [a]\n: 1", "line 1: while constructing a mapping, found unhashable key"),
        (
            "a: 1\n---\nb: 1",
            "line 2: expected a single document in the stream, but found another document",
        ),
        (
            "a: [1",
            "line 1: while parsing a flow sequence, expected ',' or ']', but got '<stream end>'",
        ),
        ("[" * 5000, "nested too deeply"),
        ("a: " + "1" * 5000, "expected numbers of at most 4300 digits"),
        ("a" * 2**21, "expected at most 1048576 characters, got 2097152"),
        (
            "\0",
            "not YAML: unacceptable character #x0000: special characters are not allowed in "
            '"<unicode string>", position 0',
        ),
    ],
)
def test_text_outside_the_accepted_kind_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  (the whole message is compared)
        parse_yaml(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "values",
    [
        {"b": 1, "a": [1.5, 1e-9, 1e22, True, None]},
        {"text": ["yes", "1e5", "1", "null", "~", "a: b", "", " x ", "é"]},
    ],
)
def test_values_survive_the_round_trip(values: dict[str, object]) -> None:
    assert parse_yaml(to_yaml(values)) == values
    assert list(values) == list(parse_yaml(to_yaml(values)))  # type: ignore[call-overload]


def test_equal_parts_are_written_out() -> None:
    part = {"x": 1}
    assert to_yaml({"a": part, "b": part}) == "a:\n  x: 1\nb:\n  x: 1\n"
