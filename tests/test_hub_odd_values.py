"""Odd values in requests to the hub: what is not understood is refused, and changes nothing."""

import pytest
from hub_wire import NAME, Wire

ODD = ["protected", "internal", "PRIVATE", "Public", "", None, True, 1, 0, ["private"], {}]


def is_private(wire: Wire, repo_id: str = NAME) -> bool:
    assert wire("GET", f"/api/models/{repo_id}").status in (200, 404)
    return wire("GET", f"/api/models/{repo_id}").status == 404


@pytest.mark.parametrize("private", [True, False])
def test_an_odd_setting_is_refused(wire: Wire, private: bool) -> None:
    settings = f"/api/models/{NAME}/settings"
    assert wire.write("PUT", settings, {"private": private}).status == 200
    odd = [{"visibility": value} for value in ODD]
    odd += [{"private": value} for value in ("true", "false", 1, 0, 1.0, None, "private", [])]
    odd += [{"gated": value} for value in ("AUTO", True, 0, 0.0, None, "false")]
    odd += [{"visibility": "public", "private": True}, {"gated": "auto", "visibility": "x"}]
    for body in odd:
        answer = wire.write("PUT", settings, body)
        assert (answer.status, body) == (400, body)
        assert answer.headers["X-Error-Message"].startswith("expected ")
        assert is_private(wire) == private
    assert wire.hub.api.model_info(NAME).gated is False


def test_settings_that_are_understood(wire: Wire) -> None:
    settings = f"/api/models/{NAME}/settings"
    for body, private in (
        ({"visibility": "private"}, True),
        ({"visibility": "public"}, False),
        ({"private": True}, True),
        ({"gated": "manual"}, True),
        ({"private": False}, False),
        ({"visibility": "private", "private": True}, True),
    ):
        assert wire.write("PUT", settings, body).status == 200
        assert is_private(wire) == private
    assert wire.hub.api.model_info(NAME).gated == "manual"


def test_nothing_is_created_for_odd_values(wire: Wire) -> None:
    whose = {"organization": "team", "name": "new"}
    odd = [whose | {"visibility": value} for value in ODD]
    odd += [whose | {"private": value} for value in ("true", 1, "private", None)]
    odd += [{}, {"organization": "team"}, {"name": None}, {"name": ""}, {"name": 3}]
    odd += [{"name": "new", "organization": ["team"]}, whose | {"type": 3}]
    for body in odd:
        assert (wire.write("POST", "/api/repos/create", body).status, body) == (400, body)
    assert [model.id for model in wire.hub.api.list_models()] == [NAME]
    for number, body in enumerate(({}, {"visibility": "public"}, {"private": False})):
        named = {"organization": "team", "name": f"open-{number}"}
        assert wire.write("POST", "/api/repos/create", named | body).status == 200
        assert not is_private(wire, f"team/open-{number}")
    for number, body in enumerate(({"visibility": "private"}, {"private": True})):
        named = {"organization": "team", "name": f"closed-{number}"}
        assert wire.write("POST", "/api/repos/create", named | body).json["private"] is True
        assert is_private(wire, f"team/closed-{number}")


def test_odd_commits_are_refused(wire: Wire) -> None:
    odd: list[dict[str, object]] = [
        {"path": "f", "content": "eA==", "encoding": "BASE64"},
        {"path": "f", "content": "x", "encoding": ["utf-8"]},
        {"path": "f", "content": {"text": "x"}},
        {"path": "f", "content": 3},
    ]
    for value in odd:
        assert (wire.commit(("file", value)).status, value) == (400, value)
    twice = wire.commit(("header", {"summary": "y"}), ("file", {"path": "f", "content": "x"}))
    assert twice.status == 400
    assert wire.hub.api.list_repo_files(NAME) == [".gitattributes"]
    assert wire.commit(("file", {"path": "f", "content": "x"})).status == 200


def test_a_branch_begins_at_a_revision_that_is_named(wire: Wire) -> None:
    branch = f"/api/models/{NAME}/branch/next"
    for start in (3, ["main"], {"a": 1}, True):
        assert wire.write("POST", branch, {"startingPoint": start}).status == 400
    assert wire.write("POST", branch, {"startingPoint": "none"}).status == 404
    assert wire.write("POST", branch, {"startingPoint": "main"}).status == 200
