"""From a query to an answer: the user, the graph, and before both the slates that were made lately."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from feature_repo.core.steps import Turns
from serving.graph.deadline import Deadline
from serving.graph.filter import BlockedPort
from serving.graph.flights import Flights
from serving.graph.graph import Graph, RulesPort
from serving.graph.slates import Begun, SlateCache
from serving.graph.user import RecentPort, UserStage
from serving.graph.visit import Answer, User, Visit
from serving.http import RecommendQuery
from serving.settings import ServingSettings
from training.slate import Request

if TYPE_CHECKING:
    from training.recommender import Recommender


AT_ONCE = 8  # requests in the graph that take turns; more gain little


class ItemsPort(Protocol):
    """The recommender over the newest item table."""

    @property
    def recommender(self) -> "Recommender": ...


class Answering:
    """Answers queries of one version and variant. `_async` answers other requests while a slow store is waited for."""

    def __init__(
        self,
        settings: ServingSettings,
        *,
        users: UserStage,
        graph: Graph,
        cache: SlateCache,
        items: ItemsPort,
        recent: RecentPort,
        rules: Callable[[], RulesPort],
        blocked: BlockedPort,
    ) -> None:
        self._seconds = settings.deadline_ms / 1_000
        self._served = (settings.version, settings.variant)
        self._users = users
        self._graph = graph
        self._cache = cache
        self._items = items
        self._recent = recent
        self._rules = rules
        self._blocked = blocked
        self._flights: Flights[Answer] = Flights()
        self.turns = Turns(most=AT_ONCE)

    def answer(self, query: RecommendQuery, *, now: datetime, started: float | None = None) -> Answer:
        """The answer to a query that arrived at `started`, by `time.perf_counter`; from the cache, if that has it."""
        kept = self._kept(query)
        if kept is not None:
            return kept
        return self._keep(query, lambda: self.fresh(query, now=now, started=started))

    def fresh(self, query: RecommendQuery, *, now: datetime, started: float | None = None) -> Answer:
        """The answer, made now."""
        deadline = Deadline.after(self._seconds, started=started)
        user = self._users.user(query.user_id, query.moment or now, deadline)
        return self._graph.answer(self._visit(query, user, now, deadline), user)

    async def answer_async(self, query: RecommendQuery, *, now: datetime, started: float) -> Answer:
        if not self._cache.on:
            return await self._fresh_async(query, now, started)
        kept = self._kept(query)
        if kept is not None:
            return kept
        # Whoever asks after an event must not get what was asked for before it.
        flight = (query.user_id, self._key(query), self._recent.of(query.user_id).arrived, self._cache.forgets)
        return await self._flights.once(flight, lambda: self._keep_async(query, now, started))

    def forget(self, user_id: str) -> None:
        """Make this user's next answer anew."""
        self._cache.forget(user_id)

    async def _fresh_async(self, query: RecommendQuery, now: datetime, started: float) -> Answer:
        deadline = Deadline.after(self._seconds, started=started)
        user = await self._users.user_async(query.user_id, query.moment or now, deadline)
        return await self.turns.finish(self._graph.answer_in_steps(self._visit(query, user, now, deadline), user))

    def _visit(self, query: RecommendQuery, user: User, now: datetime, deadline: Deadline) -> Visit:
        # What arrived as an event is in the history already.
        session = tuple(item for item in query.session if item not in user.met)
        request = Request(query.user_id, query.moment or now, query.k, query.context, query.exclude, session)
        return Visit(request, self._items.recommender, deadline, now, query.explain)

    def _kept(self, query: RecommendQuery) -> Answer | None:
        if not self._cache.on:
            return None
        recent = self._recent.of(query.user_id)
        return self._cache.get(query.user_id, self._key(query), recent, self._world(), now=time.monotonic())

    def _keep(self, query: RecommendQuery, make: Callable[[], Answer]) -> Answer:
        begun = self._begun(query)
        answer = make()
        if self._cache.on:
            self._cache.put(query.user_id, self._key(query), answer, begun, now=time.monotonic())
        return answer

    async def _keep_async(self, query: RecommendQuery, now: datetime, started: float) -> Answer:
        begun = self._begun(query)
        answer = await self._fresh_async(query, now, started)
        self._cache.put(query.user_id, self._key(query), answer, begun, now=time.monotonic())
        return answer

    def _begun(self, query: RecommendQuery) -> Begun:
        return Begun(self._recent.of(query.user_id), self._world(), self._cache.forgets)

    def _key(self, query: RecommendQuery) -> tuple[Any, ...]:
        """All that an answer to this user depends on, but for what the user did and for `_world`."""
        asked = (query.k, query.moment, frozenset(query.context.items()), query.exclude, query.session, query.explain)
        return (*self._served, *asked)

    def _world(self) -> tuple[object, ...]:
        return (self._items.recommender, self._rules(), self._blocked.ids)
