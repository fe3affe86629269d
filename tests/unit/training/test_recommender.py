from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from serving_world import write_bundle

from feature_repo.features.item import REACH_FEATURES
from feature_repo.store.id_rows import IdRows
from feature_repo.store.item_table import ItemTable, item_table
from feature_repo.transforms.state import MICROSECONDS_A_DAY
from training.bundle import Bundle, load_bundle
from training.ranker_features import feature_matrix, join_candidates, join_requests
from training.recommender import POPULAR, TWO_TOWER, Recommender, build_recommender
from training.retrieval.catalogue import TableCatalogue
from training.slate import Request

NOW = datetime(1998, 7, 20, tzinfo=UTC)
NOW_US = int(NOW.timestamp()) * 1_000_000
TODAY = NOW_US // MICROSECONDS_A_DAY
ITEMS = [f"i{n}" for n in range(40)]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("bundles") / "1"
    write_bundle(folder)
    return load_bundle(folder)


@pytest.fixture
def recommender(bundle: Bundle) -> Recommender:
    return recommender_of(bundle, slice(None))


def recommender_of(bundle: Bundle, rows: slice) -> Recommender:
    """Item n had n events yesterday, so i39 is the most popular one."""
    count = pa.array(range(40), pa.int64())
    moment = pa.array([NOW_US - MICROSECONDS_A_DAY] * 40, pa.int64())
    lists = pa.list_(pa.int64())
    table = pa.table(
        {
            "item_id": ITEMS,
            "title": [f"Film {n}" for n in range(40)],
            "item_event_count": count,
            "item_first_event": moment,
            "item_last_event": moment,
            "item_days": pa.array([[TODAY - 1]] * 40, lists),
            "item_counts": pa.array([[n] for n in range(40)], lists),
            **dict.fromkeys(REACH_FEATURES, count),
        }
    )
    return build_recommender(bundle, item_table(table[rows], NOW))


def shown(recommender: Recommender, user: dict[str, Any] | None, **request: Any) -> list[str]:
    return [item.item_id for item in recommender.recommend(Request("u1", NOW, **request), user).items]


def test_a_slate_has_k_different_items_in_the_order_of_their_scores(recommender: Recommender) -> None:
    slate = recommender.recommend(Request("u1", NOW, k=10), {})

    assert len({item.item_id for item in slate.items}) == 10
    assert [item.rank for item in slate.items] == list(range(1, 11))
    scores = [item.score for item in slate.items]
    assert scores == sorted(scores, reverse=True)
    assert {item.propensity for item in slate.items} == {1.0}


def test_candidates_come_from_every_retriever_up_to_the_total(recommender: Recommender) -> None:
    candidates = recommender.recommend(Request("u1", NOW), {}).candidates

    assert len(set(candidates.item_ids)) == 20
    assert set(candidates.sources) == {TWO_TOWER, POPULAR}
    for rank in ("two_tower_rank", "popular_30d_rank"):
        places = candidates.features[:, recommender.feature_names.index(rank)]
        assert {1.0, 2.0, 3.0} <= set(places)
        assert places.max() == 16  # beyond the 15 that each retriever gives
    assert candidates.features.shape == (20, len(recommender.feature_names))


def test_an_item_that_does_not_exist_yet_is_no_candidate(recommender: Recommender) -> None:
    """A replay once had the items of the whole window as candidates from its first moment on."""
    recommender._items.known[39] = False
    before = recommender.recommend(Request("u1", NOW, k=40), {}).candidates.item_ids

    recommender._items.known[39] = True
    after = recommender.recommend(Request("u1", NOW, k=40), {}).candidates.item_ids

    assert "i39" not in before
    assert "i39" in after


def test_what_was_seen_is_not_recommended_again_where_repeats_are_forbidden(recommender: Recommender) -> None:
    seen = ITEMS[5:]

    assert set(shown(recommender, {"seen_items": seen})) == set(ITEMS[:5])
    assert shown(recommender, {"seen_items": ITEMS}) == []


def test_what_the_user_hid_is_not_recommended_whether_repeats_are_allowed_or_not(recommender: Recommender) -> None:
    assert "i39" in shown(recommender, {}, k=40)
    assert "i39" not in shown(recommender, {"hidden_items": ["i39", "an item that is gone"]}, k=40)


def test_excluded_and_session_items_are_left_out_and_unknown_ones_do_no_harm(recommender: Recommender) -> None:
    found = shown(recommender, {}, k=40, exclude=frozenset({"i39", "nothing"}), session=("i38", "nobody"))

    assert not {"i39", "i38"} & set(found)


def test_a_store_that_did_not_answer_costs_the_slate_where_repeats_are_forbidden(recommender: Recommender) -> None:
    """Recommending something already seen is worse here than recommending nothing, and it must be said."""
    slate = recommender.recommend(Request("u1", NOW), None)

    assert (slate.items, slate.degraded) == ((), ("features", "seen"))


