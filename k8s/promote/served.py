"""What a laptop's server is wanted to serve, and what it does: two small files in the workspace, each written whole.

`wanted.json` is written by movers of aliases, `stable.json` by the server's supervisor. Whoever holds `supervisor.lock`
is the supervisor; the kernel lets go of it when that process ends, so nobody has to guess from a process number.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from feature_repo.core.errors import RecommenderError
from feature_repo.core.workspace import Workspace, read_json, write_json
from training.deployer import Fenced

MADE_BY = "python -m k8s serve"
STARTING, SERVING, FAILED = "starting", "serving", "failed"
LOCK_SECONDS = 10.0


class AlreadyServed(RecommenderError):
    """A workspace has one stable server; a second one would not know which of them a promotion means."""


@dataclass(frozen=True)
class Wanted:
    """The version that stable is to serve, and the fence of the mover who said so."""

    version: str
    fence: int


@dataclass(frozen=True)
class Told:
    """What the supervisor says: which wish it is at, how far, and the version that answers at `url`."""

    wanted: Wanted
    state: str
    version: str
    url: str
    reason: str = ""


@dataclass(frozen=True)
class ServedFiles:
    """The files of one workspace."""

    folder: Path

    @classmethod
    def of(cls, workspace: Workspace) -> "ServedFiles":
        return cls(workspace.root / "serving")

    @property
    def wanted(self) -> Wanted | None:
        path = self.folder / "wanted.json"
        return Wanted(**read_json(path, made_by=MADE_BY)) if path.exists() else None

    @property
    def told(self) -> Told | None:
        path = self.folder / "stable.json"
        if not path.exists():
            return None
        content = dict(read_json(path, made_by=MADE_BY))
        return Told(**{**content, "wanted": Wanted(**content["wanted"])})

    def tell(self, told: Told) -> None:
        write_json(self.folder / "stable.json", asdict(told))

    def want(self, wanted: Wanted) -> None:
        """Say what is to be served.

        Raises:
            Fenced: a later mover has said otherwise.
        """
        with self._lock("wanted.lock", seconds=LOCK_SECONDS):
            held = self.wanted
            if held is not None and held.fence > wanted.fence:
                raise Fenced(f"expected no later mover than {wanted.fence} to have deployed; got {held.fence}")
            write_json(self.folder / "wanted.json", asdict(wanted))

    def begin(self, version: str, *, unless_since: Wanted | None) -> Wanted:
        """The wish that a new supervisor starts with: `version`, unless a mover has said otherwise meanwhile."""
        with self._lock("wanted.lock", seconds=LOCK_SECONDS):
            held = self.wanted
            if held is not None and held != unless_since:
                return held
            begun = Wanted(version, held.fence if held else 0)
            write_json(self.folder / "wanted.json", asdict(begun))
            return begun

    @contextmanager
    def supervising(self) -> Iterator[None]:
        """Be the supervisor while the block lasts.

        Raises:
            AlreadyServed: another process is.
        """
        try:
            # Not at once: whoever asks whether there is a supervisor holds the lock for a moment.
            with self._lock("supervisor.lock", seconds=1):
                yield
        except Timeout:
            at = f" at {self.told.url}" if self.told else ""
            raise AlreadyServed(f"this workspace is served already{at}: end that server first") from None

    @property
    def supervised(self) -> bool:
        """Whether a supervisor is running."""
        try:
            with self._lock("supervisor.lock", seconds=0):
                return False
        except Timeout:
            return True

    def _lock(self, name: str, *, seconds: float) -> FileLock:
        self.folder.mkdir(parents=True, exist_ok=True)
        return FileLock(self.folder / name, timeout=seconds)
