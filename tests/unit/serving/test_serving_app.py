import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from feature_repo.core.errors import BundleError
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.received import read_received
from serving.app import create_app
from serving.opened import first_answer
from serving.request_log import read_request_log
from serving.runtime import Runtime
from serving.start import warm_up

Count = Callable[..., float]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
NEARLY_VALID = st.fixed_dictionaries(
    {"user_id": st.sampled_from(["known", "nobody", ""]) | JSON},
    optional={
        "k": st.integers(-1, 102) | JSON,
        "context": st.fixed_dictionaries({}, optional={"timestamp": st.datetimes().map(str) | JSON, "x": JSON}),
        "exclude": st.lists(st.sampled_from(["i0", "i1"]) | JSON, max_size=4),
        "session": st.lists(st.text(max_size=3) | JSON, max_size=4),
    },
)


def log_of(runtime: Runtime, workspace: Workspace) -> list[dict[str, Any]]:
    runtime.log.close()
    rows: list[dict[str, Any]] = read_request_log(workspace).to_pylist()
    return rows


@pytest.fixture
def workspace(tmp_path: Any) -> Workspace:
    return Workspace(root=tmp_path, store=tmp_path / "store")


def test_an_answer_has_the_promised_fields(client: Any) -> None:
    reply = client.post("/recommend", json={"user_id": "known", "k": 2})

    answer = reply.json()
    assert reply.status_code == 200
    assert set(answer) == {"request_id", "items", "model_version", "variant", "bucket", "degraded"}
    assert answer["items"] == [
        {"item_id": "i0", "score": 0.0, "rank": 1, "source": "fake", "propensity": 1.0},
        {"item_id": "i1", "score": -1.0, "rank": 2, "source": "fake", "propensity": 1.0},
    ]
    assert (answer["model_version"], answer["variant"], answer["degraded"]) == ("7", "stable", [])


def test_the_recommender_gets_the_query_and_the_users_row(client: Any, runtime: Runtime) -> None:
    client.post(
        "/recommend",
        json={
            "user_id": "known",
            "context": {"timestamp": "1998-04-01T00:00:00Z", "device": "tv"},
            "exclude": ["i3"],
            "session": ["i1", "i2"],
        },
    )

    request, user = runtime.recommender.asked[-1]  # type: ignore[attr-defined]
    assert request.moment == datetime(1998, 4, 1, tzinfo=UTC)
    assert (request.exclude, request.session, request.context) == (
        frozenset({"i3"}),
        ("i1", "i2"),
        {"device": "tv"},
    )
    assert user == {"history": ["i9"], "age": 30.0}


def test_an_unknown_user_gets_an_answer_from_an_empty_row(client: Any, runtime: Runtime) -> None:
    reply = client.post("/recommend", json={"user_id": "nobody"})

    assert reply.status_code == 200
    assert len(reply.json()["items"]) == 10
    assert runtime.recommender.asked[-1][1] == {}  # type: ignore[attr-defined]


def test_a_store_that_is_down_costs_the_features_and_not_the_answer(
    client: Any, runtime: Runtime, count: Count
) -> None:
    runtime.reader.down = True  # type: ignore[attr-defined]

    reply = client.post("/recommend", json={"user_id": "known"})

    assert reply.status_code == 200
    assert len(reply.json()["items"]) == 10
    assert reply.json()["degraded"] == ["features"]
    assert (count("degraded", "features"), count("rungs", "no_row")) == (1, 1)


def test_a_bug_in_the_recommender_is_an_empty_degraded_answer(client: Any, runtime: Runtime, count: Count) -> None:
    runtime.recommender.breaks = {"retrieve", "popular"}  # type: ignore[attr-defined]

    reply = client.post("/recommend", json={"user_id": "known"})

    assert reply.status_code == 200
    assert (reply.json()["items"], reply.json()["degraded"]) == ([], ["recommender"])
    assert count("degraded", "recommender") == 1


def test_requests_are_counted_by_code(client: Any, count: Count) -> None:
    client.post("/recommend", json={"user_id": "known"})
    client.post("/recommend", json={})

    assert (count("requests", "200"), count("requests", "400")) == (1, 1)


def test_a_body_over_the_limit_is_refused(client: Any) -> None:
    reply = client.post("/recommend", content=b" " * 2_049)

    assert reply.status_code == 400
    assert reply.json() == {"error": "the body must have at most 2048 bytes; got more"}


def test_similar_answers_for_known_and_unknown_items(client: Any) -> None:
    known = client.post("/similar", json={"item_id": "i0", "k": 1}).json()
    unknown = client.post("/similar", json={"item_id": "nothing", "k": 1}).json()

    assert [item["item_id"] for item in known["items"]] == ["i1"]
    assert [item["item_id"] for item in unknown["items"]] == ["i0"]


