from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from door import cleaned
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.dataset.cleaning import Cleaning
from feature_repo.dataset.minimum import TOO_FEW, refuse_rare
from feature_repo.dataset.outliers import NO_PAUSE, TOO_FAST, WHOLE_CATALOGUE

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def log(*events: tuple[str, str, float]) -> str:
    """Lines of a log from (user, item, seconds after noon)."""
    return "".join(f"{user},{item},{(NOON + timedelta(seconds=s)).isoformat()},view,\n" for user, item, s in events)


def refused(folder: Path, rows: str, **limits: Any) -> dict[str, int]:
    return cleaned(folder, rows, cleaning=limits).refused


def test_the_events_of_a_minute_with_too_many_moments_are_refused_and_no_others(tmp_path: Path) -> None:
    burst = log(*(("bot", f"i{n}", n) for n in range(6)))
    calm = log(("bot", "i9", 60), ("ann", "i9", 0))

    assert refused(tmp_path, burst + calm, moments_a_minute=5) == {TOO_FAST: 6}
    assert refused(tmp_path, burst + calm, moments_a_minute=6) == {}
    assert refused(tmp_path, burst + calm, moments_a_minute=None) == {}


def test_a_basket_is_one_moment_however_full_it_is(tmp_path: Path) -> None:
    basket = log(*(("ann", f"i{n}", 0) for n in range(50)))

    assert refused(tmp_path, basket, moments_a_minute=1) == {}


def test_a_session_without_a_pause_of_half_an_hour_is_refused_beyond_the_limit(tmp_path: Path) -> None:
    step = 29 * 60
    tireless = log(*(("bot", f"i{n}", n * step) for n in range(8)))  # 3 h 23 min
    rested = log(("bot", "i9", 7 * step + 1800), *(("ann", f"i{n}", n * 1800) for n in range(9)))

    assert refused(tmp_path, tireless + rested, session_hours=3) == {NO_PAUSE: 8}
    assert refused(tmp_path, tireless + rested, session_hours=3.4) == {}
    assert refused(tmp_path, tireless + rested, session_hours=None) == {}


def test_a_user_who_met_most_of_a_large_catalogue_is_refused_whole(tmp_path: Path) -> None:
    met = {"bot": 9, "ann": 5}
    rows = log(*((user, f"i{n}", n * 3600) for user, items in met.items() for n in range(items)), ("cy", "i10", 0))

    assert refused(tmp_path, rows, catalogue_share=0.8, catalogue_items=5) == {WHOLE_CATALOGUE: 9}
    assert refused(tmp_path, rows, catalogue_share=0.9, catalogue_items=5) == {}
    assert refused(tmp_path, rows, catalogue_share=0.8, catalogue_items=9) == {}
    assert refused(tmp_path, rows, catalogue_share=None) == {}


def test_the_defaults_let_people_rate_by_the_dozen_shop_for_hours_and_meet_all_of_a_small_shop(tmp_path: Path) -> None:
    rows = log(*(("ann", f"i{n}", n * 2) for n in range(200)), *(("bob", f"i{n}", n * 600) for n in range(100)))

    assert refused(tmp_path, rows) == {}


def test_rules_over_users_look_at_valid_events_only(tmp_path: Path) -> None:
    broken = "".join(f"ann,i{n},{(NOON + timedelta(seconds=n)).isoformat()},stare,\n" for n in range(9))

    assert refused(tmp_path, log(("ann", "a", 0)) + broken, moments_a_minute=5) == {"event type has no weight": 9}


def largest_core(pairs: list[tuple[str, str]], users: int, items: int) -> list[tuple[str, str]]:
    """The same by the definition: leave out what is rare until nothing is."""
    while True:
        of_user, of_item = Counter(u for u, _ in pairs), Counter(i for _, i in pairs)
        kept = [(u, i) for u, i in pairs if of_user[u] >= users and of_item[i] >= items]
        if kept == pairs:
            return kept
        pairs = kept


@settings(max_examples=40, deadline=None)
@given(
    pairs=st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from("vwxyz")), max_size=40),
    users=st.none() | st.integers(1, 5),
    items=st.none() | st.integers(1, 5),
)
def test_minimum_interactions_end_at_the_largest_log_that_has_them(
    pairs: list[tuple[str, str]], users: int | None, items: int | None
) -> None:
    connection = duckdb.connect()
    connection.execute("CREATE TABLE log (user_id TEXT, item_id TEXT, reason TEXT)")
    if pairs:
        connection.executemany("INSERT INTO log VALUES (?, ?, NULL)", pairs)

    refuse_rare(connection, "log", Cleaning(user_events=users, item_events=items))

    found = connection.execute("SELECT user_id, item_id FROM log WHERE reason IS NULL").fetchall()
    assert sorted(found) == sorted(largest_core(pairs, users or 1, items or 1))


def test_a_user_who_loses_a_rare_item_may_become_rare(tmp_path: Path) -> None:
    rows = log(("ann", "a", 0), ("ann", "b", 60), ("bob", "a", 0), ("bob", "rare", 60), ("cy", "a", 0), ("cy", "b", 60))

    result = cleaned(tmp_path, rows, cleaning={"user_events": 2, "item_events": 2})

    assert result.refused == {TOO_FEW["user_id"]: 1, TOO_FEW["item_id"]: 1}
    assert sorted(set(result.events["user_id"].to_pylist())) == ["ann", "cy"]


@pytest.mark.parametrize("limits", [{"moments_a_minute": None}, {"session_hours": None}, {"catalogue_share": None}])
def test_every_rule_over_users_can_be_switched_off_alone(tmp_path: Path, limits: dict[str, Any]) -> None:
    assert refused(tmp_path, log(("ann", "a", 0)), **limits) == {}
