"""Privacy and skew against known answers: random tables and stores, noise beside its stated scale, the cost of a check.

A violation is a published group of fewer than k people, a remainder of fewer than k that subtraction would show, or a
row that is older than its limit. None may be left, however a run was killed.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.stats import beta

from bench.monitoring_shares import BENCH, share_row
from bench.rows import Row, at_most
from feature_repo.core.k_anonymity import merged
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.received import RECEIVED_SCHEMA
from feature_repo.dataset.request_log_schema import REQUEST_LOG_SCHEMA
from monitoring.privacy import retain as retention
from monitoring.privacy.counts import mechanism, noisy, within

TABLES, STORES, DRAWS = 20_000, 200, 100_000
NOW = datetime(2026, 5, 1, tzinfo=UTC)
SEED = 20_240


def rows(workspace: Workspace) -> list[Row]:  # noqa: ARG001  (every benchmark is asked with one; this one needs none)
    rng = np.random.default_rng(SEED)
    return [anonymity_row(rng), retention_row(rng), *noise_rows(), neighbours_row(), *skew_rows()]


def anonymity_row(rng: np.random.Generator) -> Row:
    """Tables of 1 to 30 groups, most of them small, in which people may be in several groups."""
    bad = sum(_exposed(rng) for _ in range(TABLES))
    return _none(f"k-anonymity: random tables with a group of fewer than k, {TABLES:,} tables", bad, TABLES)


def _exposed(rng: np.random.Generator) -> bool:
    k, groups, size = int(rng.choice([2, 5, 10, 20])), int(rng.integers(1, 31)), int(rng.integers(0, 400))
    labels = np.minimum(rng.geometric(rng.uniform(0.05, 0.9), size), groups).astype(object)
    people = rng.integers(0, rng.integers(1, 200), size)
    names = merged(labels, people, k=k)
    published = {name: set(people[names == name].tolist()) for name in set(names.tolist()) if name is not None}
    withheld = np.array([name is None for name in names.tolist()], bool)
    # What is left over beside published groups could be had by subtraction.
    return any(len(members) < k for members in published.values()) or bool(published and withheld.any())


def retention_row(rng: np.random.Generator) -> Row:
    """Stores with received events, a request log and Feast's log; half of the runs are killed once, then go on."""
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(STORES):
            bad += _left(Path(folder) / str(number), rng) > 0
    return _none(f"retention: random stores with a row older than the limit, {STORES} stores, half killed", bad, STORES)


class _Killed(BaseException):
    """What a kill does."""


def _left(folder: Path, rng: np.random.Generator) -> int:
    place, days = Workspace(root=folder, store=folder / "store"), float(rng.uniform(1, 60))
    before = NOW - timedelta(days=days)
    _fill(place, rng)
    if rng.random() < 0.5:
        with _killing(int(rng.integers(0, 6)), middle=bool(rng.integers(2))), suppress(_Killed):
            retention.retain(place, days=days, now=NOW)
    retention.retain(place, days=days, now=NOW)
    return sum(one.rows for one in retention.expired_files(place, before))


@contextmanager
def _killing(survived: int, *, middle: bool) -> Iterator[None]:
    remove, done = retention._remove, [0]

    def killed(*arguments: Any, **options: Any) -> None:
        if done[0] == survived and not middle:
            raise _Killed
        remove(*arguments, **options)
        done[0] += 1
        if done[0] > survived:
            raise _Killed

    retention._remove = killed
    try:
        yield
    finally:
        retention._remove = remove


def _fill(place: Workspace, rng: np.random.Generator) -> None:
    served = pa.schema([("user_id", pa.string()), ("__log_timestamp", pa.timestamp("us", "UTC"))])
    kinds = (
        (place.received, RECEIVED_SCHEMA, "timestamp"),
        (place.request_log, REQUEST_LOG_SCHEMA, "received_at"),
        (place.served_features, served, "__log_timestamp"),
    )
    for target, schema, column in kinds:
        target.mkdir(parents=True)
        for number in range(int(rng.integers(0, 4))):
            moments = [NOW - timedelta(days=float(day)) for day in rng.uniform(0, 70, rng.integers(1, 20))]
            columns = [
                pa.array(moments, field.type) if field.name == column else _filled(field.type, len(moments))
                for field in schema
            ]
            pq.write_table(pa.table(columns, schema=schema), target / f"{number}.parquet")


def _filled(kind: pa.DataType, rows: int) -> pa.Array:
    """Values that a column without nulls takes."""
    if pa.types.is_nested(kind):
        return pa.array([[]] * rows, kind)
    value = NOW if pa.types.is_timestamp(kind) else "1" if pa.types.is_string(kind) else 1
    return pa.array([value] * rows).cast(kind)