def test_similar_refuses_with_a_sentence(client: Any) -> None:
    reply = client.post("/similar", json={"item_id": "i0", "k": 0})

    assert reply.status_code == 400
    assert reply.json() == {"error": "k must be a whole number from 1 to 100; got 0"}


def test_readyz_names_the_version_and_the_variant(client: Any) -> None:
    reply = client.get("/readyz")

    assert reply.status_code == 200
    assert reply.json() == {"ready": True, "model_version": "7", "variant": "stable"}


def test_readyz_says_503_before_the_runtime_is_open(runtime: Runtime, serve: Callable[..., Any]) -> None:
    with serve(create_app(lambda: runtime), started=False) as client:
        reply = client.get("/readyz")

    assert reply.status_code == 503
    assert reply.json() == {"ready": False}


def test_every_answer_is_in_the_log_as_it_was_served(client: Any, runtime: Runtime, workspace: Workspace) -> None:
    answer = client.post(
        "/recommend",
        json={
            "user_id": "known",
            "k": 2,
            "context": {"timestamp": "1998-04-01T00:00:00Z"},
            "exclude": ["i0"],
        },
    ).json()

    (row,) = log_of(runtime, workspace)
    assert row["request_id"] == answer["request_id"]
    assert row["slate"] == [item["item_id"] for item in answer["items"]]
    assert row["moment"] == datetime(1998, 4, 1, tzinfo=UTC)
    assert json.loads(row["user_features"]) == {"history": ["i9"], "age": 30.0}
    assert row["candidates"] == [f"i{n}" for n in range(1, 10)]
    assert row["features"][1] == [-1.0, 1.0]
    assert row["feature_names"] == ["place", "constant"]
    assert (row["model_version"], row["variant"], row["k"]) == ("7", "stable", 2)


def test_an_unread_user_row_is_null_in_the_log(client: Any, runtime: Runtime, workspace: Workspace) -> None:
    runtime.reader.down = True  # type: ignore[attr-defined]
    client.post("/recommend", json={"user_id": "known"})

    (row,) = log_of(runtime, workspace)
    assert row["user_features"] is None
    assert row["degraded"] == ["features"]


def test_events_are_on_disk_when_they_are_acknowledged(client: Any, workspace: Workspace) -> None:
    event = {"user_id": "u", "item_id": "i", "timestamp": "2024-05-01T12:00:00Z", "event_type": "view"}

    first = client.post("/events", json=[event])
    stored = read_received(workspace).num_rows
    again = client.post("/events", json={"events": [event]})

    assert (first.status_code, first.json()) == (202, {"accepted": 1, "duplicates": 0})
    assert stored == 1
    assert (again.status_code, again.json()) == (202, {"accepted": 0, "duplicates": 1})


def test_events_that_cannot_be_stored_are_answered_with_503_and_retry_after(client: Any, workspace: Workspace) -> None:
    workspace.store.mkdir(exist_ok=True)
    workspace.received.write_text("a file stands where the folder belongs")
    event = {"user_id": "u", "item_id": "i", "timestamp": "2024-05-01T12:00:00Z", "event_type": "view"}

    reply = client.post("/events", json=[event])

    assert reply.status_code == 503
    assert int(reply.headers["Retry-After"]) > 0
    assert reply.json()["error"].startswith("the batch could not be stored")


@hypothesis_settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=(JSON | NEARLY_VALID).map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60))
def test_no_body_makes_recommend_fail(client: Any, body: bytes) -> None:
    reply = client.post("/recommend", content=body)

    assert reply.status_code in (200, 400)
    assert ("error" in reply.json()) == (reply.status_code == 400)


@hypothesis_settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=JSON)
def test_no_body_makes_events_or_similar_fail(client: Any, value: Any) -> None:
    body = json.dumps(value).encode()

    assert client.post("/events", content=body).status_code in (202, 400)
    assert client.post("/similar", content=body).status_code in (200, 400)


def test_the_log_is_written_without_being_closed(client: Any, workspace: Workspace) -> None:
    client.post("/recommend", json={"user_id": "known"})

    deadline = time.monotonic() + 5
    while not read_request_log(workspace).num_rows and time.monotonic() < deadline:
        time.sleep(0.01)

    assert read_request_log(workspace).num_rows == 1


def test_a_bundle_that_does_not_fit_is_a_sentence_at_the_start() -> None:
    class Misfit:
        def recommend(self, *_: object) -> None:
            raise ValueError("Feature shape mismatch, expected: 19, got 20")

    with pytest.raises(BundleError, match=r"the bundle of version 7 must fit this code; .* expected: 19, got 20"):
        first_answer(Misfit(), "7", now=datetime(2024, 5, 1, tzinfo=UTC))  # type: ignore[arg-type]


def test_the_answer_that_warms_up_is_not_logged(runtime: Runtime, workspace: Workspace) -> None:
    warm_up(runtime, ["known"], now=datetime(2024, 5, 1, tzinfo=UTC))

    assert log_of(runtime, workspace) == []
