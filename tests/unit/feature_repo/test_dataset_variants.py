"""dataset.yaml in every form that it takes, each from files to feature tables."""

import itertools
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import yaml

from feature_repo.core.workspace import Workspace
from feature_repo.dataset.declaration import load_dataset
from feature_repo.dataset.prepare import prepare

NOW = datetime(2026, 2, 1, tzinfo=UTC)
EVENTS, USERS, ITEMS = 60, 6, 9


def ids(numbers: range | list[int], kind: str, letter: str) -> pa.Array:
    return pa.array(list(numbers), pa.int64()) if kind == "integer" else pa.array([f"{letter}{n}" for n in numbers])


def write(table: pa.Table, folder: Path, name: str, form: str) -> str:
    """Write a table in one of the forms; returns the path to declare."""
    if form == "glob":
        half = table.num_rows // 2
        pq.write_table(table.slice(0, half), folder / f"{name}-1.parquet")
        pq.write_table(table.slice(half), folder / f"{name}-2.parquet")
        return f"{name}-*.parquet"
    path = folder / f"{name}.{form}"
    pq.write_table(table, path) if form == "parquet" else pyarrow.csv.write_csv(table, path)
    return path.name


def shop(folder: Path, *, form: str, kind: str, tables: bool, context: bool, repeat: bool, types: bool) -> Path:
    """The tables and the dataset.yaml of one variant."""
    numbers = list(range(EVENTS))
    events = {
        "who": ids([n % USERS for n in numbers], kind, "u"),
        "what": ids([n * 7 % ITEMS for n in numbers], kind, "i"),
        "at": pa.array([1_767_225_600 + 36_000 * n for n in numbers], pa.int64()),
    }
    declared: dict[str, Any] = {
        "name": "shop",
        "events": {"columns": {"user_id": "who", "item_id": "what", "timestamp": "at"}},
        "repeat_consumption": repeat,
        "weights": {"view": 1, "buy": 3, "hide": -1} if types else {"view": 1},
    }
    if types:
        events["did"] = pa.array([("view", "buy", "hide")[n % 3] for n in numbers])
        declared["events"]["columns"]["event_type"] = "did"
    else:
        declared["events"]["event_type"] = "view"
    if context:
        events["shop"] = pa.array([n % 2 for n in numbers])
        declared["events"]["context"] = ["shop"]
    declared["events"]["path"] = write(pa.table(events), folder, "events", form)
    if tables:
        users = pa.table(
            {"id": ids(range(USERS), kind, "u"), "city": ["Rome"] * USERS, "age": list(range(20, 20 + USERS))}
        )
        items = pa.table({"id": ids(range(ITEMS), kind, "i"), "tags": ["a|b"] * ITEMS, "title": ["A thing"] * ITEMS})
        plain = "csv" if form == "csv" else "parquet"
        declared["users"] = {
            "path": write(users, folder, "users", plain),
            "key": "id",
            "categorical": ["city"],
            "numeric": ["age"],
        }
        declared["items"] = {
            "path": write(items, folder, "items", plain),
            "key": "id",
            "multi": ["tags"],
            "text": ["title"],
        }
    (folder / "dataset.yaml").write_text(yaml.safe_dump(declared))
    return folder / "dataset.yaml"


# Every pair of choices stands in one of the rows.
VARIANTS = [
    ("parquet", "string", True, True, True, True),
    ("parquet", "integer", False, False, False, False),
    ("csv", "integer", True, True, False, False),
    ("csv", "string", False, False, True, True),
    ("glob", "integer", True, False, True, True),
    ("glob", "string", False, True, False, True),
    ("glob", "string", True, True, True, False),
    ("parquet", "string", True, False, False, True),
    ("csv", "integer", False, True, True, True),
]


def test_the_variants_hold_every_pair_of_choices() -> None:
    choices = [sorted(set(column), key=str) for column in zip(*VARIANTS, strict=True)]

    for one, other in itertools.combinations(range(len(choices)), 2):
        pairs = {(variant[one], variant[other]) for variant in VARIANTS}
        assert pairs == set(itertools.product(choices[one], choices[other])), (one, other)


@pytest.mark.parametrize(("form", "kind", "tables", "context", "repeat", "types"), VARIANTS)
def test_every_variant_becomes_events_and_feature_tables(
    tmp_path: Path, form: str, kind: str, tables: bool, context: bool, repeat: bool, types: bool
) -> None:
    declared = shop(tmp_path, form=form, kind=kind, tables=tables, context=context, repeat=repeat, types=types)
    workspace = Workspace(root=tmp_path / "build", store=tmp_path / "build" / "store")

    report = prepare(load_dataset(str(declared)), workspace, now=NOW)

    assert (report["read"], report["events"], report["refused"]) == (EVENTS, EVENTS, {})
    assert (report["users"], report["items"]) == (USERS, ITEMS)
    events = pq.read_table(workspace.events)
    assert set(events["user_id"].to_pylist()) == {f"u{n}" if kind == "string" else str(n) for n in range(USERS)}
    assert set(events["score"].to_pylist()) == ({1.0, 3.0, -1.0} if types else {1.0})
    assert (events["shop"].to_pylist()[:2] if context else "shop" not in events.column_names) in (["0", "1"], True)
    views = {path.stem for path in workspace.tables.iterdir()}
    assert {"user_profile", "item_metadata"} & views == ({"user_profile", "item_metadata"} if tables else set())
    assert ("user_seen" in views) is not repeat
    if tables:
        profiles = pq.read_table(workspace.tables / "user_profile.parquet")
        assert set(profiles["user_id"].to_pylist()) == set(events["user_id"].to_pylist())
