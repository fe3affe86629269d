"""The item table that a process serves from, replaced by each new snapshot while requests go on.

Theory of operation: a thread looks at the pointer file. When it names another snapshot, the thread verifies and maps
it, builds a recommender over it, answers with that one to warm it up, and only then lets requests see it: one
assignment. A request reads `recommender` once, so that all of its stages work on one table. Whatever goes wrong on the
way leaves the table that is there, and is counted.
"""

import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from feature_repo.core.errors import RecommenderError
from feature_repo.core.workspace import Workspace
from serving.items.every import Every
from serving.operations.memory import give_back_memory, use_huge_pages

if TYPE_CHECKING:
    from feature_repo.store.item_table import Snapshot
    from training.recommender import Recommender

logger = logging.getLogger("serving.items")


class LiveItems:
    """The recommender over the newest good snapshot. `warm_up` answers once with a recommender nobody has asked yet."""

    def __init__(
        self,
        workspace: Workspace,
        recommender: "Recommender",
        snapshot: "Snapshot",
        *,
        refresh_seconds: float,
        warm_up: "Callable[[Recommender], object]" = lambda _: None,
        on_outcome: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._workspace = workspace
        self._current = (recommender, snapshot)
        self._warm_up = warm_up
        self._on_outcome = on_outcome
        self._refused: object = None
        self._old_left = False
        self._every = Every(self.refresh, seconds=refresh_seconds, name="item-table")

    @property
    def recommender(self) -> "Recommender":
        """The one that answers now; to be read once a request."""
        return self._current[0]

    @property
    def version(self) -> str:
        """Which snapshot is served: the beginning of its hash."""
        return self._current[1].version

    def age_seconds(self, now: datetime) -> float:
        """Time since the moment that the table describes."""
        return (now - self._current[1].as_of).total_seconds()

    def start(self) -> None:
        self._every.start()

    def close(self) -> None:
        self._every.close()

    def refresh(self) -> bool:
        """Take over the newest snapshot if it is another one; returns whether it did, and never raises."""
        if self._old_left:  # and by now no request holds the table before this one any more
            give_back_memory()
            use_huge_pages()
            self._old_left = False
        candidate: object = None
        try:
            snapshot = self._newest()
            candidate = (snapshot, self._stamp(snapshot))
            if snapshot == self._current[1] or candidate == self._refused:
                return False
            started = time.perf_counter()
            recommender = self._build(snapshot)
        except (RecommenderError, OSError) as error:
            self._refuse(candidate or repr(error), error)
            return False
        except Exception as error:  # the thread's outermost loop: a thread that dies takes no later snapshot either
            logger.exception("item_table_failed")
            self._refuse(candidate or repr(error), error)
            return False
        self._current = (recommender, snapshot)
        self._old_left = True
        self._on_outcome("loaded")
        seconds = time.perf_counter() - started
        logger.info("item_table_loaded version=%s items=%d seconds=%.3f", self.version, len(recommender.items), seconds)
        return True

    def _newest(self) -> "Snapshot":
        # Imported when it is used: the module brings Arrow, which Bento's supervisor has no need of.
        from feature_repo.store.item_table import newest_snapshot

        return newest_snapshot(self._workspace)

    def _build(self, snapshot: "Snapshot") -> "Recommender":
        from feature_repo.store.item_table import open_snapshot

        recommender = self.recommender.over(open_snapshot(self._workspace, snapshot))
        self._warm_up(recommender)
        return recommender

    def _refuse(self, candidate: object, error: Exception) -> None:
        # The same broken file is refused once; one that is still being copied is looked at again as it grows.
        if candidate != self._refused:
            self._on_outcome("refused")
            logger.error("item_table_refused kept=%s error=%s", self.version, error)
        self._refused = candidate

    def _stamp(self, snapshot: "Snapshot") -> tuple[int, int] | None:
        try:
            found = (self._workspace.snapshots / snapshot.file).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size
