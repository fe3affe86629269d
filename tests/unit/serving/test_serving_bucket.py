from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.core.assignment import bucket_of
from feature_repo.core.workspace import Workspace
from serving.bucket import BUCKET_HEADER, parse_bucket
from serving.bucket_client import bucket_header
from serving.request_log import read_request_log
from serving.rules import BadRequest
from serving.runtime import Runtime

RULE = "the header X-Recommender-Bucket must be a whole number from 0 to 99, without sign or leading zero; got "


@pytest.mark.parametrize("bucket", [0, 7, 10, 99])
def test_a_bucket_is_a_whole_number_from_0_to_99(bucket: int) -> None:
    assert parse_bucket([str(bucket)]) == bucket


@pytest.mark.parametrize("sent", ["100", "-1", "+7", "07", "7.0", "", "seven", "\u0667", "7 ", "1e1", "7, 7"])
def test_anything_else_is_refused_with_what_arrived(sent: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parse_bucket([sent])

    assert str(refused.value) == RULE + repr(sent)


def test_two_headers_are_refused_even_where_they_agree() -> None:
    with pytest.raises(BadRequest, match="X-Recommender-Bucket must be sent once; got it 2 times"):
        parse_bucket(["7", "7"])


@given(user_id=st.text(min_size=1), key=st.binary(min_size=16, max_size=64))
def test_the_clients_lines_give_the_bucket_that_every_analysis_computes(user_id: str, key: bytes) -> None:
    header = bucket_header(user_id, key)

    assert parse_bucket([header[BUCKET_HEADER]]) == bucket_of(user_id, layer="rollout", key=key)


def test_an_answer_and_its_row_name_the_bucket(client: Any, runtime: Runtime, workspace: Workspace) -> None:
    with_it = client.post("/recommend", json={"user_id": "known"}, headers={BUCKET_HEADER: "42"}).json()
    without = client.post("/recommend", json={"user_id": "known"}).json()

    runtime.log.close()
    rows = {row["request_id"]: row for row in read_request_log(workspace).to_pylist()}
    assert (with_it["bucket"], without["bucket"]) == (42, None)
    assert (rows[with_it["request_id"]]["bucket"], rows[without["request_id"]]["bucket"]) == (42, None)
    assert {row["rollout"] for row in rows.values()} == {None}


def test_a_request_with_a_broken_bucket_gets_400_and_a_sentence(client: Any) -> None:
    reply = client.post("/recommend", json={"user_id": "known"}, headers={BUCKET_HEADER: "100"})

    assert (reply.status_code, reply.json()) == (400, {"error": RULE + "'100'"})


@pytest.fixture
def workspace(tmp_path: Any) -> Workspace:
    return Workspace(root=tmp_path, store=tmp_path / "store")
