"""A laptop's server follows promotions and rollbacks: real processes that answer /readyz, a real supervisor."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from threading import Event, Thread

import pytest
from promotable_workspace import NOW, POLICY, WRITES, Dying, Killed, RememberedDeployer, build_promotable, put_back

from feature_repo.core.errors import MissingArtifact, RecommenderError, SettingsRefused
from feature_repo.core.workspace import Workspace
from k8s.loopback import free_ports
from k8s.processes import ProcessError
from k8s.promote import command
from k8s.promote.champion import fetch_champion
from k8s.promote.command import NOTHING, Where, deployer_at, place, promote, rollback
from k8s.promote.local import LocalDeployer, local_deployer
from k8s.promote.served import AlreadyServed, ServedFiles, Wanted
from k8s.promote.supervisor import supervise
from training.deployer import DeployFailed, Fenced
from training.registry import MODEL, Kind, Mover, alias_lock, connect

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
]

SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{"ready": true, "model_version": "%s"}' % sys.argv[1].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
if sys.argv[1] in sys.argv[3]:
    sys.exit("it cannot be served")
http.server.HTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
"""


@dataclass
class Served:
    """A supervisor in a thread, and what it said."""

    workspace: Workspace
    broken: str = ""
    said: list[str] = field(default_factory=list)
    raised: list[RecommenderError] = field(default_factory=list)

    def command(self, version: str, port: int, _variant: str) -> list[str]:
        return [sys.executable, "-I", "-S", "-c", SERVER, version, str(port), self.broken or "-"]

    @property
    def deployer(self) -> LocalDeployer:
        return LocalDeployer(ServedFiles.of(self.workspace), patience_seconds=30)

    @contextmanager
    def up(self, champion: Callable[[], str] = lambda: "1") -> Iterator[None]:
        (port,), stop = free_ports(1), Event()

        def run() -> None:
            try:
                supervise(
                    self.workspace,
                    port=port,
                    champion=champion,
                    say=self.said.append,
                    serve=self.command,
                    stop=stop,
                    patience_seconds=20,
                )
            except RecommenderError as error:
                self.raised.append(error)

        thread = Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(30)


@pytest.fixture
def served(tmp_path: Path) -> Served:
    return Served(Workspace(root=tmp_path, store=tmp_path / "store"))


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_deployment_changes_the_version_that_answers(served: Served) -> None:
    with served.up():
        wait_until(lambda: served.deployer.serving() == "1")

        served.deployer.deploy("2", fence=5)
        assert served.deployer.serving() == "2"
        served.deployer.deploy("2", fence=6)
        served.deployer.deploy("1", fence=7)
        assert served.deployer.serving() == "1"

    assert served.deployer.serving() is None
    assert [line.split(" at ")[0] for line in served.said] == [
        "version 1 serves",
        "version 2 serves",
        "version 1 serves",
    ]


def test_a_version_that_does_not_come_up_leaves_the_last_one_serving(served: Served) -> None:
    served.broken = "2"
    with served.up():
        wait_until(lambda: served.deployer.serving() == "1")

        with pytest.raises(DeployFailed, match="version 2 did not come up: server ended with status 1"):
            served.deployer.deploy("2", fence=5)

        assert served.deployer.serving() == "1"
        served.deployer.deploy("1", fence=5)
        served.broken = ""
        served.deployer.deploy("2", fence=6)
        assert served.deployer.serving() == "2"
    assert served.said[1].startswith("version 2 did not come up, back to version 1: server ended with status 1")


def test_a_mover_that_comes_too_late_changes_nothing(served: Served) -> None:
    with served.up():
        wait_until(lambda: served.deployer.serving() == "1")
        served.deployer.deploy("2", fence=9)

        with pytest.raises(Fenced, match="expected no later mover than 8 to have deployed; got 9"):
            served.deployer.deploy("1", fence=8)

        assert served.deployer.serving() == "2"


def test_a_workspace_has_one_server_and_says_where(served: Served) -> None:
    with served.up():
        wait_until(lambda: served.deployer.serving() == "1")

        with pytest.raises(AlreadyServed, match=r"served already at http://127\.0\.0\.1:\d+: end that server first"):
            supervise(served.workspace, port=1, champion=lambda: "1", say=print, serve=served.command)


def test_a_first_version_that_does_not_come_up_ends_the_server(served: Served) -> None:
    served.broken = "1"
    with served.up():
        wait_until(lambda: bool(served.raised))

    assert isinstance(served.raised[0], ProcessError)
    assert local_deployer(served.workspace) is None


