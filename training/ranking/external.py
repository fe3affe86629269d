"""A ranker's training set that does not fit into memory: Parquet files, read whole request by whole request.

XGBoost reads it in batches twice, once for the quantiles of each feature and once for the bins, one byte a value. With
ExtMemQuantileDMatrix the bins lie in a cache on disk, too, and each level of each tree reads them again; what stays in
memory is a few numbers a row. A request that is cut in two by the end of a batch would count as two requests, without
a word (XGBoost 3.2), so the rows of the last request of a row group wait for the next one.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xgboost as xgb

from feature_repo.core.errors import DatasetError, SettingsRefused
from training.ranking.constraints import plain
from training.ranking.lambdamart import OnRound, as_matrix, boost
from training.ranking.prepare import for_training, for_validation
from training.ranking.query_groups import Dropped, QueryGroups
from training.settings import RankerSettings

Array = np.ndarray[Any, Any]

ROWS_AT_ONCE = 65_536  # of a row group: 200 features are 52 MB
REQUEST, RELEVANCE, POSITION, CHAMPION = "request", "relevance", "position", "champion"


def train(
    files: Sequence[Path],
    *,
    cache: Path,
    feature_names: Sequence[str],
    settings: RankerSettings,
    seed: int,
    on_round: OnRound,
    validation: QueryGroups | None = None,
) -> xgb.Booster:
    """`lambdamart.train` on files that `write` made; bins are kept in the empty folder `cache` until training ends.

    Raises:
        DatasetError: no request of the files has both a relevant candidate and another one.
        SettingsRefused: the settings ask for a ranker each objective.
    """
    if settings.blend == "models" and len(settings.objectives) > 1:
        raise SettingsRefused("a training set larger than memory takes one gain a candidate; set blend to labels")
    batches = _Batches(files, tuple(feature_names), settings, cache)
    try:
        data = xgb.ExtMemQuantileDMatrix(batches, max_bin=settings.max_bin)
    except xgb.core.XGBoostError:
        if batches.rows:
            raise
        raise DatasetError(
            f"the ranker needs a request in which one candidate is relevant and another is not; {len(files)} files "
            f"have {batches.dropped.without_positive + batches.dropped.only_positives} requests and none is so"
        ) from None
    watched = None
    if validation is not None:
        kept, _ = for_validation(validation, feature_names, settings)
        watched = as_matrix(kept, feature_names, settings, data) if len(kept) else None
    return boost(
        data,
        watched,
        feature_names=feature_names,
        settings=settings,
        seed=seed,
        on_round=on_round,
        dropped=batches.dropped,
    )


def write(path: Path, parts: Iterable[QueryGroups], feature_names: Sequence[str]) -> int:
    """Write candidates with one gain each, requests ascending over all parts; returns the number of rows."""
    rows = 0
    writer: pq.ParquetWriter | None = None
    try:
        for part in parts:
            table = _table(part, feature_names)
            writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd", use_dictionary=False)
            writer.write_table(table, row_group_size=ROWS_AT_ONCE)
            rows += len(part)
    finally:
        if writer:
            writer.close()
    if rows == 0:
        raise DatasetError(f"{path.name}: the ranker's training set needs candidates; got none")
    return rows


def read(files: Sequence[Path], feature_names: Sequence[str]) -> Iterator[QueryGroups]:
    """The row groups of the files in order."""
    for path in files:
        with pq.ParquetFile(path) as file:
            for number in range(file.num_row_groups):
                yield _rows(file.read_row_group(number), feature_names)


def whole_requests(parts: Iterable[QueryGroups]) -> Iterator[QueryGroups]:
    """The same rows in the same order, none of whose parts ends within a request."""
    waiting: QueryGroups | None = None
    for part in parts:
        rows = _beside(waiting, part)
        ended = int(np.searchsorted(rows.groups, rows.groups[-1]))
        if ended:
            yield rows.take(slice(0, ended))
        waiting = rows.take(slice(ended, None))
    if waiting is not None:
        yield waiting


class _Batches(xgb.DataIter):  # type: ignore[misc]
    """What XGBoost asks for the next batch, and then for the first one again. Counts are those of the last pass."""

    def __init__(self, files: Sequence[Path], feature_names: tuple[str, ...], settings: RankerSettings, cache: Path):
        self._files, self._names, self._settings = files, feature_names, settings
        self._plain = [plain(name) for name in feature_names]
        self.reset()
        super().__init__(cache_prefix=str(cache / "bins"))

    def next(self, input_data: Any) -> bool:
        for rows in self._left:
            kept, dropped = for_training(rows, self._names, self._settings)
            self.dropped += dropped
            self.rows += len(kept)
            if len(kept):
                input_data(data=kept.matrix, label=kept.relevance, qid=kept.groups, feature_names=self._plain)
                return True
        return False

    def reset(self) -> None:
        self._left = whole_requests(read(self._files, self._names))
        self.dropped, self.rows = Dropped(0, 0), 0


def _table(rows: QueryGroups, feature_names: Sequence[str]) -> pa.Table:
    columns = {REQUEST: rows.groups.astype(np.int64), RELEVANCE: rows.relevance.astype(np.float32)}
    if rows.positions is not None:
        columns[POSITION] = rows.positions.astype(np.int64)
    if rows.champion is not None:
        columns[CHAMPION] = rows.champion.astype(np.float32)
    features = {f"f:{name}": rows.matrix[:, at] for at, name in enumerate(feature_names)}
    return pa.table({name: pa.array(values) for name, values in {**columns, **features}.items()})


def _rows(table: pa.Table, feature_names: Sequence[str]) -> QueryGroups:
    matrix = np.empty((table.num_rows, len(feature_names)), np.float32)
    for at, name in enumerate(feature_names):
        matrix[:, at] = table[f"f:{name}"].to_numpy()
    more = (table[name].to_numpy() if name in table.column_names else None for name in (POSITION, CHAMPION))
    return QueryGroups(matrix, table[RELEVANCE].to_numpy(), table[REQUEST].to_numpy(), *more)


def _beside(first: QueryGroups | None, then: QueryGroups) -> QueryGroups:
    if first is None:
        return then
    return QueryGroups(
        np.concatenate([first.matrix, then.matrix]),
        np.concatenate([first.relevance, then.relevance]),
        np.concatenate([first.groups, then.groups]),
        _joined(first.positions, then.positions),
        _joined(first.champion, then.champion),
    )


def _joined(left: Array | None, right: Array | None) -> Array | None:
    return None if left is None or right is None else np.concatenate([left, right])
