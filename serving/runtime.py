"""What one serving process holds open, and the one path from a query to a logged answer."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from serving.http import PreferencesQuery, RecommendQuery, SimilarQuery
from serving.inbox import Inbox
from serving.interleaving import Mixed, Second
from serving.metrics import Metrics
from serving.request_log import LoggedRequest, RequestLog
from serving.settings import ServingSettings

if TYPE_CHECKING:
    from serving.graph.answering import Answering
    from serving.graph.later import Later
    from serving.graph.preferences import PreferenceFiles
    from serving.graph.user import RecentPort
    from serving.graph.visit import Answer
    from training.recommender import Recommender
    from training.slate import RankedItem

UNREADY_AFTER = 20  # answers in a row that show nothing because everything broke


class UserReader(Protocol):
    """The user side of the feature store: one read for one request."""

    def user_row(self, user_id: str) -> Mapping[str, Any]:
        """The raw row, empty for a user that the store does not know; raises StoreUnavailable."""


class ItemsPort(Protocol):
    """The recommender over the newest item table."""

    @property
    def recommender(self) -> "Recommender": ...

    def age_seconds(self, now: datetime) -> float: ...


class BlockedPort(Protocol):
    """The items that nobody may be shown."""

    @property
    def loaded(self) -> bool: ...

    @property
    def ids(self) -> frozenset[str]: ...


@dataclass
class Broken:
    """How many answers in a row had nothing to show because everything broke."""

    in_a_row: int = 0


@dataclass(frozen=True)
class Runtime:
    """One version of the model, the store it reads, and where its answers and events go."""

    settings: ServingSettings
    items: ItemsPort
    answering: "Answering"
    later: "Later"  # what answers leave to be done: to be run when one has gone out
    reader: UserReader  # for the page; answers are read for with a time limit
    recent: "RecentPort"
    preferences: "PreferenceFiles"
    blocked: BlockedPort
    log: RequestLog
    inbox: Inbox
    metrics: Metrics
    data_until: datetime  # the last moment that the stores know of
    closing: tuple[Callable[[], object], ...] = ()  # what else ends with the process
    second: Second | None = None  # the version that is interleaved, if one is
    broken: Broken = field(default_factory=Broken)

    @property
    def recommender(self) -> "Recommender":
        """The one that answers now; to be read once a request."""
        return self.items.recommender

    def recommend(self, query: RecommendQuery, *, now: datetime) -> dict[str, Any]:
        """The logged answer to one query, as the JSON of its response."""
        answer, request_id = self.answering.answer(query, now=now), new_request_id()
        second = self.second
        mixed = second.mixed(answer, query, request_id=request_id, now=now) if second else Mixed(answer)
        body = self._logged(query, mixed, request_id=request_id, now=now)
        self.later.run()
        return body

    async def recommend_async(self, query: RecommendQuery, *, now: datetime, started: float) -> dict[str, Any]:
        """The same for a query that arrived at `started`, by `time.perf_counter`; the log is among what is left."""
        answer, request_id = await self.answering.answer_async(query, now=now, started=started), new_request_id()
        mixed = Mixed(answer)
        if self.second is not None:
            mixed = await self.second.mixed_async(answer, query, request_id=request_id, now=now, started=started)
        return self._logged(query, mixed, request_id=request_id, now=now)

    def answer(self, query: RecommendQuery, *, now: datetime) -> "Answer":
        """The answer to one query, neither cached nor logged."""
        return self.answering.fresh(query, now=now)

    def failed(self, *, bucket: int | None = None) -> dict[str, Any]:
        """What a user gets when everything broke."""
        self.broken.in_a_row += 1
        return self.body(new_request_id(), (), ("recommender",), bucket=bucket)

    def body(
        self,
        request_id: str,
        items: "tuple[RankedItem, ...]",
        degraded: tuple[str, ...],
        *,
        bucket: int | None,
    ) -> dict[str, Any]:
        """The JSON of a response; it counts the degraded parts, so that none goes out uncounted."""
        for part in degraded:
            self.metrics.degraded.labels(part).inc()
        return {
            "request_id": request_id,
            "items": [item_body(item) for item in items],
            "model_version": self.settings.version,
            "variant": self.settings.variant,
            "bucket": bucket,
            "degraded": degraded,
        }

    def similar(self, query: SimilarQuery) -> dict[str, Any]:
        """The items nearest to one; blocked ones are passed over."""
        blocked = self.blocked.ids
        # As many more as could be blocked, so that k are left.
        found = self.recommender.similar(query.item_id, query.k + len(blocked))
        shown = [item_body(item) for item in found if item.item_id not in blocked][: query.k]
        items = [{**item, "rank": rank} for rank, item in enumerate(shown, start=1)]
        return {"items": items, "model_version": self.settings.version}

    def declare(self, query: PreferencesQuery) -> dict[str, Any]:
        """Keep what a user declared; durable when this returns.

        Raises:
            PreferencesNotStored: the disk refused.
        """
        self.preferences.declare(query.user_id, query.preferences)
        self.answering.forget(query.user_id)
        return {"items": len(query.preferences.items), "attributes": len(query.preferences.attributes)}

    def not_ready(self) -> str:
        """Why this process should get no requests; empty while it can serve anything at all."""
        if not self.blocked.loaded:
            return "the list of blocked items was never loaded"
        if self.broken.in_a_row >= UNREADY_AFTER:
            return f"the last {self.broken.in_a_row} answers had nothing to show"
        return ""

    def close(self) -> None:
        for close in (*self.closing, *(self.second.closing if self.second else ())):
            close()
        self.later.run()
        self.inbox.close()
        self.log.close()

    def _logged(self, query: RecommendQuery, mixed: Mixed, *, request_id: str, now: datetime) -> dict[str, Any]:
        """The response; its row goes to the log, later."""
        self.broken.in_a_row = 0
        answer = mixed.answer
        self.later.add(lambda: self.log.offer(self._row(request_id, query, mixed, now=now)))
        body = self.body(request_id, answer.slate.items, answer.degraded, bucket=query.bucket)
        if query.explain:
            for shown, item in zip(body["items"], answer.slate.items, strict=True):
                shown["reason"] = item.reason
        return body

    def _row(self, request_id: str, query: RecommendQuery, mixed: Mixed, *, now: datetime) -> LoggedRequest:
        answer = mixed.answer
        candidates = answer.slate.candidates
        return LoggedRequest(
            request_id=request_id,
            received_at=now,
            moment=answer.moment,
            user_id=query.user_id,
            variant=self.settings.variant,
            model_version=self.settings.version,
            degraded=answer.degraded,
            user_row=answer.user,
            k=query.k,
            slate=[item.item_id for item in answer.slate.items],
            propensities=[item.propensity for item in answer.slate.items],
            candidates=candidates.item_ids,
            sources=candidates.sources,
            scores=candidates.scores,
            features=candidates.features,
            feature_names=self.recommender.feature_names,
            rollout=self.settings.rollout,
            bucket=query.bucket,
            interleaved=mixed.version,
            teams=mixed.teams,
        )


def new_request_id() -> str:
    return secrets.token_hex(16)


def item_body(item: "RankedItem") -> dict[str, Any]:
    return {
        "item_id": item.item_id,
        "score": float(item.score),
        "rank": item.rank,
        "source": item.source,
        "propensity": float(item.propensity),
    }
