"""Off-policy estimates against worlds whose truth is known by counting."""

import itertools
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from experiment_world import AFTER, STARTS, click, request, write_world
from rich.console import Console
from typer.testing import CliRunner

from feature_repo.core.errors import NotMeasurable, SettingsRefused
from feature_repo.dataset.received import RECEIVED_SCHEMA
from feature_repo.dataset.request_log_schema import REQUEST_LOG_SCHEMA
from monitoring.experiments.impressions import impressions
from monitoring.experiments.offpolicy.click_model import PRIOR, fit
from monitoring.experiments.offpolicy.command import offpolicy
from monitoring.experiments.offpolicy.estimators import (
    TAKEN_FOR_GRANTED,
    Logged,
    effective_requests,
    estimate,
    sum_by_user,
)
from monitoring.experiments.offpolicy.job import Question, evaluate_target, screen
from monitoring.experiments.offpolicy.judge import judge_target, served
from monitoring.experiments.offpolicy.support import OffPolicyPolicy, unsupported
from monitoring.experiments.offpolicy.target import TARGET, against

Array = np.ndarray[Any, Any]

HOUR = timedelta(hours=1)
# Two places that each show item 0 or 1: how likely, by whom, and how often each is clicked.
LOGGING, WANTED = np.array([[0.7, 0.3], [0.6, 0.4]]), np.array([[0.2, 0.8], [0.5, 0.5]])
CLICK = np.array([[0.1, 0.4], [0.3, 0.2]])


def expectation(name: str, clicks_of: Any) -> tuple[float, float]:
    """The estimator's expectation under LOGGING, by counting every slate, and the truth under WANTED."""
    slates = list(itertools.product((0, 1), repeat=2))
    chance = [LOGGING[0, one] * LOGGING[1, two] for one, two in slates]
    truth = sum(WANTED[0, one] * WANTED[1, two] * clicks_of(one, two).sum() for one, two in slates)
    weights = np.array([[WANTED[p, i] / LOGGING[p, i] for p, i in enumerate(slate)] for slate in slates])
    clicks = np.array([clicks_of(*slate) for slate in slates])
    copies = np.round(np.array(chance) * 100).astype(int)
    rows = np.repeat(np.arange(4), copies)
    # A model that is wrong, the same for what was shown and what is wanted.
    model = np.array([[0.5, 0.1], [0.2, 0.9]])
    shown = np.array([[model[p, i] for p, i in enumerate(slate)] for slate in slates])[rows]
    expected = np.broadcast_to((WANTED * model).sum(axis=1), shown.shape)
    logged = Logged(weights[rows], clicks[rows], np.arange(len(rows)), shown, expected)
    return float(estimate(name, logged).estimate.value), float(truth)


def additive(one: int, two: int) -> Array:
    return np.array([CLICK[0, one], CLICK[1, two]])


def cascading(one: int, two: int) -> Array:
    """The second place is clicked less under an attractive first one."""
    return np.array([CLICK[0, one], CLICK[1, two] * (1 - CLICK[0, one])])


def upside_down(one: int, two: int) -> Array:
    """The first place is clicked less above an attractive second one."""
    return np.array([CLICK[0, one] * (1 - CLICK[1, two]), CLICK[1, two]])


@pytest.mark.parametrize("name", [name for name in TAKEN_FOR_GRANTED if name != "clipped"])
def test_where_clicks_add_up_over_places_every_estimator_is_right(name: str) -> None:
    found, truth = expectation(name, additive)

    assert found == pytest.approx(truth)


@pytest.mark.parametrize(
    ("name", "right_below", "right_above"),
    [
        ("ips", True, True),
        ("snips", True, True),
        ("doubly robust", True, True),
        ("reward interaction", True, False),
        ("position", False, False),
    ],
)
def test_where_places_disturb_each_other_an_estimator_is_as_right_as_what_it_takes_for_granted(
    name: str, right_below: bool, right_above: bool
) -> None:
    for world, right in ((cascading, right_below), (upside_down, right_above)):
        found, truth = expectation(name, world)

        assert (found == pytest.approx(truth)) is right


