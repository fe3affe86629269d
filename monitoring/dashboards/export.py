"""`python -m monitoring export`: the figures of the jobs and the verdicts of the reports for a Prometheus elsewhere."""

from collections.abc import Callable

from feature_repo.core.errors import RecommenderError
from feature_repo.core.workspace import Workspace
from monitoring.dashboards.exporter import serving_metrics
from monitoring.dashboards.monitor import stop_signal


class ExportFailed(RecommenderError):
    """The metrics of the reports cannot be served."""


def export(workspace: Workspace, *, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serve `/metrics` over the workspace's reports until SIGINT or SIGTERM; port 0 takes a free one.

    Raises:
        ExportFailed: the address cannot be listened on.
    """
    with stop_signal() as stopped:
        try:
            with serving_metrics(workspace.reports, host=host, port=port) as taken:
                say(f"the metrics of {workspace.reports} are at http://{host}:{taken}/metrics")
                stopped.wait()
        except OSError as error:
            raise ExportFailed(f"the export needs a free address; got {host} port {port} ({error})") from None
    say("stopped")
