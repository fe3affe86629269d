"""What the pods of both variants did in a step, from their counters at each look. Pure.

A step's window of a pod is the difference to its first counters of that step, which travel with the rollout's state, so
a controller that was killed goes on with it. A pod that restarted has lost its counts: it is missing at that look and
counts anew from there on. A pod that is gone keeps what it had counted.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from k8s.evidence.cpu import Cpu, CpuSums
from k8s.evidence.scrape import Scrape, difference
from k8s.evidence.window import Missing, Operations, Window
from k8s.rollout.pods import VARIANTS, Variant
from k8s.rollout.rollout import Rollout

# Under this name among the rollout's marks.
MARK = "pods"


@dataclass(frozen=True)
class Noted:
    """What is remembered of one pod within a step: its counters at the first look, and at the latest one after it."""

    began: Scrape
    latest: Scrape | None = None


@dataclass(frozen=True)
class Side:
    """What is remembered of one variant within a step."""

    pods: dict[str, Noted] = field(default_factory=dict)
    cpu: CpuSums = field(default_factory=CpuSums)


# The counters of each pod of a variant, by its address or name; Missing for all of them, or for one.
Found = Mapping[str, Scrape | Missing] | Missing
_NOTES: TypeAdapter[dict[str, Side]] = TypeAdapter(dict[str, Side])


def so_far(rollout: Rollout, found: Mapping[Variant, Found], *, now: datetime) -> tuple[Operations, dict[str, Any]]:
    """The step's windows with this look, and the notes that the next look needs."""
    before = _NOTES.validate_python(json.loads(rollout.marks.get(MARK, "{}")))
    looked = {variant: _look(before.get(variant, Side()), found[variant], rollout) for variant in VARIANTS}
    sides = {str(variant): side for variant, (_, side) in looked.items()}
    read_at = [scrape.at for each in found.values() for scrape in _scrapes(each)]
    operations = Operations(
        looked["canary"][0],
        looked["stable"][0],
        age_seconds=max((now.timestamp() - at for at in read_at), default=0.0),
        cpu=_cpu(found, sides["canary"].cpu, sides["stable"].cpu),
    )
    # As text: the last bound is infinite, which JSON itself has no number for and Python's json does.
    return operations, {MARK: json.dumps(_NOTES.dump_python(sides))}


def _look(before: Side, found: Found, rollout: Rollout) -> tuple[Window | Missing, Side]:
    if isinstance(found, Missing):
        return found, before
    noted, passed, trouble = dict(before.pods), [], None
    for pod, scrape in found.items():
        if isinstance(scrape, Missing):
            trouble = scrape
        elif scrape.at < rollout.entered_at.timestamp():
            trouble = Missing("the newest counters are from before the step")
        elif pod not in noted:
            noted[pod] = Noted(scrape)
        elif isinstance(window := difference(noted[pod].began, scrape), Missing):
            trouble, noted[pod] = window, Noted(scrape)
        else:
            passed.append(_passed(noted[pod].latest or noted[pod].began, scrape))
            noted[pod] = Noted(noted[pod].began, scrape)
    side = Side(noted, _with(before.cpu, passed))
    return trouble or _window(noted.values()), side


def _passed(before: Scrape, now: Scrape) -> tuple[float, float, float] | None:
    """CPU seconds, seconds and requests between two looks at a pod; None where it was not read again, or says none."""
    if before.cpu is None or now.cpu is None or now.cpu < before.cpu or now.at <= before.at:
        return None
    return now.cpu - before.cpu, now.at - before.at, now.requests - before.requests


def _with(sums: CpuSums, passed: list[tuple[float, float, float] | None]) -> CpuSums:
    told = [each for each in passed if each is not None]
    return sums.plus(*(sum(each[part] for each in told) for part in range(3))) if told else sums


def _window(noted: Iterable[Noted]) -> Window | Missing:
    total: Window | None = None
    for note in noted:
        if note.latest is None:
            continue
        window = difference(note.began, note.latest)
        if isinstance(window, Missing):
            return window
        if total and window.latencies.bounds_ms != total.latencies.bounds_ms:
            return Missing("the pods of one variant have different latency buckets")
        total = total + window if total else window
    return total or Missing("the first look at a step only reads where its counters stand")


def _cpu(found: Mapping[Variant, Found], canary: CpuSums, stable: CpuSums) -> Cpu | Missing:
    for variant, each in found.items():
        if any(scrape.cpu is None for scrape in _scrapes(each)):
            return Missing(f"the {variant}'s pods do not say what CPU time they took")
    return Cpu(canary, stable)


def _scrapes(found: Found) -> list[Scrape]:
    held = () if isinstance(found, Missing) else found.values()
    return [scrape for scrape in held if isinstance(scrape, Scrape)]
