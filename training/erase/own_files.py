"""The team's own files: theirs to change, so they are counted and named."""

from dataclasses import dataclass

from feature_repo.core.errors import MissingArtifact, RecommenderError
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.declaration import Dataset
from feature_repo.dataset.prepare import active_dataset
from feature_repo.dataset.read import connect, read_entities, read_raw_events
from training.erase.person import Person


@dataclass(frozen=True)
class OwnFiles:
    """`rows` of the person in the declared tables; None where they could not be read, for the reason `why`."""

    rows: int | None
    why: str = ""

    def sentence(self) -> str:
        if self.rows is None:
            return f"your own files could not be searched ({self.why}): remove the person there"
        if self.rows:
            return (
                f"your own files still hold {self.rows} rows of the person: remove them there; "
                "until then the tombstone refuses them"
            )
        return "your own files hold no row of the person"


def search_own_files(workspace: Workspace, person: Person) -> OwnFiles | None:
    """Count the person's rows in the tables that dataset.yaml names; None where the data set is a built-in one."""
    try:
        dataset = active_dataset(workspace)
    except MissingArtifact:
        return None
    if dataset.source is not None:
        return None
    try:
        return OwnFiles(_count(dataset, person))
    except RecommenderError as error:
        return OwnFiles(None, str(error))


def _count(dataset: Dataset, person: Person) -> int:
    connection = connect()
    read_raw_events(connection, dataset).create_view("own_events")
    tables = ["own_events"]
    if dataset.users:
        read_entities(connection, dataset, dataset.users, "user_id").create_view("own_users")
        tables.append("own_users")
    statement = "SELECT count(*) FROM {} WHERE user_id = $1"
    counts = (connection.execute(statement.format(t), [person.user_id]).fetchone() for t in tables)
    return sum(int(row[0]) for row in counts if row)
