"""What one serving process holds open, and the one path from a query to an answer."""

import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from feature_repo.core.errors import StoreUnavailable
from serving.http import RecommendQuery, SimilarQuery
from serving.inbox import Inbox
from serving.metrics import Metrics
from serving.request_log import LoggedRequest, RequestLog
from serving.settings import ServingSettings

if TYPE_CHECKING:
    from training.recommender import Recommender
    from training.slate import RankedItem, Slate

logger = logging.getLogger("serving.runtime")


class UserReader(Protocol):
    """The user side of the feature store: one read for one request."""

    def user_row(self, user_id: str) -> Mapping[str, Any]:
        """The raw row, empty for a user that the store does not know; raises StoreUnavailable."""


@dataclass(frozen=True)
class Answer:
    """A slate with what it was made of. `user` is None when the store could not be read."""

    slate: "Slate"
    user: Mapping[str, Any] | None
    moment: datetime
    degraded: tuple[str, ...]


@dataclass(frozen=True)
class Runtime:
    """One version of the model, the store it reads, and where its answers and events go."""

    settings: ServingSettings
    recommender: "Recommender"
    reader: UserReader
    log: RequestLog
    inbox: Inbox
    metrics: Metrics
    data_until: datetime  # the last moment that the stores know of

    def recommend(self, query: RecommendQuery, *, now: datetime) -> dict[str, Any]:
        """The logged answer to one query, as the JSON of its response."""
        answer = self.answer(query, now=now)
        request_id = new_request_id()
        self.log.offer(self._logged(request_id, query, answer, now=now))
        return self.body(request_id, answer.slate.items, answer.degraded)

    def answer(self, query: RecommendQuery, *, now: datetime) -> Answer:
        """Answer one query. A store that fails costs the personal part of the slate, never the answer."""
        # Loaded by the start, long ago; at the top of this file it would load XGBoost in Bento's supervisor.
        from training.slate import Request

        user, degraded = self._read_user(query.user_id)
        moment = query.moment or now
        request = Request(query.user_id, moment, query.k, query.context, query.exclude, query.session)
        slate = self.recommender.recommend(request, user)
        degraded += tuple(part for part in slate.degraded if part not in degraded)
        return Answer(slate=slate, user=user, moment=moment, degraded=degraded)

    def body(self, request_id: str, items: "tuple[RankedItem, ...]", degraded: tuple[str, ...]) -> dict[str, Any]:
        """The JSON of a response; it counts the degraded parts, so that none goes out uncounted."""
        for part in degraded:
            self.metrics.degraded.labels(part).inc()
        return {
            "request_id": request_id,
            "items": [item_body(item) for item in items],
            "model_version": self.settings.version,
            "variant": self.settings.variant,
            "degraded": degraded,
        }

    def similar(self, query: SimilarQuery) -> dict[str, Any]:
        items = self.recommender.similar(query.item_id, query.k)
        return {"items": [item_body(item) for item in items], "model_version": self.settings.version}

    def close(self) -> None:
        self.log.close()

    def _read_user(self, user_id: str) -> tuple[Mapping[str, Any] | None, tuple[str, ...]]:
        # None and not an empty row: a new user has seen nothing, of an unread one nobody knows what was seen.
        try:
            return self.reader.user_row(user_id), ()
        except StoreUnavailable as error:
            logger.warning("feature_store_unavailable error=%s", error)
            return None, ("features",)

    def _logged(self, request_id: str, query: RecommendQuery, answer: Answer, *, now: datetime) -> LoggedRequest:
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
            candidates=candidates.item_ids,
            sources=candidates.sources,
            scores=candidates.scores,
            features=candidates.features,
            feature_names=self.recommender.feature_names,
        )


def new_request_id() -> str:
    return uuid.uuid4().hex


def item_body(item: "RankedItem") -> dict[str, Any]:
    return {
        "item_id": item.item_id,
        "score": float(item.score),
        "rank": item.rank,
        "source": item.source,
        "propensity": float(item.propensity),
    }
