"""The next day's item features, worked out before midnight: else the first request after it would pay for all items."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from serving.items.every import Every

if TYPE_CHECKING:
    from training.recommender import Recommender

BEFORE = timedelta(seconds=90)


class ItemsPort(Protocol):
    """The recommender over the newest item table."""

    @property
    def recommender(self) -> "Recommender": ...


def every_tomorrow(items: ItemsPort) -> Every:
    """Prepares the recommender that answers at the time, once a day; to be started."""

    def prepare() -> None:
        now = datetime.now(UTC)
        if (now + BEFORE).date() != now.date():
            items.recommender.prepare(now + BEFORE)

    return Every(prepare, seconds=BEFORE.total_seconds() / 3, name="tomorrow")
