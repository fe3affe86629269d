"""canary.json and shadow.json of a rollout on a cluster, in the form in which a laptop writes them.

The records of the steps lie in the workspace, beside nothing that decides: a controller that takes over goes on with
them. The reports of an end are written again until they are there.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

from feature_repo.core.workspace import Workspace, read_json, write_json
from k8s.evidence.window import Window
from k8s.judgement.assess import CanaryEvidence, ShadowEvidence
from k8s.laptop.callers import Tally
from k8s.laptop.records import Records
from k8s.laptop.report import canary_report, shadow_report
from k8s.rollout.rollout import Rollout
from k8s.rollout.tick import Ticked

CANARY, SHADOW = "canary.json", "shadow.json"
USERS = "real"


class Tells(Protocol):
    """Whoever is told how a rollout goes."""

    def looked(self, done: Ticked[Any]) -> None:
        """A tick saw and judged something."""

    def ended(self, rollout: Rollout) -> None:
        """The rollout is over. Told at every turn from then on."""


class Silent:
    """Tells nobody."""

    def looked(self, done: Ticked[Any]) -> None:
        pass

    def ended(self, rollout: Rollout) -> None:
        pass


class Reports:
    """Writes the reports of a workspace, which the gates of a promotion read."""

    def __init__(self, workspace: Workspace, *, clock: Callable[[], datetime]) -> None:
        self._workspace = workspace
        self._clock = clock

    def looked(self, done: Ticked[Any]) -> None:
        self._records(done.before).looked(done, _tally(done), now=self._clock())

    def ended(self, rollout: Rollout) -> None:
        if self._is_written(rollout):
            return
        now, records = self._clock(), self._records(rollout)
        if shadow := shadow_report(rollout, records, now=now):
            write_json(self._workspace.reports / SHADOW, shadow)
        write_json(self._workspace.reports / CANARY, canary_report(rollout, records, users=USERS, now=now))

    def _records(self, rollout: Rollout) -> Records:
        return Records(self._workspace.root / "rollout" / "records.json", rollout)

    def _is_written(self, rollout: Rollout) -> bool:
        path = self._workspace.reports / CANARY
        if not path.exists():
            return False
        held = read_json(path, made_by="the controller")
        wanted = (rollout.name, rollout.attempt, rollout.state.value)
        return (held.get("name"), held.get("attempt"), held.get("end_state")) == wanted


def _tally(done: Ticked[Any]) -> Tally:
    """The step's requests as the pods counted them: on a cluster the callers are not ours."""
    evidence = done.seen.evidence if done.seen else None
    if not isinstance(evidence, CanaryEvidence | ShadowEvidence):
        return Tally()
    windows = [w for w in (evidence.operations.canary, evidence.operations.stable) if isinstance(w, Window)]
    return Tally(int(sum(w.requests for w in windows)), int(sum(w.errors for w in windows)))
