"""A real Prometheus scrapes what two versions say of themselves, and a rollout judges by what it holds."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server
from promtool import needs_prometheus

from k8s.evidence.prometheus import PrometheusOperations, PrometheusSettings
from k8s.evidence.window import Missing, Operations, Window
from k8s.judgement.assess import CanaryEvidence, assess
from k8s.loopback import free_ports, loopback_client
from k8s.policy.rules import CanaryPolicy, RolloutPolicy
from k8s.rollout.pods import VARIANTS, PodsSeen, Variant
from k8s.rollout.rollout import Rollout
from k8s.rollout.states import State
from monitoring.dashboards.prometheus import configuration, running_prometheus
from serving.metrics import register_metrics
from training.verdict import Verdict

pytestmark = [pytest.mark.integration, needs_prometheus]
EVERY = 0.2  # seconds between two scrapes
POLICY = RolloutPolicy(canary=CanaryPolicy(clicks=None, conversions=None))


class Pod:
    """The metrics of the service, counted by hand, on a port."""

    def __init__(self, port: int) -> None:
        self.address, registry = f"127.0.0.1:{port}", CollectorRegistry()
        self._metrics = register_metrics(registry)
        self._cpu = Counter("process_cpu_seconds_total", "CPU", registry=registry)
        Gauge("process_start_time_seconds", "Start", registry=registry).set(1)
        self._server, self._thread = start_http_server(port, "127.0.0.1", registry)

    def answer(self, requests: int, *, failed: int, cpu: float) -> None:
        self._metrics.requests.labels("200").inc(requests - failed)
        self._metrics.requests.labels("500").inc(failed)
        for _ in range(requests):
            self._metrics.duration.observe(0.003)
        self._cpu.inc(cpu)

    def leave(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def pods() -> Iterator[dict[Variant, Pod]]:
    held: dict[Variant, Pod] = {variant: Pod(port) for variant, port in zip(VARIANTS, free_ports(2), strict=True)}
    yield held
    held["stable"].leave()


def test_a_step_is_judged_by_what_a_real_prometheus_scraped(tmp_path: Path, pods: dict[Variant, Pod]) -> None:
    seen_pods = {each: PodsSeen(1, 1, ("-",), (f"http://{pods[each].address}",)) for each in VARIANTS}
    targets = {str(variant): [pod.address] for variant, pod in pods.items()}
    rollout, operations = Rollout("1-2", "1", "2", POLICY, *[datetime.now(UTC)] * 2, State.CANARY, 0), None

    with ExitStack() as up:
        server = running_prometheus(tmp_path, configuration(targets, [], every_seconds=EVERY))
        prometheus = up.enter_context(ending := ExitStack()) and ending.enter_context(server)
        settings = PrometheusSettings(url=prometheus.url, matchers='job="{variant}"')
        source = PrometheusOperations(settings, up.enter_context(loopback_client()))

        def look() -> Operations:
            nonlocal rollout
            seen, marks = source.read(rollout, seen_pods, now=datetime.now(UTC))
            rollout = replace(rollout, marks=marks)
            return seen

        def look_until(holds: Callable[[Operations], bool]) -> Operations:
            deadline = time.monotonic() + 20
            while not holds(seen := look()):
                assert time.monotonic() < deadline, seen
                time.sleep(0.05)
            return seen

        nobody = look()
        look_until(lambda seen: all(isinstance(side, Window) for side in (seen.canary, seen.stable)))
        for turn in range(1, 10):
            for pod in pods.values():
                pod.answer(200, failed=0, cpu=0.6 + 0.1 * (turn % 2))
            operations = look_until(lambda seen, turn=turn: counts(seen) == (200 * turn, 200 * turn))  # type: ignore[misc]
        good = assess(rollout, CanaryEvidence(operations))
        pods["canary"].answer(600, failed=300, cpu=1.8)
        bad = assess(rollout, CanaryEvidence(look_until(lambda seen: counts(seen)[0] == 2400)))
        pods["canary"].leave()
        gone = look_until(lambda seen: isinstance(seen.canary, Missing))
        ending.close()
        silent = look()

    assert isinstance(nobody.canary, Missing)
    assert good.verdict is Verdict.PASS, good.reasons
    assert (operations.canary.errors, operations.canary.degraded) == (0, 0)
    assert bad.verdict is Verdict.FAIL
    assert bad.reasons[0].startswith("errors: canary 300 of 2400")
    assert gone.canary == Missing(f"Prometheus cannot read the metrics of {pods['canary'].address}")
    assert silent.stable == Missing("Prometheus did not answer with counters (ConnectError)")
    assert assess(rollout, CanaryEvidence(silent)).verdict is Verdict.INCONCLUSIVE


def counts(seen: Operations) -> tuple[float, float]:
    """Requests of the canary and the stable; exact, since nothing is extrapolated."""
    canary, stable = (side.requests if isinstance(side, Window) else -1 for side in (seen.canary, seen.stable))
    return canary, stable
