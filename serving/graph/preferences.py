"""What users declared that they like, on disk before it is acknowledged: one small file for each user.

A later declaration takes the place of the earlier one, so the same one twice changes nothing.
"""

import contextlib
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from feature_repo.core.errors import RecommenderError

UNTIL_INTERACTIONS = 10  # from so many on, what a user did says more than what the user declared


class PreferencesNotStored(RecommenderError):
    """A declaration could not be made durable; answered with 503, and safe to send again."""


@dataclass(frozen=True)
class Preferences:
    """Items that the user knows and likes, most liked last, and liked values of item attributes."""

    items: tuple[str, ...] = ()
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.items or self.attributes)


NONE = Preferences()


def strength(interactions: float) -> float:
    """How much a declaration still says after so many interactions: 1 for a new user, 0 from ten on."""
    return max(0.0, 1.0 - interactions / UNTIL_INTERACTIONS)


class PreferenceFiles:
    """The folder of declarations, shared by all processes of a store."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, user_id: str) -> Preferences:
        """Empty where nothing was declared, or where it cannot be read: a slate can do without."""
        try:
            found = orjson.loads(self._path(user_id).read_bytes())
            attributes = {str(name): tuple(values) for name, values in found["attributes"].items()}
            return Preferences(tuple(found["items"]), attributes)
        except (OSError, orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            return NONE

    def declare(self, user_id: str, preferences: Preferences) -> None:
        """Keep `preferences`; returns only when they would survive a power cut.

        Raises:
            PreferencesNotStored: the disk refused.
        """
        path = self._path(user_id)
        # With the user's id, so that whoever is erased is found here, too.
        declared = {"user_id": user_id, "items": preferences.items, "attributes": dict(preferences.attributes)}
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as stream:
                stream.write(orjson.dumps(declared))
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(path)
            _sync_folder(path.parent)
        except OSError as error:
            raise PreferencesNotStored(f"the preferences could not be stored ({error}): send them again") from error
        finally:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)

    def _path(self, user_id: str) -> Path:
        # A hash, since an id may hold anything; two letters of it as a folder keep folders small.
        name = hashlib.sha256(user_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return self._folder / name[:2] / f"{name}.json"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