def test_clipping_biases_low_and_only_above_its_cap() -> None:
    weights, rewards = np.array([[20.0], [1.0]]), np.array([[1.0], [1.0]])
    logged = Logged(weights, rewards, np.arange(2), np.zeros((2, 1)), np.zeros((2, 1)))

    assert estimate("clipped", logged).estimate.value == (10 + 1) / 2


def test_kishs_effective_number_by_hand() -> None:
    assert effective_requests(np.array([1.0, 1.0, 2.0])) == pytest.approx(16 / 6)
    assert effective_requests(np.zeros(3)) == 0.0


def test_an_unknown_estimator_raises() -> None:
    with pytest.raises(KeyError, match="luck"):
        estimate("luck", Logged(*[np.ones((2, 1))] * 2, np.arange(2), *[np.ones((2, 1))] * 2))


def test_sums_by_user_whatever_their_order() -> None:
    assert sum_by_user(np.array([1.0, 2.0, 4.0]), np.array([1, 0, 1])).tolist() == [2.0, 5.0]


def test_the_variance_is_of_users_and_not_of_requests() -> None:
    """The same request logged for one user five times tells what one tells."""
    rng = np.random.default_rng(1)
    weights, rewards = rng.uniform(0.5, 1.5, (50, 1)), rng.integers(0, 2, (50, 1)).astype(float)
    once = Logged(weights, rewards, np.arange(50), np.zeros((50, 1)), np.zeros((50, 1)))
    five = Logged(*(np.repeat(of, 5, axis=0) for of in (weights, rewards, np.arange(50), once.shown, once.expected)))

    for name in TAKEN_FOR_GRANTED:
        one, many = (estimate(name, of).estimate for of in (once, five))
        assert [*map(float, (many.value, many.variance))] == pytest.approx([float(one.value), float(one.variance)])


def test_a_click_model_is_place_times_item_drawn_towards_the_place() -> None:
    item, place = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])

    model = fit(item, place, np.array([1.0, 0.0, 1.0, 0.0]), items=3, places=2)

    assert model.place_rate.tolist() == [1.0, 0.0]
    assert model.factor == pytest.approx([(1 + PRIOR) / (1 + PRIOR)] * 2 + [1.0])
    assert model.predict(np.array([2]), np.array([0])) == [1.0]


def logged_world(*, requests: int = 4_000, seed: int = 2) -> tuple[pa.Table, pa.Table]:
    """A log of two places drawn with LOGGING from items a and b, clicked with CLICK, and its clicks."""
    rng = np.random.default_rng(seed)
    rows, clicks = [], []
    for n in range(requests):
        drawn = [int(rng.random() < LOGGING[p, 1]) for p in (0, 1)]
        slate = [f"{'ab'[i]}{p}" for p, i in enumerate(drawn)]
        propensities = [float(LOGGING[p, i]) for p, i in enumerate(drawn)]
        rows.append(request(f"u{n // 2}", "champion", str(n), STARTS, slate=slate, propensities=propensities))
        moment = STARTS + timedelta(minutes=1)
        clicks += [click(str(n), slate[p], moment) for p, i in enumerate(drawn) if rng.random() < CLICK[p, i]]
    return pa.Table.from_pylist(rows, schema=REQUEST_LOG_SCHEMA), pa.Table.from_pylist(clicks, schema=RECEIVED_SCHEMA)


def target_of(requests: int, wanted: Array = WANTED) -> pa.Table:
    rows = [
        {"request_id": str(n), "position": p + 1, "item_id": f"{'ab'[i]}{p}", "probability": float(wanted[p, i])}
        for n in range(requests)
        for p in (0, 1)
        for i in (0, 1)
    ]
    return pa.Table.from_pylist(rows, schema=TARGET)


LOG, CLICKS = logged_world()
SHOWN = impressions(LOG, CLICKS, window=HOUR, now=AFTER, rewarded=["click"])
FEW = impressions(LOG.slice(0, 200), CLICKS, window=HOUR, now=AFTER, rewarded=["click"])
QUESTION = Question(HOUR, ("click",))


