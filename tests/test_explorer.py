"""The explorer: its certificates are those of `certify`, and nothing before them is one."""

import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from explorer import SEED, client_of, events, opened
from PIL import Image
from starlette.testclient import TestClient
from torch import Tensor, nn
from typer.testing import CliRunner

import rszoo
from rszoo.certificates.base import Certificate
from rszoo.data import read_images
from rszoo.explorer.moving import bare_networks, random_point
from rszoo.explorer.session import Session, relatives
from rszoo.explorer.standing import Standing
from rszoo.explorer.watched import Told, Votes, watched
from rszoo.hub.catalog import find
from rszoo.hub.kinds.mixed import compose_mixed
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.mixing_weights import FixedWeight
from rszoo.smoothing.noise import Stream
from rszoo.theory import sequential
from rszoo.theory.bounds import clopper_pearson_interval
from rszoo.theory.rounding import floor_digits
from rszoo_cli import app

MODEL = "digits-gaussian-0.25"
BUDGET = {"n": 2500, "n0": 100, "alpha": 0.001}


@pytest.fixture(scope="module")
def session() -> Session:
    return opened(MODEL)


@pytest.fixture
def client(session: Session) -> Iterator[TestClient]:
    with client_of(session) as client:
        yield client


def certified(client: TestClient, **asked: Any) -> list[tuple[str, dict[str, Any]]]:
    answer = client.post("/certify", json={"model": f"builtin/{MODEL}", **BUDGET, **asked})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    return events(answer.text)


@pytest.mark.parametrize(
    "model", [MODEL, "digits-cascade-0.50", "digits-dual-0.50", "digits-insta_rs-0.50"]
)
def test_a_certificate_is_that_of_certify(model: str) -> None:
    session = opened(model)
    classifier = rszoo.load(f"builtin/{model}")
    with client_of(session) as client:
        for place in (3, 48):
            kept = client.get(f"/tests/{place}").json()
            *before, (last, values) = certified(client, model=f"builtin/{model}", image=kept["id"])
            assert (last, {name for name, _ in before}) == ("certificate", {"votes"})
            right = classifier.certify(session.pictures[kept["id"]].image, seed=SEED, **BUDGET)
            assert isinstance(right, Certificate)
            for name in ("radius", "p_lower", "votes", "draws", "candidate"):
                assert values[name] == getattr(right, name), name
            assert values["radius_text"] == floor_digits(right.radius, 4)
            assert values["class"] == right.class_name
            assert values["true_class"] == kept["true_class"]
            assert bool(values["why"]) == (right.details is not None)


def test_a_mix(tmp_path: Path) -> None:
    parts = {"standard": "digits-standard-0.00", "robust": MODEL}
    bundles = {role: find(f"builtin/{name}") for role, name in parts.items()}
    bundle = compose_mixed(tmp_path / "mix", weight=FixedWeight(0.8), **bundles)
    session = Session(bundle, seed=SEED)
    with client_of(session) as client:
        kept = client.get("/tests/3").json()
        *_, (_, values) = certified(client, model=bundle.id, image=kept["id"])
        asked = asked_point(model=bundle.id, image=kept["id"], way="smoothed", distance=0.2)
        ((_, moved),) = events(client.post("/move", json=asked).text)
    image = session.pictures[kept["id"]].image
    right = rszoo.load(bundle.path).certify(image, seed=SEED, **BUDGET)
    assert (values["radius"], values["votes"]) == (right.radius, right.votes)
    assert values["voter_radius"] > values["radius"]
    assert values["why"][0].startswith("The smoothed network weighs 0.8 of 1")
    assert [one["name"] for one in moved["bare"]] == ["standard network", "network"]


def test_the_command_gives_the_same(client: TestClient, tmp_path: Path) -> None:
    kept = client.get("/tests/7").json()
    _, values = certified(client, image=kept["id"])[-1]
    name = f"{kept['id']}.npy"
    (tmp_path / name).write_bytes(client.get(f"/images/{name}").content)
    command = values["command"].replace(name, str(tmp_path / name)).split()
    result = CliRunner().invoke(app, [*command[1:], "--json"])
    assert result.exit_code == 0, result.output
    assert f'"radius": {values["radius"]}' in result.stdout
    assert f'"votes": {values["votes"]}' in result.stdout


