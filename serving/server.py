"""Serve one version in this process: Bento's app on uvicorn, without Bento's supervisor.

`bentoml serve` starts a supervisor that imports the service, then a worker that imports it again. For one
worker that costs time and a second process, and what restarts a dead server is Kubernetes, or on a laptop the
rollout. The app is the one that Bento's worker serves, middleware and metrics included.
"""

import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from feature_repo.core.errors import RecommenderError
from feature_repo.core.workspace import Workspace
from serving.operations.logs import log_to_stderr
from serving.settings import from_env, require_bundle

if TYPE_CHECKING:
    from starlette.applications import Starlette

logger = logging.getLogger("serving.server")

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
GRACE_SECONDS = 10  # for requests in flight at SIGTERM
# Longer than a proxy keeps an idle connection (Traefik: 90 s): the one that closes first must be the proxy, else it
# sends a request into a closed connection and answers 502.
KEEP_ALIVE_SECONDS = 120


class PortTaken(RecommenderError):
    """The address cannot be listened on."""


def serve(workspace: Workspace, *, host: str, port: int) -> None:
    """Serve what the environment describes until SIGTERM or SIGINT.

    Raises:
        RecommenderError: the port is taken, or the runtime cannot be opened.
    """
    # Products of a request are shorter than waking a second thread. It is read when NumPy is imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    settings = from_env(workspace)
    require_bundle(settings)
    log_to_stderr(settings.log_format, version=settings.version, variant=settings.variant)
    # uvicorn finishes what is in flight and then sends itself the signal again; by default that would kill
    # the process before it tidies up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    keep_metrics_in_memory()
    with prepared_for_bento(workspace.root / "bentoml"), bound_socket(host, port) as listener:
        # Imported here, since Bento reads the environment when it is imported.
        import uvicorn

        from serving.app import STRAIGHT
        from serving.operations.front import Front
        from serving.operations.shutdown import DrainingServer
        from serving.service import RecommenderService, app
        from serving.start import open_from_env

        # Opened before the server runs, so that what is wrong is one sentence and not a failed ASGI lifespan.
        app.state.runtime = open_from_env()
        front = Front(RecommenderService.to_asgi(), ours=app, straight=STRAIGHT)
        front.open()
        logger.info("listening version=%s url=%s", settings.version, f"http://{host}:{port}/")
        config = uvicorn.Config(
            front,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        # So long a thread waits for the interpreter while another works: usually 5 ms, as long as an answer takes.
        sys.setswitchinterval(0.0005)
        server = DrainingServer(config, drain_seconds=settings.drain_seconds, on_drain=lambda: drain(app))
        requests = server.server_state.tasks
        app.state.runtime.answering.turns.alone = lambda: len(requests) < 2  # the one that asks is among them
        server.run(sockets=[listener])


def drain(app: "Starlette") -> None:
    """Become unready, and send clients elsewhere with their next request."""
    app.state.draining = True
    logger.info("draining")


def keep_metrics_in_memory() -> None:
    """Let this process's metrics be plain numbers: only several processes behind one address need files to add up."""
    os.environ.pop(METRICS_FOLDER, None)
    # Which of the two it is, is decided when this is imported.
    import prometheus_client  # noqa: F401


@contextmanager
def bound_socket(host: str, port: int) -> Iterator[socket.socket]:
    """The address, reserved at once but refusing connections until the server listens.

    Raises:
        PortTaken: somebody else has it, or it is not this machine's.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise PortTaken(f"the server needs a free address; got {host} port {port} ({error})") from None
        yield listener


@contextmanager
def prepared_for_bento(home: Path) -> Iterator[None]:
    """Bento's home in the workspace, no reports to its makers, and metrics that no other server shares."""
    home.mkdir(parents=True, exist_ok=True)
    metrics = tempfile.mkdtemp(prefix="metrics-", dir=home)
    os.environ["BENTOML_HOME"] = str(home)
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
    # Feast would make folders in the system's, and leave them there.
    os.environ[METRICS_FOLDER] = os.environ["PROMETHEUS_MULTIPROCESS_DIR"] = metrics
    try:
        yield
    finally:
        shutil.rmtree(metrics, ignore_errors=True)
