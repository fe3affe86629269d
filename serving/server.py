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

from feature_repo.core.errors import RecommenderError
from feature_repo.core.workspace import Workspace
from serving.settings import from_env, require_bundle

logger = logging.getLogger("serving.server")

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
    settings = from_env(workspace)
    require_bundle(settings)
    # uvicorn finishes what is in flight and then sends itself the signal again; by default that would kill
    # the process before it tidies up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with prepared_for_bento(workspace.root / "bentoml"), bound_socket(host, port) as listener:
        # Imported here, since Bento and prometheus_client read the environment when they are imported.
        import bentoml
        import uvicorn

        from serving.service import RecommenderService, app
        from serving.start import open_from_env

        # Opened before the server runs, so that what is wrong is one sentence and not a failed ASGI lifespan.
        app.state.runtime = open_from_env()
        logger.info("listening version=%s url=http://%s:%d/", settings.version, host, port)
        # What the labels of Bento's own metrics say.
        bentoml.server_context.service_name = bentoml.server_context.bento_name = RecommenderService.name
        bentoml.server_context.bento_version = settings.version
        config = uvicorn.Config(
            RecommenderService.to_asgi(),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        uvicorn.Server(config).run(sockets=[listener])


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
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = metrics
    try:
        yield
    finally:
        shutil.rmtree(metrics, ignore_errors=True)


def log_to_stderr() -> None:
    """One line for each event, on stderr."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # What these say about themselves adds nothing to our lines.
    for name in ("bentoml", "uvicorn", "opentelemetry", "httpx", "feast"):
        logging.getLogger(name).setLevel(logging.WARNING)
