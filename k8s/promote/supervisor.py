"""`python -m k8s serve`: one server on one port that changes its version when a promotion or a rollback says so.

The old process ends before the new one starts, since both want the port: a laptop's server is away for the seconds that
a start takes, and a Deployment's rolling update is not. After a version that does not come up the last one serves.
"""

from collections.abc import Callable
from threading import Event

from feature_repo.core.workspace import Workspace
from k8s.loopback import LOOPBACK
from k8s.processes import Child, ProcessError, ending_on_signals, running, wait_ready
from k8s.promote.served import FAILED, SERVING, STARTING, ServedFiles, Told, Wanted
from k8s.release import Serve, serving_command

PATIENCE_SECONDS = 120.0  # from a process's start to ready
LOOK_SECONDS = 0.2  # between two looks at what is wanted


def supervise(
    workspace: Workspace,
    *,
    port: int,
    champion: Callable[[], str],
    say: Callable[[str], object],
    serve: Serve = serving_command,
    stop: Event | None = None,
    patience_seconds: float = PATIENCE_SECONDS,
) -> None:
    """Serve the champion, and whatever is wanted after it, until `stop` or a signal.

    Raises:
        AlreadyServed: this workspace has a server.
        ProcessError: the first version does not come up, or a served one ends by itself.
    """
    files, stop = ServedFiles.of(workspace), stop or Event()
    with files.supervising(), ending_on_signals():
        # Read after the lock is held: a move of aliases that ends later finds us, one that ended before is seen here.
        before = files.wanted
        wanted = files.begin(champion(), unless_since=before)
        good, failed = None, ""
        while not stop.is_set():
            version = wanted.version if not failed else good
            assert version is not None
            told = Told(wanted, STARTING, version, f"http://{LOOPBACK}:{port}")
            files.tell(told)
            log = workspace.root / "logs" / "serve.log"
            with running("server", serve(version, port, "stable"), log=log) as child:
                try:
                    wait_ready(child, told.url, version=version, patience_seconds=patience_seconds)
                except ProcessError as error:
                    if good is None or failed:
                        raise
                    failed = str(error)
                    say(f"version {version} did not come up, back to version {good}: {failed}")
                    continue
                good = version
                say(f"version {version} serves at {told.url}; its log is {log}")
                wanted, failed = _serve_until_changed(files, child, told, failed, stop), ""


def _serve_until_changed(files: ServedFiles, child: Child, told: Told, failed: str, stop: Event) -> Wanted:
    """Wait for a wish that needs another process; returns it."""
    wanted = told.wanted
    files.tell(Told(wanted, FAILED if failed else SERVING, told.version, told.url, failed))
    while not stop.wait(LOOK_SECONDS):
        child.check_alive()
        newest = files.wanted
        if newest is None or newest == wanted:
            continue
        wanted = newest
        if wanted.version != told.version:
            break
        files.tell(Told(wanted, SERVING, told.version, told.url))
    return wanted
