"""From Prometheus text to evidence."""

import math

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from k8s.evidence.scrape import Scrape, difference, parse, scrape
from k8s.evidence.window import Latencies, Missing, Window


class Pod:
    """Counters as a served version declares them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("recommend_requests_total", "r", ["code", "path"], registry=self.registry)
        self.degraded = Counter("recommend_degraded_total", "d", ["part"], registry=self.registry)
        self.duration = Histogram(
            "recommend_duration_seconds", "s", registry=self.registry, buckets=(0.01, 0.1, math.inf)
        )

    def answer(self, code: int, seconds: float, *, degraded: tuple[str, ...] = ()) -> None:
        self.requests.labels(code=str(code), path="/recommend").inc()
        self.duration.observe(seconds)
        for part in degraded:
            self.degraded.labels(part=part).inc()

    def read(self) -> Scrape | Missing:
        return parse(generate_latest(self.registry).decode())


def test_two_scrapes_give_what_happened_between_them() -> None:
    pod = Pod()
    pod.answer(200, 0.005)
    before = pod.read()
    for code, seconds in ((200, 0.005), (500, 0.05), (503, 0.5), (404, 0.005)):
        pod.answer(code, seconds)
    pod.answer(200, 0.05, degraded=("features",))

    window = difference(before, pod.read())

    assert window == Window(5, 2, 1, Latencies((10.0, 100.0, math.inf), (2, 2, 1)))


def test_a_pod_that_has_answered_nothing_yet_starts_at_zero() -> None:
    pod = Pod()
    before = pod.read()
    pod.answer(200, 0.005)

    window = difference(before, pod.read())

    assert isinstance(window, Window)
    assert (window.requests, window.errors, window.degraded) == (1, 0, 0)


def test_a_request_that_degraded_in_two_parts_is_one_degraded_request() -> None:
    pod = Pod()
    before = pod.read()
    pod.answer(200, 0.005, degraded=("features", "ranker"))

    window = difference(before, pod.read())

    assert isinstance(window, Window)
    assert window.degraded == 1


def test_a_restarted_pod_is_missing_evidence() -> None:
    old, new = Pod(), Pod()
    for _ in range(3):
        old.answer(200, 0.005)
    new.answer(200, 0.005)

    assert difference(old.read(), new.read()) == Missing("the pod restarted, and what it counted before is lost")


def test_a_restart_shows_even_when_the_counters_have_caught_up() -> None:
    before = Scrape(5, 0, 0, (math.inf,), (5,), started=1.0)
    after = Scrape(9, 0, 0, (math.inf,), (9,), started=2.0)

    assert isinstance(difference(before, after), Missing)


def test_a_pod_without_the_series_is_missing_evidence_and_not_zero_errors() -> None:
    found = parse('# TYPE recommend_requests_total counter\nrecommend_requests_total{code="200"} 5\n')

    assert found == Missing("the metrics do not declare recommend_degraded, recommend_duration_seconds")


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ('recommend_requests_total{code="200",path="/recommend"} NaN', "a count that is no number"),
        ('recommend_requests_total{code="ok",path="/recommend"} 1.0', "a label that is no number"),
        ("recommend_requests_total{", "is no Prometheus text"),
    ],
)
def test_a_line_that_cannot_be_counted_is_missing_evidence(broken: str, reason: str) -> None:
    pod = Pod()
    pod.answer(200, 0.005)
    text = generate_latest(pod.registry).decode()

    found = parse(text.replace('recommend_requests_total{code="200",path="/recommend"} 1.0', broken))

    assert isinstance(found, Missing)
    assert reason in found.reason


def test_buckets_that_changed_are_missing_evidence() -> None:
    before = Scrape(5, 0, 0, (10.0, math.inf), (5, 5))
    after = Scrape(9, 0, 0, (20.0, math.inf), (9, 9))

    assert difference(before, after) == Missing("the latency buckets changed between two scrapes")


def test_no_timed_request_is_missing_evidence() -> None:
    untimed = Scrape(0, 0, 0, (), ())

    assert difference(untimed, untimed) == Missing("no request was timed yet")


def test_missing_on_either_side_stays_missing() -> None:
    found, gone = Pod().read(), Missing("gone")

    assert difference(gone, found) == gone
    assert difference(found, gone) == gone


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (lambda _: httpx.Response(404), "/metrics answered 404"),
        (
            lambda _: (_ for _ in ()).throw(httpx.ConnectError("refused")),
            "/metrics did not answer (ConnectError)",
        ),
    ],
    ids=["404", "refused"],
)
def test_a_pod_that_cannot_be_scraped_is_missing_evidence(handler: object, reason: str) -> None:
    with httpx.Client(transport=httpx.MockTransport(handler)) as client:  # type: ignore[arg-type]
        assert scrape(client, "http://pod") == Missing(reason)


def test_quantiles_are_spread_evenly_within_a_bucket() -> None:
    latencies = Latencies((10.0, 20.0, math.inf), (50, 40, 10))

    assert latencies.quantile(0.5) == pytest.approx(10.0)
    assert latencies.quantile(0.7) == pytest.approx(15.0)
    assert latencies.quantile(0.99) == math.inf


def test_a_histogram_answers_exactly_at_its_bounds_and_nowhere_else() -> None:
    latencies = Latencies((10.0, 20.0, math.inf), (50, 40, 10))

    assert [latencies.bound_from(limit) for limit in (5.0, 10.0, 15.0, 21.0)] == [10.0, 10.0, 20.0, math.inf]
    assert [latencies.slower_than(bound) for bound in (10.0, 20.0, math.inf)] == [50, 10, 0]


def test_histograms_of_other_buckets_are_not_added() -> None:
    with pytest.raises(ValueError, match="expected histograms of equal bounds"):
        Latencies((10.0,), (1,)) + Latencies((20.0,), (1,))
