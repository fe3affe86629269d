"""One look at a step: pods' counters, silence, the request log joined to clicks, and the shadow's pairs."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_repo.core.workspace import Workspace
from feature_repo.dataset.request_log_schema import REQUEST_LOG_SCHEMA
from k8s.evidence import log_pairs, log_quality
from k8s.evidence.lists import Lists
from k8s.evidence.log_rows import LogRows
from k8s.evidence.looks import SILENT, EvidenceLooks
from k8s.evidence.pod_metrics import PodMetrics
from k8s.evidence.rates import Allotted, Rate
from k8s.evidence.window import Missing, Window
from k8s.judgement.assess import CanaryEvidence, ReadyEvidence, ShadowEvidence
from k8s.laptop.click_file import CLICK, ClickFiles
from k8s.policy.rules import CanaryPolicy, RolloutPolicy
from k8s.rollout.pods import PodsSeen, Variant
from k8s.rollout.rollout import Rollout
from k8s.rollout.step import Order, ordered, step
from training.verdict import Verdict

START = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = RolloutPolicy(shadow=None, canary=CanaryPolicy(min_time="0 s", steps=(10, 50), clicks=None, conversions=None))
FRESH = Rollout.begin("1-2", "1", "2", POLICY, now=START)
AT = step(FRESH, Verdict.PASS, ("ready",), now=START)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


class Cluster:
    """Pods that count what they are told; an address without a count does not answer."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {"stable-1": 0, "canary-1": 0, "canary-2": 0}

    def seen(self, variant: Variant) -> PodsSeen:
        urls = tuple(f"http://{name}" for name in self.counts if name.startswith(variant))
        version = "1" if variant == "stable" else "2"
        return PodsSeen(len(urls), len(urls), (version,), urls, said="" if urls else "nobody is there")

    def __call__(self, request: httpx.Request) -> httpx.Response:
        count = self.counts[request.url.host]
        if count < 0:
            return httpx.Response(404)
        return httpx.Response(
            200,
            text=f'# TYPE recommend_requests_total counter\nrecommend_requests_total{{code="200"}} {count}\n'
            "# TYPE recommend_degraded_total counter\n# TYPE recommend_duration_seconds histogram\n"
            f'recommend_duration_seconds_bucket{{le="0.01"}} {count}\n'
            f'recommend_duration_seconds_bucket{{le="+Inf"}} {count}\n',
        )


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def looks_at(cluster: Cluster, rollout: Rollout, *, now: datetime) -> tuple[Rollout, CanaryEvidence, bool]:
    """A look, and the rollout with what it noted, as it comes back from the store."""
    with httpx.Client(transport=httpx.MockTransport(cluster)) as client:
        seen = EvidenceLooks(cluster, PodMetrics(client)).observe(rollout, now=now)
    assert isinstance(seen.evidence, CanaryEvidence)
    return Rollout.from_json(replace(rollout, marks=seen.marks).to_json()), seen.evidence, seen.exhausted


def requests(side: Window | Missing) -> float:
    assert isinstance(side, Window)
    return side.requests


def test_a_step_counts_from_its_first_look_over_all_pods_and_through_a_kill(cluster: Cluster) -> None:
    cluster.counts = {"stable-1": 100, "canary-1": 7, "canary-2": 9}
    first, seen, _ = looks_at(cluster, AT, now=at(0))
    assert isinstance(seen.operations.canary, Missing)

    cluster.counts = {"stable-1": 150, "canary-1": 10, "canary-2": 11}
    _, seen, _ = looks_at(cluster, first, now=at(10))

    assert (requests(seen.operations.canary), requests(seen.operations.stable)) == (5, 50)


def test_a_pod_that_restarted_is_missing_once_and_counts_anew(cluster: Cluster) -> None:
    cluster.counts = {"stable-1": 1, "canary-1": 9}
    held, _, _ = looks_at(cluster, AT, now=at(0))
    cluster.counts = {"stable-1": 2, "canary-1": 3}
    held, seen, _ = looks_at(cluster, held, now=at(10))
    assert seen.operations.canary == Missing("the pod restarted, and what it counted before is lost")

    cluster.counts = {"stable-1": 3, "canary-1": 8}
    _, seen, _ = looks_at(cluster, held, now=at(20))

    assert requests(seen.operations.canary) == 5