def test_a_deployment_does_not_wait_for_a_server_that_is_gone(served: Served) -> None:
    with pytest.raises(DeployFailed, match="the server ended before version 2 came up: start it with `make serve`"):
        served.deployer.deploy("2", fence=1)


def test_a_deployment_that_takes_too_long_is_a_sentence(served: Served) -> None:
    files = ServedFiles.of(served.workspace)
    with (
        files.supervising(),
        pytest.raises(DeployFailed, match=r"expected the server to serve version 2 within 0\.1 s; it does not"),
    ):
        LocalDeployer(files, patience_seconds=0.1).deploy("2", fence=1)


def test_what_a_mover_wanted_while_the_server_started_is_what_is_served(served: Served) -> None:
    """Once a server read the old alias, then the aliases moved, and it served what nobody wanted any more."""

    def champion() -> str:
        ServedFiles.of(served.workspace).want(Wanted("2", 4))
        return "1"

    with served.up(champion):
        wait_until(lambda: served.deployer.serving() is not None)
        assert served.deployer.serving() == "2"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "REGISTRY_LOCK_URL"):
            patch.delenv(name, raising=False)
        yield build_promotable(tmp_path_factory.mktemp("promotable"))


@pytest.fixture
def promotable(built: Workspace) -> Workspace:
    put_back(built)
    return built


def test_a_promotion_and_its_rollback_change_what_is_served_and_say_so(promotable: Workspace) -> None:
    workspace, served, said = promotable, Served(promotable), []
    with served.up(lambda: fetch_champion(workspace)):
        wait_until(lambda: served.deployer.serving() == "1")

        promote(workspace, POLICY, where=Where.LOCAL, say=said.append)
        assert served.deployer.serving() == "2"
        promote(workspace, POLICY, where=Where.LOCAL, say=said.append)
        served.broken = "1"
        with pytest.raises(DeployFailed, match="version 1 did not come up, so version 2 stays champion: version 1 did"):
            rollback(workspace, where=Where.LOCAL, say=said.append)
        assert served.deployer.serving() == "2"
        served.broken = ""
        rollback(workspace, where=Where.LOCAL, say=said.append)
        assert served.deployer.serving() == "1"
    rollback(workspace, where=Where.LOCAL, say=said.append)

    told = [line.strip() for line in said]
    assert told[:2] == ["quality: NDCG@10 differs by +0.0100 [+0.0000, +0.0200], not below -0.0050", told[1]]
    assert told[1:] == [
        "canary: PASS: ended PROMOTED",
        "PASS: the aliases moved",
        "champion = 2, previous = 1",
        "up to date: no challenger waits for a decision",
        "champion = 2, previous = 1",
        "version 1 is champion again, in place of version 2",
        "champion = 1, previous = 2",
        NOTHING,
        "version 1 is champion again, in place of version 2",
        "champion = 1, previous = 2",
    ]


def test_a_server_that_starts_while_the_aliases_move_is_seen_to(
    promotable: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it read the old champion a moment before the move, and nobody told it."""
    workspace, late = promotable, RememberedDeployer("1")
    found: list[RememberedDeployer | None] = [None, late, None, late]
    monkeypatch.setattr(command, "deployer_at", lambda *_: found.pop(0))

    promote(workspace, POLICY, where=Where.LOCAL, say=str)
    after_promotion = late.version
    rollback(workspace, where=Where.LOCAL, say=str)

    assert (after_promotion, late.version) == ("2", "1")


def test_a_rollback_says_which_promotion_it_gave_up(promotable: Workspace) -> None:
    workspace, said = promotable, []
    with alias_lock(workspace) as held:
        mover = Mover(workspace, held, Dying(RememberedDeployer(), WRITES, count(), 0))
        with pytest.raises(Killed):
            mover.move(Kind.PROMOTION, old="1", new="2", now=NOW, reason={})

    rollback(workspace, where=Where.LOCAL, say=said.append)

    assert said[1] == "the promotion of version 2 was given up: version 1 stays champion"


def test_nothing_is_served_before_a_server_is_started(promotable: Workspace) -> None:
    connect(promotable).delete_registered_model_alias(MODEL, "champion")

    assert deployer_at(place("local"), promotable) is None
    with pytest.raises(SettingsRefused, match="DEPLOYER is local or kubernetes; got 'heroku'"):
        place("heroku")
    with pytest.raises(MissingArtifact, match="no version is champion yet: run `make train` first"):
        fetch_champion(promotable)
