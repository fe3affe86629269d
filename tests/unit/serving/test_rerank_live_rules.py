import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from feature_repo.store.item_table import ItemTable, item_table
from serving.filters.which import RulesRefused
from serving.rerank.audit import RulesChange, read_audit
from serving.rerank.live_rules import APPLIED, REFUSED, UNRECORDED, LiveRules
from training.slate import Request

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
PIN = "pins: [{name: p, item: i1, place: 1}]"
OTHER_PIN = "pins: [{name: p, item: i2, place: 1}]"
BROKEN = "pins: [{name: p, item: i1, place: 0}]"
BROKEN_SENTENCE = "rules file, rule 'p', pins.0.place: input should be greater than or equal to 1; got '0'"


class Place:
    """A rules file and its audit log."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "rules.yaml"
        self.audit = folder / "audit" / "rules.jsonl"
        self.heard: list[str] = []
        self.items: ItemTable | None = None

    def live(self, text: str) -> LiveRules:
        """The rules of a file that holds `text`, read at noon."""
        self.file.write_text(text)
        table = (lambda: self.items) if self.items is not None else None
        rules = LiveRules(self.file, audit=self.audit, items=table, on_change=self.heard.append)
        rules.load(now=NOON)
        return rules

    def outcomes(self) -> list[tuple[str, str]]:
        return [(change.outcome, change.sentence) for change in read_audit(self.audit)]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def pinned(rules: LiveRules) -> tuple[str, ...]:
    return rules.current.policy.pinned(NOON)


def test_without_a_file_there_are_no_rules(tmp_path: Path) -> None:
    rules = LiveRules(None, audit=tmp_path / "audit.jsonl")

    rules.load(now=NOON)

    assert rules.look(now=NOON)
    assert rules.current.policy.changes_nothing
    assert rules.current.version == ""
    assert list(tmp_path.iterdir()) == []


def test_a_changed_file_replaces_the_rules_and_each_change_is_on_record(place: Place) -> None:
    rules = place.live(PIN)
    first = rules.current
    assert rules.look(now=NOON)
    assert rules.current is first

    place.file.write_text(OTHER_PIN)
    later = NOON + timedelta(minutes=1)

    assert rules.look(now=later)
    assert pinned(rules) == ("i2",)
    assert read_audit(place.audit) == [
        RulesChange(NOON, first.version, APPLIED, ""),
        RulesChange(later, rules.current.version, APPLIED, ""),
    ]
    assert place.heard == [APPLIED, APPLIED]


def test_a_broken_file_keeps_the_old_rules_and_is_on_record_once(place: Place) -> None:
    rules = place.live(PIN)

    place.file.write_text(BROKEN)
    looked = [rules.look(now=NOON) for _ in range(3)]

    assert looked == [False, False, False]
    assert rules.problem == BROKEN_SENTENCE
    assert pinned(rules) == ("i1",)
    assert place.outcomes() == [(APPLIED, ""), (REFUSED, BROKEN_SENTENCE)]
    assert place.heard == [APPLIED, REFUSED]


def test_the_old_file_put_back_ends_the_problem(place: Place) -> None:
    rules = place.live(PIN)
    place.file.write_text(BROKEN)
    rules.look(now=NOON)

    place.file.write_text(PIN)

    assert rules.look(now=NOON)
    assert rules.problem == ""


def test_a_file_that_goes_away_keeps_the_rules(place: Place) -> None:
    rules = place.live(PIN)

    place.file.unlink()

    assert not rules.look(now=NOON)
    assert pinned(rules) == ("i1",)
    assert "must be readable; rules.yaml is not" in rules.problem


@pytest.mark.parametrize("text", [None, BROKEN])
def test_a_process_does_not_start_with_rules_that_are_missing_or_broken(place: Place, text: str | None) -> None:
    if text is not None:
        place.file.write_text(text)

    with pytest.raises(RulesRefused, match="rules file"):
        LiveRules(place.file, audit=place.audit).load(now=NOON)


def test_rules_hold_only_once_they_are_on_record(place: Place) -> None:
    rules = place.live(PIN)
    place.audit.unlink()
    place.audit.mkdir()
    place.file.write_text(OTHER_PIN)

    assert not rules.look(now=NOON)
    assert (rules.problem, pinned(rules)) == (UNRECORDED, ("i1",))

    place.audit.rmdir()

    assert rules.look(now=NOON)
    assert (rules.problem, pinned(rules)) == ("", ("i2",))
    assert place.outcomes() == [(APPLIED, "")]


def test_rules_that_do_not_fit_the_items_are_refused_until_there_are_items_that_they_fit(place: Place) -> None:
    place.items = item_table(pa.table({"item_id": ["i1", "i2"]}), NOON)
    rules = place.live(PIN)
    place.file.write_text("exclusions: [{name: out, attribute: brand, values: [a]}]")

    assert not rules.look(now=NOON)
    assert "rule 'out': a rule may read the attributes (none) of an item; got 'brand'" in rules.problem

    place.items = item_table(pa.table({"item_id": ["i1", "i2", "i3"]}), NOON)

    assert not rules.look(now=NOON)
    assert [outcome for outcome, _ in place.outcomes()] == [APPLIED, REFUSED]

    place.items = item_table(pa.table({"item_id": ["i1", "i2"], "brand": ["a", "b"]}), NOON)

    assert rules.look(now=NOON)
    mask = rules.current.filters.allowed(place.items, Request("u", NOON), NOON)
    assert mask.tolist() == [False, True]


def test_a_watched_file_takes_effect_without_a_call(place: Place) -> None:
    rules = place.live(PIN)

    with closing(rules):
        rules.start(every_seconds=0.01)
        place.file.write_text(OTHER_PIN)
        with within_seconds(5):
            while pinned(rules) != ("i2",):
                time.sleep(0.01)

    assert place.heard[-1] == APPLIED


def test_an_audit_log_that_a_crash_cut_short_is_read_up_to_there(place: Place) -> None:
    place.live(PIN)
    with place.audit.open("a") as log:
        log.write('{"when": "2024-05')

    assert place.outcomes() == [(APPLIED, "")]
    assert read_audit(place.audit.with_name("none")) == []


@contextmanager
def within_seconds(seconds: float) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds
