"""Two versions in one slate: reproducible from the request's id, logged with teams and chances, never an error."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serving_parts import NOW, FakeReader, FakeRecommender, ids_of, tiny_runtime, with_settings

from feature_repo.core.team_draft import chances, team_draft
from feature_repo.core.workspace import Workspace
from serving.app import create_app
from serving.http import RecommendQuery
from serving.interleaving import LONGEST, Second
from serving.open_second import second_settings
from serving.request_log import read_request_log
from serving.rerank.rules import Exploration, Rules
from serving.runtime import Runtime
from serving.settings import SettingsError, from_env

FORWARD = [f"i{n}" for n in range(10)]
BACKWARD = FORWARD[::-1]


@dataclass
class Backward(FakeRecommender):
    """Ranks i9 first, then i8 and so on."""

    def rank_scores(self, matrix: Any) -> Any:
        return -super().rank_scores(matrix)


@dataclass(frozen=True)
class Raising:
    """In the place of a second version's answering."""

    def answer(self, *_: Any, **__: Any) -> None:
        raise ZeroDivisionError("a bug that no rung catches")

    async def answer_async(self, *_: Any, **__: Any) -> None:
        self.answer()


Mix = Callable[..., Runtime]


@pytest.fixture
def mix(runtime: Runtime, tmp_path: Path) -> Mix:
    """The runtime of version 7 with version 8 mixed in."""

    def made(*, first: Any = None, second: Any = None, answering: Any = None, **parts: Any) -> Runtime:
        both = (first or FakeRecommender(), second or Backward())
        seven, eight = (
            tiny_runtime(tmp_path, runtime.settings, runtime.metrics, runtime.log, recommender=r, **parts) for r in both
        )
        return replace(seven, second=Second("8", answering or eight.answering))

    return made


def ask(runtime: Runtime, *, k: int = 6) -> dict[str, Any]:
    query = RecommendQuery("known", k=k, moment=None, context={}, exclude=frozenset(), session=())
    return runtime.recommend(query, now=NOW)


def logged(runtime: Runtime, folder: Path) -> dict[str, dict[str, Any]]:
    runtime.close()
    rows = read_request_log(Workspace(root=folder, store=folder / "store")).to_pylist()
    return {row["request_id"]: row for row in rows}


def test_a_slate_is_the_draft_of_its_request_and_is_logged_with_teams_and_chances(mix: Mix, tmp_path: Path) -> None:
    runtime = mix()

    answers = [ask(runtime) for _ in range(20)]

    rows = logged(runtime, tmp_path)
    for answer in answers:
        row, slate = rows[answer["request_id"]], ids_of(answer["items"])
        rng = np.random.default_rng(int(answer["request_id"], 16))
        drafted = team_draft(FORWARD[:6], BACKWARD[:6], k=6, rng=rng)
        assert tuple(slate) == drafted.items
        assert row["slate"] == slate
        assert row["teams"] == list(drafted.credit)
        assert (row["model_version"], row["interleaved"], row["degraded"]) == ("7", "8", [])
        assert row["propensities"] == pytest.approx(chances(FORWARD[:6], BACKWARD[:6], slate))
        assert [item["propensity"] for item in answer["items"]] == pytest.approx(row["propensities"])
        assert [item["rank"] for item in answer["items"]] == [1, 2, 3, 4, 5, 6]
    assert {ids_of(answer["items"])[0] for answer in answers} == {"i0", "i9"}


def test_an_item_keeps_the_score_of_the_version_that_picked_it(mix: Mix) -> None:
    items = {item["item_id"]: item["score"] for item in ask(mix())["items"]}

    assert (items["i0"], items["i9"]) == (0.0, 9.0)


def test_what_was_seen_is_in_neither_slate_and_so_in_no_mixed_one(mix: Mix) -> None:
    forgetful = {"first": FakeRecommender(repeats=False), "second": Backward(repeats=False)}
    runtime = mix(**forgetful, reader=FakeReader(rows={"known": {"seen_items": ["i0", "i9", "i5"]}}))

    assert all(not {"i0", "i9", "i5"} & set(ids_of(ask(runtime, k=7)["items"])) for _ in range(10))


