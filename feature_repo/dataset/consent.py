"""Events that a user did not agree to: they stop at the door, so nothing that is made of events can hold them.

An event says so itself (`consent`: false). An event that says nothing counts as agreed to, since most logs have no such
column; where the law or the team asks for a yes, `cleaning: {consent_required: true}` refuses it, too.
"""

from typing import TYPE_CHECKING

from feature_repo.dataset.emptied import empty_rows

if TYPE_CHECKING:
    import duckdb

NO_CONSENT = "user did not consent"


def agreed(consent: bool | None, *, required: bool) -> bool:
    """Whether an event with this flag may be learned from."""
    return consent is True or (consent is None and not required)


def refuse_without_consent(connection: "duckdb.DuckDBPyConnection", table: str, *, required: bool) -> None:
    """Empty the rows of `table` without consent: what may not be learned from is not kept in quarantine, either.

    A line or a flag that cannot be read has a reason of its own.
    """
    silent = "consent IS NULL AND _line IS NULL AND _unreadable IS DISTINCT FROM 'consent'"
    where = f"consent = false OR ({silent})" if required else "consent = false"
    empty_rows(connection, table, where=where, reason=NO_CONSENT)
