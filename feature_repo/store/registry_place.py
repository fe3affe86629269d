"""Where Feast's registry is: a file of the workspace, or the SQL database that FEAST_REGISTRY_URL names."""

from collections.abc import Mapping
from typing import Any

from feature_repo.core.errors import StoreUnavailable
from feature_repo.core.workspace import Workspace

ENVIRONMENT = "FEAST_REGISTRY_URL"


def registry_settings(declared: Mapping[str, Any], workspace: Workspace, environ: Mapping[str, str]) -> dict[str, Any]:
    """The registry part of Feast's settings; what else is `declared` of it is kept.

    Raises:
        StoreUnavailable: the address is not one of a PostgreSQL.
    """
    url = environ.get(ENVIRONMENT)
    if not url:
        return {**declared, "path": str(workspace.feast_registry)}
    scheme, _, rest = url.partition("://")
    # Only the driver that is installed: a bare scheme means another one to another version of SQLAlchemy.
    if scheme not in ("postgresql", "postgresql+psycopg") or "/" not in rest:
        shown = url.rpartition("@")[2]
        raise StoreUnavailable(f"{ENVIRONMENT} is postgresql://[user:password@]host[:port]/database; got {shown!r}")
    return {**declared, "registry_type": "sql", "path": f"postgresql+psycopg://{rest}"}