@pytest.mark.parametrize("second", [{"second": Backward(breaks={"retrieve"})}, {"answering": Raising()}])
def test_a_second_version_that_fails_leaves_the_first_one_s_slate_flagged_and_counted(
    mix: Mix, second: dict[str, Any], count: Any, tmp_path: Path
) -> None:
    runtime = mix(**second)

    answer = ask(runtime)

    assert (ids_of(answer["items"]), list(answer["degraded"])) == (FORWARD[:6], ["interleaving"])
    assert count("degraded", "interleaving") == 1
    row = logged(runtime, tmp_path)[answer["request_id"]]
    assert (row["interleaved"], row["teams"], row["propensities"]) == (None, None, [1.0] * 6)


def test_over_http_a_second_version_that_raises_costs_nobody_an_answer(mix: Mix, serve: Callable[..., Any]) -> None:
    with serve(create_app(lambda: mix(answering=Raising()))) as client:
        reply = client.post("/recommend", json={"user_id": "known", "k": 3})

    assert (reply.status_code, reply.json()["degraded"]) == (200, ["interleaving"])
    assert ids_of(reply.json()["items"]) == FORWARD[:3]


def test_over_http_slates_are_mixed(mix: Mix, serve: Callable[..., Any]) -> None:
    with serve(create_app(lambda: mix())) as client:
        items = client.post("/recommend", json={"user_id": "known", "k": 2}).json()["items"]

    assert sorted(ids_of(items)) == ["i0", "i9"]
    assert [item["propensity"] for item in items] == [0.5, 0.5]


def test_a_first_version_that_is_degraded_is_served_alone_and_says_only_why(mix: Mix) -> None:
    answer = ask(mix(first=FakeRecommender(breaks={"rank_scores"})))

    assert (ids_of(answer["items"]), list(answer["degraded"])) == (FORWARD[:6], ["ranker"])


def test_explored_places_are_not_mixed_since_their_chances_would_be_others(mix: Mix) -> None:
    explore = Exploration(method="epsilon-greedy", rate=1.0, places=(2,), newer_than_days=30)

    answer = ask(mix(rules=Rules(exploration=explore)))

    assert list(answer["degraded"]) == ["interleaving"]
    assert answer["items"][1]["propensity"] < 1


def test_a_slate_longer_than_the_longest_is_the_first_one_s(mix: Mix) -> None:
    runtime = mix()
    answer = runtime.answer(RecommendQuery("known", 10, None, {}, frozenset(), ()), now=NOW)
    long = replace(answer, slate=replace(answer.slate, items=answer.slate.items * (LONGEST // 10 + 1)))
    assert runtime.second is not None

    found = runtime.second.mixed(long, RecommendQuery("known", 30, None, {}, frozenset(), ()), request_id="1", now=NOW)

    assert (found.answer, found.version, found.teams) == (long, None, None)


def test_a_process_of_a_rollout_mixes_nothing_in() -> None:
    workspace = Workspace(root=Path("/w"), store=Path("/w/store"))

    with pytest.raises(SettingsError, match=r"SERVE_INTERLEAVE: .*no second version is mixed in while"):
        from_env(workspace, {"SERVE_VERSION": "3", "SERVE_ROLLOUT": "r1", "SERVE_INTERLEAVE": "4"})


def test_the_second_version_has_its_own_bundle_which_must_be_there(runtime: Runtime, tmp_path: Path) -> None:
    workspace = Workspace(root=tmp_path, store=tmp_path / "store")
    settings = with_settings(runtime.settings, interleave="8", cache_seconds=5.0)

    with pytest.raises(SettingsError, match="run `python -m training fetch --version 8`"):
        second_settings(settings, workspace)

    (tmp_path / "bundles" / "8").mkdir(parents=True)
    found = second_settings(settings, workspace)
    assert found is not None
    assert (found.version, found.bundle, found.interleave, found.cache_seconds) == (
        "8",
        workspace.bundles / "8",
        None,
        0.0,
    )
    assert second_settings(runtime.settings, workspace) is None
