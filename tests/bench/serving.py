"""Serving beside what it is built on: over HTTP, against the graph as it is usually built, at its start, and alone."""

import subprocess
from collections.abc import Iterator

from bench import serving_graph, serving_http, serving_naive, serving_ready
from bench.rows import Row, not_measured
from bench.serving_endpoints import Cores, two_cores
from bench.serving_graph import ITEMS
from bench.serving_store import Served, served_world
from feature_repo.core.errors import RecommenderError
from feature_repo.core.workspace import Workspace


def rows(workspace: Workspace) -> Iterator[Row]:
    """One row for each bound, those of the graph in process last."""
    cores = two_cores()
    if cores is None:
        yield not_measured("serving", "HTTP", "servers and load need a core each; this process may use one")
        return
    try:
        served = served_world(workspace, ITEMS)
    except subprocess.CalledProcessError as error:
        yield not_measured("serving", "a world to serve", last_line(error.stderr))
        return
    yield from over_http(served, cores, serving_http.Plan(), ITEMS)
    yield from serving_naive.rows(served)
    yield from serving_ready.rows(served)
    yield from serving_graph.rows(workspace)


def over_http(served: Served, cores: Cores, plan: serving_http.Plan, items: int) -> list[Row]:
    try:
        return serving_http.rows_of(serving_http.measure(served, cores, plan), items)
    except subprocess.CalledProcessError as error:
        return [not_measured("serving", "HTTP", last_line(error.stderr))]
    except RecommenderError as error:
        return [not_measured("serving", "HTTP", str(error))]


def last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1][:200]
