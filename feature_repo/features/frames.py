"""The request-time functions over pandas frames, as Feast's on-demand views call them: one row, one request."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from feature_repo.features.columns import Columns, as_columns
from feature_repo.features.pairs import affinities, labels_of, pairs_at
from feature_repo.features.request import AMOUNT_STATE, ITEM_STATE, USER_STATE, amounts_at, context_at, state_at
from feature_repo.features.rhythm import rhythm_at
from feature_repo.features.worth import conversion_of, value_of
from feature_repo.transforms.state import step_columns

LISTS = ("_days", "_counts", "_amounts", "_times")
TEXTS = pa.list_(pa.string())
TASTE, STEP = "taste_", "item_step_"


def context_frame(inputs: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(context_at(_moments(inputs)))


def user_frame(inputs: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(state_at("user", _columns(inputs, USER_STATE), _moments(inputs)))


def amount_frame(inputs: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(amounts_at(_columns(inputs, (*USER_STATE, *AMOUNT_STATE)), _moments(inputs)))


def rhythm_frame(inputs: pd.DataFrame) -> pd.DataFrame:
    times = _columns(inputs, ("history_times",))["history_times"]
    return pd.DataFrame(rhythm_at(times, _moments(inputs)))


def item_frame(inputs: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(state_at("item", _columns(inputs, ITEM_STATE), _moments(inputs)))


def value_frame(inputs: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(value_of(_columns(inputs, ("item_amount", "item_valued", "item_last_amount"))))


def conversion_frame(inputs: pd.DataFrame) -> pd.DataFrame:
    steps = len([name for name in inputs.columns if name.startswith(STEP)])
    return pd.DataFrame(conversion_of(_columns(inputs, step_columns(steps)), steps))


def pair_frame(inputs: pd.DataFrame) -> pd.DataFrame:
    users = _columns(inputs, ("history_items", "history_times"))
    return pd.DataFrame(pairs_at(users, inputs["candidate_id"].to_numpy(object), _rows(inputs), _moments(inputs)))


def affinity_frame(inputs: pd.DataFrame) -> pd.DataFrame:
    stored = [name for name in inputs.columns if name.startswith(TASTE)]
    tastes = as_columns(pa.table({name: pa.array(inputs[name], TEXTS) for name in stored}), stored)
    names = [name.removeprefix(TASTE) for name in stored]
    values = {name: labels_of(_texts(inputs[name])) for name in names}
    return pd.DataFrame(affinities(names, tastes, values, _rows(inputs)))


def _moments(inputs: pd.DataFrame) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    return np.asarray(inputs["moment_us"], np.int64)


def _rows(inputs: pd.DataFrame) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    return np.arange(len(inputs))


def _texts(column: "pd.Series[Any]") -> "np.ndarray[Any, np.dtype[np.object_]]":
    several = any(isinstance(value, list | np.ndarray) for value in column)
    kind = TEXTS if several else pa.string()
    return as_columns(pa.table({"texts": pa.array(column, kind, from_pandas=True)}), ["texts"])["texts"]


def _columns(inputs: pd.DataFrame, names: tuple[str, ...]) -> Columns:
    # A frame in which every list or number is missing has lost its types.
    return as_columns(pa.table({name: pa.array(inputs[name], _kind(name), from_pandas=True) for name in names}), names)


def _kind(name: str) -> pa.DataType:
    if name == "history_items":
        return TEXTS
    return pa.list_(pa.int64()) if name.endswith(LISTS) else pa.float64()
