"""`python -m k8s controller`: everything that a controller touches, opened, run until a signal, and closed."""

import logging
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from feature_repo.core.workspace import Workspace
from k8s.cluster.api import Api, open_api
from k8s.cluster.deployer import DeploymentDeployer
from k8s.cluster.http_route import HttpRoutePlane
from k8s.cluster.lease import Lease
from k8s.cluster.pods import ClusterPods
from k8s.cluster.settings import ClusterSettings
from k8s.cluster.state_store import ConfigMapStore
from k8s.controller.loop import Controller, Ports
from k8s.controller.metrics import controller_metrics
from k8s.controller.probes import answering
from k8s.controller.reports import Reports
from k8s.controller.settings import ControllerSettings
from k8s.controller.watching import waking
from k8s.evidence.looks import EvidenceLooks
from k8s.judgement.assess import assess
from k8s.loopback import loopback_client

logger = logging.getLogger("k8s.controller")


def run_controller(workspace: Workspace, settings: ControllerSettings, cluster: ClusterSettings) -> None:
    """Run until SIGTERM or SIGINT; the turn under way is finished, and the Lease given back.

    Raises:
        ClusterError: there is no cluster to connect to.
    """
    api, metrics = open_api(cluster), controller_metrics()
    controller = Controller(ports_of(api, workspace, settings), settings=settings, metrics=metrics)
    for kind in (signal.SIGTERM, signal.SIGINT):
        signal.signal(kind, lambda *_: controller.leave())
    with (
        answering(settings.port, alive=lambda: controller.alive, registry=metrics.registry) as port,
        waking(api, controller.wake),
    ):
        logger.info("controlling namespace=%s identity=%s port=%s", cluster.namespace, settings.identity, port)
        controller.run()
    logger.info("left identity=%s", settings.identity)
    api.close()


def ports_of(api: Api, workspace: Workspace, settings: ControllerSettings) -> Ports:
    """The ports of a controller on a cluster."""
    client = loopback_client()
    pods = ClusterPods(api, client=client)

    def clock() -> datetime:
        return datetime.now(UTC)

    return Ports(
        lease=Lease(api, identity=settings.identity),
        store=ConfigMapStore(api),
        plane=HttpRoutePlane(api),
        pods=pods,
        canary=DeploymentDeployer(api, variant="canary", client=client),
        looks=_looks(pods, workspace, settings),
        assess=assess,
        clock=clock,
        reports=Reports(workspace, clock=clock),
    )


def _looks(pods: ClusterPods, workspace: Workspace, settings: ControllerSettings) -> EvidenceLooks:
    """Operations from Prometheus or the pods, quality and pairs from the request log in the shared store."""
    from feature_repo.dataset.received import received_files
    from k8s.evidence.log_pairs import LogPairs
    from k8s.evidence.log_quality import LogQuality
    from k8s.evidence.pod_metrics import PodMetrics
    from k8s.evidence.prometheus import PrometheusOperations

    quality = LogQuality(
        workspace,
        lambda: received_files(workspace),
        window=timedelta(seconds=settings.attribution_seconds),
        clicks=settings.clicks,
        conversions=settings.conversions,
    )
    client, prometheus = loopback_client(), settings.prometheus
    operations = PrometheusOperations(prometheus, client) if prometheus else PodMetrics(client)
    return EvidenceLooks(pods, operations, quality=quality, pairs=LogPairs(workspace))


def log_lines(write: Callable[[str], object]) -> None:
    """Send what is logged, INFO and above, to `write`, a line each with its time."""

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            write(self.format(record))

    handler = Lines()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger("k8s")
    root.addHandler(handler)
    root.setLevel(logging.INFO)
