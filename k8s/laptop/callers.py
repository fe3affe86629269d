"""Sends visits to the gateway and keeps what came of them."""

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx

from feature_repo.core.assignment import bucket_of
from k8s.dataplane.traefik_routes import HEADER
from k8s.laptop.click_file import ClickFiles
from k8s.laptop.visits import Visit

SLATE = 10
# Requests between two looks at the clock.
STRIDE = 20
# A laptop's callers have a key of their own; it decides who stays on which variant and protects nothing.
KEY = b"the callers of a rollout on a laptop"
_SOON = timedelta(milliseconds=1)


@dataclass(frozen=True)
class Tally:
    """What came of the requests, seen from the caller: a request without a 200 has failed.

    `answers` and `hits` are of real events, whose item is known.
    """

    requests: int = 0
    failed: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    hits: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.requests + other.requests,
            self.failed + other.failed,
            self.answers + other.answers,
            self.hits + other.hits,
        )

    def hit_rate(self, variant: str) -> float | None:
        """Share of a variant's slates that hold the item of their event."""
        answers = self.answers[variant]
        return self.hits[variant] / answers if answers else None


# What came of a request, and the clicks on its slate.
Asked = tuple[Tally, list[dict[str, object]]]


class Callers:
    """Sends visits one after another. `pool` decides how many requests are under way at a time.

    With `worse_canary` two of three clicks on the canary's slates stay out, so its true click rate is a third of what
    it would be: a worse version whose truth is known.
    """

    def __init__(
        self,
        visits: Iterator[Visit],
        *,
        client: httpx.Client,
        pool: Executor,
        clicks: ClickFiles,
        worse_canary: bool = False,
    ) -> None:
        self._visits = visits
        self._client = client
        self._pool = pool
        self._clicks = clicks
        self._worse_canary = worse_canary
        self._order = itertools.count()
        self.exhausted = False  # no more visits will come

    def send(
        self, url: str, *, seconds: float, mirrored: bool = False, tell: Callable[[int], None] = lambda _: None
    ) -> Tally:
        """Send visits for this long, or until they end; `tell` hears the progress.

        Where they are `mirrored` they go one at a time, each followed by a rest as long as its answer took. Nobody
        waits for the answer to a copy: without rests copies would queue before a canary as fast as the stable.
        """
        deadline = time.monotonic() + seconds
        tally = Tally()
        clicked: list[dict[str, object]] = []
        while time.monotonic() < deadline and not self.exhausted:
            stride = list(itertools.islice(self._visits, STRIDE))
            self.exhausted = len(stride) < STRIDE
            for came, clicks in self._asked(url, stride, mirrored=mirrored):
                tally = tally + came
                clicked += [click for click in clicks if self._kept(click)]
            tell(len(stride))
        self._clicks.add(clicked)
        return tally

    def _asked(self, url: str, visits: list[Visit], *, mirrored: bool) -> Iterator[Asked]:
        if not mirrored:
            yield from self._pool.map(lambda visit: ask(self._client, url, visit), visits)
            return
        for visit in visits:
            started = time.monotonic()
            came = ask(self._client, url, visit)
            time.sleep(time.monotonic() - started)
            yield came

    def _kept(self, click: Mapping[str, object]) -> bool:
        return not (self._worse_canary and click["variant"] == "canary" and next(self._order) % 3)


def bucket_header(user_id: str) -> dict[str, str]:
    """Half of the people come through callers that send buckets: those stay on one variant, the others do not."""
    if bucket_of(user_id, layer="sends a bucket", key=KEY, buckets=2):
        return {}
    return {HEADER: str(bucket_of(user_id, layer="rollout", key=KEY))}


def ask(client: httpx.Client, url: str, visit: Visit) -> Asked:
    """Ask for one slate, and say which of its items the visitor clicked."""
    context = {**visit.context, "timestamp": visit.moment.isoformat()}
    try:
        answer = client.post(
            f"{url}/recommend",
            json={"user_id": visit.user_id, "k": SLATE, "context": context},
            headers=bucket_header(visit.user_id),
        )
    except httpx.HTTPError:
        return Tally(requests=1, failed=1), []
    if answer.status_code != 200:
        return Tally(requests=1, failed=1), []
    slate: dict[str, Any] = answer.json()
    items = [str(item["item_id"]) for item in slate["items"]]
    variant = str(slate["variant"])
    real = visit.chosen is not None
    tally = Tally(1, 0, Counter([variant] * real), Counter([variant] * (visit.chosen in items)))
    clicked = visit.clicks(items) if visit.clicks else ()
    at = visit.moment + _SOON
    told = {"request_id": slate["request_id"], "timestamp": at, "variant": variant}
    return tally, [{**told, "item_id": items[place]} for place in clicked]
