"""What a controller counts and shows, in Prometheus' words."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge

from k8s.rollout.rollout import Rollout
from k8s.rollout.states import State

NO_ROLLOUT = "NONE"


@dataclass(frozen=True)
class ControllerMetrics:
    """One controller's metrics. Labels in brackets."""

    registry: CollectorRegistry
    leading: Gauge
    state: Gauge  # [state]; 1 for the one that the rollout is in
    weight: Gauge
    turns: Counter  # [outcome]
    errors: Counter  # [kind]
    last_turn: Gauge

    def show(self, rollout: Rollout | None) -> None:
        """Show where the rollout stands; None where there is none."""
        current = rollout.state if rollout else NO_ROLLOUT
        for name in (NO_ROLLOUT, *State):
            self.state.labels(name).set(name == current)
        self.weight.set(rollout.weight if rollout else 0)


def controller_metrics() -> ControllerMetrics:
    """Metrics in a registry of their own, every state declared from the start."""
    registry = CollectorRegistry()

    def gauge(name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(name, meaning, labels, registry=registry)

    made = ControllerMetrics(
        registry=registry,
        leading=gauge("controller_leading", "1 while this controller holds the Lease"),
        state=gauge("rollout_state", "1 for the state that the rollout is in", "state"),
        weight=gauge("rollout_weight", "Percent of requests that the canary gets by the rollout's state"),
        turns=Counter("controller_turns", "Turns by what came of them", ["outcome"], registry=registry),
        errors=Counter(
            "controller_errors", "Turns that ended early, by the kind of error", ["kind"], registry=registry
        ),
        last_turn=gauge("controller_last_turn_timestamp_seconds", "When the last turn ended, Unix time"),
    )
    made.show(None)
    return made