def test_a_pod_that_is_gone_keeps_what_it_counted(cluster: Cluster) -> None:
    held, _, _ = looks_at(cluster, AT, now=at(0))
    cluster.counts = {"stable-1": 9, "canary-1": 4, "canary-2": 6}
    held, _, _ = looks_at(cluster, held, now=at(10))
    cluster.counts = {"stable-1": 9, "canary-1": 5}

    _, seen, _ = looks_at(cluster, held, now=at(20))

    assert requests(seen.operations.canary) == 11


def test_a_canary_that_says_nothing_for_too_long_has_no_more_evidence_to_give(cluster: Cluster) -> None:
    held, _, _ = looks_at(cluster, AT, now=at(0))
    cluster.counts = {"stable-1": 9, "canary-1": -1, "canary-2": 3}
    held, seen, _ = looks_at(cluster, held, now=at(10))
    assert seen.operations.canary == Missing("/metrics answered 404")

    _, _, early = looks_at(cluster, held, now=at(299))
    _, _, late = looks_at(cluster, held, now=at(310))
    paused = ordered(held, Order.PAUSE, by="ann", now=at(20))

    assert (early, late) == (False, True)
    assert not looks_at(cluster, paused, now=at(310))[2]


def test_silence_that_is_over_is_forgotten(cluster: Cluster) -> None:
    held, _, _ = looks_at(cluster, AT, now=at(0))
    cluster.counts = {"stable-1": 9, "canary-1": 5, "canary-2": 3}

    held, _, _ = looks_at(cluster, held, now=at(400))

    assert SILENT not in held.marks


def test_no_pod_at_all_is_missing_with_what_the_cluster_says(cluster: Cluster) -> None:
    cluster.counts = {"stable-1": 9}

    _, seen, _ = looks_at(cluster, AT, now=at(0))

    assert seen.operations.canary == Missing("no pod is ready: nobody is there")


def test_pods_with_other_buckets_are_not_added_up(cluster: Cluster) -> None:
    held, _, _ = looks_at(cluster, AT, now=at(0))
    cluster.counts = dict.fromkeys(cluster.counts, 5)
    real = cluster.__call__

    def other(request: httpx.Request) -> httpx.Response:
        answer = real(request)
        return httpx.Response(200, text=answer.text.replace("0.01", "0.02" if "2" in request.url.host else "0.01"))

    with httpx.Client(transport=httpx.MockTransport(other)) as client:
        seen = EvidenceLooks(cluster, PodMetrics(client)).observe(replace(held, marks={}), now=at(5))
        cluster.counts = dict.fromkeys(cluster.counts, 9)
        seen = EvidenceLooks(cluster, PodMetrics(client)).observe(replace(held, marks=seen.marks), now=at(9))

    assert isinstance(seen.evidence, CanaryEvidence)
    assert seen.evidence.operations.canary == Missing("the pods of one variant have different latency buckets")


def test_before_the_first_step_only_the_pods_are_looked_at(cluster: Cluster) -> None:
    with httpx.Client(transport=httpx.MockTransport(cluster)) as client:
        seen = EvidenceLooks(cluster, PodMetrics(client)).observe(FRESH, now=START)

    assert isinstance(seen.evidence, ReadyEvidence)
    assert seen.evidence.canary.ready == 2


def test_a_shadow_that_nobody_reads_is_missing(cluster: Cluster) -> None:
    shadowed = step(replace(FRESH, policy=RolloutPolicy()), Verdict.PASS, ("ready",), now=START)

    with httpx.Client(transport=httpx.MockTransport(cluster)) as client:
        seen = EvidenceLooks(cluster, PodMetrics(client)).observe(shadowed, now=START)

    assert isinstance(seen.evidence, ShadowEvidence)
    assert seen.evidence.pairs == Missing("nobody reads the answers of the shadow")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(root=tmp_path, store=tmp_path)


