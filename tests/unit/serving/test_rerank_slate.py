from collections import Counter
from datetime import UTC, datetime
from itertools import product
from math import floor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rerank_candidates import candidates, ids, policy, slate

from serving.filters.which import RulesRefused
from serving.rerank.exposure import minimum
from serving.rerank.policy import UNCHANGED, RerankPolicy
from serving.rerank.ranked import Note, Ranked, Reranked, RerankRefused

BRANDS = ("a", "b", "c", None)


@st.composite
def ranked_items(draw: st.DrawFn, most: int = 12) -> Ranked:
    count = draw(st.integers(0, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kinds = np.array(["x", "y", "z", None], object)
    return candidates(
        rng.integers(-3, 4, count).tolist(),
        embeddings=rng.normal(size=(count, 3)),
        age_days=np.where(rng.random(count) < 0.4, np.where(rng.random(count) < 0.3, np.nan, 3), 500).tolist(),
        popularity=rng.integers(0, 30, count).tolist(),
        brand=rng.choice(np.array(BRANDS, object), count),
        kind=rng.choice(kinds, (count, 2)),
    )


@st.composite
def policies(draw: st.DrawFn) -> RerankPolicy:
    """Any mixture of rules over `ranked_items`."""
    caps = draw(st.lists(st.sampled_from(["brand", "kind"]), unique=True, max_size=2))
    pins = draw(st.dictionaries(st.integers(1, 8), st.integers(0, 14), max_size=3))
    shares = draw(st.lists(st.sampled_from([0.2, 0.34, 0.5, 1.0]), max_size=2))
    groups: list[dict[str, Any]] = [{"popularity_at_most": 10}, {"attribute": "brand", "values": ["b"]}]
    return policy(
        diversity={"method": draw(st.sampled_from(["none", "mmr", "dpp"])), "relevance": 0.5},
        caps=[{"name": f"cap {n}", "attribute": n, "at_most": draw(st.integers(1, 3))} for n in caps],
        pins=[{"name": f"pin {place}", "item": f"i{n}", "place": place} for place, n in pins.items()],
        boosts=[{"name": "boost", "ids": ["i1", "i2"], "by": draw(st.sampled_from([-1, 0.5, 2]))}],
        exclusions=[{"name": "exclusion", "ids": ["i3"]}] if draw(st.booleans()) else [],
        exposure=[{"name": f"group {n}", "at_least": s, **groups[n]} for n, s in enumerate(shares)],
        exploration={
            "method": draw(st.sampled_from(["none", "epsilon-greedy", "ucb", "thompson"])),
            "rate": draw(st.sampled_from([0.3, 1.0])),
            "places": draw(st.lists(st.integers(1, 8), unique=True, min_size=1, max_size=3)),
            "pool": 2,
        },
    )


def within_caps(rows: list[int], ranked: Ranked, rules: RerankPolicy) -> bool:
    for cap in rules.rules.caps:
        cells = ranked.attributes[cap.attribute]
        counts = Counter(value for row in rows for value in set(np.atleast_1d(cells[row])) - {None})
        if any(count > cap.at_most for count in counts.values()):
            return False
    return True


def possible_slates(found: Reranked) -> list[list[int]]:
    """Every slate that the draws could have given."""
    slates = []
    for rows in product(*(choice.rows.tolist() for choice in found.choices)):
        places = found.places.tolist()
        for choice, row in zip(found.choices, rows, strict=True):
            places[choice.place - 1] = row
        slates.append(places)
    return slates


def unexplored(rules: RerankPolicy) -> RerankPolicy:
    return RerankPolicy(rules.rules.model_copy(update={"exploration": UNCHANGED.exploration}))


def members(ranked: Ranked, number: int) -> Any:
    return ranked.popularity <= 10 if number == 0 else ranked.attributes["brand"] == "b"


@given(ranked_items(), policies(), st.integers(1, 10))
@settings(max_examples=80, deadline=None)
def test_no_slate_that_could_be_drawn_repeats_an_item_exceeds_a_cap_or_shows_what_is_excluded(
    ranked: Ranked, rules: RerankPolicy, k: int
) -> None:
    found = slate(ranked, rules, k=k)

    for rows in possible_slates(found):
        assert len(rows) == len(set(rows)) <= k
        assert within_caps(rows, ranked, rules)
        assert 3 not in rows or not rules.rules.exclusions


@given(ranked_items(), policies(), st.integers(1, 10))
@settings(max_examples=50, deadline=None)
def test_a_slate_is_short_only_where_no_candidate_could_be_added(ranked: Ranked, rules: RerankPolicy, k: int) -> None:
    found = slate(ranked, unexplored(rules), k=k)

    shown = found.places.tolist()
    excluded = {3} if rules.rules.exclusions else set()
    left = set(range(len(ranked))) - set(shown) - excluded
    assert len(shown) == k or not any(within_caps([*shown, row], ranked, rules) for row in left)


@given(ranked_items(), st.integers(1, 4), st.integers(1, 10))
@settings(max_examples=40, deadline=None)
def test_a_cap_on_one_value_an_item_leaves_as_many_items_as_it_allows(ranked: Ranked, at_most: int, k: int) -> None:
    rules = policy(caps=[{"name": "brand", "attribute": "brand", "at_most": at_most}])

    found = slate(ranked, rules, k=k)

    counts = Counter(ranked.attributes["brand"].tolist())
    allowed = sum(count if brand is None else min(count, at_most) for brand, count in counts.items())
    assert len(found.places) == min(k, allowed)


@given(ranked_items(), policies(), st.integers(1, 10))
@settings(max_examples=50, deadline=None)
def test_exploration_never_takes_from_a_group_what_it_is_owed(ranked: Ranked, rules: RerankPolicy, k: int) -> None:
    found = slate(ranked, rules, k=k)
    without = slate(ranked, unexplored(rules), k=k)

    for number, rule in enumerate(rules.rules.exposure):
        of_group = members(ranked, number)
        certain = np.cumsum(of_group[without.places])
        owed = [floor(rule.at_least * t + 1e-9) for t in range(1, len(certain) + 1)]
        for rows in possible_slates(found):
            assert (np.cumsum(of_group[rows]) >= np.minimum(owed, certain)).all()


@given(ranked_items(), st.lists(st.integers(1, 10), min_size=1, max_size=3), st.integers(1, 12))
@settings(max_examples=50, deadline=None)
def test_every_prefix_has_its_share_of_every_group_or_all_there_are(ranked: Ranked, tenths: list[int], k: int) -> None:
    shares = [tenth / max(sum(tenths), 10) for tenth in tenths]
    brands = ["a", "b", "c"]
    rules = policy(
        exposure=[
            {"name": brand, "attribute": "brand", "values": [brand], "at_least": share}
            for brand, share in zip(brands, shares, strict=False)
        ]
    )

    found = slate(ranked, rules, k=k)

    assert len(found.places) == min(k, len(ranked))
    for brand, share in zip(brands, shares, strict=False):
        of_group = ranked.attributes["brand"] == brand
        for place in range(1, len(found.places) + 1):
            owed = min(floor(share * place + 1e-9), int(of_group.sum()))
            assert of_group[found.places[:place]].sum() >= owed


def test_the_default_policy_orders_by_score_and_every_place_is_certain() -> None:
    found = slate(candidates([0.5, 2.0, 2.0, -1.0]), UNCHANGED, k=3)

    assert ids(found) == ["i1", "i2", "i0"]
    assert found.propensities.tolist() == [1, 1, 1]
    assert (found.notes, found.choices) == ((), ())


def test_rules_that_change_nothing_keep_the_order_of_scores() -> None:
    rng = np.random.default_rng(3)
    ranked = candidates((rng.normal(size=50) * 1e30).tolist(), brand=["a"] * 50)

    found = slate(ranked, policy(caps=[{"name": "loose", "attribute": "brand", "at_most": 50}]), k=50)

    assert found.places.tolist() == slate(ranked, UNCHANGED, k=50).places.tolist()


def test_exposure_takes_the_best_of_the_group_at_the_last_place_that_owes_it() -> None:
    ranked = candidates([9, 8, 7, 6, 5, 4, 3], popularity=[90, 90, 90, 90, 90, 1, 1])

    found = slate(ranked, policy(exposure=[{"name": "tail", "popularity_at_most": 5, "at_least": 0.34}]), k=6)

    # floor(0.34 t) is 1 from place 3 and 2 from place 6 on.
    assert ids(found) == ["i0", "i1", "i5", "i2", "i3", "i6"]


def test_two_groups_that_are_owed_an_item_at_the_same_place_both_get_it_in_time() -> None:
    ranked = candidates([9, 8, 7, 6], brand=["x", "x", "a", "b"])
    of = {"attribute": "brand", "at_least": 0.5}

    found = slate(ranked, policy(exposure=[{"name": n, "values": [n], **of} for n in "ab"]), k=2)

    assert set(ids(found)) == {"i2", "i3"}


def test_a_group_comes_earlier_where_a_pin_holds_the_place_that_owes_it() -> None:
    ranked = candidates([9, 8, 7, 6], brand=["x", "x", "x", "a"])
    tail = {"name": "a", "attribute": "brand", "values": ["a"], "at_least": 0.5}

    found = slate(ranked, policy(exposure=[tail], pins=[{"name": "p", "item": "i2", "place": 2}]), k=3)

    assert ids(found) == ["i3", "i2", "i0"]


def test_a_group_takes_every_free_place_in_time_where_pins_hold_the_later_ones() -> None:
    ranked = candidates([9, 8, 7, 6, 5], brand=["x", "x", "x", "a", "a"])
    half = {"name": "a", "attribute": "brand", "values": ["a"], "at_least": 0.5}
    pins = [{"name": f"p{n}", "item": f"i{n}", "place": 3 + n} for n in (0, 1)]

    found = slate(ranked, policy(exposure=[half], pins=pins), k=4)

    assert ids(found) == ["i3", "i4", "i0", "i1"]


def test_a_group_that_has_no_items_takes_no_place_from_another() -> None:
    ranked = candidates([9, 8, 7, 6], brand=["x", "x", "x", "b"])
    some_b = {"name": "b", "attribute": "brand", "values": ["b"], "at_least": 0.5}
    all_a = {"name": "a", "attribute": "brand", "values": ["a"], "at_least": 1.0}

    found = slate(ranked, policy(exposure=[some_b, all_a]), k=4)

    assert ids(found)[:2] == ["i0", "i3"]
    assert Note("a", "fell short", place=1) in found.notes


def test_a_share_is_what_it_says_in_decimals() -> None:
    # As a binary fraction 0.29 * 100 is a little less than 29.
    assert minimum(0.29, 100)[100] == 29
    assert minimum(0.5, 4) == [0, 0, 1, 1, 2]


def test_a_group_without_items_enough_says_so() -> None:
    found = slate(candidates([9, 8, 7]), policy(exposure=[{"name": "two", "ids": ["i1", "i9"], "at_least": 1.0}]))

    assert ids(found) == ["i1", "i0", "i2"]
    assert found.notes == (Note("two", "fell short", place=2),)


def test_caps_stand_above_exposure_and_the_shortfall_is_noted() -> None:
    ranked = candidates([9, 8, 7, 6, 5], brand=["x", "a", "a", "y", "z"])
    rules = policy(
        caps=[{"name": "one of a brand", "attribute": "brand", "at_most": 1}],
        exposure=[{"name": "much a", "attribute": "brand", "values": ["a"], "at_least": 0.5}],
    )

    found = slate(ranked, rules, k=4)

    assert ids(found) == ["i0", "i1", "i3", "i4"]
    assert found.notes == (Note("much a", "fell short", place=4),)


def test_a_pinned_item_stands_at_its_place_and_counts_for_caps_from_the_first_place_on() -> None:
    ranked = candidates([9, 8, 7, 6], brand=["a", "b", "a", "c"])
    rules = policy(
        pins=[{"name": "launch", "item": "i2", "place": 3}],
        caps=[{"name": "one of a brand", "attribute": "brand", "at_most": 1}],
    )

    found = slate(ranked, rules, k=3)

    assert ids(found) == ["i1", "i3", "i2"]
    assert found.notes == (Note("launch", "pinned", "i2", 3),)


def test_a_pinned_item_moves_up_where_the_slate_ends_before_its_place() -> None:
    found = slate(candidates([9, 8]), policy(pins=[{"name": "launch", "item": "i0", "place": 7}]), k=10)

    assert ids(found) == ["i1", "i0"]
    assert found.notes == (Note("launch", "pinned", "i0", 2),)


@pytest.mark.parametrize(
    ("item", "place", "rules"),
    [
        ("i9", 1, {}),
        ("i1", 9, {}),
        ("i1", 1, {"exclusions": [{"name": "gone", "ids": ["i1"]}]}),
        ("i1", 1, {"pins": [{"name": "first", "item": "i2", "place": 1, "when": {"zone": "UTC"}}]}),
        (
            "i1",
            1,
            {
                "caps": [{"name": "one", "attribute": "brand", "at_most": 1}],
                "pins": [{"name": "first", "item": "i2", "place": 2}],
            },
        ),
    ],
)
def test_a_pin_that_cannot_be_held_is_left_out_and_says_so(item: str, place: int, rules: dict[str, Any]) -> None:
    ranked = candidates([9, 8, 7], brand=["a", "b", "b"])
    pins = [*rules.get("pins", []), {"name": "the pin", "item": item, "place": place}]

    found = slate(ranked, policy(**{**rules, "pins": pins}), k=3)

    assert Note("the pin", "could not pin", item, place) in found.notes


def test_an_item_of_several_values_counts_for_each_of_them() -> None:
    ranked = candidates([9, 8, 7, 6], kind=[["x", "y"], ["y", None], ["x", "x"], [None, None]])

    found = slate(ranked, policy(caps=[{"name": "one of a kind", "attribute": "kind", "at_most": 1}]))

    assert ids(found) == ["i0", "i3"]


def test_a_boost_is_measured_by_the_distance_from_worst_to_best_even_of_negative_scores() -> None:
    ranked = candidates([-1.0, -2.0, -5.0])

    lifted = slate(ranked, policy(boosts=[{"name": "lift", "ids": ["i2"], "by": 0.8}]))
    buried = slate(ranked, policy(boosts=[{"name": "bury", "ids": ["i0"], "by": -1.1}]))

    assert ids(lifted) == ["i0", "i2", "i1"]
    assert lifted.notes == (Note("lift", "boosted", "i2", 2),)
    assert ids(buried) == ["i1", "i2", "i0"]


def test_a_rule_with_hours_holds_at_those_hours_of_its_zone_only() -> None:
    evening = {"zone": "Europe/Berlin", "from": "18:00", "until": "23:00"}
    rules = policy(boosts=[{"name": "evening", "ids": ["i1"], "by": 2, "when": evening}])
    ranked = candidates([2.0, 1.0])

    before = slate(ranked, rules, now=datetime(2024, 5, 1, 15, 59, tzinfo=UTC))
    during = slate(ranked, rules, now=datetime(2024, 5, 1, 16, 0, tzinfo=UTC))

    assert (ids(before), ids(during)) == (["i0", "i1"], ["i1", "i0"])


def test_no_candidates_are_an_empty_slate() -> None:
    rules = policy(diversity={"method": "dpp"}, exploration={"method": "thompson"})

    assert len(slate(candidates([]), rules).places) == 0


@pytest.mark.parametrize("score", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("rules", [UNCHANGED, policy(diversity={"method": "mmr"})])
def test_a_score_that_is_no_number_is_refused(score: float, rules: RerankPolicy) -> None:
    with pytest.raises(RerankRefused, match=r"a score must be finite; got (nan|inf|-inf) for item_id=i1"):
        slate(candidates([1.0, score]), rules)


def test_an_item_that_comes_twice_is_refused() -> None:
    ranked = candidates([1.0, 2.0])
    ranked.item_ids[1] = "i0"

    with pytest.raises(RerankRefused, match="expected each item once; got 1 repeats"):
        slate(ranked, UNCHANGED)


def test_columns_of_another_length_are_refused() -> None:
    ranked = candidates([1.0, 2.0], brand=["a"])

    with pytest.raises(RerankRefused, match="one value of brand each; got 1 for 2 candidates"):
        slate(ranked, UNCHANGED)


def test_a_rule_about_an_attribute_that_candidates_lack_is_refused() -> None:
    rules = policy(caps=[{"name": "brand", "attribute": "brnd", "at_most": 1}])

    with pytest.raises(RulesRefused, match="may read the attributes brand of an item; got 'brnd'"):
        slate(candidates([1.0], brand=["a"]), rules)