def noise_rows() -> list[Row]:
    """Discrete Laplace noise of scale b: E|X| = 2 p / (1 - p^2) with p = exp(-1 / b)."""
    found = []
    for epsilon, contributions in ((1.0, 20), (0.1, 20)):
        how = mechanism(epsilon, contributions)
        errors = np.abs(noisy(np.zeros(DRAWS, np.int64), how))
        p = np.exp(-1 / how.scale)
        stated, mean = 2 * p / (1 - p * p), float(errors.mean())
        half = 1.96 * float(errors.std()) / np.sqrt(DRAWS)
        told = f"published counts, epsilon {epsilon:g}: mean error ({mean - half:.2f} to {mean + half:.2f})"
        beside = f"stated by its scale {how.scale:g}"
        found.append(
            Row(BENCH, told, mean, "people", beside, stated, "within limits", abs(mean - stated) <= half * 1.5)
        )
        inside = int((errors <= within(how)).sum())
        found.append(
            share_row(f"published counts, epsilon {epsilon:g}: within {within(how):.0f}", inside, DRAWS, low=0.945)
        )
    return found


def neighbours_row() -> Row:
    """Counts with and without one person: no outcome may be more than exp(epsilon) times as likely."""
    how = mechanism(0.5, 1)
    several = [np.unique(noisy(np.full(DRAWS, count), how), return_counts=True) for count in (10, 11)]
    one, other = (dict(zip(values.tolist(), counts.tolist(), strict=True)) for values, counts in several)
    common = [(one[value], other[value]) for value in one.keys() & other.keys() if min(one[value], other[value]) > 500]
    # Four standard errors, for the largest of some forty log ratios.
    ratios = [abs(np.log(a / b)) - 4 * np.sqrt(1 / a + 1 / b) for a, b in common]
    worst = float(max(ratios))
    told = f"published counts: log ratio of {len(common)} outcomes with and without one person, less 4 standard errors"
    return Row(BENCH, told, worst, "", "epsilon", how.epsilon, "ratio <= 1", worst <= how.epsilon)


def skew_rows() -> list[Row]:
    """A clean and a late log of 1,000 requests, beside one point-in-time retrieval of the same rows."""
    from served_shop import NOW as AFTER
    from served_shop import build_served_shop

    from feature_repo.dataset.request_log import read_request_log
    from feature_repo.store.open import open_store
    from monitoring.skew.job import judge_log
    from monitoring.skew.retrieved import Retrieval
    from monitoring.skew.served import READ, open_served
    from monitoring.skew.settings import SkewPolicy

    found = []
    with tempfile.TemporaryDirectory() as name, _environment(Path(name)):
        shop = build_served_shop(Path(name))
        for kind, late, ratio in (("a clean", timedelta(0), 2.5), ("a late", timedelta(hours=3), 5.0)):
            for file in shop.workspace.request_log.glob("*.parquet"):
                file.unlink()
            shop.serve(1_000, at=lambda number, late=late: shop.filled + late * (1 + number / 1_000))
            opened = open_served(
                read_request_log(shop.workspace, READ), version="1", feature_names=shop.names, newest=1_000
            )
            users = np.array([f"p{number % 61}" for number in range(1_000)], object)
            retrieval, moments = (
                Retrieval(open_store(shop.workspace), shop.encoder, ("two-tower", "popular-30d")),
                (opened.served.moments_us),
            )
            started = time.perf_counter()
            retrieval.rows(users, moments)
            retrieval.matrix(opened.served, users, users_us=moments, items_us=moments)
            bare = time.perf_counter() - started
            started = time.perf_counter()
            report = judge_log(shop.workspace, shop.bundle, SkewPolicy(), version="1", now=AFTER)
            cost = time.perf_counter() - started
            wrong = sum(feature["wrong"]["count"] for feature in report["features"])
            told = f"skew of {kind} log, {opened.served.matrix.shape[0] // 1_000} candidates a request: 1,000 requests"
            beside = ("one point-in-time retrieval of them", bare)
            found.append(at_most(BENCH, told, cost, unit="s", yardstick=beside, ratio=ratio))
            found.append(_none(f"skew of {kind} log: wrong values in {len(report['features'])} features", wrong, 1_000))
    return found


@contextmanager
def _environment(folder: Path) -> Iterator[None]:
    """BUILD and STORE_URL name the folder: the feature definitions read them."""
    names = {"BUILD": str(folder / "build"), "STORE_URL": str(folder / "build" / "store")}
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _none(name: str, bad: int, runs: int) -> Row:
    high = float(beta.ppf(0.95, bad + 1, runs - bad)) if bad < runs else 1.0
    return Row(BENCH, f"{name} (rate at most {high:.2g})", float(bad), "", "", None, "0", bad == 0)