def logged(workspace: Workspace, *rows: dict[str, object]) -> None:
    """Write one file of the request log; a row says what is unlike the usual."""
    workspace.request_log.mkdir(parents=True, exist_ok=True)
    usual: dict[str, object] = {
        **dict.fromkeys(REQUEST_LOG_SCHEMA.names),
        **{"variant": "stable", "model_version": "1", "rollout": "1-2", "user_id": "u", "degraded": [], "k": 2},
        **{"slate": ["a", "b"], "candidates": ["a", "b"], "scores": [0.9, 0.5], "sources": [], "features": []},
        "feature_names": [],
    }
    whole = [{**usual, "moment": row["received_at"], **row} for row in rows]
    number = len(list(workspace.request_log.iterdir()))
    pq.write_table(
        pa.Table.from_pylist(whole, schema=REQUEST_LOG_SCHEMA),
        workspace.request_log / f"20260101T000100-{number}.parquet",
    )


def row(request: str, seconds: float, **more: object) -> dict[str, object]:
    canary = {"variant": "canary", "model_version": "2"} if request.startswith("c") else {}
    return {"request_id": request, "received_at": at(seconds), **canary, **more}


def quality(workspace: Workspace, rollout: Rollout, *clicked: tuple[str, str], now: datetime) -> log_quality.Quality:
    clicks = ClickFiles(workspace.root / "clicks")
    moment = [{"request_id": request, "item_id": item, "timestamp": at(50)} for request, item in clicked]
    clicks.add(moment)
    source = log_quality.LogQuality(workspace, clicks.files, window=timedelta(minutes=1), clicks=(CLICK,))
    return source.read(rollout, now=now)


def test_clicks_are_summed_by_user_and_weighted_by_step(workspace: Workspace) -> None:
    at_50 = step(AT, Verdict.PASS, ("fine",), now=at(30))
    logged(workspace, row("s1", 10), row("s2", 40), row("c1", 20, user_id="v"), row("c2", 41, user_id="v"))

    seen = quality(workspace, at_50, ("s1", "a"), ("c1", "b"), ("c2", "a"), ("c2", "b"), now=at(200))

    assert isinstance(seen.clicks, Rate)
    canary, stable = seen.clicks.canary, seen.clicks.stable
    # At 10 % an impression of the canary weighs 0.9 and one of the stable 0.1; at 50 % both weigh 0.5.
    assert (canary.users, canary.impressions, canary.clicks) == (1, 4, 3)
    assert (canary.a, canary.b) == pytest.approx((0.9 + 2 * 0.5, 2 * 0.9 + 2 * 0.5))
    assert (stable.a, stable.b) == pytest.approx((0.1, 2 * 0.1 + 2 * 0.5))
    assert canary.aa == pytest.approx(canary.a**2)
    assert isinstance(seen.conversions, Missing)


def test_requests_of_other_rollouts_versions_and_times_are_nobodys(workspace: Workspace) -> None:
    logged(
        workspace,
        row("s1", 10),
        row("s2", 10, rollout="9-9"),
        row("c1", 10, model_version="7"),
        row("s3", -5),
        row("s4", 190),
    )

    seen = quality(workspace, AT, now=at(200))

    assert isinstance(seen.clicks, Rate)
    assert (seen.clicks.stable.impressions, seen.clicks.canary.impressions) == (2, 0)
    assert seen.age_seconds == 10


def test_users_are_the_units_where_buckets_decide_and_requests_without_one_elsewhere(workspace: Workspace) -> None:
    sticky = [row(f"{'c' if n < 2 else 's'}{n}", 10, bucket=n, user_id=str(n % 5)) for n in range(10)]
    logged(workspace, *sticky)
    all_sticky = quality(workspace, AT, now=at(200))
    logged(workspace, *[row(f"{'c' if n < 3 else 's'}x{n}", 11, user_id=str(n)) for n in range(10)])

    half = quality(workspace, AT, now=at(200))

    assert all_sticky.allotted == Allotted(2, 7, "users")
    assert (half.allotted, half.sticky_share) == (Allotted(3, 10, "requests"), 0.5)


def test_a_log_without_a_request_of_a_step_is_missing(workspace: Workspace) -> None:
    empty = quality(workspace, AT, now=at(5))
    logged(workspace, row("s1", 10))
    fresh = quality(workspace, AT, now=at(20))

    assert empty.clicks == Missing("the request log holds no request of a step yet")
    assert fresh.clicks == Missing("no impression is old enough to count yet")


