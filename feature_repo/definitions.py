"""Feast definitions. Views follow from the declared data set and from the event log; no column is named by hand."""

import os
from collections.abc import Callable, Iterable
from datetime import timedelta

import pandas as pd
from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource, RequestSource, ValueType
from feast.data_source import DataSource
from feast.feature_logging import LoggingConfig
from feast.infra.offline_stores.file_source import FileLoggingDestination
from feast.on_demand_feature_view import OnDemandFeatureView, on_demand_feature_view
from feast.types import Array, Float32, Float64, Int64, String

from feature_repo.core.errors import MissingArtifact
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.declaration import Dataset, EntityTable, load_dataset
from feature_repo.dataset.prepare import active_dataset
from feature_repo.features.frames import LISTS
from feature_repo.features.item import REACH_FEATURES
from feature_repo.features.pairs import PAIR_FEATURES, affinity_features
from feature_repo.features.plan import feature_plan
from feature_repo.features.request import (
    AMOUNT_FEATURES,
    AMOUNT_STATE,
    CONTEXT_FEATURES,
    ITEM_STATE,
    USER_STATE,
    state_features,
)
from feature_repo.features.rhythm import RHYTHM_FEATURES
from feature_repo.features.worth import VALUE_FEATURES, conversion_features
from feature_repo.transforms.state import hiding_types, step_columns

_workspace = Workspace.from_env()


def _dataset() -> Dataset:
    try:
        return active_dataset(_workspace)
    except MissingArtifact:  # `feast apply` before `make data`: the declaration alone says which views there are
        return load_dataset(os.environ.get("DATASET") or "movielens-100k")


def _view(
    name: str,
    entity: Entity,
    fields: list[Field],
    description: str,
    *,
    declared: EntityTable | None = None,
    pushed: bool = False,
) -> FeatureView:
    """A view over the table of its name; `pushed`: the stream of events writes it, too, through `<name>_push`."""
    source: DataSource = FileSource(
        name=f"{name}_table",
        path=str(_workspace.tables / f"{name}.parquet"),
        timestamp_field="event_timestamp",
        created_timestamp_column="created_timestamp" if declared and declared.recorded else "",
    )
    if pushed:
        source = PushSource(name=f"{name}_push", batch_source=source)
    # State is true until the next event and attributes until the next row, so neither has a time to live.
    return FeatureView(
        name=name, entities=[entity], ttl=timedelta(0), schema=fields, source=source, description=description
    )


def _state_fields(names: tuple[str, ...]) -> list[Field]:
    return [Field(name=n, dtype=Array(Int64) if n.endswith(LISTS) else Int64) for n in names]


def _attribute_fields(declared: EntityTable) -> list[Field]:
    kinds = {
        **dict.fromkeys((*declared.categorical, *declared.text), String),
        **dict.fromkeys(declared.numeric, Float64),
        **dict.fromkeys(declared.multi, Array(String)),
    }
    return [Field(name=name, dtype=kinds[name]) for name in declared.attributes]


_declared = _dataset()
_plan = feature_plan(_declared)

user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING)
request = RequestSource(name="request", schema=[Field(name="moment_us", dtype=Int64)])
candidate = RequestSource(name="candidate", schema=[Field(name="candidate_id", dtype=String)])

user_activity = _view(
    "user_activity", user, _state_fields((*USER_STATE, *AMOUNT_STATE)), "Events of the user by day", pushed=True
)
user_history = _view(
    "user_history",
    user,
    [Field(name="history_items", dtype=Array(String)), *_state_fields(("history_times",))],
    "The items that the user met last, oldest first",
    pushed=True,
)
item_popularity = _view("item_popularity", item, _state_fields(ITEM_STATE), "Events of the item by day")
item_reach = _view(
    "item_reach",
    item,
    _state_fields(REACH_FEATURES),
    "Distinct users of the item in the last whole days",
)
_profile, _metadata, _seen = [], [], []
if _declared.users is not None and _declared.users.attributes:
    user_profile = _view(
        "user_profile",
        user,
        _attribute_fields(_declared.users),
        "Declared attributes of users",
        declared=_declared.users,
    )
    _profile = [user_profile]
if _declared.items is not None and _declared.items.attributes:
    item_metadata = _view(
        "item_metadata",
        item,
        _attribute_fields(_declared.items),
        "Declared attributes of items",
        declared=_declared.items,
    )
    _metadata = [item_metadata]
if not _declared.repeat_consumption:
    user_seen = _view(
        "user_seen",
        user,
        [Field(name="seen_items", dtype=Array(String))],
        "What is not to be recommended again",
        pushed=True,
    )
    _seen = [user_seen]
_hidden = []
if hiding_types(_declared):
    user_hidden = _view(
        "user_hidden",
        user,
        [Field(name="hidden_items", dtype=Array(String))],
        "What the user does not want",
        pushed=True,
    )
    _hidden = [user_hidden]


