"""Training as a Job, made of the CronJob's own template: what runs between times is what runs on Mondays."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime

from k8s.cluster.api import Api
from k8s.cluster.errors import Absent, ClusterError, Conflict

REASON = "recommender/reason"


class TrainingJobs:
    """Starts training. `now` gives the moment, since a reason counts once a day."""

    def __init__(self, api: Api, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._api = api
        self._now = now

    def start(self, reason: str) -> str:
        """Start a Job and return its name. The same reason on the same day (UTC) is the same Job.

        So a trigger that was killed between starting and recording may ask again.

        Raises:
            ClusterError: there is no such CronJob, or the Job is refused.
        """
        settings = self._api.settings
        template = self._api.call(self._api.batch.read_namespaced_cron_job, settings.train, settings.namespace)
        name = self._name(reason)
        made = template.spec.job_template
        labels = {**((made.metadata and made.metadata.labels) or {}), "app.kubernetes.io/part-of": "retraining"}
        annotations = {"cronjob.kubernetes.io/instantiate": "manual", REASON: reason}
        job = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "labels": labels, "annotations": annotations},
            "spec": made.spec,
        }
        try:
            self._api.call(self._api.batch.create_namespaced_job, settings.namespace, job)
        except Conflict:
            return name
        return name

    def outcome(self, name: str) -> str:
        """`running`, `complete` or `failed`, by the conditions of the Job.

        A Job that somebody deleted has failed: nothing of it can be shown any more.
        """
        try:
            found = self._api.call(self._api.batch.read_namespaced_job, name, self._api.settings.namespace)
        except Absent:
            return "failed"
        conditions = {one.type for one in (found.status and found.status.conditions) or () if one.status == "True"}
        if {"Failed", "FailureTarget"} & conditions:
            return "failed"
        return "complete" if "Complete" in conditions else "running"

    def _name(self, reason: str) -> str:
        if not reason.strip():
            raise ClusterError(f"a Job is started for a reason; got {reason!r}")
        made_of = f"{self._now().astimezone(UTC).date().isoformat()}\0{reason}"
        return f"{self._api.settings.train}-{hashlib.sha256(made_of.encode()).hexdigest()[:10]}"
