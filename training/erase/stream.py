"""What the stream keeps: events on the bus, its journal and its quarantine."""

from dataclasses import dataclass
from pathlib import Path

from feature_repo.core.workspace import Workspace
from feature_repo.stream.bus import CannotErase, EventBus
from feature_repo.stream.connect import stream_folder
from feature_repo.stream.folder_bus import FolderBus
from feature_repo.stream.journal import open_journal
from training.erase.lines import rewrite_lines_without
from training.erase.person import Person
from training.erase.stores import count_below

JOURNAL = "journal.db"


@dataclass(frozen=True)
class Received:
    """`store/received`: events that came over HTTP. It is also the bus of a workspace without a server for one."""

    workspace: Workspace
    person: Person
    name: str = "received events"

    @property
    def roots(self) -> tuple[Path, ...]:
        return (self.workspace.received,)

    def find(self) -> int:
        return count_below(self.roots, self.person)

    def erase(self) -> int:
        # The bus itself rewrites its files, since its reader has to read on where it was.
        return FolderBus(self.workspace.received, stream_folder(self.workspace) / "received.log").erase(
            self.person.user_id
        )


@dataclass(frozen=True)
class StreamState:
    """`store/stream`."""

    workspace: Workspace
    person: Person
    name: str = "stream journal and quarantine"

    @property
    def roots(self) -> tuple[Path, ...]:
        return (stream_folder(self.workspace),)

    def find(self) -> int:
        return count_below(self.roots, self.person)

    def erase(self) -> int:
        folder = self.roots[0]
        removed = sum(rewrite_lines_without(file, self.person) for file in folder.glob("*.jsonl"))
        if (folder / JOURNAL).exists():
            journal = open_journal(folder / JOURNAL)
            try:
                removed += journal.erase(self.person.user_id)
            finally:
                journal.close()
        return removed


class Bus:
    """The server that BUS_URL names. The port counts what it removes, so to search it is to remove.

    `why` is the sentence of a kind of bus that removes nothing: it counts as a place where the person is.
    """

    name = "event bus"
    roots: tuple[Path, ...] = ()

    def __init__(self, bus: EventBus, person: Person) -> None:
        self._bus = bus
        self._person = person
        self._removed = 0
        self.why = ""

    def find(self) -> int:
        try:
            found = self._bus.erase(self._person.user_id)
        except CannotErase as error:
            self.why = str(error)
            return 1
        self._removed += found
        return found

    def erase(self) -> int:
        self.find()
        return self._removed
