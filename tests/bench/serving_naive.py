"""Our graph against the graph as tutorials build it, both in process and on the same store, bundle and requests."""

from bench.contender import Measured, run_contender
from bench.rows import Row, not_measured
from bench.serving_store import Served
from feature_repo.core.console import console

TIMES = 20.0  # faster at the median
NAIVE_REQUESTS, OUR_REQUESTS = 30, 300
NAME = "user id to slate in process, p50"
LABEL = "Feast read of the candidates, Keras predict, DMatrix predict"


def rows(served: Served, naive: int = NAIVE_REQUESTS, ours: int = OUR_REQUESTS) -> list[Row]:
    found = [_measure("naive", served, naive), _measure("ours", served, ours)]
    for result in found:
        if isinstance(result, str):
            return [not_measured("serving", NAME, result)]
    slow, fast = (1e3 * result.seconds for result in found if isinstance(result, Measured))
    bound = f"ratio <= 1/{TIMES:g}"
    return [Row("serving", NAME, fast, "ms", LABEL, slow, bound, holds=0 < fast * TIMES <= slow)]


def _measure(kind: str, served: Served, requests: int) -> Measured | str:
    with console.status(f"serving: {kind} in process"):
        module, folder = "bench.serving_naive_contender", str(served.world)
        return run_contender(module, kind, folder, str(requests), environment=served.environment)