def test_a_store_that_did_not_answer_costs_the_personal_part_where_repeats_are_allowed(
    bundle: Bundle, recommender: Recommender
) -> None:
    repeats = replace(bundle, manifest=bundle.manifest.model_copy(update={"repeat_consumption": True}))
    slate = build_recommender(repeats, recommender._items).recommend(Request("u1", NOW), None)

    assert len(slate.items) == 10
    assert slate.degraded == ("features",)


def test_a_ranker_that_fails_leaves_the_order_of_retrieval(bundle: Bundle, recommender: Recommender) -> None:
    broken = build_recommender(replace(bundle, trees=None), recommender._items)

    slate = broken.recommend(Request("u1", NOW), {})

    assert slate.degraded == ("ranker",)
    assert [item.item_id for item in slate.items] == slate.candidates.item_ids[:10].tolist()


def test_the_same_request_gives_the_same_slate(recommender: Recommender) -> None:
    assert shown(recommender, {}) == shown(recommender, {})


def test_a_user_that_nobody_knows_gets_a_slate(recommender: Recommender) -> None:
    assert len(recommender.recommend(Request("never seen before", NOW), {}).items) == 10


def test_popularity_follows_changed_items_and_the_day(recommender: Recommender) -> None:
    request = Request("u1", NOW)
    before = recommender.retrieve(request, {}).retrieval["popular_30d_rank"].min()
    columns = recommender._items.columns
    columns["item_counts"][0, 0] = 1000
    columns["item_event_count"] = np.array([1000.0, *range(1, 40)])

    recommender.items_changed(np.array([0]))
    now = recommender.retrieve(request, {})

    assert before == 1
    assert now.rows[now.retrieval["popular_30d_rank"] == 1].tolist() == [0]
    later = recommender.retrieve(Request("u1", datetime(1999, 7, 20, tzinfo=UTC)), {})
    assert 39 in later.rows[later.retrieval["popular_30d_rank"] <= 2]  # only all-time events are left to go by


def test_similar_items_are_others_and_an_unknown_item_gets_popular_ones(recommender: Recommender) -> None:
    near = recommender.similar("i3", 5)
    unknown = recommender.similar("nothing", 2)

    assert len(near) == 5
    assert "i3" not in {item.item_id for item in near}
    assert [item.item_id for item in unknown] == ["i39", "i38"]
    assert {item.source for item in unknown} == {POPULAR}


def test_an_item_is_shown_by_its_declared_attributes_only(recommender: Recommender) -> None:
    assert recommender.item("i3") == {"title": "Film 3"}
    assert recommender.item("nothing") == {}


def test_the_parts_of_an_answer_make_up_the_whole(recommender: Recommender) -> None:
    request = Request("u1", NOW, k=7)
    whole = recommender.recommend(request, {"history_items": ["i3"], "history_times": [NOW_US]})

    found = recommender.retrieve(request, {"history_items": ["i3"], "history_times": [NOW_US]})
    matrix = recommender.features(found)
    scores = recommender.rank_scores(matrix)

    np.testing.assert_array_equal(matrix, whole.candidates.features)
    np.testing.assert_array_equal(scores, whole.candidates.scores)
    assert recommender.items.item_ids[found.rows].tolist() == whole.candidates.item_ids.tolist()
    assert recommender.embeddings.shape == (len(recommender.items), 8)


def test_what_is_not_allowed_besides_is_no_candidate_and_others_take_its_place(recommender: Recommender) -> None:
    everything = recommender.retrieve(Request("u1", NOW), {})
    allowed = np.ones(len(recommender.items), bool)
    allowed[everything.rows[:15]] = False

    found = recommender.retrieve(Request("u1", NOW), {}, allowed=allowed)
    popular = recommender.popular(Request("u1", NOW), {}, allowed=allowed)

    assert allowed[found.rows].all()
    assert len(found.rows) == 20
    assert allowed[popular.rows].all()
    assert not allowed[everything.rows[:15]].any()


def test_popular_candidates_need_neither_tower_nor_index_and_can_be_ranked(
    bundle: Bundle, recommender: Recommender
) -> None:
    nothing: Any = None
    broken = replace(bundle, query_tower=nothing, index=replace(bundle.index, cells=nothing))
    poor = Recommender(broken, recommender.items, recommender.embeddings)

    found = poor.popular(Request("u1", NOW), {"seen_items": ["i39"]})

    assert recommender.items.item_ids[found.rows].tolist() == [f"i{n}" for n in range(38, 18, -1)]
    assert set(found.sources) == {POPULAR}
    assert np.isnan(found.retrieval["two_tower_score"]).all()
    assert found.retrieval["popular_30d_rank"].tolist() == [*range(1, 16), *[16] * 5]
    assert poor.features(found).shape == (20, len(poor.feature_names))


