"""Simulated people over the items of a workspace: their clicks follow its log, and their true rate is known."""

import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_repo.core.errors import MissingArtifact, NotMeasurable
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.declaration import parse_dataset
from monitoring.audience.answers import answer
from monitoring.audience.audience import Audience, Visitor
from monitoring.audience.fit import fit
from monitoring.audience.settings import AudienceSettings
from serving.events import parse_events
from serving.settings import ServingSettings

USERS, ITEMS, EVENTS = 60, 40, 4_000
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
EVENING, MORNING = NOON.replace(hour=20), NOON.replace(hour=8)
DECLARED = """
name: board
events: {path: events.parquet, columns: {user_id: u, item_id: i, timestamp: t, event_type: what}, context: [device]}
weights: {view: 1, buy: 3, hide: -1}
"""


def checkerboard(folder: Path) -> Workspace:
    """People who like items of their own colour: even ids even items, in nine events of ten."""
    rng = np.random.default_rng(1)
    user, item = rng.integers(USERS, size=EVENTS), rng.integers(ITEMS // 2, size=EVENTS) * 2
    item = item + np.where(rng.random(EVENTS) < 0.9, user % 2, 1 - user % 2)
    workspace = Workspace(root=folder, store=folder / "store")
    workspace.events.parent.mkdir(parents=True)
    table = pa.table(
        {
            "user_id": [f"u{n}" for n in user],
            "item_id": [f"i{n}" for n in item],
            "device": [None if n == 0 else "desk" if n % 2 else "phone" for n in user],
            "score": np.where(rng.random(EVENTS) < 0.98, 1.0, -1.0),
        }
    )
    pq.write_table(table, workspace.events)
    declared = parse_dataset(DECLARED, folder / "dataset.yaml")
    workspace.events.with_name("dataset.json").write_text(declared.model_dump_json())
    return workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return checkerboard(tmp_path_factory.mktemp("audience"))


@pytest.fixture(scope="module")
def people(workspace: Workspace) -> Audience:
    return Audience.of(workspace, 7)


def drawn_slates(rows: int, seed: int = 0) -> tuple[list[str], list[list[str]]]:
    rng = np.random.default_rng(seed)
    users = [f"u{n}" for n in rng.integers(USERS, size=rows)]
    return users, [[f"i{n}" for n in rng.choice(ITEMS, size=10, replace=False)] for _ in range(rows)]


def test_the_mean_of_many_clicks_is_the_true_click_rate(people: Audience) -> None:
    users, slates = drawn_slates(2_000)
    rng = np.random.default_rng(3)

    clicks = np.array([people.clicks(user, slate, NOON, rng) for user, slate in zip(users, slates, strict=True)])

    truth = people.true_click_rate(users, slates, [NOON] * len(users))
    assert abs(clicks.mean() - truth) < 4 * np.sqrt(truth / clicks.size)


def test_slates_by_popularity_are_clicked_at_the_base_rate(people: Audience) -> None:
    rng = np.random.default_rng(4)
    users = rng.choice(USERS, size=4_000, p=people.fitted.chances)
    slates = rng.choice(ITEMS, size=(4_000, 10), p=people.fitted.item_chances)

    assert people.probabilities(users, slates).mean() == pytest.approx(0.05, rel=0.05)


def test_a_base_rate_can_be_that_of_the_champions_own_slates(people: Audience) -> None:
    users = [f"u{n}" for n in range(USERS)]
    slates = [[f"i{n % 2 + 2 * place}" for place in range(10)] for n in range(USERS)]

    fitted = people.at_base_rate(users, slates)

    rates = [fitted.true_click_rate(users, slates, [moment] * USERS) for moment in (MORNING, EVENING)]
    assert np.mean(rates) == pytest.approx(0.05, rel=0.01)


def test_people_click_what_people_like_them_met(people: Audience) -> None:
    own, other = (
        [people.click_rates(f"u{n}", [f"i{(n + colour) % 2 + 2}"], NOON)[0] for n in range(USERS)] for colour in (0, 1)
    )

    assert np.mean(own) > 2 * np.mean(other)


def test_items_drawn_at_random_are_truly_worse_than_those_of_ones_own_taste(people: Audience) -> None:
    users, random = drawn_slates(200)
    taste = [[f"i{int(user[1:]) % 2 + 2 * place}" for place in range(10)] for user in users]
    moments = [NOON] * 200

    assert people.true_click_rate(users, random, moments) < 0.8 * people.true_click_rate(users, taste, moments)


def test_position_bias_is_exactly_the_stated_curve(people: Audience) -> None:
    found = people.click_rates("u3", ["i5"] * 4, NOON)

    assert found / found[0] == pytest.approx([1, 0.7071068, 0.5773503, 0.5])


def test_an_unknown_user_and_an_unknown_item_have_a_rate_too(people: Audience) -> None:
    unknown_item = people.click_rates("u3", ["no such item"], NOON)
    unknown_user = [people.click_rates("nobody", [f"i{n}"], NOON)[0] for n in (4, 5)]

    assert 0 < unknown_item[0] < 1
    assert all(0 < rate < 1 for rate in unknown_user)


def test_clicks_of_one_user_are_no_independent_evidence(people: Audience) -> None:
    slate = np.tile(np.arange(10), (USERS, 1))

    of_users = people.probabilities(np.arange(USERS), slate).mean(axis=1)

    assert of_users.std() > 0.2 * of_users.mean()


def test_evenings_bring_more_clicks_than_mornings(people: Audience) -> None:
    rates = [people.click_rates("u3", ["i5"], moment)[0] for moment in (MORNING, EVENING)]

    assert rates[0] < rates[1]
    assert people.hour_effect(EVENING) == pytest.approx(0.1)
    assert people.hour_effect(MORNING) == pytest.approx(-0.1)


def test_visitors_come_as_often_as_they_are_in_the_log_with_their_last_context(people: Audience) -> None:
    found = list(islice(people.requests(np.random.default_rng(2)), 3_000))
    again = list(islice(people.requests(np.random.default_rng(2)), 5))

    counts = np.array([sum(v.user_id == name for v in found) for name in people.fitted.user_ids])
    assert found[:5] == again
    assert np.corrcoef(counts, people.fitted.chances)[0, 1] > 0.3
    contexts = {v.user_id: v.context for v in found}
    assert contexts["u0"] == {}
    assert contexts["u1"] == {"device": "desk"}
    assert contexts["u2"] == {"device": "phone"}


def test_the_same_seed_gives_the_same_people(workspace: Workspace, people: Audience) -> None:
    users, slates = drawn_slates(5)
    moments = [NOON] * 5

    again, other = Audience.of(workspace, 7), Audience.of(workspace, 8)

    assert again.true_click_rate(users, slates, moments) == people.true_click_rate(users, slates, moments)
    assert other.true_click_rate(users, slates, moments) != people.true_click_rate(users, slates, moments)


def test_a_request_costs_less_than_a_millisecond(people: Audience) -> None:
    _, slates = drawn_slates(1)
    rng = np.random.default_rng(1)
    people.clicks("u3", slates[0], NOON, rng)

    started = time.process_time()
    for _ in range(200):
        people.clicks("u3", slates[0], NOON, rng)

    assert (time.process_time() - started) / 200 < 1e-3


def test_answers_are_unified_events_that_the_service_takes(people: Audience) -> None:
    visitor, slate = Visitor("u3", {"device": "desk"}), [f"i{n}" for n in range(10)]
    rng = np.random.default_rng(5)
    often = AudienceSettings(base_click_rate=0.4, conversion_rate=0.5)
    eager = replace(people, settings=often).at_base_rate(["u3"], [slate])

    sent = answer(eager, visitor, slate, request_id="r-1", moment=NOON, rng=rng)
    more = answer(eager, visitor, slate, request_id="r-2", moment=NOON, rng=rng)

    settings = ServingSettings(version="1", bundle=Path("bundle"))
    parsed = parse_events(json.dumps([*sent, *more]).encode(), settings)
    assert {event.event_type for event in parsed} == {"view", "buy"}
    assert all(slate[event.position or 0] == event.item_id for event in parsed)
    assert {event.request_id for event in parsed} == {"r-1", "r-2"}
    assert len({event.event_id for event in parsed}) == len(parsed)
    assert all(event.timestamp > NOON for event in parsed)


def test_tastes_times_traits_have_mean_zero_and_deviation_one(workspace: Workspace) -> None:
    fitted = fit(pq.read_table(workspace.events), dimension=6, seed=1)

    products = fitted.tastes @ fitted.traits.T

    assert products.mean() == pytest.approx(0.0, abs=1e-9)
    assert products.std() == pytest.approx(1.0)


def test_a_workspace_without_data_is_refused_with_the_command_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(MissingArtifact, match="run `make data` first"):
        Audience.of(Workspace(tmp_path, tmp_path), 1)


def test_a_log_of_one_user_is_no_audience() -> None:
    alone = pa.table({"user_id": ["u"] * 2, "item_id": ["a", "b"], "score": [1.0, 1.0]})

    with pytest.raises(NotMeasurable, match="at least 2 users and 2 items; got 1 and 2"):
        fit(alone, dimension=4, seed=1)


def test_a_rate_of_no_impression_is_refused(people: Audience) -> None:
    with pytest.raises(NotMeasurable, match="at least one item"):
        people.true_click_rate(["u1"], [[]], [NOON])


def test_slates_of_different_lengths_have_no_base_rate(people: Audience) -> None:
    with pytest.raises(NotMeasurable, match="slates of one length, a user each; got 2 slates"):
        people.at_base_rate(["u1", "u2"], [["i1"], ["i1", "i2"]])


def test_a_moment_without_a_zone_is_refused(people: Audience) -> None:
    with pytest.raises(NotMeasurable, match="time zone"):
        people.click_rates("u1", ["i1"], NOON.replace(tzinfo=None))


def test_a_base_rate_beyond_what_people_look_at_is_refused() -> None:
    with pytest.raises(ValueError, match=r"can be at most 0\.264"):
        AudienceSettings(base_click_rate=0.4, examination_exponent=1.0)
