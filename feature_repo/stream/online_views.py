"""The user views that the stream writes: rows read from and pushed to Feast, many users at a time."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from feast import FeatureStore
from feast.data_source import PushSource

from feature_repo.core.errors import MissingArtifact, StoreUnavailable
from feature_repo.core.workspace import Workspace
from feature_repo.store.open import store_config

STREAMED = ("user_activity", "user_history", "user_tastes", "user_seen", "user_hidden")
CHUNK = 1_000  # rows of one push: a push of one row costs as much as a push of fifty


class _PushStore(FeatureStore):  # type: ignore[misc]
    """Feast's store, without the look-up of precomputed vectors after each push.

    No service of ours has any, and the look-up reads the registry file, after which every call parses all of it anew.
    """

    def _precompute_for_push(self, feature_view_name: str, df: pd.DataFrame) -> None:
        """Nothing is precomputed."""


class OnlineViews:
    """`views` are the names of those that the feature store has, each with the names of its features."""

    def __init__(self, store: FeatureStore, views: Mapping[str, Sequence[str]]) -> None:
        self._store = store
        self.views = views

    @property
    def tastes(self) -> tuple[str, ...]:
        """The item attributes that tastes are kept of."""
        return tuple(name.removeprefix("taste_") for name in self.views.get("user_tastes", ()))

    def read(self, user_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The online rows, raw features by name; an unknown user's is empty.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        rows: dict[str, dict[str, Any]] = {}
        for start in range(0, len(user_ids), CHUNK):
            part = list(user_ids[start : start + CHUNK])
            try:
                answer = self._store.get_online_features(
                    features=self._references(), entity_rows=[{"user_id": user} for user in part]
                ).to_dict()
            except Exception as error:
                raise _down(error) from error
            rows.update({user: _known(answer, place) for place, user in enumerate(part)})
        return rows

    def read_batch(self, user_ids: Sequence[str], moment_us: int) -> dict[str, dict[str, Any]]:
        """The rows that the batch transform made of the events before `moment_us`, from the offline store."""
        if not user_ids:
            return {}
        moments = pd.to_datetime(np.full(len(user_ids), moment_us), unit="us", utc=True).astype("datetime64[us, UTC]")
        frame = pd.DataFrame({"user_id": list(user_ids), "event_timestamp": moments})
        answer = self._store.get_historical_features(entity_df=frame, features=self._references()).to_arrow()
        columns = answer.drop(["event_timestamp"]).to_pydict()
        return {user: _known(columns, place) for place, user in enumerate(user_ids)}

    def push(self, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Write rows of each view; a row has the view's features, user_id, and event_timestamp in UTC microseconds.

        Raises:
            StoreUnavailable: the store did not take them.
        """
        for view, all_rows in rows.items():
            for start in range(0, len(all_rows), CHUNK):
                frame = _frame(all_rows[start : start + CHUNK])
                try:
                    self._store.push(f"{view}_push", frame)
                except Exception as error:
                    raise _down(error) from error

    def _references(self) -> list[str]:
        # Tastes follow from the history and are not read.
        return [f"{view}:{name}" for view, names in self.views.items() if view != "user_tastes" for name in names]


def open_views(workspace: Workspace) -> OnlineViews:
    """The streamed views of the workspace's feature store.

    Raises:
        MissingArtifact: the definitions were not applied.
    """
    store = _PushStore(config=store_config(workspace))
    sources = {view.name: view for view in store.list_feature_views(allow_cache=True)}
    views = {
        name: [field.name for field in sources[name].features]
        for name in STREAMED
        if name in sources and isinstance(sources[name].stream_source, PushSource)
    }
    if "user_activity" not in views:
        raise MissingArtifact("the feature store has no view user_activity with a push source: run `make apply`")
    return OnlineViews(store, views)


def _known(columns: Mapping[str, Sequence[Any]], place: int) -> dict[str, Any]:
    return {n: cells[place] for n, cells in columns.items() if n != "user_id" and cells[place] is not None}


def _frame(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(list(rows))
    stamps = pd.to_datetime(frame["event_timestamp"], unit="us", utc=True)
    return frame.assign(event_timestamp=stamps.astype("datetime64[us, UTC]"))


def _down(error: Exception) -> StoreUnavailable:
    return StoreUnavailable(f"the online store did not answer: {type(error).__name__}: {error}")
