from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from feature_repo.store.item_table import ItemTable, item_table
from serving.filters.filters import KEPT_MASKS, Filters
from serving.filters.rules import Exclusion, FilterRules
from serving.filters.when import When
from serving.filters.which import RulesRefused
from training.slate import Request

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)  # a Wednesday


def items(count: int = 4, **columns: Any) -> ItemTable:
    return item_table(pa.table({"item_id": [f"i{n}" for n in range(count)], **columns}), NOON)


def allowed(
    table: ItemTable, *, now: datetime = NOON, exclusions: Any = (), context: Any = None, **stated: Any
) -> list[str]:
    filters = Filters(FilterRules.model_validate(stated), [Exclusion.model_validate(rule) for rule in exclusions])
    mask = filters.allowed(table, Request("u", NOON, context=context or {}), now)
    return [str(item) for item in table.item_ids[mask]]


def test_without_rules_every_item_is_allowed() -> None:
    assert allowed(items()) == ["i0", "i1", "i2", "i3"]
    assert allowed(items(0, regions=pa.array([], pa.list_(pa.string())))) == []


def test_unavailable_items_are_hidden_and_those_without_a_word_are_not() -> None:
    table = items(status=["sold out", "here", None, "recalled"], stock=[0.0, 3.0, None, 1.0])

    by_text = {"name": "status", "attribute": "status", "values": ["sold out", "recalled"]}
    by_number = {"name": "stock", "attribute": "stock", "values": ["0"]}

    assert allowed(table, unavailable=[by_text]) == ["i1", "i2"]
    assert allowed(table, unavailable=[by_number]) == ["i1", "i2", "i3"]


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ({"age": "15"}, ["i0", "i1", "i3"]),
        ({"age": "16"}, ["i0", "i1", "i2", "i3"]),
        ({"age": "11.9"}, ["i0", "i3"]),
        ({}, ["i0", "i3"]),
        ({"age": "grown up"}, ["i0", "i3"]),
        ({"age": "nan"}, ["i0", "i3"]),
        ({"age": "inf"}, ["i0", "i3"]),
        ({"age": "-3"}, []),
    ],
)
def test_an_age_limit_hides_what_the_request_is_too_young_for_or_does_not_say_its_age_for(
    context: dict[str, str], expected: list[str]
) -> None:
    table = items(minimum_age=[0.0, 12.0, 16.0, None])

    assert allowed(table, age_limits=[{"name": "age", "attribute": "minimum_age"}], context=context) == expected


@pytest.mark.parametrize(
    ("means", "unknown", "context", "expected"),
    [
        ("only", "hide", {"country": "AT"}, ["i0", "i3"]),
        ("only", "hide", {"country": "DE"}, ["i0", "i1", "i3"]),
        ("only", "hide", {"country": "FR"}, ["i3"]),
        ("only", "hide", {}, ["i3"]),
        ("only", "show", {}, ["i0", "i1", "i2", "i3"]),
        ("never", "hide", {"country": "AT"}, ["i1", "i2", "i3"]),
        ("never", "hide", {"country": "FR"}, ["i0", "i1", "i2", "i3"]),
        ("never", "hide", {}, ["i3"]),
    ],
)
def test_a_region_rule_shows_an_item_only_or_never_in_the_regions_it_names(
    means: str, unknown: str, context: dict[str, str], expected: list[str]
) -> None:
    table = items(countries=[["DE", "AT"], ["DE"], ["CH"], None])
    rule = {
        "name": "licence",
        "attribute": "countries",
        "context": "country",
        "means": means,
        "unknown_region": unknown,
    }

    assert allowed(table, regions=[rule], context=context) == expected


def test_exclusions_hold_always_or_at_their_hours() -> None:
    table = items(brand=["a", "a", "b", None])
    always = {"name": "recall", "attribute": "brand", "values": ["b"]}
    at_night = {"name": "night", "ids": ["i0"], "when": {"zone": "UTC", "from": "22:00", "until": "06:00"}}

    assert allowed(table, exclusions=[always, at_night]) == ["i0", "i1", "i3"]
    assert allowed(table, exclusions=[always, at_night], now=NOON.replace(hour=23)) == ["i1", "i3"]


def test_conditions_of_one_rule_must_all_hold() -> None:
    table = items(brand=["a", "a", "b", None])

    both = {"name": "both", "ids": ["i0", "i2"], "attribute": "brand", "values": ["a"]}

    assert allowed(table, exclusions=[both]) == ["i1", "i2", "i3"]


def test_all_rules_hold_together() -> None:
    table = items(status=["gone", None, None, None], minimum_age=[0.0, 18.0, 0.0, 0.0], region=["x", "x", "x", "y"])

    left = allowed(
        table,
        unavailable=[{"name": "u", "attribute": "status", "values": ["gone"]}],
        age_limits=[{"name": "a", "attribute": "minimum_age"}],
        regions=[{"name": "r", "attribute": "region"}],
        context={"age": "17", "region": "x"},
    )

    assert left == ["i2"]