def test_a_new_step_has_no_units_yet(workspace: Workspace) -> None:
    logged(workspace, row("s1", 10))

    seen = quality(workspace, step(AT, Verdict.PASS, ("fine",), now=at(30)), now=at(40))

    assert seen.allotted == Missing("the request log holds no request of this step yet")


def test_a_look_reads_each_file_once_and_a_killed_controller_comes_to_the_same_figures(workspace: Workspace) -> None:
    clicks, read = ClickFiles(workspace.root / "clicks"), []

    def files() -> list[Path]:
        read.append(len(clicks.files()))
        return clicks.files()

    def source() -> log_quality.LogQuality:
        return log_quality.LogQuality(workspace, files, window=timedelta(minutes=1), clicks=(CLICK,))

    going_on = source()
    logged(workspace, row("s1", 10), row("c1", 20, user_id="v"))
    clicks.add([{"request_id": "s1", "item_id": "a", "timestamp": at(11)}])
    going_on.read(AT, now=at(75))
    for file in (*clicks.files(), *workspace.request_log.iterdir()):
        file.write_bytes(b"whoever reads it again fails")
    second = going_on.read(AT, now=at(100))
    logged(workspace, row("s1", 10), row("c1", 20, user_id="v"))
    clicks.add([{"request_id": "c1", "item_id": "b", "timestamp": at(30)}])
    third = going_on.read(AT, now=at(110))
    for file in (clicks.files(), sorted(workspace.request_log.iterdir())):
        next(path for path in file if path.read_bytes().startswith(b"whoever")).unlink()
    clicks.add([{"request_id": "s1", "item_id": "a", "timestamp": at(11)}])
    anew = source().read(AT, now=at(110))

    assert isinstance(second.clicks, Rate)
    assert isinstance(third.clicks, Rate)
    assert (second.clicks.canary.clicks, second.clicks.stable.clicks) == (0, 1)
    assert (third.clicks.canary.clicks, third.clicks.stable.clicks) == (1, 1)
    assert anew == third


def test_a_request_received_after_now_waits_for_the_step_that_it_may_be_of(workspace: Workspace) -> None:
    clicks = ClickFiles(workspace.root / "clicks")
    source = log_quality.LogQuality(workspace, clicks.files, window=timedelta(minutes=1), clicks=(CLICK,))
    logged(workspace, row("s1", 10), row("c1", 41))
    source.read(AT, now=at(35))

    seen = source.read(step(AT, Verdict.PASS, ("fine",), now=at(40)), now=at(200))

    assert isinstance(seen.clicks, Rate)
    assert (seen.clicks.canary.b, seen.clicks.stable.b) == pytest.approx((2 * 0.5, 2 * 0.1))


def test_another_attempt_begins_with_its_own_rows(workspace: Workspace) -> None:
    clicks = ClickFiles(workspace.root / "clicks")
    source = log_quality.LogQuality(workspace, clicks.files, window=timedelta(minutes=1), clicks=(CLICK,))
    logged(workspace, row("s1", 10), row("s2", 310))
    first = source.read(AT, now=at(400))
    halted = step(AT, Verdict.INCONCLUSIVE, ("late",), now=at(7300))
    again = step(ordered(halted, Order.RESUME, by="ann", now=at(7300)), Verdict.PASS, ("ready",), now=at(7301))

    second = source.read(again, now=at(7400))

    assert isinstance(first.clicks, Rate)
    assert first.clicks.stable.impressions == 4
    assert second.clicks == Missing("the request log holds no request of a step yet")


def test_events_from_before_the_attempt_are_not_read(workspace: Workspace) -> None:
    clicks = ClickFiles(workspace.root / "clicks")
    logged(workspace, row("s1", 10))
    clicks.add([{"request_id": "s1", "item_id": "a", "timestamp": at(11)}])
    (file,) = clicks.files()
    file.write_bytes(b"whoever reads it fails")
    os.utime(file, (at(-61).timestamp(),) * 2)

    seen = quality(workspace, AT, now=at(200))

    assert isinstance(seen.clicks, Rate)
    assert seen.clicks.stable.clicks == 0


def pairs(workspace: Workspace, *, now: datetime) -> log_pairs.Pairs | Missing:
    shadowed = step(replace(FRESH, policy=RolloutPolicy()), Verdict.PASS, ("ready",), now=START)
    return log_pairs.LogPairs(workspace).read(shadowed, now=now)


