"""The graph in this process, without store and server: whole answers, its stages, and what each is limited by.

`python -m bench.serving_graph_contender FOLDER` prints seconds (p50) by name as JSON, and the resident memory. Whole
answers are measured first and by themselves, as a server gives them, in rounds. The middle round counts; the best one
stands beside it, since other work on the machine only ever takes time.
"""

import gc
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.serving_graph_world import NOW_US
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.split import from_microseconds
from feature_repo.store.item_table import open_item_table
from serving.operations.memory import use_huge_pages
from training.bundle import load_bundle
from training.recommender import Recommender, build_recommender
from training.retrieval.answers import answer_of
from training.retrieval.fusion import merge
from training.slate import Request

if TYPE_CHECKING:
    import xgboost as xgb

ROUNDS = 30
STEP_US = 60_000_000  # between two requests, all of one day

Asked = tuple[Request, dict[str, Any]]


class Clock:
    """Seconds by name, and those in which this thread was not waiting for a processor that others used."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}
        self.cpu: dict[str, list[float]] = {}

    def __call__(self, name: str, work: Callable[[], Any]) -> Any:
        started, used = time.perf_counter(), time.thread_time()
        result = work()
        self.cpu.setdefault(name, []).append(time.thread_time() - used)
        self.seconds.setdefault(name, []).append(time.perf_counter() - started)
        return result

    def p50(self) -> dict[str, float]:
        return {name: float(np.median(found)) for name, found in self.seconds.items()}


def main(folder: Path) -> dict[str, Any]:
    recommender = build_recommender(
        load_bundle(folder / "bundle"), open_item_table(Workspace(root=folder, store=folder / "store"))
    )
    asked = list(requests(folder))
    clock = Clock()
    for request, user in asked:
        recommender.recommend(request, user)
    gc.collect()
    gc.freeze()
    use_huge_pages()
    rounds = []
    for _ in range(ROUNDS):
        one = Clock()
        for request, user in asked:
            slate = one("whole", lambda: recommender.recommend(request, user))  # noqa: B023 - called at once
        rounds.append(one)
    best, middle = (sorted(rounds, key=lambda one: one.p50()["whole"])[place] for place in (0, ROUNDS // 2))
    memory = resident_mb()
    ranker = recommender.bundle.ranker
    ranker.set_param({"nthread": 1})  # two hundred rows are scored faster by one thread than handed to several
    for request, user in asked:
        stages(recommender, ranker, request, user, clock)
    return {
        "seconds": {**middle.p50(), "whole, best round": best.p50()["whole"], **clock.p50()},
        "cpu_p50": float(np.median(middle.cpu["whole"])),
        "p99": float(np.quantile(middle.seconds["whole"], 0.99)),
        "resident_mb": memory,
        "items": len(recommender.items),
        "features": len(recommender.feature_names),
        "candidates": len(slate.candidates.item_ids),
    }


def requests(folder: Path) -> Iterator[Asked]:
    users = json.loads((folder / "users.json").read_text(encoding="utf-8"))
    for number, user in enumerate(users):
        yield Request(f"u{number}", from_microseconds(NOW_US + number * STEP_US)), user


def stages(
    recommender: Recommender, ranker: "xgb.Booster", request: Request, user: dict[str, Any], clock: Clock
) -> None:
    """One answer stage by stage, each followed by the bare call that it cannot be faster than."""
    bundle, settings = recommender.bundle, recommender.bundle.candidates
    asked = clock("query", lambda: recommender._asker.one(request, user))
    query = asked.query
    inputs = bundle.encoder.queries(query.user_ids, query.users, query.moments_us, query.contexts)
    clock("query, limit", lambda: bundle.query_tower.run(None, inputs))
    scored = recommender.score(asked)
    for name, answer in scored.answers.items():
        clock(f"{name}, list", lambda: answer.best(settings.depth, scored.allowed))  # noqa: B023
    cells = bundle.index.cells
    if cells is not None:
        clock("two-tower, limit", lambda: cells.lists.search(asked.embedding[None], settings.depth))
    for retriever in bundle.retrievers:
        clock(f"{retriever.name}, scores", lambda: answer_of(retriever, query, recommender.catalogue))  # noqa: B023
    clock("merge", lambda: merge(scored.answers, scored.lists, depth=settings.depth, total=settings.total))
    clock("merge, limit", lambda: np.unique(np.concatenate([*scored.lists.values()])))
    found = recommender.candidates(scored)
    matrix = clock("features", lambda: recommender.features(found))
    clock("features, limit", matrix.copy)
    clock("rank", lambda: recommender.rank_scores(matrix))
    clock("rank, limit", lambda: ranker.inplace_predict(matrix))


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * 4096 / 1e6


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]))) + "\n")
