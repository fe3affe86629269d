"""A moment as text."""

from datetime import datetime

from feature_repo.core.errors import SettingsRefused


def moment_of(text: str) -> datetime:
    """The moment that ISO 8601 text names.

    Raises:
        SettingsRefused: it is none, or has no zone.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsRefused(f"a moment is ISO 8601 with a zone, as in 2026-03-01T12:00:00Z; got {text!r}") from None
    if moment.tzinfo is None:
        raise SettingsRefused(f"a moment needs a zone, as in 2026-03-01T12:00:00Z; got {text!r}")
    return moment
