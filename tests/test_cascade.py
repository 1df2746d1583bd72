"""Experts that are asked in turn: certificates against closed forms, logs, bundles."""

import json
import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import torch
from click.testing import Result
from hub_server import RunningHub
from huggingface_hub import ModelCard
from quick_votes import QuickClassifier, check_votes
from scipy.stats import binom, norm
from torch import Tensor, nn
from typer.testing import CliRunner

import rszoo
from rszoo import data
from rszoo.certificates.base import ABSTAIN, Certificate, Prediction
from rszoo.certificates.experts import Experts, Reach
from rszoo.certificates.kinds import protocol_of
from rszoo.certificates.kinds.fixed import KIND as FIXED
from rszoo.errors import DataError, RszooError
from rszoo.evaluation.certify import certify_inputs
from rszoo.evaluation.inputs import Input
from rszoo.evaluation.log import CertificationLog, protocol_path, read_log
from rszoo.evaluation.verify import recertify
from rszoo.hub.bundle import open_bundle
from rszoo.hub.catalog import find
from rszoo.hub.classifiers import classifier_of
from rszoo.hub.config import Expert
from rszoo.hub.kinds.cascade import compose_cascade
from rszoo.hub.origin import Origin
from rszoo.hub.writing import write_bundle
from rszoo.smoothing import cascade as module
from rszoo.smoothing.cascade import CascadeClassifier
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.dual import DualClassifier
from rszoo.smoothing.execution import Execution
from rszoo.smoothing.interface import Budget
from rszoo.smoothing.noise import Stream
from rszoo_cli import app

ALPHA = 0.05
TRIALS = 1000
# More wrong statements than this come with probability 1e-4 if each is so with ALPHA.
TOO_MANY = int(binom.isf(1e-4, TRIALS, ALPHA))
BUDGET: dict[str, Any] = {"n0": 100, "n": 1000, "alpha": 0.001, "seed": 0}
DIGITS = [f"builtin/digits-gaussian-{sigma}" for sigma in ("0.25", "0.50", "1.00")]


class Steps(nn.Module):
    """Answers the class between two of the borders that the first coordinate lies in."""

    def __init__(self, borders: Sequence[float], classes: Sequence[int]) -> None:
        super().__init__()
        self.borders, self.classes = torch.tensor(borders), torch.tensor(classes)

    def forward(self, x: Tensor) -> Tensor:
        passed = (x[:, :1] >= self.borders).sum(1)
        return nn.functional.one_hot(self.classes[passed], 3).float()


def steps(sigma: float, borders: Sequence[float], classes: Sequence[int]) -> SmoothedClassifier:
    return QuickClassifier(Steps(borders, classes), sigma=sigma, num_classes=3, device="cpu")


def undecided(low: float, high: float) -> SmoothedClassifier:
    """Class 0 below `low`, 2 above `high`, and between them 1, which never has half of the noise.

    More than half of it is on 0 exactly below `low`, and on 2 exactly above `high`.
    """
    assert 2 * norm.cdf((high - low) / 2) - 1 < 0.5
    return steps(1.0, [low, high], [0, 1, 2])


def cascade(low: float, high: float, *below: SmoothedClassifier) -> CascadeClassifier:
    return CascadeClassifier([*below, undecided(low, high)])


def half_space(border: float, inside: int = 1, outside: int = 0) -> SmoothedClassifier:
    return steps(0.5, [border], [inside, outside])


def certify(classifier: CascadeClassifier, **options: Any) -> Certificate:
    certificate = classifier.certify(torch.zeros(2), **{"n0": 20, "n": 1000, **options})
    assert isinstance(certificate, Certificate)
    return certificate