_tastes, _value, _conversion = [], [], []
if _plan.tastes and _metadata:
    user_tastes = _view(
        "user_tastes",
        user,
        [Field(name=f"taste_{name}", dtype=Array(String)) for name in _plan.tastes],
        "Categories of the items that the user liked last",
        pushed=True,
    )
    _tastes = [user_tastes]
if _plan.valued:
    item_value = _view(
        "item_value", item, _state_fields(("item_amount", "item_valued", "item_last_amount")), "Values of the events"
    )
    _value = [item_value]
if _plan.steps:
    item_conversion = _view("item_conversion", item, _state_fields(step_columns(len(_plan.steps))), "Events by type")
    _conversion = [item_conversion]


def _on_demand(
    compute: Callable[[pd.DataFrame], pd.DataFrame], sources: list[FeatureView | RequestSource], names: Iterable[str]
) -> OnDemandFeatureView:
    return on_demand_feature_view(sources=sources, schema=[Field(name=n, dtype=Float32) for n in names], mode="pandas")(
        compute
    )


# Feast stores the body of an on-demand view in its registry, without this module's names: so each imports its own.
def request_context(inputs: pd.DataFrame) -> pd.DataFrame:
    """Hour and weekday of the request, as numbers and as places in their cycles."""
    from feature_repo.features.frames import context_frame

    return context_frame(inputs)


def user_windows(inputs: pd.DataFrame) -> pd.DataFrame:
    """The user's activity in windows that end at the request."""
    from feature_repo.features.frames import user_frame

    return user_frame(inputs)


def user_amounts(inputs: pd.DataFrame) -> pd.DataFrame:
    """What the user's events were worth."""
    from feature_repo.features.frames import amount_frame

    return amount_frame(inputs)


def user_rhythm(inputs: pd.DataFrame) -> pd.DataFrame:
    """The user's active hours and sessions."""
    from feature_repo.features.frames import rhythm_frame

    return rhythm_frame(inputs)


def item_windows(inputs: pd.DataFrame) -> pd.DataFrame:
    """The item's popularity in windows that end at the request."""
    from feature_repo.features.frames import item_frame

    return item_frame(inputs)


def item_worth(inputs: pd.DataFrame) -> pd.DataFrame:
    """The item's price, or its grade."""
    from feature_repo.features.frames import value_frame

    return value_frame(inputs)


def item_conversion_rates(inputs: pd.DataFrame) -> pd.DataFrame:
    """How often an event led to one of the next stronger type."""
    from feature_repo.features.frames import conversion_frame

    return conversion_frame(inputs)


def pair_history(inputs: pd.DataFrame) -> pd.DataFrame:
    """How often, how lately and how regularly the user met the item."""
    from feature_repo.features.frames import pair_frame

    return pair_frame(inputs)


def pair_affinity(inputs: pd.DataFrame) -> pd.DataFrame:
    """The user's taste for the item's categories."""
    from feature_repo.features.frames import affinity_frame

    return affinity_frame(inputs)


request_context_view = _on_demand(request_context, [request], CONTEXT_FEATURES)
user_windows_view = _on_demand(user_windows, [request, user_activity], state_features("user"))
user_rhythm_view = _on_demand(user_rhythm, [request, user_history], RHYTHM_FEATURES)
item_windows_view = _on_demand(item_windows, [request, item_popularity], state_features("item"))
_optional = []
if _plan.repeats:
    pair_history_view = _on_demand(pair_history, [request, candidate, user_history], PAIR_FEATURES)
    _optional += [pair_history_view]
if _value:
    user_amounts_view = _on_demand(user_amounts, [request, user_activity], AMOUNT_FEATURES)
    item_worth_view = _on_demand(item_worth, [item_value], VALUE_FEATURES)
    _optional += [user_amounts_view, item_worth_view]
if _conversion:
    rates = conversion_features(len(_plan.steps))
    item_conversion_view = _on_demand(item_conversion_rates, [item_conversion], rates)
    _optional += [item_conversion_view]
if _tastes:
    pair_affinity_view = _on_demand(pair_affinity, [user_tastes, item_metadata], affinity_features(_plan.tastes))
    _optional += [pair_affinity_view]

retrieval = FeatureService(
    name="retrieval",
    features=[
        *_profile,
        user_activity,
        user_history,
        *_seen,
        *_hidden,
        *_metadata,
        item_popularity,
        request_context_view,
    ],
    description="What candidate retrieval reads",
)
ranking = FeatureService(
    name="ranking",
    features=[
        *_profile,
        *_metadata,
        user_windows_view,
        user_rhythm_view,
        item_windows_view,
        item_reach,
        *_optional,
        request_context_view,
    ],
    description="What the ranker reads",
)
# Apart from the two above, since Feast logs whole rows: 200 candidates of a request would be 200 rows.
served_user = FeatureService(
    name="served_user",
    features=[*_profile, user_activity, user_history, *_seen, *_hidden, *_tastes],
    logging_config=LoggingConfig(destination=FileLoggingDestination(path=str(_workspace.served_features))),
    description="The user's row as a request reads it; the service logs it with every answer",
)
