from datetime import timedelta
from pathlib import Path

import pytest
from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Array, Float64, Int64, String

from feature_repo.core.errors import StoreUnavailable
from feature_repo.core.workspace import Workspace
from feature_repo.store.pins import defined_features, read_pins, refuse_altered, write_pins

PINS = {"champion, version 2,": {"age": "double", "history_items": "list<string>"}}


def test_what_no_version_reads_may_change() -> None:
    refuse_altered(PINS, {"age": "double", "history_items": "list<string>", "city": "string"})
    refuse_altered({}, {})


@pytest.mark.parametrize(
    ("defined", "sentence"),
    [
        ({"age": "string", "history_items": "list<string>"}, "'age' as double, which would become string"),
        ({"age": "double"}, "'history_items' as list<string>, which would be gone"),
    ],
)
def test_a_feature_that_an_aliased_version_reads_stays_as_it_is(defined: dict[str, str], sentence: str) -> None:
    """Altered in place, it would reach the champion's requests as something that it was not trained on."""
    with pytest.raises(StoreUnavailable, match=r"^champion, version 2, reads the feature .* a new name$") as caught:
        refuse_altered(PINS, defined)

    assert sentence in str(caught.value)


def test_pins_are_read_as_they_were_written(tmp_path: Path) -> None:
    workspace = Workspace(root=tmp_path, store=tmp_path / "store")
    assert read_pins(workspace) == {}

    write_pins(workspace, PINS)

    assert read_pins(workspace) == PINS


def test_definitions_speak_of_types_as_a_manifest_does() -> None:
    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
    fields = [Field(name="a", dtype=Float64), Field(name="b", dtype=Array(Int64)), Field(name="c", dtype=String)]
    source = FileSource(name="table", path="table.parquet", timestamp_field="at")
    view = FeatureView(name="view", entities=[user], ttl=timedelta(0), schema=fields, source=source)

    assert defined_features({"view": view, "user": user}) == {"a": "double", "b": "list<int64>", "c": "string"}