def test_a_copy_is_the_canarys_nearest_answer_to_the_same_person(workspace: Workspace) -> None:
    three = {"slate": ["a", "b", "c"], "candidates": ["a", "b", "c"], "k": 3}
    logged(
        workspace,
        row("s1", 10, **three, scores=[0.9, 0.8, 0.7]),
        row("s2", 11, **three, scores=[0.9, 0.8, 0.7], user_id="v"),
        row("s3", 12, **three, scores=[0.9, 0.8, 0.7], user_id="w"),
        row("c1", 10.01, slate=["b", "a", "x"], candidates=["b", "a", "x"], scores=[0.9, 0.8, 0.1], k=3),
        row("c2", 11.01, **three, scores=[1.0, 0.9, 0.8], user_id="v"),
        row("c9", 19, **three, scores=[0.9, 0.8, 0.7], user_id="w"),
    )

    found = pairs(workspace, now=at(100))

    assert isinstance(found, log_pairs.Pairs)
    assert (found.mirrored, found.answered) == (3, 2)
    assert found.overlap == pytest.approx((2 / 3 + 1) / 2)
    assert found.same_first == 0.5
    assert found.rank_correlation == pytest.approx((-1 + 1) / 2)
    # Of the first pair a fell by 0.1 and b rose by 0.1; all of the second rose by 0.1.
    assert found.score_shift == pytest.approx(0.05)


def test_a_copy_is_used_once(workspace: Workspace) -> None:
    logged(workspace, row("s1", 10), row("s2", 10.5), row("c1", 10.1))

    found = pairs(workspace, now=at(100))

    assert isinstance(found, log_pairs.Pairs)
    assert (found.mirrored, found.answered) == (2, 1)


def test_answers_that_share_nothing_have_no_order_to_compare(workspace: Workspace) -> None:
    logged(workspace, row("s1", 10), row("c1", 10.1, slate=["x"], candidates=["x"], scores=[0.1]))

    assert pairs(workspace, now=at(100)) == log_pairs.Pairs(1, 1, 0.0, 0.0, None, None)


def test_requests_that_nobody_answered_are_counted_and_young_ones_are_not(workspace: Workspace) -> None:
    logged(workspace, row("s1", 10), row("s2", 98))

    assert pairs(workspace, now=at(100)) == log_pairs.Pairs(1, 0, 0.0, 0.0, None, None)
    assert isinstance(pairs(workspace, now=at(12)), Missing)


def test_lists_are_compared_over_the_same_number_of_slates(workspace: Workspace) -> None:
    stable = [row(f"s{n}", 10 + n, slate=["a", "b"]) for n in range(4)]
    logged(workspace, *stable, row("c1", 10, slate=["a", "x"]))

    seen = quality(workspace, AT, now=at(200))

    # Every slate of the stable holds a: 0 bits. x was never shown, which counts as once in four: 2 bits.
    assert seen.lists == (Lists(1, 2, 1.0), Lists(1, 2, 0.0))


def test_the_rows_of_another_rollout_are_not_ours(workspace: Workspace) -> None:
    logged(workspace, row("s1", 10), row("s2", 10, rollout="1-3", model_version="1"))

    first, second = (
        LogRows(workspace, ("user_id",), replace(AT, name=name), since=START).unread()["request_id"].to_pylist()
        for name in ("1-2", "1-3")
    )

    assert (first, second) == (["s1"], ["s2"])


def test_the_shadow_is_compared_from_one_look_to_the_next_and_another_one_anew(workspace: Workspace) -> None:
    shadowed = step(replace(FRESH, policy=RolloutPolicy()), Verdict.PASS, ("ready",), now=START)
    source = log_pairs.LogPairs(workspace)
    logged(workspace, row("s1", 10), row("c1", 10.1))
    source.read(shadowed, now=at(100))
    logged(workspace, row("s2", 110), row("c2", 110.1))

    both = source.read(shadowed, now=at(200))
    later = source.read(replace(shadowed, entered_at=at(105)), now=at(200))

    assert (both, later) == (log_pairs.Pairs(2, 2, 1.0, 1.0, 1.0, 0.0), log_pairs.Pairs(1, 1, 1.0, 1.0, 1.0, 0.0))
