"""The rules that hold now: read at the start, looked at again every second in a thread, never by a request."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from feature_repo.store.item_table import ItemTable
from serving.filters.filters import Filters
from serving.filters.which import RulesRefused
from serving.rerank.audit import RulesChange, append
from serving.rerank.policy import RerankPolicy
from serving.rerank.rules import Rules
from serving.rerank.rules_file import parse_rules, read_bytes, version_of

logger = logging.getLogger("serving.rules")

APPLIED, REFUSED = "applied", "refused"
UNRECORDED = "new rules must be in the audit log before they hold, and it cannot be written"


@dataclass(frozen=True)
class RuleSet:
    """One version of the rules, ready for requests. `version` is the file's SHA-256, empty where there is no file."""

    policy: RerankPolicy
    filters: Filters
    version: str = ""


def rule_set(rules: Rules, version: str = "") -> RuleSet:
    return RuleSet(RerankPolicy(rules), Filters(rules.filters, rules.exclusions), version)


def prepare(rules: RuleSet, items: ItemTable) -> None:
    """Fit rules to an item table before it serves requests.

    Raises:
        RulesRefused: a rule reads an attribute that the items do not have.
    """
    rules.policy.check(items.columns)
    rules.filters.prepare(items)


class LiveRules:
    """The rules in a file, replaced while requests go on.

    A new file that breaks a rule, or that cannot be written to the audit log, changes nothing: the old rules stay, and
    `problem` says why. Without a file there are no rules and nothing to watch.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        audit: Path,
        items: Callable[[], ItemTable] | None = None,
        on_change: Callable[[str], object] | None = None,
    ) -> None:
        """`items` gives the table of the moment, which new rules must fit; `on_change` hears APPLIED or REFUSED."""
        self._path = path
        self._audit = audit
        self._items = items
        self._on_change = on_change
        self._current = rule_set(Rules())
        self._refused: tuple[str, str, int] | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.problem = ""

    @property
    def current(self) -> RuleSet:
        """To be read once a request."""
        return self._current

    def load(self, *, now: datetime) -> None:
        """Read the file for the first time.

        Raises:
            RulesRefused: there is no such file, or it breaks a rule: a process does not start without its rules.
        """
        if not self.look(now=now):
            raise RulesRefused(self.problem)

    def look(self, *, now: datetime) -> bool:
        """Take notice of a changed file; whether the rules that hold are the file's."""
        if self._path is None:
            return True
        content, problem = _content(self._path)
        version = version_of(content)
        items = self._items() if self._items is not None else None
        # Refused rules are parsed again only when the file, or the table that they did not fit, is another one.
        found = (version, problem, id(items))
        if not problem and version == self._current.version:
            self.problem, self._refused = "", None
        elif found != self._refused:
            self.problem = self._take(content, problem, items, now)
            self._refused = found if self.problem != UNRECORDED else None
        return not self.problem

    def start(self, *, every_seconds: float = 1.0) -> None:
        """Look at the file from now on, in a thread of its own."""
        if self._path is None or self._thread is not None:
            return
        self._thread = threading.Thread(target=self._watch, args=(every_seconds,), name="rules", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self, every_seconds: float) -> None:
        while not self._stop.wait(every_seconds):
            self.look(now=datetime.now(UTC))

    def _take(self, content: bytes, problem: str, items: ItemTable | None, now: datetime) -> str:
        """Put `content` to use once that is on record; a sentence if it was refused."""
        found, problem = (None, problem) if problem else _fitting(content, items)
        if problem and problem == self.problem:
            return problem
        outcome = REFUSED if problem else APPLIED
        try:
            append(self._audit, RulesChange(now, version_of(content), outcome, problem))
        except OSError as error:
            logger.warning("rules_not_recorded file=%s error=%s", self._audit, error)
            return UNRECORDED
        self._current = found or self._current
        logger.log(logging.WARNING if problem else logging.INFO, "rules_%s file=%s %s", outcome, self._path, problem)
        if self._on_change is not None:
            self._on_change(outcome)
        return problem


def _content(path: Path) -> tuple[bytes, str]:
    """The file's bytes, or none and why."""
    try:
        return read_bytes(path), ""
    except RulesRefused as error:
        return b"", str(error)


def _fitting(content: bytes, items: ItemTable | None) -> tuple[RuleSet | None, str]:
    """The rules in `content`, ready for requests over `items`, or none and why."""
    try:
        rules = rule_set(parse_rules(content), version_of(content))
        if items is not None:
            prepare(rules, items)
    except RulesRefused as error:
        return None, str(error)
    return rules, ""