def test_a_log_laid_against_a_target_gives_its_weights_and_the_truth_lies_in_every_interval() -> None:
    logged = against(SHOWN, target_of(4_000))

    assert logged.weights.shape == (4_000, 2)
    assert set(np.round(logged.weights.ravel(), 4)) == {0.2857, 2.6667, 0.8333, 1.25}
    truth = float((WANTED * CLICK).sum())
    for name in TAKEN_FOR_GRANTED:
        low, high = estimate(name, logged).estimate.interval(0.05)
        assert low < truth < high


def test_a_model_of_clicks_narrows_the_doubly_robust_interval() -> None:
    logged = against(SHOWN, target_of(4_000))

    robust, plain = (estimate(name, logged).estimate.variance for name in ("doubly robust", "ips"))

    assert robust < 0.9 * plain


def test_the_target_that_served_earns_what_was_served() -> None:
    logged = against(SHOWN, target_of(4_000, LOGGING))

    assert np.allclose(logged.weights, 1.0)
    assert estimate("ips", logged).estimate.value == pytest.approx(served(logged).value)


def test_a_workspace_gives_a_report_a_page_and_a_table(tmp_path: Path) -> None:
    workspace = write_world(tmp_path, LOG, CLICKS)
    pq.write_table(target_of(4_000), tmp_path / "bolder.parquet")

    evaluate_target(workspace, tmp_path / "bolder.parquet", QUESTION, OffPolicyPolicy(), now=AFTER)

    written = json.loads((workspace.reports / "offpolicy-bolder.json").read_text())
    truth = float(((WANTED - LOGGING) * CLICK).sum())
    assert written["verdict"] == "PASS"
    assert written["gain"]["low"] < truth < written["gain"]["high"]
    assert (written["requests"], written["users"]) == (4_000, 2_000)
    assert "doubly robust decides" in (workspace.reports / "offpolicy-bolder.html").read_text()
    console = Console(record=True, width=140)
    console.print(screen(written))
    assert "as served" in console.export_text()


def test_a_worse_target_fails_and_an_equal_one_is_not_decided(tmp_path: Path) -> None:
    worse = np.array([[0.95, 0.05], [0.3, 0.7]])
    workspace = write_world(tmp_path, LOG, CLICKS)
    pq.write_table(target_of(4_000, worse), tmp_path / "worse.parquet")
    pq.write_table(target_of(4_000, LOGGING + np.array([[0.001, -0.001], [0, 0]])), tmp_path / "equal.parquet")

    found = [
        evaluate_target(workspace, tmp_path / f"{name}.parquet", QUESTION, OffPolicyPolicy(), now=AFTER)
        for name in ("worse", "equal")
    ]

    assert [report["verdict"] for report in found] == ["FAIL", "INCONCLUSIVE"]
    assert "not decided" in found[1]["reasons"][0]


def test_a_target_that_shows_what_the_log_never_does_is_inconclusive(tmp_path: Path) -> None:
    """Half of the target's probability at the first place is on an item that is never logged there."""
    workspace = write_world(tmp_path, LOG, CLICKS)
    table = target_of(4_000).to_pandas()
    table.loc[(table.position == 1) & (table.item_id == "b0"), "item_id"] = "never"
    pq.write_table(pa.Table.from_pandas(table, schema=TARGET), tmp_path / "new.parquet")

    report = evaluate_target(workspace, tmp_path / "new.parquet", QUESTION, OffPolicyPolicy(), now=AFTER)

    assert report["verdict"] == "INCONCLUSIVE"
    assert "it shows items at places where the log never does" in report["reasons"][0]
    assert report["values"] == []
    assert "No figure is shown." in (workspace.reports / "offpolicy-new.html").read_text()


