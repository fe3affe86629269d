"""The blocked items as a process knows them: the last list that it could read, looked for several times a second."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.items.blocked_file import BlockedListError, parse_blocked
from serving.items.every import Every

if TYPE_CHECKING:
    from feature_repo.store.item_table import ItemTable

logger = logging.getLogger("serving.items")

# A blocked item must be gone within a second, and a look costs microseconds.
LOOK_SECONDS = 0.25
Array = np.ndarray[Any, Any]
_Stamp = tuple[int, int, int] | None


class BlockedList:
    """The list in one file. A list that is broken or gone leaves the last good one in force.

    `must_exist` is for a file that somebody named: without it there is no list. Else a file that was never
    there is an empty list, since nobody has blocked anything yet.
    """

    def __init__(self, path: Path, *, must_exist: bool, on_outcome: Callable[[str], object] = lambda _: None) -> None:
        self._path = path
        self._must_exist = must_exist
        self._on_outcome = on_outcome
        self._ids: frozenset[str] | None = None
        self._seen: _Stamp | str = "never"
        self._mask: tuple[frozenset[str], ItemTable, Array] | None = None
        self._every = Every(self.look, seconds=LOOK_SECONDS, name="blocked-items")

    @property
    def loaded(self) -> bool:
        """False until a list was read: such a process does not know what it must not show."""
        return self._ids is not None

    @property
    def ids(self) -> frozenset[str]:
        """The ids that must not be shown; empty while none was loaded."""
        return self._ids or frozenset()

    def mask(self, items: "ItemTable") -> Array:
        """True [m] for each blocked item of `items`; not to be written to."""
        ids, kept = self.ids, self._mask
        if kept is not None and kept[0] is ids and kept[1] is items:
            return kept[2]
        mask = np.zeros(len(items), bool)
        rows = items.rows.of([*ids])
        mask[rows[rows >= 0]] = True
        mask.setflags(write=False)
        self._mask = (ids, items, mask)
        return mask

    def start(self) -> None:
        """Read the list once, then look for a new one until `close`."""
        self.look()
        self._every.start()

    def close(self) -> None:
        self._every.close()

    def look(self) -> None:
        """Take over a new list if there is one; says so, and never raises."""
        stamp = _stamp(self._path)
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._ids = self._read(stamp)
        except (OSError, BlockedListError) as error:
            self._on_outcome("refused")
            logger.error("blocked_list_refused kept=%d error=%s", len(self.ids), error)
            return
        self._on_outcome("loaded")
        logger.info("blocked_list_loaded items=%d", len(self._ids))

    def _read(self, stamp: _Stamp) -> frozenset[str]:
        if stamp is None:
            if self._must_exist or self.loaded:
                raise BlockedListError(f"the list of blocked items must be in {self._path}; there is no such file")
            return frozenset()
        return frozenset(parse_blocked(self._path.read_bytes()))


def _stamp(path: Path) -> _Stamp:
    """What changes when the file does; None when it cannot be seen."""
    try:
        found = path.stat()
    except OSError:
        return None
    # Not the time of the last write, which a copy may bring along from elsewhere.
    return found.st_ino, found.st_ctime_ns, found.st_size