def test_a_mask_is_made_once_for_each_case_of_a_table_and_cannot_be_written_to() -> None:
    table = items(region=["x", "y", None, "x"])
    filters = Filters(FilterRules.model_validate({"regions": [{"name": "r", "attribute": "region"}]}))

    def mask(region: str) -> np.ndarray:
        return filters.allowed(table, Request("u", NOON, context={"region": region}), NOON)

    assert mask("x") is mask("x")
    assert mask("unheard of") is mask("another one")
    assert mask("x").tolist() == [True, False, True, True]
    with pytest.raises(ValueError, match="read-only"):
        mask("x")[0] = False


def test_more_cases_than_are_kept_are_still_answered() -> None:
    count = KEPT_MASKS + 5
    table = items(count, region=[f"r{n}" for n in range(count)])
    filters = Filters(FilterRules.model_validate({"regions": [{"name": "r", "attribute": "region"}]}))

    for _ in range(2):
        for n in range(count):
            request = Request("u", NOON, context={"region": f"r{n}"})
            assert np.flatnonzero(filters.allowed(table, request, NOON)).tolist() == [n]


def test_a_new_item_table_has_masks_of_its_own_and_an_old_one_is_let_go() -> None:
    filters = Filters(FilterRules(), [Exclusion.model_validate({"name": "e", "ids": ["i1"]})])
    request = Request("u", NOON)
    old = items(2)
    assert filters.allowed(old, request, NOON).tolist() == [True, False]

    new = items(3)
    filters.prepare(new)
    del old

    assert filters.allowed(new, request, NOON).tolist() == [True, False, True]
    assert list(filters._tables) == [id(new)]


@pytest.mark.parametrize(
    ("stated", "sentence"),
    [
        (
            {"unavailable": [{"name": "gone", "attribute": "statu", "values": ["x"]}]},
            "rule 'gone': a rule may read the attributes age, brand of an item; got 'statu'",
        ),
        (
            {"unavailable": [{"name": "gone", "attribute": "age", "values": ["x"]}]},
            "rule 'gone': the values of an attribute of numbers must be numbers",
        ),
        ({"age_limits": [{"name": "old", "attribute": "brand"}]}, "rule 'old': an age limit must read .* got 'brand'"),
        ({"regions": [{"name": "where", "attribute": "land"}]}, "rule 'where': .* got 'land'"),
        ({"regions": [{"name": "where", "attribute": "age"}]}, "rule 'where': a region rule must read .* got 'age'"),
        ({"exclusions": [{"name": "out", "attribute": "x", "values": ["y"]}]}, "rule 'out': .* got 'x'"),
    ],
)
def test_a_rule_that_does_not_fit_the_items_is_refused(stated: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RulesRefused, match=sentence):
        allowed(items(brand=["a", "b", None, "c"], age=[1.0, 2.0, 3.0, None]), **stated)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2024, 5, 3, 19, 59, tzinfo=UTC), False),  # Friday, 21:59 in Berlin
        (datetime(2024, 5, 3, 20, 0, tzinfo=UTC), True),
        (datetime(2024, 5, 4, 3, 59, tzinfo=UTC), True),  # Saturday, before six
        (datetime(2024, 5, 4, 4, 0, tzinfo=UTC), False),
        (datetime(2024, 5, 4, 21, 0, tzinfo=UTC), False),  # Saturday evening
    ],
)
def test_a_window_over_midnight_belongs_to_the_day_it_starts_on(moment: datetime, expected: bool) -> None:
    window = {"zone": "Europe/Berlin", "weekdays": ["fri"], "from": "22:00", "until": "06:00"}

    assert When.model_validate(window).holds(moment) is expected


def test_a_window_keeps_to_the_clock_on_the_wall_when_clocks_change() -> None:
    morning = When.model_validate({"zone": "Europe/Berlin", "from": "08:00", "until": "24:00"})

    assert morning.holds(datetime(2024, 1, 10, 7, 0, tzinfo=UTC))
    assert not morning.holds(datetime(2024, 1, 10, 6, 59, tzinfo=UTC))
    assert morning.holds(datetime(2024, 7, 10, 6, 0, tzinfo=UTC))


def test_a_season_has_a_first_and_a_last_day() -> None:
    may = When.model_validate({"zone": "UTC", "first_day": "2024-05-01", "last_day": "2024-05-31"})

    found = [may.holds(datetime(2024, month, day, tzinfo=UTC)) for month, day in [(4, 30), (5, 1), (5, 31), (6, 1)]]

    assert found == [False, True, True, False]
