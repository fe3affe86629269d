"""The metrics of an experiment: what is summed over a user's impressions, and over what it is divided."""

from dataclasses import dataclass
from typing import Literal

# Sums of one user: see people.py.
IMPRESSIONS, REQUESTS, CLICKS, CLICKED_REQUESTS, VALUE = (
    "impressions",
    "requests",
    "clicks",
    "clicked_requests",
    "value",
)
SUMS = (IMPRESSIONS, REQUESTS, CLICKS, CLICKED_REQUESTS, VALUE)


@dataclass(frozen=True)
class Metric:
    """`kind` says which test is the textbook's: of a ratio of sums, of an amount a user, of a share of users."""

    words: str
    kind: Literal["ratio", "amount", "share"]
    numerator: str
    denominator: str | None = None


METRICS = {
    "click_rate": Metric("clicks per impression", "ratio", CLICKS, IMPRESSIONS),
    "slate_click_rate": Metric("share of slates with a click", "ratio", CLICKED_REQUESTS, REQUESTS),
    "value_per_impression": Metric("value per impression", "ratio", VALUE, IMPRESSIONS),
    "clicks_per_user": Metric("clicks per user", "amount", CLICKS),
    "value_per_user": Metric("value per user", "amount", VALUE),
    "requests_per_user": Metric("requests per user", "amount", REQUESTS),
    "clicking_users": Metric("share of users who clicked", "share", CLICKS),
}
