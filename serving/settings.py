"""What a serving process is told: one frozen object, read from the environment once."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from feature_repo.core.errors import RecommenderError
from feature_repo.core.workspace import Workspace

# Kubernetes injects `<SERVICE NAME>_PORT` into every pod, so the prefix must not be a likely service name.
PREFIX = "SERVE_"
CODE_ROOT = Path(__file__).resolve().parents[1]
# Inside a Bento this file names the version that the Bento holds; elsewhere it is absent.
SERVED_FILE = CODE_ROOT / "served.json"


class SettingsError(RecommenderError):
    """A setting breaks a rule."""


class ServingSettings(BaseModel):
    """One process serves one version. Each field is the environment variable SERVE_<FIELD>."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str = Field(pattern=r"^[0-9]+$")  # of the registered model, never an alias
    bundle: Path  # the folder of that version
    variant: Literal["stable", "canary"] = "stable"  # which side of a rollout this process is
    max_k: int = Field(default=100, ge=1, le=100)  # items in one slate
    max_exclude: int = Field(default=1_000, ge=0)  # ids in `exclude`
    max_session: int = Field(default=200, ge=0)  # ids in `session`
    max_events: int = Field(default=1_000, ge=1)  # events in one batch
    max_body_bytes: int = Field(default=1_000_000, ge=1_024)  # bytes of one request
    log_queue_rows: int = Field(default=10_000, ge=1)  # rows that wait for the request log; more are dropped
    log_flush_rows: int = Field(default=200, ge=1)  # rows in one file of the request log
    log_flush_seconds: float = Field(default=5.0, gt=0)  # longest wait of a row before it is on disk
    known_events: int = Field(default=200_000, ge=0)  # event ids remembered, to leave repeats out of new files
    page: bool = True  # the page at `/`; it shows what people were recommended, so off in production


def from_env(workspace: Workspace, environ: Mapping[str, str] | None = None) -> ServingSettings:
    """Read SERVE_* variables over what the Bento says; the bundle's default folder is the one `fetch` fills.

    Raises:
        SettingsError: a value breaks its rule, or a SERVE_ variable is unknown.
    """
    environ = os.environ if environ is None else environ
    given = {key.removeprefix(PREFIX).lower(): v for key, v in environ.items() if key.startswith(PREFIX)}
    values: dict[str, Any] = _of_bento() | given
    if "version" not in values:
        raise SettingsError(f"a serving process needs one version of the model: set {PREFIX}VERSION to it")
    values.setdefault("bundle", workspace.bundles / str(values["version"]))
    try:
        return ServingSettings.model_validate(values)
    except ValidationError as error:
        raise SettingsError("; ".join(_sentence(dict(e)) for e in error.errors())) from None


def _of_bento() -> dict[str, Any]:
    if not SERVED_FILE.exists():
        return {}
    served = json.loads(SERVED_FILE.read_text(encoding="utf-8"))
    return {"version": served["version"], "bundle": CODE_ROOT / served["bundle"]}


def _sentence(error: Mapping[str, Any]) -> str:
    name = PREFIX + str(error["loc"][0]).upper()
    return f"setting {name}: {str(error['msg'])[0].lower()}{str(error['msg'])[1:]}; got {error['input']!r}"


def require_bundle(settings: ServingSettings) -> None:
    """Say what to run when the version's folder is not there.

    Raises:
        SettingsError: the bundle has not been fetched.
    """
    if not settings.bundle.is_dir():
        raise SettingsError(
            f"the bundle of version {settings.version} is not in {settings.bundle}: "
            f"run `python -m training fetch --version {settings.version}`"
        )
