"""Settings of a world that is like a real log, as far as a few moments of the log say."""

import numpy as np

from monitoring.simulator.log import simulate
from monitoring.simulator.make import make_world
from monitoring.simulator.marginals import VISIT_PAUSE, Marginals, marginals
from monitoring.simulator.settings import SimulatorSettings

NO_REPEATS = 0.01  # repeat share below which a log forbids repeats
PILOT_EVENTS = 20_000  # of the worlds that moments are compared on
ROUNDS = 4


def sized_like(real: Marginals, *, most_events: int) -> SimulatorSettings:
    """The default settings with the real log's size; above a limit events, users and items shrink in proportion."""
    scale = min(1.0, most_events / real.events)
    return SimulatorSettings(
        events=max(round(real.events * scale), 1_000),
        users=max(round(real.users * scale), 20),
        items=max(round(real.items * scale), 20),
        days=max(real.days, 1.0),
    )


def fitted_to(real: Marginals, *, most_events: int, seed: int) -> SimulatorSettings:
    """The same, and its moments moved towards the log's, round by round: the unevenness of users and of items, the
    length and pace of visits, and the share of late users.
    """
    wanted = _moments(real)
    size = sized_like(real, most_events=most_events)
    repeat = 0.0 if real.repeat_share < NO_REPEATS else size.repeat
    found = size.model_copy(update={"new_users": min(real.late_users, 0.95), "repeat": repeat})
    pilot_size = sized_like(real, most_events=min(PILOT_EVENTS, most_events))
    for _ in range(ROUNDS):
        same = {"events": pilot_size.events, "users": pilot_size.users, "items": pilot_size.items}
        pilot = make_world(found.model_copy(update=same), seed=seed)
        found = _moved(found, _moments(marginals(simulate(pilot, seed=seed).events)), wanted)
    return found


def _moments(log: Marginals) -> dict[str, float]:
    """What settings move directly: spread of log events, Gini of items, mean log visit, centre and spread of pauses."""
    pauses = np.log(log.gaps[(log.gaps >= 1) & (log.gaps < VISIT_PAUSE)])
    known = len(pauses) > 1
    return {
        "users": float(np.log(log.per_user).std()),
        "items": log.gini,
        "visit": float(np.log(log.visit_lengths.mean())),
        "pause": float(np.median(pauses)) if known else float("nan"),
        "pause spread": float(pauses.std()) if known else float("nan"),
    }


def _moved(settings: SimulatorSettings, seen: dict[str, float], wanted: dict[str, float]) -> SimulatorSettings:
    """One step of each setting towards its moment; a moment that a log does not have moves nothing."""
    gap = {name: wanted[name] - seen[name] if np.isfinite(wanted[name] - seen[name]) else 0.0 for name in wanted}
    return settings.model_copy(
        update={
            "activity_spread": _within(settings.activity_spread + gap["users"], 0.05, 2.5),
            "popularity_exponent": _within(settings.popularity_exponent + 2 * gap["items"], 0.0, 2.5),
            "steps": _within(settings.steps * np.exp(gap["visit"]), 1.0, 500.0),
            "gap_seconds": _within(settings.gap_seconds * np.exp(gap["pause"]), 1.0, 900.0),
            "gap_spread": _within(settings.gap_spread + gap["pause spread"], 0.05, 2.5),
        }
    )


def _within(value: float, low: float, high: float) -> float:
    return float(np.clip(value, low, high))
