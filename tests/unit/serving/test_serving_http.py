import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from serving.http import parse_recommend, parse_similar, to_json
from serving.rules import BadRequest
from serving.settings import ServingSettings

SETTINGS = ServingSettings(version="1", bundle=Path("bundle"), max_exclude=2, max_session=2)


def body(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def test_a_user_id_is_enough_for_a_query() -> None:
    query = parse_recommend(body(user_id="u"), SETTINGS)

    assert (query.user_id, query.k, query.moment) == ("u", 10, None)
    assert (query.context, query.exclude, query.session) == ({}, frozenset(), ())


def test_a_timestamp_of_the_context_becomes_the_moment_in_utc() -> None:
    context = {"timestamp": "1998-04-01T02:00:00+02:00", "device": "tv"}

    query = parse_recommend(body(user_id="u", context=context), SETTINGS)

    assert query.moment == datetime(1998, 4, 1, tzinfo=UTC)
    assert query.context == {"device": "tv"}


REFUSED = [
    (b"{", "the body must be JSON"),
    (b"\xff", "the body must be JSON"),
    (b"NaN", "the body must be JSON"),
    (b"[" * 5_000, "the body must be JSON"),
    (b'{"user_id": "\\ud800"}', "the body must be JSON"),
    (b"", "the body must be JSON"),
    (b"[1, 2]", "the body must be a JSON object; got a list of 2"),
    (body(), "user_id must be a text of 1 to 512 characters, not all blank; got nothing"),
    (body(user_id=7), "user_id must be a text of 1 to 512 characters, not all blank; got 7"),
    (body(user_id="  "), "user_id must be a text of 1 to 512 characters, not all blank; got '  '"),
    (body(user_id="x" * 513), "user_id must be a text of 1 to 512 characters"),
    (
        body(user_id="u", limit=3),
        "the body may have the fields context, exclude, explain, k, session, user_id; got 'limit'",
    ),
    (body(user_id="u", k=0), "k must be a whole number from 1 to 100; got 0"),
    (body(user_id="u", k=101), "k must be a whole number from 1 to 100; got 101"),
    (body(user_id="u", k=1.5), "k must be a whole number from 1 to 100; got 1.5"),
    (body(user_id="u", k=True), "k must be a whole number from 1 to 100; got True"),
    (body(user_id="u", k="10"), "k must be a whole number from 1 to 100; got '10'"),
    (body(user_id="u", k=None), "k must be a whole number from 1 to 100; got nothing"),
    (body(user_id="u", exclude=["a", "b", "c"]), "exclude must be a list of 0 to 2 ids; got a list of 3"),
    (body(user_id="u", exclude="a"), "exclude must be a list of 0 to 2 ids; got 'a'"),
    (
        body(user_id="u", session=["a", 3]),
        "session[1] must be a text of 1 to 512 characters, not all blank; got 3",
    ),
    (body(user_id="u", context=[]), "context must be a JSON object of at most 32 fields; got a list of 0"),
    (
        body(user_id="u", context={str(n): "" for n in range(33)}),
        "context must be a JSON object of at most 32 fields; got an object of 33",
    ),
    (body(user_id="u", context={"a": 1}), "context.a must be a text of at most 512 characters; got 1"),
    (
        body(user_id="u", context={"a" * 513: ""}),
        "a field's name in context must be a text of at most 512 characters",
    ),
    (body(user_id="u", context={"timestamp": "1998-04-01T02:00:00"}), "context.timestamp must name its zone"),
    (
        body(user_id="u", context={"timestamp": "soon"}),
        "context.timestamp must be a time in ISO 8601 with its zone",
    ),
    (
        body(user_id="u", context={"timestamp": "0001-01-01T00:00:00+12:00"}),
        "context.timestamp must be a time in ISO 8601 with its zone",
    ),
    (
        body(user_id="u", context={"timestamp": "2200-01-01T00:00:00Z"}),
        "context.timestamp must be in the years 1970 to 2199; got '2200-01-01T00:00:00Z'",
    ),
]


@pytest.mark.parametrize(("arrived", "sentence"), REFUSED)
def test_a_body_that_breaks_a_rule_is_refused_with_the_rule_and_what_arrived(arrived: bytes, sentence: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        parse_recommend(arrived, SETTINGS)

    assert str(refusal.value).startswith(sentence)
    assert "got" in str(refusal.value)


def test_a_sentence_stays_short_whatever_arrived() -> None:
    with pytest.raises(BadRequest) as refusal:
        parse_recommend(body(user_id="x" * 100_000), SETTINGS)

    assert len(str(refusal.value)) < 200


def test_similar_asks_for_an_item() -> None:
    assert parse_similar(body(item_id="i", k=3), SETTINGS).k == 3
    with pytest.raises(BadRequest, match="item_id must be a text of 1 to 512 characters"):
        parse_similar(body(k=3), SETTINGS)


def test_feature_rows_with_numpy_values_become_json() -> None:
    import numpy as np

    row = {
        "days": np.arange(3),
        "tags": np.array(["a", None], object),
        "age": np.float32(0.5),
        "at": datetime(2024, 1, 1, tzinfo=UTC),
    }

    assert json.loads(to_json(row)) == {
        "days": [0, 1, 2],
        "tags": ["a", None],
        "age": 0.5,
        "at": "2024-01-01T00:00:00+00:00",
    }