def test_a_bundle_over_another_table_answers_like_one_opened_over_it(recommender: Recommender) -> None:
    """The item table is renewed while requests are answered: the old recommender must go on unchanged."""
    before = shown(recommender, {}, k=40)
    columns = {name: values[:30] for name, values in recommender.items.columns.items()}
    fewer = ItemTable(
        recommender.items.item_ids[:30],
        columns,
        NOW,
        IdRows(ITEMS[:30]),
        np.ones(30, bool),
    )

    renewed = recommender.over(fewer)

    assert shown(renewed, {}, k=40) == shown(build_recommender(recommender.bundle, fewer), {}, k=40)
    assert set(shown(renewed, {}, k=40)) <= set(ITEMS[:30])
    assert shown(recommender, {}, k=40) == before


def test_many_requests_at_once_are_made_ready_like_one_by_one(recommender: Recommender) -> None:
    """A replay asks in batches; what it measures must be what a server would have answered."""
    users = [
        {"history_items": ["i3", "i5", "i3"], "history_times": [1, 2, 3], "seen_items": ["i3", "i5"]},
        {"history_items": None, "history_times": None, "seen_items": None},
        {"history_items": ["i9"], "history_times": [NOW_US], "seen_items": ["i9", "nothing"]},
        # Ends with what was met, which is then not looked up again.
        {
            "history_items": ["i3", "nothing", "i5"],
            "history_times": [1, 2, 3],
            "seen_items": ["i8", "i3", "nothing", "i5"],
        },
    ]
    requests = [Request(f"u{n}", NOW, exclude=frozenset({"i1"})) for n in range(len(users))]
    table = pa.Table.from_pylist(users)

    many = [recommender.candidates(recommender.score(asked)) for asked in recommender.ask(requests, table)]

    for request, user, found in zip(requests, users, many, strict=True):
        alone = recommender.retrieve(request, user)
        np.testing.assert_array_equal(found.rows, alone.rows)
        np.testing.assert_array_equal(recommender.features(found), recommender.features(alone))
    requests_at_once = join_requests([found.request for found in many])
    rows = [recommender.candidate_rows(found, request=number) for number, found in enumerate(many)]
    matrix = feature_matrix(recommender.bundle.encoder, requests_at_once, join_candidates(rows))
    np.testing.assert_array_equal(matrix, np.concatenate([recommender.features(found) for found in many]))


@pytest.mark.parametrize("newest", ["i7", "i3", "nothing"])
def test_the_tower_reads_the_same_history_by_row_as_by_id(bundle: Bundle, newest: str) -> None:
    """An item that left the table, as i3 here, is still one that the tower has learnt about."""
    smaller = recommender_of(bundle, slice(4, None))
    users = pa.table({"history_items": [["i5", "i9"] * 40 + [newest]], "history_times": [[NOW_US] * 81]})

    (asked,) = smaller.ask([Request("u1", NOW)], users)

    query = asked.query
    by_id = smaller.bundle.embed_query(query.user_ids, query.users, query.moments_us, query.contexts)
    np.testing.assert_array_equal(asked.embedding, by_id[0])


def test_a_day_that_was_prepared_is_answered_as_one_that_was_not(
    bundle: Bundle, recommender: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    tomorrow = Request("u1", NOW + timedelta(days=1))
    expected = build_recommender(bundle, recommender.items).recommend(tomorrow, {})
    recommender.recommend(Request("u1", NOW), {})
    recommender.prepare(tomorrow.moment)
    renewed = recommender.over(recommender.items)
    built: list[int] = []
    monkeypatch.setattr(TableCatalogue, "_whole", lambda _, day: built.append(day))

    today, found = renewed.recommend(Request("u1", NOW), {}), recommender.recommend(tomorrow, {})

    assert not built
    assert len(today.items) == 10
    np.testing.assert_array_equal(found.candidates.features, expected.candidates.features)
    np.testing.assert_array_equal(found.candidates.item_ids, expected.candidates.item_ids)


def test_requests_of_two_days_in_turn_work_out_each_day_once_and_follow_changed_items(
    bundle: Bundle, recommender: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each switch worked out all items anew: 130 ms in which a server answered nobody."""
    days = [Request("u1", NOW + timedelta(days=n)) for n in (0, 1)]
    for request in days:
        recommender.recommend(request, {})
    built: list[int] = []
    monkeypatch.setattr(TableCatalogue, "_whole", lambda _, day: built.append(day))
    recommender.items.columns["item_counts"][0, 0] = 1000
    recommender.items.columns["item_event_count"] = np.array([1000.0, *range(1, 40)])

    recommender.items_changed(np.array([0]))
    found = [recommender.recommend(request, {}) for request in (*days, *days)]

    assert not built
    monkeypatch.undo()
    fresh = build_recommender(bundle, recommender.items)
    for request, slate in zip((*days, *days), found, strict=True):
        np.testing.assert_array_equal(slate.candidates.features, fresh.recommend(request, {}).candidates.features)