# The classifier, its answer at 0, and how far from there it is exactly kept.
CASES = {
    "the first is undecided so far": (cascade(-0.29999, 0.4, half_space(9.0)), 1, 0.29999),
    "up to where it is sure of another class": (cascade(-0.5, 0.2, half_space(9.0)), 1, 0.2),
    "the last changes its mind": (cascade(-0.6, 0.6, half_space(0.35)), 1, 0.35),
    "the first is sure, and passes then": (cascade(0.3, 0.8, half_space(9.0)), 0, 0.3),
    "it passes then to one that agrees": (cascade(0.3, 0.5, half_space(9.0, 0)), 0, 0.5),
    "it is barely sure": (cascade(1e-9, 0.8, half_space(-9.0, 0, 1)), 0, 0.0),
    "it barely passes": (cascade(-1e-9, 0.8, half_space(9.0)), 1, 0.0),
    "three": (
        CascadeClassifier([half_space(9.0), undecided(-0.6, 0.5), undecided(-0.45, 0.7)]),
        1,
        0.45,
    ),
    "the first and the second are sure": (
        CascadeClassifier([half_space(9.0), undecided(0.4, 1.0), undecided(-0.9, -0.3)]),
        2,
        0.3,
    ),
    "the one in the middle is sure": (
        CascadeClassifier([half_space(9.0), undecided(0.3, 0.8), undecided(-0.2, 0.7)]),
        0,
        0.3,
    ),
}


def test_these_classifiers_vote_as_usual() -> None:
    for classifier, _, _ in CASES.values():
        for expert in classifier.experts:
            check_votes(expert, torch.zeros(2))


def wrong(name: str, *, alpha: float, trials: int = TRIALS) -> int:
    """Return how many of the trials certify more than is true."""
    classifier, answer, exact = CASES[name]
    found = [certify(classifier, n=500, alpha=alpha, seed=seed) for seed in range(trials)]
    return sum(one.label not in (answer, ABSTAIN) or one.radius > exact for one in found)


@pytest.mark.parametrize("name", CASES)
def test_the_failure_rate(name: str) -> None:
    assert wrong(name, alpha=ALPHA) <= TOO_MANY


@pytest.mark.parametrize(
    "name", ["the last changes its mind", "the first is sure, and passes then"]
)
def test_the_failure_rate_would_show_four_times_the_alpha(name: str) -> None:
    assert wrong(name, alpha=4 * ALPHA, trials=300) > int(binom.isf(1e-4, 300, ALPHA))


def test_experts_that_are_not_asked_are_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "no_other", lambda candidate, votes: sum(votes))
    for name in ("the first is undecided so far", "it barely passes", "three"):
        assert wrong(name, alpha=ALPHA, trials=100) > 50


def test_radii_come_near_to_the_exact_ones() -> None:
    for name, least in (
        ("the first is undecided so far", 0.19),  # on the grid, one step given up at most
        ("the last changes its mind", 0.32),
        ("it passes then to one that agrees", 0.39),
    ):
        classifier, answer, exact = CASES[name]
        found = certify(classifier, n0=100, n=50_000)
        assert found.label == answer
        assert least < found.radius <= exact


def test_what_a_certificate_rests_on() -> None:
    classifier, _, _ = CASES["three"]
    found = certify(classifier, **BUDGET)
    assert isinstance(found.details, Experts)
    assert (found.details.experts, found.details.expert_level, found.sigma) == (3, 0, 0.5)
    assert [one.level for one in found.details.others] == [1, 2]
    assert found.details.expert_radius > 1.0
    assert found.radius == min(one.radius for one in found.details.others) > 0.0
    alone = classifier.experts[0].certify(torch.zeros(2), **BUDGET)
    assert isinstance(alone, Certificate)
    assert (found.votes, found.details.expert_radius) == (alone.votes, alone.radius)


def test_an_expert_that_is_sure_needs_nobody_else() -> None:
    found = certify(cascade(2.0, 2.5, half_space(0.1)), n=10_000)
    assert isinstance(found.details, Experts)
    assert (found.label, found.details.expert_level, found.details.others) == (0, 1, ())
    assert found.radius == found.details.expert_radius > 1.8


