"""A policy: the rules of a file, and those of them that hold at a moment."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from feature_repo.features.columns import Columns
from serving.filters.rules import Exclusion
from serving.filters.when import When
from serving.filters.which import column_of, named, wanted
from serving.rerank.rules import Boost, Cap, Exposure, Pin, Rules

RuleT = TypeVar("RuleT", Boost, Cap, Exclusion, Exposure, Pin)


@dataclass(frozen=True)
class Active:
    """The rules that hold at one moment."""

    pins: tuple[Pin, ...]
    boosts: tuple[Boost, ...]
    caps: tuple[Cap, ...]
    exclusions: tuple[Exclusion, ...]
    exposure: tuple[Exposure, ...]


class RerankPolicy:
    """How candidates become a slate. The default changes nothing: best score first, every place certain."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.diversity = self.rules.diversity
        self.exploration = self.rules.exploration
        self._which: tuple[Boost | Exclusion | Exposure, ...] = (
            *self.rules.boosts,
            *self.rules.exclusions,
            *self.rules.exposure,
        )
        read = {cap.attribute for cap in self.rules.caps} | {rule.attribute for rule in self._which if rule.attribute}
        self.attributes = tuple(sorted(read))  # the columns that candidates must bring
        self.needs_embeddings = self.diversity.method != "none"
        self.changes_nothing = self.rules == Rules(filters=self.rules.filters)
        self._minute: tuple[int, Active] | None = None

    def check(self, columns: Columns) -> None:
        """Refuse a policy that does not fit the declared attributes of items.

        Raises:
            RulesRefused: a rule reads an attribute that the items do not have, or texts of an attribute of numbers.
        """
        for cap in self.rules.caps:
            with named(cap.name):
                column_of(columns, cap.attribute)
        for rule in self._which:
            with named(rule.name):
                if rule.attribute:
                    wanted(rule.values, column_of(columns, rule.attribute))

    def active(self, now: datetime) -> Active:
        """The rules that hold at `now`; kept for the minute, which is the finest that a rule can say."""
        minute = int(now.timestamp() // 60)
        kept = self._minute
        if kept is None or kept[0] != minute:
            at = datetime.fromtimestamp(minute * 60, UTC)
            kept = self._minute = (minute, self._at(at))
        return kept[1]

    def pinned(self, now: datetime) -> tuple[str, ...]:
        """Ids of the items that pins want to show at `now`: they must be among the candidates to be shown."""
        return tuple(pin.item for pin in self.active(now).pins)

    def _at(self, now: datetime) -> Active:
        rules = self.rules
        return Active(
            _holding(rules.pins, now),
            _holding(rules.boosts, now),
            _holding(rules.caps, now),
            _holding(rules.exclusions, now),
            _holding(rules.exposure, now),
        )


def _holding(rules: tuple[RuleT, ...], now: datetime) -> tuple[RuleT, ...]:
    return tuple(rule for rule in rules if holds(rule.when, now))


def holds(when: When | None, now: datetime) -> bool:
    return when is None or when.holds(now)


UNCHANGED = RerankPolicy()