def test_a_log_without_exploration_says_nothing_about_other_slates() -> None:
    """Every item was shown for certain, and the target shows another one: the weights are all 0."""
    sure = pa.Table.from_pylist(
        [request(f"u{n}", "champion", str(n), STARTS, slate=["x"], propensities=[1.0]) for n in range(20)],
        schema=REQUEST_LOG_SCHEMA,
    )
    shown = impressions(sure, CLICKS, window=HOUR, now=AFTER, rewarded=["click"])
    rows = [{"request_id": str(n), "position": 1, "item_id": "y", "probability": 1.0} for n in range(20)]

    found = unsupported(against(shown, pa.Table.from_pylist(rows, schema=TARGET)), OffPolicyPolicy())

    assert "weights average 0.000 (0.000 to 0.000) and not 1: it shows items at places where the log never" in found[0]


def test_propensities_that_were_not_drawn_with_are_inconclusive() -> None:
    logged = against(SHOWN, target_of(4_000))
    halved = Logged(logged.weights * 1.5, logged.rewards, logged.user, logged.shown, logged.expected)

    assert "the propensities are not what was drawn with" in unsupported(halved, OffPolicyPolicy())[0]


def test_too_few_effective_requests_and_no_click_are_inconclusive() -> None:
    logged = against(FEW, target_of(200))
    quiet = Logged(logged.weights, 0 * logged.rewards, logged.user, logged.shown, logged.expected)

    found = unsupported(quiet, OffPolicyPolicy())

    assert found[0] == "an answer needs clicks; none of 200 requests has one"
    assert "200 requests are worth" in found[1]
    assert "an answer needs 1,000" in found[1]


def with_propensities(values: list[float] | None) -> pa.Table:
    rows = [{**row, "propensities": values} for row in LOG.slice(0, 50).to_pylist()]
    log = pa.Table.from_pylist(rows, schema=REQUEST_LOG_SCHEMA)
    return impressions(log, CLICKS, window=HOUR, now=AFTER, rewarded=["click"])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (None, "need logged propensities; 100 of 100 impressions have none"),
        ([0.5], "need logged propensities; 50 of 100"),
        ([0.0, 0.5], "above 0 and at most 1; the log holds 0 to 0.5"),
        ([0.5, 1.5], "above 0 and at most 1; the log holds 0.5 to 1.5"),
    ],
)
def test_a_log_without_possible_propensities_is_refused(values: list[float] | None, words: str) -> None:
    with pytest.raises(NotMeasurable, match=words):
        against(with_propensities(values), target_of(50))


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (target_of(50).drop_columns(["probability"]), "columns request_id, .*; probability is missing"),
        (target_of(50, WANTED / 2), "sum to 1 at each logged place; got 0.5 at place 1 of request 0"),
        (target_of(50, np.array([[1.2, -0.2], [0.5, 0.5]])), "from 0 to 1; got one outside, or none"),
        (target_of(50, np.full((2, 2), np.nan)), "from 0 to 1; got one outside, or none"),
        (target_of(0), "none of its 0 rows does"),
    ],
)
def test_a_target_that_is_none_is_refused(target: pa.Table, words: str) -> None:
    with pytest.raises(NotMeasurable, match=words):
        against(FEW, target)


def test_a_refusal_is_an_inconclusive_report() -> None:
    from monitoring.experiments.impressions import Joined

    report = judge_target("x", Joined(with_propensities(None), 0, 0), target_of(50), OffPolicyPolicy(), now=AFTER)

    assert report["verdict"] == "INCONCLUSIVE"
    assert "need logged propensities" in report["reasons"][0]


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    workspace = write_world(tmp_path, LOG, CLICKS)
    (tmp_path / "text.parquet").write_text("no")

    with pytest.raises(SettingsRefused, match=r"text\.parquet cannot be read"):
        evaluate_target(workspace, tmp_path / "text.parquet", QUESTION, OffPolicyPolicy(), now=AFTER)


def test_the_command_takes_a_target_and_prints_the_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = write_world(tmp_path, LOG, CLICKS)
    monkeypatch.setenv("BUILD", str(workspace.root))
    pq.write_table(target_of(4_000), tmp_path / "bolder.parquet")
    app = typer.Typer()
    app.command()(offpolicy)

    shown = CliRunner().invoke(app, [str(tmp_path / "bolder.parquet"), "--now", AFTER.isoformat()])

    assert shown.exit_code == 0
    assert "Target bolder verdict: PASS" in shown.output
