"""Where generated things live: one folder for one data set, named by BUILD and STORE_URL."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feature_repo.core.errors import MissingArtifact

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Workspace:
    """The folders of one data set. `root` holds everything generated; `store` is what other jobs share."""

    root: Path
    store: Path

    @classmethod
    def from_env(cls) -> "Workspace":
        # The default does not depend on the working directory: the feast command changes it.
        root = Path(os.environ.get("BUILD") or PROJECT / "build").resolve()
        return cls(root=root, store=Path(os.environ.get("STORE_URL") or root / "store").resolve())

    @property
    def events(self) -> Path:
        return self.store / "events" / "events.parquet"

    @property
    def quarantine(self) -> Path:
        """Rows of the event log that cleaning refused, each with its reason."""
        return self.store / "events" / "quarantine.parquet"

    @property
    def tables(self) -> Path:
        return self.store / "tables"

    @property
    def snapshots(self) -> Path:
        return self.store / "snapshots"

    @property
    def request_log(self) -> Path:
        return self.store / "request_log"

    @property
    def served_features(self) -> Path:
        """The users' features as served, in the form of Feast's own log."""
        return self.store / "served_features"

    @property
    def slates(self) -> Path:
        """Slates made for all users at once."""
        return self.store / "slates"

    @property
    def received(self) -> Path:
        """Events that arrived over HTTP, one file for each durable batch."""
        return self.store / "received"

    @property
    def feast_registry(self) -> Path:
        # Straight under the root: Feast makes one missing folder for its registry, not two.
        return self.root / "feast_registry.db"

    @property
    def feast_online(self) -> Path:
        return self.root / "feast_online.db"

    @property
    def mlflow(self) -> Path:
        return self.root / "mlflow"

    @property
    def bundles(self) -> Path:
        return self.root / "bundles"

    @property
    def reports(self) -> Path:
        return self.root / "reports"


def write_json(path: Path, value: object) -> None:
    """Write `value` so that a reader sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(json.dumps(value, indent=2, sort_keys=True, default=str) + "\n", encoding="utf-8")
    partial.replace(path)


def read_json(path: Path, *, made_by: str) -> Mapping[str, Any]:
    """Read a JSON object that the command `made_by` writes; its absence is a sentence that names the command."""
    if not path.exists():
        raise MissingArtifact(f"{path.name} is not there: run `{made_by}` first (looked in {path.parent})")
    value: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value
