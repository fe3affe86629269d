"""Published popularity: what noise hides, what it costs, and what the account allows."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.core.errors import MissingArtifact, SettingsRefused
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.declaration import parse_dataset
from feature_repo.dataset.prepare import prepare
from monitoring.privacy.budget import Budget, BudgetSpent
from monitoring.privacy.counts import bounded_counts, mechanism, noisy, within
from monitoring.privacy.popularity import PublicationPolicy, publish_popularity
from monitoring.privacy.table import popularity_lines

NOW = datetime(2026, 5, 1, tzinfo=UTC)
ITEMS = ["a", "b", "c"]
DECLARED = """
name: tiny
events:
  path: events.csv
  columns: {user_id: who, item_id: thing, timestamp: at}
  event_type: view
weights: {view: 1}
"""


def counted(events: list[tuple[str, str]], contributions: int = 2) -> list[int]:
    users, items = (np.array([event[n] for event in events], object) for n in (0, 1))
    return bounded_counts(users, items, ITEMS, contributions).tolist()


def test_a_person_counts_once_for_an_item_and_for_the_last_items_alone() -> None:
    events = [("ann", "a"), ("ann", "b"), ("ann", "b"), ("ann", "c"), ("bob", "c"), ("bob", "elsewhere")]

    assert counted(events) == [0, 1, 2]
    assert counted([]) == [0, 0, 0]


EVENTS = st.lists(st.tuples(st.sampled_from(["ann", "bob", "cy"]), st.sampled_from([*ITEMS, "elsewhere"])))


@given(EVENTS, st.integers(1, 3))
def test_one_person_changes_the_counts_by_no_more_than_the_noise_hides(
    events: list[tuple[str, str]], contributions: int
) -> None:
    without = [event for event in events if event[0] != "ann"]

    change = np.array(counted(events, contributions)) - np.array(counted(without, contributions))

    assert (change >= 0).all()
    assert change.sum() <= contributions


def test_the_noise_has_the_scale_that_its_epsilon_asks_for() -> None:
    how = mechanism(0.5, 10)

    errors = np.abs(noisy(np.zeros(20_000, np.int64), how))

    assert how.scale == 20
    assert errors.mean() == pytest.approx(20, abs=1)  # 7 standard errors
    assert (errors <= within(how)).mean() == pytest.approx(0.95, abs=0.012)


@pytest.mark.parametrize(("epsilon", "contributions"), [(0, 1), (-1, 1), (float("inf"), 1), (1, 0)])
def test_a_release_without_a_bound_is_refused(epsilon: float, contributions: int) -> None:
    with pytest.raises(SettingsRefused, match="needs an epsilon above 0 and at least 1 contribution"):
        mechanism(epsilon, contributions)


def test_releases_add_up_and_the_one_too_many_is_refused(tmp_path: Path) -> None:
    budget = Budget(tmp_path / "audit" / "privacy_budget.jsonl", epsilon=1.0, days=365)

    left = [budget.spend(0.4, what="one", now=NOW + timedelta(days=day)) for day in (0, 1)]

    assert left == pytest.approx([0.6, 0.2])
    with pytest.raises(BudgetSpent, match=r"above epsilon 1; 0.8 are spent and 0.4 are asked for"):
        budget.spend(0.4, what="one", now=NOW + timedelta(days=2))
    assert budget.spend(0.4, what="one", now=NOW + timedelta(days=365)) == pytest.approx(0.2)


def shop(folder: Path, *, items: bool) -> Workspace:
    workspace = Workspace(root=folder / "build", store=folder / "build" / "store")
    rows = (f"u{n % 40},t{n % 5},{(NOW - timedelta(hours=400 - n)).isoformat()}" for n in range(400))
    (folder / "events.csv").write_text("who,thing,at\n" + "\n".join(rows) + "\n")
    (folder / "things.csv").write_text("thing,maker\n" + "".join(f"t{n},m\n" for n in range(7)))
    table = "items: {path: things.csv, key: thing, categorical: [maker]}\n" if items else ""
    prepare(parse_dataset(DECLARED + table, folder / "dataset.yaml"), workspace, now=NOW)
    return workspace


def test_popularity_is_published_for_every_declared_item_at_a_stated_price(tmp_path: Path) -> None:
    workspace, policy = shop(tmp_path, items=True), PublicationPolicy(epsilon=5, contributions=5, budget=9)

    report = publish_popularity(workspace, policy, now=NOW)

    assert sorted(item["item_id"] for item in report["items"]) == [f"t{n}" for n in range(7)]
    assert min(item["people"] for item in report["items"]) >= 0
    assert (report["scale"], report["budget"]["left"]) == (1.0, 4.0)
    assert json.loads((workspace.reports / "popularity.json").read_text()) == report
    assert "epsilon 5; 95 % of the counts are within 3" in popularity_lines(report)[0]
    with pytest.raises(BudgetSpent):
        publish_popularity(workspace, policy, now=NOW)


def test_without_a_table_of_items_nothing_is_published_or_spent(tmp_path: Path) -> None:
    workspace = shop(tmp_path, items=False)

    with pytest.raises(MissingArtifact, match="would give its first person away"):
        publish_popularity(workspace, PublicationPolicy(), now=NOW)

    assert not (workspace.store / "audit").exists()
