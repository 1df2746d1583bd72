"""Protocols differ in options as users type them, with values that fit a line."""

import pytest

from rszoo.smoothing.differing import described, differing_values
from rszoo.smoothing.lattice import SCHEME_SUFFIX
from rszoo.smoothing.schemes import load

OF_DRAWS = {"kind": "fixed", "n0": 100, "n": 1000, "alpha": 0.001}
EXPERT = {"precision": "float32", "device": "cpu", "sigma": 0.25, "noise": "x"}


def lines(one: dict[str, object], other: dict[str, object]) -> list[str]:
    one, other = OF_DRAWS | one, OF_DRAWS | other
    keys = [key for key, *_ in differing_values(one, other)]
    return described(one, other, keys, first=" in the log", second=" now")


@pytest.mark.parametrize(
    ("mine", "its", "said"),
    [
        ({"n0": 50}, {}, "--n0: 50 in the log, 100 now"),
        ({"batch_size": 7}, {}, "--batch-size: 7 in the log, none now"),
        ({"fused": True}, {}, "--fused: yes in the log, no now"),
        ({"compiled": False}, {"compiled": True}, "--compile: no in the log, yes now"),
        ({"inputs": {"step": 3}}, {"inputs": {"step": 4}}, "--skip: 3 in the log, 4 now"),
        ({"attack": {"eps": 0.1}}, {"attack": {"eps": 0.2}}, "--eps: 0.1 in the log, 0.2 now"),
        ({"versions": {"torch": "2"}}, {}, "version of torch: 2 in the log, none now"),
        ({"model": {"id": "a"}}, {"model": {"id": "b"}}, "--model: a in the log, b now"),
        ({"of_tomorrow": 1}, {"of_tomorrow": 2}, "of_tomorrow: 1 in the log, 2 now"),
        (
            {"kind": "runner_up"},
            {},
            "--runner-up, --choose-bound: runner-up in the log, one-sided now",
        ),
    ],
)
def test_a_field_is_called_by_its_option(
    mine: dict[str, object], its: dict[str, object], said: str
) -> None:
    assert lines(mine, its) == [said]


def test_what_is_long_is_cut() -> None:
    digests = {"model": {"weights_sha256": "ab" * 32}}, {"model": {"weights_sha256": "cd" * 32}}
    assert lines(*digests) == ["weights of --model: abababababab in the log, cdcdcdcdcdcd now"]
    (said,) = lines({"model": {"id": "a" * 1000}}, {"model": {"id": "b" * 1000}})
    assert len(said) < 200


def early(radii: object, tolerance: float = 0.0) -> dict[str, object]:
    return {"kind": "early", "radii": radii, "tolerance": tolerance}


def test_radii_are_given_as_they_were_typed() -> None:
    given, grid = early([0.25, 0.5]), early([i / 40 for i in range(99)], 0.1)
    word = "--radii, --adaptive: "
    assert lines(given, {}) == [f"{word}0.25,0.5 in the log, none now"]
    assert lines(given, grid) == [f"{word}0.25,0.5 in the log, --adaptive --radius-tol 0.1 now"]
    finer = early([i / 80 for i in range(199)], 0.05)
    assert lines(grid, finer) == [
        f"{word}--adaptive --radius-tol 0.1 in the log, --adaptive --radius-tol 0.05 now"
    ]
    # A grid follows from n: what was asked for is the same.
    fewer = early([i / 40 for i in range(80)], 0.1)
    assert lines(grid, fewer | {"n": 500}) == ["--n: 1000 in the log, 500 now"]
    assert "common" in lines(grid, fewer)[0]  # never nothing at all


def test_of_long_lists_it_is_said_what_differs() -> None:
    usual = [i / 4 for i in range(20)]
    assert lines(early([*usual, 0.3]), early([*usual, 0.35, 9.0])) == [
        "--radii, --adaptive: 20 common ones and 0.3 in the log, 20 common ones and 0.35,9.0 now"
    ]
    assert lines(early(usual), early(usual[:8])) == [
        "--radii, --adaptive: 8 common ones and 2.0,2.25,2.5,2.75,...,4.75 (12 in all) in the "
        "log, 8 common ones now"
    ]


def test_experts_are_not_printed_as_a_list() -> None:
    two = {"experts": [EXPERT, EXPERT]}
    other = {"experts": [EXPERT, EXPERT | {"device": "cuda"}]}
    assert lines(two, other) == ["--device: cpu in the log, cuda now"]
    # That another model has a router besides, its name says.
    models: tuple[dict[str, object], ...] = ({"model": {"id": "a"}}, {"model": {"id": "b"}})
    assert lines(two | models[0], two | models[1] | {"router": EXPERT}) == [
        "--model: a in the log, b now"
    ]


def test_noise_is_named_as_by_its_option() -> None:
    of = {name: {"noise": load(name).name} for name in ("counter", "generator")}
    sound = {"noise": load("counter").name + SCHEME_SUFFIX}
    word = "--noise-scheme, --sound: "
    assert lines(of["counter"], of["generator"]) == [f"{word}counter in the log, generator now"]
    assert lines(of["counter"], sound) == [f"{word}counter in the log, counter with --sound now"]


@pytest.mark.parametrize("value", [[[1], {}], {"a": [[]]}, "x", 7, None, True, [], ["b"] * 10_000])
@pytest.mark.parametrize("key", ["radii", "tolerance", "noise", "experts", "inputs", "model"])
def test_any_json_is_described(key: str, value: object) -> None:
    for mine, its in (({key: value}, {key: [1]}), ({key: value}, {}), ({}, {key: value})):
        for line in lines(mine, its):
            assert len(line) < 300
