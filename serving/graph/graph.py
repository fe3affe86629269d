"""The graph of one request: user -> filter -> retrieve -> features -> rank -> rerank -> answer, with its ladder.

    the store is slow or gone      the row that this process read last, else none         degraded "features"
    what was seen is not known     an empty slate, where nothing may be shown twice       degraded "seen"
    what is allowed is not known   an empty slate                                         degraded "blocked"
    towers, index or retrievers    popular items in their order                           degraded "retrieval"
    features or ranker             the order of retrieval                                 degraded "ranker"
    re-ranking                     the order of the ranker                                degraded "rerank"

A part also counts as not working when the request's time would be up before it is done.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from feature_repo.core.steps import Steps, finish
from serving.graph.filter import FiltersPort, FilterStage
from serving.graph.meter import Meter
from serving.graph.rank import FeatureStage, RankStage
from serving.graph.reasons import reasons
from serving.graph.rerank import RerankStage, in_order
from serving.graph.retrieve import RetrieveStage
from serving.graph.runner import Runner
from serving.graph.visit import Answer, User, Visit
from serving.rerank.ranked import Reranked
from training.slate import Candidates, RankedItem, Slate, no_candidates

if TYPE_CHECKING:
    from serving.rerank.policy import RerankPolicy
    from training.recommender import Retrieved

Array = np.ndarray[Any, Any]


class RulesPort(Protocol):
    """The rules file in force."""

    @property
    def filters(self) -> FiltersPort: ...

    @property
    def policy(self) -> "RerankPolicy": ...


@dataclass(frozen=True)
class Scored:
    """Candidates in the order of retrieval with the ranker's features [c, f] and the scores [c] that order them."""

    retrieved: "Retrieved"
    features: Array
    scores: Array


class Graph:
    """The stages after the user's, each with its rung. `rules` gives the rules in force, read once a request."""

    def __init__(
        self,
        *,
        filters: FilterStage,
        retrieve: RetrieveStage,
        features: FeatureStage,
        rank: RankStage,
        rerank: RerankStage,
        rules: Callable[[], RulesPort],
        meter: Meter,
    ) -> None:
        self._filter = filters
        self._retrieve = retrieve
        self._features = features
        self._rank = rank
        self._rerank = rerank
        self._rules = rules
        self._meter = meter
        self._runner = Runner(meter)

    def answer(self, visit: Visit, user: User) -> Answer:
        """The answer for `user`; whatever breaks is in `degraded`."""
        return finish(self.answer_in_steps(visit, user))

    def answer_in_steps(self, visit: Visit, user: User) -> Steps[Answer]:
        """The same, with rests between stages and within the longest of them."""
        rules, repeats = self._rules(), visit.recommender.bundle.repeat_consumption
        if user.row is None and not repeats:
            self._meter.rung("empty")
            return _empty(visit, user, "seen")
        filters = rules.filters
        allowed = self._runner.run("filter", lambda: self._filter.allowed(visit, user, filters, repeats=repeats))
        if allowed is None:
            self._meter.rung("empty")
            return _empty(visit, user, "blocked")
        scored, degraded = yield from self._scored(visit, user, allowed, rules.policy)
        yield
        self._meter.candidates(scored.retrieved.sources.tolist())
        reranked = self._reranked(visit, scored, rules.policy)
        if reranked is None:
            self._meter.rung("ranked_order")
            degraded, reranked = (*degraded, "rerank"), in_order(scored.scores, visit.request.k)
        slate = self._slate(visit, user, scored, reranked, (*user.degraded, *degraded))
        return Answer(slate, user.row, visit.request.moment, slate.degraded, reranked.notes)

    def _scored(
        self, visit: Visit, user: User, allowed: Array, policy: "RerankPolicy"
    ) -> Steps[tuple[Scored, tuple[str, ...]]]:
        run, stage = self._runner.run, self._retrieve
        steps = stage.retrieved(visit, user, allowed, policy)
        found = yield from self._runner.run_in_steps("retrieve", steps, before=visit.deadline)
        if found is None:
            self._meter.rung("popular")
            popular = run("popular", lambda: stage.popular(visit, user, allowed))
            if popular is None:
                popular = stage.popular_for_anyone(visit, user, allowed)
            return self._unranked(visit, user, popular), ("retrieval",)
        yield
        matrix = run("features", lambda: self._features.matrix(visit, found), before=visit.deadline)
        if matrix is None or not len(matrix):
            return self._unranked(visit, user, found), () if matrix is not None else self._by_retrieval()
        yield
        scores = run("rank", lambda: self._rank.scores(visit, matrix), before=visit.deadline)
        if scores is None:
            return self._moved(visit, user, found, matrix, _falling(found)), self._by_retrieval()
        return self._moved(visit, user, found, matrix, scores), ()

    def _by_retrieval(self) -> tuple[str, ...]:
        self._meter.rung("retrieval_order")
        return ("ranker",)

    def _unranked(self, visit: Visit, user: User, found: "Retrieved") -> Scored:
        matrix = np.full((len(found.rows), len(visit.recommender.feature_names)), np.nan, np.float32)
        return self._moved(visit, user, found, matrix, _falling(found))

    def _moved(self, visit: Visit, user: User, found: "Retrieved", matrix: Array, scores: Array) -> Scored:
        """By what the user declared and rejected, which holds for any order."""
        if user.preferences.attributes or user.hidden:
            moved = self._runner.run("moved", lambda: self._rank.moved(visit, user, found, scores))
            scores = scores if moved is None else moved
        return Scored(found, matrix, scores)

    def _reranked(self, visit: Visit, scored: Scored, policy: "RerankPolicy") -> Reranked | None:
        # Without rules it is a sort, for which there is always time.
        before = None if policy.changes_nothing else visit.deadline
        stage, found, scores = self._rerank, scored.retrieved, scored.scores
        return self._runner.run("rerank", lambda: stage.reranked(visit, found, scores, policy), before=before)

    def _slate(self, visit: Visit, user: User, scored: Scored, reranked: Reranked, degraded: tuple[str, ...]) -> Slate:
        found, places = scored.retrieved, reranked.places
        why = [""] * len(places)
        if visit.explain:
            history = (*((user.row or {}).get("history_items") or ()), *visit.request.session)
            rows = found.rows[places]
            why = self._runner.run("explain", lambda: reasons(visit.recommender, history, rows)) or why
        columns = (column.tolist() for column in (found.item_ids[places], scored.scores[places], found.sources[places]))
        shown = zip(*columns, reranked.propensities.tolist(), why, strict=True)
        items = tuple(
            RankedItem(item, score, rank, source, propensity, reason)
            for rank, (item, score, source, propensity, reason) in enumerate(shown, start=1)
        )
        return Slate(items, Candidates(found.item_ids, found.sources, scored.features, scored.scores), degraded)


def _falling(found: "Retrieved") -> Array:
    """Scores that keep the order of the candidates."""
    return -np.arange(len(found.rows), dtype=np.float32)


def _empty(visit: Visit, user: User, part: str) -> Answer:
    """What is safe to show where nothing is known to be."""
    degraded = (*user.degraded, part)
    slate = Slate((), no_candidates(len(visit.recommender.feature_names)), degraded)
    return Answer(slate, user.row, visit.request.moment, degraded)
