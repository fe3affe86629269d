"""`make erase`: take one person out of everything that the workspace holds, and prove it by searching everything.

The order is what makes a kill harmless. First the tombstone, so that no other command brings the person in again. Then
the data, from which the online store, the snapshots and the versions are made anew, in this order. Every step is safe
to repeat and reads only what is still there, so the same command again completes what a kill cut short.
"""

from datetime import datetime
from typing import Any

from feature_repo.core.errors import RecommenderError
from feature_repo.core.workspace import Workspace, write_json
from feature_repo.dataset.pseudonym import known_pseudonyms
from feature_repo.dataset.request_log import require_key
from feature_repo.dataset.tombstone import add_tombstone
from feature_repo.stream.connect import stream_folder
from training import registry
from training.erase import unfinished
from training.erase.everything import Everything, opened
from training.erase.locks import held
from training.erase.own_files import search_own_files
from training.erase.person import Person, is_distinctive
from training.erase.report import REPORT, Row, report_of
from training.erase.retrain import Retrain
from training.erase.versions import has_registry
from training.erase.who import known_ids, refuse_nobody_else


class NotErased(RecommenderError):
    """The person cannot be erased, or a search still finds them."""


def erase(workspace: Workspace, user_id: str, *, retrain: Retrain, now: datetime) -> dict[str, Any]:
    """Erase `user_id`; returns the report that is also in erase.json.

    An id that nothing knows gets its tombstone, too: the next file of events may hold it.

    Raises:
        NotErased: this is no id; or the search finds the person afterwards, and the report says where.
    """
    if not user_id.strip():
        raise NotErased(f"expected the id of a user; got {user_id!r}")
    with (
        held(workspace.root / "data.lock", busy="data are being prepared"),
        held(stream_folder(workspace) / "consumer.lock", busy="a stream consumer is running"),
        opened(workspace) as everything,
    ):
        refuse_nobody_else(workspace, user_id)
        (workspace.reports / REPORT).unlink(missing_ok=True)
        person, again = _begin(workspace, user_id)
        rows = _erase_everywhere(workspace, everything, person, retrain, again=again, now=now)
        report = _report(workspace, person, rows, retrain, everything, now=now)
    left = [row.store for row in rows if row.left]
    if left:
        raise NotErased(f"a search still finds the person in: {', '.join(left)}; {'; '.join(report['to_do'])}")
    return report


def _begin(workspace: Workspace, user_id: str) -> tuple[Person, bool]:
    """The tombstone and the mark, on disk; and whether an earlier run was cut short."""
    distinctive = is_distinctive(user_id, known_ids(workspace))
    pseudonyms = known_pseudonyms(workspace)
    require_key(workspace, pseudonyms)
    pseudonym = pseudonyms.of(user_id) if pseudonyms else ""
    person = Person(user_id, add_tombstone(workspace, user_id), distinctive, pseudonym)
    again = person.keyed_hash in unfinished.begun(workspace)
    unfinished.begin(workspace, person.keyed_hash)
    return person, again


def _erase_everywhere(
    workspace: Workspace, everything: Everything, person: Person, retrain: Retrain, *, again: bool, now: datetime
) -> list[Row]:
    data, models = everything.data(person), everything.models(person, retrain, now=now)
    stores = [*data, *models, everything.rest(person, [*data, *models])]
    # A run of training that has read the data already would register them, so none may be under way.
    with held(workspace.root / "train.lock", busy="a version is being trained"):
        found = [store.find() for store in stores]
        needed = again or any(found)
        removed = [store.erase() if needed else 0 for store in data]
    removed += [store.erase() if needed else 0 for store in stores[len(data) :]]
    left = [store.find() if needed else 0 for store in stores]
    return [Row(s.name, *counts) for s, *counts in zip(stores, found, removed, left, strict=True)]


def _report(
    workspace: Workspace, person: Person, rows: list[Row], retrain: Retrain, everything: Everything, *, now: datetime
) -> dict[str, Any]:
    complete = not any(row.left for row in rows)
    if complete:
        unfinished.end(workspace, person.keyed_hash)
    report = report_of(
        person,
        rows,
        replaced=retrain.replaced,
        own_files=search_own_files(workspace, person),
        unfinished=[other for other in unfinished.begun(workspace) if other != person.keyed_hash],
        said=everything.said(),
        now=now,
    )
    write_json(workspace.reports / REPORT, report)
    if has_registry(workspace):
        registry.audit(workspace, {"event": "erased", "user": person.keyed_hash, "complete": complete})
    return report
