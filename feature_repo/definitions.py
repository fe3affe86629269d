"""Feast definitions. Views follow from the declared data set and from the event log; no column is named by hand."""

import os
from datetime import timedelta

import pandas as pd
from feast import Entity, FeatureService, FeatureView, Field, FileSource, RequestSource, ValueType
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Array, Float32, Float64, Int64, String

from feature_repo.core.errors import MissingArtifact
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.declaration import Dataset, EntityTable, load_dataset
from feature_repo.dataset.prepare import active_dataset
from feature_repo.features.request import CONTEXT_FEATURES, ITEM_STATE, USER_STATE, state_features

_workspace = Workspace.from_env()


def _dataset() -> Dataset:
    try:
        return active_dataset(_workspace)
    except MissingArtifact:  # `feast apply` before `make data`: the declaration alone says which views there are
        return load_dataset(os.environ.get("DATASET") or "movielens-100k")


def _view(name: str, entity: Entity, fields: list[Field], description: str) -> FeatureView:
    source = FileSource(
        name=f"{name}_table",
        path=str(_workspace.tables / f"{name}.parquet"),
        timestamp_field="event_timestamp",
    )
    # State is true until the next event and attributes until the next row, so neither has a time to live.
    return FeatureView(
        name=name, entities=[entity], ttl=timedelta(0), schema=fields, source=source, description=description
    )


def _state_fields(names: tuple[str, ...]) -> list[Field]:
    return [Field(name=n, dtype=Array(Int64) if n.endswith(("_days", "_counts")) else Int64) for n in names]


def _attribute_fields(declared: EntityTable) -> list[Field]:
    kinds = {
        **dict.fromkeys((*declared.categorical, *declared.text), String),
        **dict.fromkeys(declared.numeric, Float64),
        **dict.fromkeys(declared.multi, Array(String)),
    }
    return [Field(name=name, dtype=kinds[name]) for name in declared.attributes]


_declared = _dataset()

user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING)
request = RequestSource(name="request", schema=[Field(name="moment_us", dtype=Int64)])

user_activity = _view("user_activity", user, _state_fields(USER_STATE), "Events of the user by day")
user_history = _view(
    "user_history",
    user,
    [Field(name="history_items", dtype=Array(String)), Field(name="history_times", dtype=Array(Int64))],
    "The items that the user met last, oldest first",
)
item_popularity = _view("item_popularity", item, _state_fields(ITEM_STATE), "Events of the item by day")
_profile, _metadata, _seen = [], [], []
if _declared.users is not None and _declared.users.attributes:
    user_profile = _view("user_profile", user, _attribute_fields(_declared.users), "Declared attributes of users")
    _profile = [user_profile]
if _declared.items is not None and _declared.items.attributes:
    item_metadata = _view("item_metadata", item, _attribute_fields(_declared.items), "Declared attributes of items")
    _metadata = [item_metadata]
if not _declared.repeat_consumption:
    user_seen = _view(
        "user_seen",
        user,
        [Field(name="seen_items", dtype=Array(String))],
        "What is not to be recommended again",
    )
    _seen = [user_seen]


# Feast stores the body of an on-demand view in its registry, without this module's names: so each imports its own.
@on_demand_feature_view(  # type: ignore[untyped-decorator]
    sources=[request], schema=[Field(name=n, dtype=Float32) for n in CONTEXT_FEATURES], mode="pandas"
)
def request_context(inputs: pd.DataFrame) -> pd.DataFrame:
    """Hour and weekday of the request."""
    from feature_repo.features.frames import context_frame

    return context_frame(inputs)


@on_demand_feature_view(  # type: ignore[untyped-decorator]
    sources=[request, user_activity],
    schema=[Field(name=n, dtype=Float32) for n in state_features("user")],
    mode="pandas",
)
def user_windows(inputs: pd.DataFrame) -> pd.DataFrame:
    """The user's activity in windows that end at the request."""
    from feature_repo.features.frames import user_frame

    return user_frame(inputs)


@on_demand_feature_view(  # type: ignore[untyped-decorator]
    sources=[request, item_popularity],
    schema=[Field(name=n, dtype=Float32) for n in state_features("item")],
    mode="pandas",
)
def item_windows(inputs: pd.DataFrame) -> pd.DataFrame:
    """The item's popularity in windows that end at the request."""
    from feature_repo.features.frames import item_frame

    return item_frame(inputs)


retrieval = FeatureService(
    name="retrieval",
    features=[*_profile, user_activity, user_history, *_seen, *_metadata, item_popularity, request_context],
    description="What candidate retrieval reads",
)
ranking = FeatureService(
    name="ranking",
    features=[*_profile, *_metadata, user_windows, item_windows, request_context],
    description="What the ranker reads",
)
