"""The request-time functions over pandas frames, as Feast's on-demand views call them."""

import pandas as pd
import pyarrow as pa

from feature_repo.features.columns import as_columns
from feature_repo.features.request import ITEM_STATE, USER_STATE, context_at, state_at


def context_frame(inputs: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(context_at(inputs["moment_us"].to_numpy("int64")))


def user_frame(inputs: pd.DataFrame) -> pd.DataFrame:
    return _state_frame("user", USER_STATE, inputs)


def item_frame(inputs: pd.DataFrame) -> pd.DataFrame:
    return _state_frame("item", ITEM_STATE, inputs)


def _state_frame(prefix: str, state: tuple[str, ...], inputs: pd.DataFrame) -> pd.DataFrame:
    columns = as_columns(_typed(inputs, state), state)
    return pd.DataFrame(state_at(prefix, columns, inputs["moment_us"].to_numpy("int64")))


def _typed(inputs: pd.DataFrame, state: tuple[str, ...]) -> pa.Table:
    # A frame in which every list or number is missing has lost its types.
    lists = pa.list_(pa.int64())
    kinds = {name: lists if name.endswith(("_days", "_counts")) else pa.float64() for name in state}
    return pa.table({name: pa.array(inputs[name], kind, from_pandas=True) for name, kind in kinds.items()})