def test_an_answer_may_be_certain_and_no_radius(tmp_path: Path) -> None:
    classifier = cascade(-0.08, 0.8, half_space(9.0))
    found = [certify(classifier, n=500, alpha=0.1, seed=seed) for seed in range(200)]
    certain = [i for i, one in enumerate(found) if one.label == 1 and one.radius == 0.0]
    assert certain
    logged(tmp_path / "a.tsv", classifier, n=500, n0=20, alpha=0.1, seed=certain[0])
    assert read_log(tmp_path / "a.tsv").certificate(0) == found[certain[0]]


def test_one_that_cannot_have_another_class_needs_few_draws() -> None:
    sure = steps(1.0, [9.0], [1, 0])
    unsure = steps(1.0, [-0.6, 0.6], [0, 1, 2])
    found = certify(CascadeClassifier([sure, unsure]), n=100_000)
    assert isinstance(found.details, Experts)
    (other,) = found.details.others
    assert other.spent < 20_000


def exact_answer(classifier: CascadeClassifier, at: float) -> int:
    for expert in classifier.experts[::-1]:
        network = expert.network
        assert isinstance(network, Steps)
        edges = [-math.inf, *network.borders.tolist(), math.inf]
        share = [0.0] * 3
        for i, c in enumerate(network.classes.tolist()):
            inside = norm.cdf((edges[i + 1] - at) / expert.sigma)
            share[c] += inside - norm.cdf((edges[i] - at) / expert.sigma)
        if max(share) > 0.5 or expert is classifier.experts[0]:
            return share.index(max(share))
    raise AssertionError


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("at", [0.0, -0.01, 0.31])
def test_the_failure_rate_of_predictions(name: str, at: float) -> None:
    classifier, _, _ = CASES[name]
    right = exact_answer(classifier, at)
    x = torch.tensor([at, 0.0])

    def given(alpha: float, trials: int) -> list[int]:
        found = [classifier.predict(x, n=300, alpha=alpha, seed=seed) for seed in range(trials)]
        return [one.label for one in found if isinstance(one, Prediction)]

    assert sum(label not in (right, ABSTAIN) for label in given(ALPHA, 300)) <= int(
        binom.isf(1e-4, 300, ALPHA)
    )


def test_predictions_far_from_every_border() -> None:
    for name, (classifier, answer, exact) in CASES.items():
        if exact > 0.2:
            found = classifier.predict(torch.zeros(2), n=5000)
            assert isinstance(found, Prediction)
            assert (found.label, found.alpha) == (answer, 0.001), name