def test_votes_as_they_arrive(client: TestClient) -> None:
    kept = client.get("/tests/3").json()
    answer = certified(client, image=kept["id"], n=9500)
    shown = [values for name, values in answer if name == "votes"]
    assert shown[0]["selects"]
    assert sum(one["votes"] for one in shown[0]["bars"]) == 100
    arrived = shown[1:]
    assert [one["draws"] for one in arrived] == [*range(1000, 10_000, 1000), 9500]
    for one in arrived:
        assert sum(bar["votes"] for bar in one["bars"]) == one["draws"]
        low, high = one["interval"]
        share = next(bar for bar in one["bars"] if bar["name"] == one["candidate"])["share"]
        assert low < share <= high
    # It tightens, and stays below the certificate, which spends alpha once.
    lows = [one["interval"][0] for one in arrived]
    assert lows[0] < lows[-1] < answer[-1][1]["p_lower"]
    assert arrived[-1]["radius"] < answer[-1][1]["radius"]


class Sizes(nn.Module):
    """A network that notes how large its batches are."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.layer = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

    def forward(self, x: Tensor) -> Tensor:
        self.sizes.append(len(x))
        return self.layer(x)


@pytest.mark.parametrize("batch_size", [125, 300, 1000])
@pytest.mark.parametrize("n", [70, 1234, 3000])
def test_a_network_that_is_watched_sees_the_same_batches(batch_size: int, n: int) -> None:
    torch.manual_seed(0)
    network, x = Sizes(), torch.rand(1, 8, 8)
    made = {"sigma": 0.5, "num_classes": 10, "input_shape": (1, 8, 8), "device": "cpu"}
    told = Told(votes=lambda votes: None, draws=lambda draws: None)
    found = []
    for watch in (False, True):
        classifier = SmoothedClassifier(network, batch_size=batch_size, **made)  # type: ignore[arg-type]
        network.sizes.clear()
        one = watched(classifier, told) if watch else classifier
        found.append((one.certify(x, n=n, seed=1), [*network.sizes]))
    assert found[0] == found[1]


def test_the_interval_holds_at_all_looks_together() -> None:
    """With alpha at each look by itself, which is the mistake, it does not."""
    p, n, alpha, trials = 0.7, 2000, 0.2, 200
    looks = sequential.looks(n).tolist()
    voters = {"network": (SimpleNamespace(applied_sigma=0.5), Stream.ESTIMATION)}
    classifier = cast(Any, SimpleNamespace(voters=voters))
    draws = np.random.default_rng(1).random((trials, n)) < p
    failed = naive = 0
    for one in draws:
        standing = Standing(classifier, ("a", "b"), n=n, alpha=alpha)
        about = {"voter": "network", "looks": len(looks)}
        chosen = Votes(stream=Stream.SELECTION, counts=[1, 0], draws=1, **about)  # type: ignore[arg-type]
        standing.values(chosen)
        outside = wrong = False
        for look, votes in zip(looks, np.cumsum(one)[np.array(looks) - 1].tolist(), strict=True):
            counts = [votes, look - votes]
            arrived = Votes(stream=Stream.ESTIMATION, counts=counts, draws=look, **about)  # type: ignore[arg-type]
            low, high = standing.values(arrived)["interval"]
            outside |= not low <= p <= high
            low, high = clopper_pearson_interval(votes, look, alpha)
            wrong |= not low <= p <= high
        failed, naive = failed + outside, naive + wrong
    assert failed / trials <= alpha
    assert naive / trials > alpha + 0.1


def test_the_same_seed_whoever_asks(client: TestClient) -> None:
    kept = client.get("/tests/1").json()
    assert certified(client, image=kept["id"]) == certified(client, image=kept["id"])


def test_relatives_differ_in_their_noise() -> None:
    assert [one.id for one in relatives(find("builtin/digits-cat_rs-0.50"))] == [
        f"builtin/digits-cat_rs-{sigma}" for sigma in ("0.25", "0.50", "1.00")
    ]
    assert [one.id for one in relatives(find("builtin/digits-cascade-0.50"))] == [
        "builtin/digits-cascade-0.50"
    ]


def test_the_model_and_its_noise(client: TestClient) -> None:
    said = client.get("/model").json()
    assert said["tests"] == 360
    assert [one["noise"] for one in said["models"]] == ["0.25", "0.5", "1"]
    assert client.get("/voters").json() == [{"name": "network", "sigma": "0.25"}]
    other = client.get("/voters", params={"model": "builtin/digits-gaussian-1.00"}).json()
    assert other == [{"name": "network", "sigma": "1"}]
    answer = client.get("/voters", params={"model": "builtin/digits-cat_rs-1.00"})
    assert answer.status_code == 400
    assert "expected a model of builtin/digits-gaussian-0.25" in answer.json()["error"]


def test_what_certifies_nothing_is_not_explored() -> None:
    with pytest.raises(rszoo.RszooError, match="expected a smoothed bundle, got a standard one"):
        opened("digits-standard-0.00")


def test_the_image_under_noise(client: TestClient) -> None:
    kept = client.get("/tests/3").json()
    shown = client.get(f"/images/{kept['id']}.png")
    picture = np.array(Image.open(io.BytesIO(shown.content)))
    image = np.load(io.BytesIO(client.get(f"/images/{kept['id']}.npy").content))
    assert np.abs(picture / 255 - image[0]).max() <= 0.5 / 255
    noisy = [
        client.get(f"/images/{kept['id']}/noisy.png", params={"model": f"builtin/{model}"})
        for model in (MODEL, "digits-gaussian-1.00")
    ]
    rows = [Image.open(io.BytesIO(one.content)) for one in noisy]
    assert [row.size for row in rows] == [(8 * 8 + 7, 8)] * 2
    spread = [np.abs(np.array(row)[:, :8, 0] / 255 - image[0]).mean() for row in rows]
    assert 0 < spread[0] < spread[1]


def asked_point(**asked: Any) -> dict[str, Any]:
    return {"model": f"builtin/{MODEL}", "label": 7, "voter": "network", **asked}


@pytest.mark.parametrize("way", ["random", "network", "smoothed"])
def test_a_moved_image(client: TestClient, session: Session, way: str) -> None:
    kept = client.get("/tests/48").json()
    asked = asked_point(image=kept["id"], way=way, distance=0.54)
    ((name, values),) = events(client.post("/move", json=asked).text)
    assert name == "moved"
    x = session.pictures[kept["id"]].image
    point = session.pictures[values["image"]].image
    assert values["distance"] == float((point.double() - x.double()).norm())
    assert 0.539 < values["distance"] <= 0.54
    assert 0.0 <= float(point.min()) <= float(point.max()) <= 1.0
    classifier = session.classifier(f"builtin/{MODEL}")
    right = classifier.predict(point, n=1000, alpha=0.001, seed=SEED)
    assert values["label"] == right.label == 7
    (bare,) = values["bare"]
    answers = [int(bare_networks(classifier)["network"](one[None]).argmax()) for one in (x, point)]
    assert bare["class"] == str(answers[1])
    # Closer than the radius of 0.55 attacks mislead it, and a random direction does not.
    assert bare["holds"] is (answers[0] == answers[1])
    assert bare["holds"] is (way == "random")


def test_a_moved_image_of_several_experts() -> None:
    session = opened("digits-dual-0.50")
    with client_of(session) as client:
        kept = client.get("/tests/3").json()
        for way in ("network", "smoothed"):
            asked = asked_point(model=session.bundle.id, image=kept["id"], way=way, distance=0.3)
            ((name, values),) = events(
                client.post("/move", json=asked | {"voter": "expert 1"}).text
            )
            assert name == "moved"
            assert [one["name"] for one in values["bare"]] == ["expert 0", "expert 1"]


def test_a_random_point_is_as_far_as_asked() -> None:
    x = torch.zeros(1, 8, 8)
    x[0, 0, 0] = 1.0
    for distance in (0.01, 1.0, 3.0):
        point = random_point(x, distance, seed=1)
        assert float((point - x).double().norm()) == pytest.approx(distance, rel=1e-5)
        assert 0.0 <= float(point.min()) <= float(point.max()) <= 1.0
    assert not torch.equal(random_point(x, 1.0, seed=1), random_point(x, 1.0, seed=2))
    far = random_point(x, 100.0, seed=1)  # there is no room for so much
    assert float((far - x).norm()) <= 8.0
    assert {*far.flatten().tolist()} <= {0.0, 1.0}


def test_why_a_cascade_and_a_dual_model_answer() -> None:
    texts = {}
    for model in ("digits-cascade-0.50", "digits-dual-0.50"):
        with client_of(opened(model)) as client:
            kept = client.get("/tests/3").json()
            answer = certified(client, model=f"builtin/{model}", image=kept["id"])
            texts[model] = answer[-1][1]
    cascade, dual = texts.values()
    assert cascade["voter"] == "expert 1"
    assert cascade["why"][1:] == [
        f"Expert 1 of 2 (counted from 0) answers this class within {cascade['radius_text']}.",
        "It is asked first, so that the others do not matter.",
        f"The smallest of these radii is the model's: {cascade['radius_text']}.",
    ]
    assert "whom the router asks does not matter" in dual["why"][0]
    assert dual["why"][2].startswith(
        "Expert 1 (sigma 0.5) certainly answers the same class within"
    )
    assert dual["why"][-1].endswith(f"the model's: {dual['radius_text']}.")


def png(picture: Image.Image, **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, options.pop("format", "PNG"), **options)
    return stream.getvalue()


GREY = Image.fromarray((np.arange(64, dtype=np.uint8) * 4).reshape(8, 8))


def test_an_upload_is_read_as_certify_reads_it(
    client: TestClient, session: Session, tmp_path: Path
) -> None:
    large = Image.fromarray(np.random.default_rng(0).integers(0, 255, (30, 20, 3), np.uint8))
    for picture, notes in ((GREY, 0), (large, 2)):
        body = png(picture)
        (tmp_path / "x.png").write_bytes(body)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ((_, right),) = read_images([tmp_path / "x.png"], shape=(1, 8, 8), resize=True)
        kept = client.post("/images", params={"name": "mine.png"}, content=body).json()
        assert torch.equal(session.pictures[kept["id"]].image, right)
        assert kept["name"] == "mine.png"
        assert len(kept["notes"]) == notes
    assert kept["notes"] == [
        "read in grey, as the model takes one channel; its colours are lost",
        "scaled from 20 x 30 to 8 x 8, which changes its proportions; crop it first to keep them",
    ]
    square = client.post("/images", params={"name": "a.png"}, content=png(large.resize((9, 9))))
    assert square.json()["notes"][1:] == ["scaled from 9 x 9 to 8 x 8"]


FRAMES = [GREY, GREY.rotate(90)]
BAD = [
    (b"", "cannot be read as an image"),
    (b"GIF89a" + bytes(20), "cannot be read as an image"),
    (png(GREY)[:50], "cannot be read as an image"),
    (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n", "cannot be read as an image"),
    (png(Image.new("RGBA", (8, 8), (0, 0, 0, 9))), "expected an opaque image"),
    (png(Image.fromarray(np.zeros((8, 8), np.uint16))), "expected 8 bits per channel"),
    (png(GREY, format="GIF", save_all=True, append_images=FRAMES), "expected one picture, got"),
    (png(Image.new("1", (8000, 8000))), "expected at most 33,554,432 pixels"),
]


@pytest.mark.parametrize(("body", "message"), BAD)
def test_a_bad_upload(client: TestClient, body: bytes, message: str) -> None:
    answer = client.post("/images", params={"name": "bad.png"}, content=body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("bad.png: ")
    assert message in answer.json()["error"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"n": 0}, "n: Input should be greater than or equal to 1"),
        ({"n": 10**9}, "n: Input should be less than or equal to 1000000"),
        ({"n": "100"}, "n: Input should be a valid integer"),
        ({"alpha": 0.0}, "alpha: Input should be greater than"),
        ({"alpha": 1.0}, "alpha: Input should be less than"),
        ({"n0": 0}, "n0: Input should be greater"),
        ({"more": 1}, "more: Extra inputs"),
    ],
)
def test_a_budget_out_of_range(client: TestClient, asked: dict[str, Any], message: str) -> None:
    body = {"model": f"builtin/{MODEL}", "image": "x", **BUDGET, **asked}
    answer = client.post("/certify", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(message)


def test_what_is_not_there_is_said_in_the_stream(client: TestClient) -> None:
    kept = client.get("/tests/3").json()
    assert certified(client, image="0" * 32) == [
        ("failed", {"error": f"no image {'0' * 32!r} here any more; choose it again"})
    ]
    ((name, values),) = certified(client, image=kept["id"], model="../../etc")
    assert name == "failed"
    assert "expected a model of" in values["error"]
    asked = asked_point(image=kept["id"], way="smoothed", distance=0.5, label=10)
    ((name, values),) = events(client.post("/move", json=asked).text)
    assert (name, values["error"]) == ("failed", "expected a class below 10, got 10")
    assert client.get("/tests/360").status_code == 400
    assert client.get("/images/0.png").status_code == 400
