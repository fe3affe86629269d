"""A small workspace with a person in every store that needs no server and no model, written by the real parts."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.core.workspace import Workspace, write_json
from feature_repo.dataset.declaration import Dataset, parse_dataset
from feature_repo.dataset.prepare import prepare
from feature_repo.dataset.pseudonym import open_pseudonyms
from feature_repo.stream.connect import stream_folder
from feature_repo.stream.journal import open_journal
from feature_repo.stream.payload import StreamEvent
from feature_repo.stream.quarantine import append_refused, refused_record
from serving.events import Event
from serving.graph.preferences import PreferenceFiles, Preferences
from serving.inbox import Inbox
from serving.request_log import LoggedRequest, metadata_of, to_table
from training.pipeline import Progress
from training.reference import recommended_rows

NOW = datetime(2026, 5, 1, tzinfo=UTC)
START = datetime(2026, 1, 1, tzinfo=UTC)
PERSON = "ann.lee@example.org"
OTHERS = ("bob", "cy", "7", "p7")
DECLARED = """
name: tiny
events:
  path: events.csv
  columns: {user_id: who, item_id: thing, timestamp: at, event_type: what, value: paid}
users: {path: people.csv, key: who, categorical: [city]}
items: {path: things.csv, key: thing, categorical: [maker]}
weights: {view: 1, buy: 3}
"""


def silent() -> Progress:
    return Progress(stage=lambda *_: None, advance=lambda: None, metric=lambda *_: None)


def declared(folder: Path, person: str = PERSON) -> Dataset:
    """Events of five people; one alone met the thing `secret`, and has a row and a line that cleaning refuses."""
    people = [person, *OTHERS]
    rng = np.random.default_rng(5)
    moments = [(START + timedelta(hours=9 * n)).isoformat() for n in range(100)]
    rows = [f"{people[n % 5]},t{rng.integers(6)},{at},{'buy' if n % 3 else 'view'},{n}" for n, at in enumerate(moments)]
    rows += [f"{person},secret,2026-01-20T00:00:00Z,buy,9", f"{person},t1,2026-01-21T00:00:00Z,lick,9"]
    rows += ["bob,t1,2026-01-22T00:00:00Z,lick,8", f"{person},a line with,one,field,too,many"]
    (folder / "events.csv").write_text("who,thing,at,what,paid\n" + "\n".join(rows) + "\n")
    (folder / "people.csv").write_text("who,city\n" + "".join(f"{p},{'Rome' if p else ''}\n" for p in people))
    (folder / "things.csv").write_text("thing,maker\n" + "".join(f"t{n},m{n % 2}\n" for n in range(6)))
    (folder / "dataset.yaml").write_text(DECLARED)
    return parse_dataset(DECLARED, folder / "dataset.yaml")


def build(folder: Path, person: str = PERSON) -> Workspace:
    """What every part writes, the log of requests and events, the stream, the reports, a log and a download."""
    workspace = Workspace(root=folder / "build", store=folder / "build" / "store")
    prepare(declared(folder, person), workspace, now=NOW)
    users = (person, "bob", "p7")
    workspace.request_log.mkdir()
    names = open_pseudonyms(workspace)
    for file, rows in (("one.parquet", users), ("two.parquet", ("bob",))):
        table = to_table([logged(user) for user in rows], names).replace_schema_metadata(metadata_of(names))
        pq.write_table(table, workspace.request_log / file)
    for folder, column in ((workspace.served_features, map(names.of, users)), (workspace.slates / "v1", users)):
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"user_id": list(column), "n": [1, 2, 3]}), folder / "one.parquet")
    for user in users:
        PreferenceFiles(workspace.store / "preferences").declare(user, Preferences(("t1",)))
    Inbox(workspace.received, remembered=10).receive([event(u) for u in users])
    journal = open_journal(stream_folder(workspace) / "journal.db")
    journal.record(map(streamed, users), bases={u: {"user_days": [1]} for u in users}, stamps=dict.fromkeys(users, 1))
    journal.close()
    refused = [refused_record(f"1-{u}", f'{{"user_id": "{u}"}}'.encode(), reason="no item", at="now") for u in users]
    append_refused(workspace, refused)
    pq.write_table(current(users), workspace.reports / "current-1.parquet")
    write_json(workspace.reports / "evaluation.json", {"champion": "1", "challenger": None, "example_user": person})
    for name in ("logs/stable.log", "downloads/tiny/events.inter"):
        (workspace.root / name).parent.mkdir(parents=True)
        (workspace.root / name).write_text(f"asked by {person}\n")
    return workspace


def copied(built: Path, folder: Path) -> Workspace:
    """A copy of what `build` made in another folder, the team's own files with it."""
    shutil.copytree(built, folder, dirs_exist_ok=True)
    workspace = Workspace(root=folder / "build", store=folder / "build" / "store")
    declaration = workspace.events.with_name("dataset.json")
    declaration.write_text(declaration.read_text().replace(str(built), str(folder)))
    return workspace


def logged(user: str) -> LoggedRequest:
    texts, numbers = np.array(["t1", "t2"], object), np.zeros(2, np.float32)
    return LoggedRequest(
        request_id=f"r-{user}",
        received_at=NOW,
        moment=NOW,
        user_id=user,
        variant="stable",
        model_version="1",
        degraded=(),
        user_row={"city": "Rome"},
        k=1,
        slate=["t1"],
        propensities=[1.0],
        candidates=texts,
        sources=texts,
        scores=numbers,
        features=np.zeros((2, 1), np.float32),
        feature_names=("f",),
    )


def event(user: str) -> Event:
    return Event(f"e-{user}", user, "t1", NOW, "view", 1.0, f"r-{user}", 1, True, {"device": "phone"})


def streamed(user: str) -> StreamEvent:
    return StreamEvent(f"s-{user}", user, "t2", 1_767_225_600_000_000, True, 1_000)


def current(users: tuple[str, ...]):  # type: ignore[no-untyped-def]
    count = len(users)
    return recommended_rows(
        ("f",),
        features=np.zeros((count, 1), np.float32),
        scores=np.zeros(count, np.float32),
        request_ids=[f"{u}@1" for u in users],
        user_ids=users,
        moments_us=[1] * count,
    )
