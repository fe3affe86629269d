from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from serving.operations.buckets import TokenBuckets
from serving.operations.guard import OPEN_PATHS, Guard, guard_of, key_of
from serving.settings import ServingSettings


def refusal(guard: Guard, *headers: tuple[bytes, bytes], path: str = "/recommend", now: float = 0.0) -> str | None:
    found = guard.refusal(path, headers, "10.0.0.1", now=now)
    return None if found is None else f"{found.status} {found.sentence} {': '.join(found.header)}"


def bearer(key: bytes) -> tuple[bytes, bytes]:
    return (b"authorization", b"Bearer " + key)


def test_a_full_bucket_allows_a_burst_and_then_one_for_each_refill() -> None:
    buckets = TokenBuckets(per_second=2.0, burst=3, callers=10)

    at_once = [buckets.wait("a", now=0.0) for _ in range(4)]
    later = [buckets.wait("a", now=0.5), buckets.wait("a", now=0.5)]

    assert at_once == [0.0, 0.0, 0.0, 0.5]
    assert later == [0.0, 0.5]


def test_callers_do_not_share_a_bucket_and_time_fills_no_more_than_the_burst() -> None:
    buckets = TokenBuckets(per_second=1.0, burst=1, callers=10)

    assert [buckets.wait(caller, now=0.0) for caller in "aab"] == [0.0, 1.0, 0.0]
    assert [buckets.wait("a", now=1_000.0) for _ in range(2)] == [0.0, 1.0]


def test_memory_is_bounded_and_the_caller_unseen_for_longest_is_forgotten() -> None:
    buckets = TokenBuckets(per_second=1.0, burst=1, callers=2)

    for caller in ("old", "busy", "old", "new"):
        buckets.wait(caller, now=0.0)

    assert len(buckets) == 2
    assert buckets.wait("old", now=0.0) == 1.0


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60), st.floats(0.1, 50), st.integers(1, 5))
def test_no_caller_gets_more_than_its_burst_and_the_refill_of_the_time_passed(
    moments: list[float], per_second: float, burst: int
) -> None:
    buckets = TokenBuckets(per_second=per_second, burst=burst, callers=1)

    allowed = sum(buckets.wait("a", now=now) == 0.0 for now in sorted(moments))

    assert allowed <= burst + (max(moments) - min(moments)) * per_second + 1e-6


def test_without_keys_and_rate_everything_passes(settings: ServingSettings) -> None:
    guard = guard_of(settings)

    assert guard.open
    assert refusal(guard) is None


def test_a_request_without_the_key_is_refused_with_a_sentence_that_does_not_repeat_it(
    settings: ServingSettings,
) -> None:
    guard = guard_of(settings.model_copy(update={"api_key": SecretStr("s3cret, other")}))

    assert refusal(guard) == (
        "401 a request needs one of this service's keys, as `Authorization: Bearer KEY` or `X-API-Key: KEY`; "
        "got none www-authenticate: Bearer"
    )
    assert "got another one" in str(refusal(guard, bearer(b"wrong")))
    assert "wrong" not in str(refusal(guard, bearer(b"wrong")))
    assert "got another one" in str(refusal(guard, bearer(b"s3cret, other")))


def test_either_key_in_either_header_is_let_through(settings: ServingSettings) -> None:
    guard = guard_of(settings.model_copy(update={"api_key": SecretStr("s3cret, other")}))

    assert refusal(guard, bearer(b"s3cret")) is None
    assert refusal(guard, (b"x-api-key", b"other")) is None
    assert refusal(guard, (b"authorization", b"bearer other")) is None


@given(st.binary(max_size=20))
def test_any_bytes_as_a_key_are_an_answer(given: bytes) -> None:
    guard = Guard(keys=("s3cret",), buckets=TokenBuckets(per_second=1.0, burst=1, callers=1))

    assert (refusal(guard, bearer(given)) is None) == (given.strip() == b"s3cret")


def test_what_watches_the_process_needs_no_key_and_knows_no_rate() -> None:
    guard = Guard(keys=("s3cret",), buckets=TokenBuckets(per_second=0.1, burst=1, callers=1))

    assert {refusal(guard, path=path) for path in OPEN_PATHS for _ in range(3)} == {None}


def test_a_caller_who_asks_too_often_is_told_when_to_come_back(settings: ServingSettings) -> None:
    guard = guard_of(settings.model_copy(update={"rate_per_second": 0.4, "rate_burst": 1}))

    answers = [refusal(guard, now=10.0), refusal(guard, now=10.0), refusal(guard, now=13.0)]

    assert answers == [
        None,
        "429 a caller must not ask more often than this service allows; the next request may come in 3 s "
        "retry-after: 3",
        None,
    ]


def test_with_keys_the_rate_is_one_for_each_key_wherever_it_comes_from(settings: ServingSettings) -> None:
    given = {"api_key": SecretStr("a,b"), "rate_per_second": 1.0, "rate_burst": 1}
    guard = guard_of(settings.model_copy(update=given))

    found = [
        guard.refusal("/recommend", [bearer(key)], address, now=0.0)
        for key, address in ((b"a", "10.0.0.1"), (b"a", "10.0.0.2"), (b"b", "10.0.0.1"))
    ]

    assert [None if f is None else f.reason for f in found] == [None, "rate", None]


def test_a_key_is_no_part_of_what_settings_say_of_themselves(settings: ServingSettings) -> None:
    assert "s3cret" not in repr(ServingSettings(version="1", bundle=settings.bundle, api_key=SecretStr("s3cret")))


def test_headers_without_a_key_have_none() -> None:
    assert key_of([(b"host", b"x"), (b"authorization", b"Basic abc")]) is None