def test_predictions_would_be_wrong_without_their_share_of_alpha(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    classifier, answer, _ = CASES["it barely passes"]
    monkeypatch.setattr(module, "clopper_pearson_interval", lambda k, n, alpha: (k / n, k / n))
    found = [classifier.predict(torch.zeros(2), n=300, seed=seed) for seed in range(100)]
    assert sum(one.label not in (answer, ABSTAIN) for one in found) > 20  # type: ignore[union-attr]


def test_selection_and_estimation_use_different_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    classifier, _, _ = CASES["three"]
    used: list[list[Stream]] = [[], [], []]
    for level, expert in enumerate(classifier.experts):

        def spy(
            *args: Any,
            stream: Stream,
            streams: list[Stream] = used[level],
            running: Callable[..., Any] = expert.running,
            **options: Any,
        ) -> Any:  # noqa: ANN401
            streams.append(stream)
            return running(*args, stream=stream, **options)

        monkeypatch.setattr(expert, "running", spy)
    certify(classifier, **BUDGET)
    assert used == [[Stream.SELECTION, Stream.ESTIMATION]] * 3


def test_a_batch_is_its_inputs_one_by_one() -> None:
    classifier, _, _ = CASES["three"]
    x = torch.tensor([[0.0, 0.0], [0.1, 0.0], [-1.0, 0.3]])
    assert classifier.certify_batch(x, **BUDGET) == [
        classifier.certify(one, **BUDGET) for one in x
    ]


def test_bad_parts_and_options() -> None:
    two = SmoothedClassifier(Steps([0.0], [0, 1]), sigma=0.5, num_classes=2, device="cpu")
    with pytest.raises(ValueError, match="expected experts alike"):
        CascadeClassifier([half_space(0.0), two])
    sound = SmoothedClassifier(
        Steps([0.0], [0, 1, 2]), sigma=0.5, num_classes=3, device="cpu", sound=True
    )
    for parts in ([half_space(0.0), sound], [sound, half_space(0.0)]):
        with pytest.raises(ValueError, match=r"parts that are all sound, or none, got sound=\["):
            CascadeClassifier(parts)
    with pytest.raises(ValueError, match="expected no n_max with a CascadeClassifier"):
        CASES["three"][0].certify(torch.zeros(2), n_max=200_000)


# --- logs


def logged(path: Path, classifier: CascadeClassifier, **options: Any) -> None:
    inputs, budget = [Input(0, 1, lambda: torch.zeros(2))], BUDGET | options
    with CertificationLog.open(
        path, protocol_of({**classifier.protocol_entries, **budget}), resume=False
    ) as log:
        list(certify_inputs(classifier, inputs, Budget(**budget), log=log))


def test_a_log_gives_the_certificates_back(tmp_path: Path) -> None:
    classifier, _, _ = CASES["three"]
    logged(tmp_path / "a.tsv", classifier)
    found = read_log(tmp_path / "a.tsv").certificate(0)
    assert found == certify(classifier, **BUDGET)
    assert type(found.details) is Experts
    assert isinstance(found.details.others[0], Reach)


@pytest.mark.parametrize(
    ("column", "change", "expected"),
    [
        ("radius", lambda text: repr(2 * float(text)), "radius="),
        ("radius", lambda text: "1.0", "radius="),
        ("others", lambda text: "", "radius=0.0"),
        ("others", lambda text: text.partition(";")[0], "radius=0.0"),
        ("others", lambda text: text.replace(":0.", ":1."), "radius=0.0"),
        ("others", lambda text: text.replace("2:", "3:"), "radius=0.0"),
        ("expert_level", lambda text: "2", "radius=0.0"),
        ("expert_level", lambda text: "3", "levels from the lowest to the highest"),
        ("experts", lambda text: "1", "radius=0.0"),
        ("expert_radius", lambda text: "9.0", "expert_radius="),
        ("votes", lambda text: "1001", "votes <= n"),
        ("sigma", lambda text: "5.0", "p_lower|expert_radius"),
    ],
)
def test_a_row_that_claims_more_than_its_votes_give(
    tmp_path: Path, column: str, change: Callable[[str], str], expected: str
) -> None:
    path = tmp_path / "a.tsv"
    logged(path, CASES["three"][0])
    header, row = path.read_text().splitlines()
    values = dict(zip(header.split("\t"), row.split("\t"), strict=True))
    assert change(values[column]) != values[column]
    values[column] = change(values[column])
    path.write_text(header + "\n" + "\t".join(values.values()) + "\n")
    with pytest.raises(DataError, match="line 2: expected"):
        read_log(path)
    protocol_path(path).unlink()
    with pytest.raises(DataError, match=expected):  # by the votes alone
        read_log(path)


def test_a_row_that_says_that_another_expert_was_sure(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    logged(path, CASES["three"][0])
    header, row = path.read_text().splitlines()
    values = dict(zip(header.split("\t"), row.split("\t"), strict=True))
    values |= {"expert_level": "2", "others": "", "radius": values["expert_radius"]}
    path.write_text(header + "\n" + "\t".join(values.values()) + "\n")
    with pytest.raises(DataError, match=r"expected sigma=1\.0 by its protocol, got 0\.5"):
        read_log(path)


@pytest.mark.parametrize("protocol", [{}, {"sigma": None}, {"sigma": 0.5, "radii": [0.25]}])
def test_a_log_without_the_columns_of_its_protocol(
    tmp_path: Path, protocol: dict[str, Any]
) -> None:
    path = tmp_path / "a.tsv"
    logged(path, CASES["three"][0])
    header, row = path.read_text().splitlines()
    values = dict(zip(header.split("\t"), row.split("\t"), strict=True))
    values["radius"] = values["expert_radius"]
    plain = {name: values[name] for name in FIXED.names}  # what one network's votes would certify
    path.write_text("\t".join(plain) + "\n" + "\t".join(plain.values()) + "\n")
    if protocol:
        protocol_path(path).write_text(json.dumps(BUDGET | protocol))
    with pytest.raises(DataError, match=r"expected the (columns .* by its protocol|protocol of)"):
        read_log(path)


def test_verify_puts_every_expert_to_the_test(tmp_path: Path) -> None:
    inputs = [Input(0, 1, lambda: torch.zeros(2))]
    logged(tmp_path / "a.tsv", CASES["three"][0])
    table = read_log(tmp_path / "a.tsv")

    def agrees(classifier: CascadeClassifier | DualClassifier) -> bool:
        (found,) = recertify(classifier, table, inputs, draws=2000, level=0.001, seed=1)
        return found.agrees

    first, second, third = CASES["three"][0].experts
    assert agrees(CascadeClassifier([first, second, third]))
    assert not agrees(CascadeClassifier([half_space(0.0), second, third]))
    assert not agrees(CascadeClassifier([first, undecided(0.0, 0.6), third]))  # of class 0
    assert not agrees(CascadeClassifier([first, second, undecided(-0.6, -0.1)]))  # or of class 2
    with pytest.raises(DataError, match="expected a log of this kind of model"):
        agrees(CascadeClassifier([first, third]))
    router = steps(1.0, [-9.0, 9.0], [0, 1, 2])
    with pytest.raises(DataError, match="expected a log of this kind of model"):
        agrees(DualClassifier([first, second, third], router))


def test_verify_asks_nothing_of_the_experts_that_an_abstention_rests_on(tmp_path: Path) -> None:
    classifier = cascade(0.3, 0.8, half_space(9.0))
    for seed in range(100):
        given = certify(classifier, n0=5, alpha=0.001, seed=seed)
        assert given.details is not None
        if given.label == ABSTAIN and given.details.others:  # an expert that is sure of another
            break
    else:
        raise AssertionError
    logged(tmp_path / "a.tsv", classifier, n0=5, seed=seed)
    inputs = [Input(0, 1, lambda: torch.zeros(2))]
    table = read_log(tmp_path / "a.tsv")
    (found,) = recertify(classifier, table, inputs, draws=5000, level=0.001, seed=1)
    assert found.agrees


# --- bundles


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_the_command_line_from_parts_to_a_checked_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    experts = [f"--expert={name}" for name in reversed(DIGITS)]
    made = run("compose", "cascade", *experts, "--out", "cascade")
    assert made.exit_code == 0, made.stderr
    assert made.stdout == "cascade\n"
    assert made.stderr == "next: rszoo certify --model cascade\n"
    with pytest.raises(RszooError, match="cascade exists; choose another --out, or --overwrite"):
        run("compose", "cascade", *experts, "--out", "cascade")
    config = json.loads(Path("cascade/config.json").read_text())
    assert config["kind"] == config["method"] == "cascade"
    assert [part["id"] for part in config["experts"]] == DIGITS  # by their noise
    options = ["--n", "1000", "--limit", "6", "--device", "cpu"]
    done = run("certify", "-m", "cascade", *options, "--out", "a.tsv", "--attach", "--json")
    assert done.exit_code == 0, done.stderr
    log = read_log("a.tsv")
    assert log.details
    model = rszoo.load("cascade", device="cpu")
    assert isinstance(model, CascadeClassifier)
    x = data.load("digits", "test").images(torch.from_numpy(log.idx))
    assert [log.certificate(row) for row in range(6)] == model.certify_batch(x, n=1000)
    verified = run("verify", "cascade", "--n", "1000", "--device", "cpu")
    assert verified.exit_code == 0, verified.output
    lineage = run("show", "cascade", "--lineage")
    assert lineage.stdout.count("expert") == 3
    crew = run("certify", "-m", "cascade", *options[:-1], "cpu,cpu", "--out", "crew.tsv")
    assert crew.exit_code == 0, crew.stderr
    assert read_log("crew.tsv").radius.tolist() == log.radius.tolist()


def test_it_is_published_with_its_certificates(
    hub: RunningHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    compose_cascade(tmp_path / "cascade", experts=[find(name) for name in DIGITS[:2]])
    options = ["--n", "1000", "--limit", "4", "--device", "cpu", "--attach"]
    assert run("certify", "-m", "cascade", *options).exit_code == 0
    pushed = run("push", "cascade", "org/cascade")
    assert pushed.exit_code == 0, pushed.output
    listed = json.loads(run("ls", "--hub", "--json").stdout)
    assert [(row["id"], row["sigma"], row["n"]) for row in listed] == [("org/cascade", None, 1000)]
    verified = run("verify", "org/cascade", "--n", "500", "--device", "cpu")
    assert verified.exit_code == 0, verified.output
    for path in ("/", "/org/cascade"):
        assert "cascade" in urlopen(hub.url + path).read().decode()

    own = [shutil.copytree(find(name).path, tmp_path / Path(name).name) for name in DIGITS[:2]]
    compose_cascade(tmp_path / "whole", experts=[open_bundle(path) for path in own])
    done = run("push", "whole", "org/whole", "--with-parts", "--uncertified")
    assert done.exit_code == 0, done.output
    made_of = ["org/digits-gaussian-0.25", "org/digits-gaussian-0.50"]
    card = hub.api.hf_hub_download("org/whole", "README.md")
    assert ModelCard.load(card).data.base_model == made_of
    page = urlopen(f"{hub.url}/org/whole").read().decode()
    assert all(f'<a href="/{name}">{name}</a>' in page for name in made_of)


def test_one_network_at_several_noise_levels(tmp_path: Path) -> None:
    bundle = compose_cascade(tmp_path / "cascade", experts=[find(DIGITS[1])], sigmas=[0.75, 0.25])
    assert open_bundle(bundle.path).config.parts[0].text == f"{DIGITS[1]} at sigma 0.25"
    model = classifier_of(bundle, Execution(device="cpu"))
    assert isinstance(model, CascadeClassifier)
    assert [one.sigma for one in model.experts] == [0.25, 0.75]
    for sigmas in ([0.25], [0.25, 0.25], [0.25, math.nan], [-1.0, 0.5], [1e-46, 0.5]):
        with pytest.raises(RszooError, match=r"expected one expert for|expected noise levels"):
            compose_cascade(tmp_path / "other", experts=[find(DIGITS[1])], sigmas=sigmas)
    assert not (tmp_path / "other").exists()


def test_a_bundle_of_somebody_elses_making(tmp_path: Path) -> None:
    made = compose_cascade(tmp_path / "cascade", experts=[find(name) for name in DIGITS[:2]])
    router = find("builtin/digits-dual_rs-0.50")
    parts = list(made.config.parts)
    strange = Expert(id=router.id, digest=router.weights_digest)
    config = made.config.model_copy(update={"experts": (parts[0], strange)})
    other = write_bundle(tmp_path / "other", config=config, origin=Origin())
    with pytest.raises(RszooError, match="as an expert, got one of kind 'router'"):
        classifier_of(other, Execution(device="cpu"))


def test_parts_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(RszooError, match="expected each expert once"):
        compose_cascade(tmp_path / "cascade", experts=[find(DIGITS[0]), find(DIGITS[0])])
    with pytest.raises(RszooError, match="expected at least two experts, got 1"):
        compose_cascade(tmp_path / "cascade", experts=[find(DIGITS[0])])
    with pytest.raises(RszooError, match="as an expert, got one of kind 'standard'"):
        compose_cascade(
            tmp_path / "cascade", experts=[find(DIGITS[0]), find("builtin/digits-standard-0.00")]
        )
