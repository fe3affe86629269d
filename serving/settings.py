"""What a serving process is told: one frozen object, read from the environment once."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, ValidationInfo, field_validator

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
    rollout: str | None = Field(default=None, min_length=1, max_length=253)  # its name; for the request log alone
    max_k: int = Field(default=100, ge=1, le=100)  # items in one slate
    max_exclude: int = Field(default=1_000, ge=0)  # ids in `exclude`
    max_session: int = Field(default=200, ge=0)  # ids in `session`
    max_events: int = Field(default=1_000, ge=1)  # events in one batch
    max_body_bytes: int = Field(default=1_000_000, ge=1_024)  # bytes of one request
    log_queue_rows: int = Field(default=300, ge=1)  # of 80 kB that wait for the request log; more are dropped
    log_flush_rows: int = Field(default=200, ge=1)  # rows in one file of the request log
    log_flush_seconds: float = Field(default=5.0, gt=0)  # longest wait of a row before it is on disk
    known_events: int = Field(default=200_000, ge=0)  # event ids remembered, to leave repeats out of new files
    outbox_seconds: float = Field(default=5.0, gt=0)  # between looks for received events that the bus does not have
    refresh_seconds: float = Field(default=5.0, gt=0)  # between looks for a new item snapshot
    blocked: Path | None = None  # the list of blocked items; by default blocked.csv in the store
    drain_seconds: float = Field(default=1.0, ge=0)  # after SIGTERM: unready, and still answering
    api_key: SecretStr | None = None  # what a caller must send; several with commas between; none: everybody may ask
    rate_per_second: float = Field(default=0.0, ge=0)  # requests of one key, else of one address; 0 is no limit
    rate_burst: int = Field(default=20, ge=1)  # requests at once before that rate counts
    rate_callers: int = Field(default=10_000, ge=1)  # callers whose rate is remembered
    traces: str | None = None  # where OpenTelemetry spans go: file:///PATH or an OTLP endpoint's address; none: off
    traces_share: float = Field(default=1.0, ge=0, le=1)  # share of requests that are traced
    log_format: Literal["json", "text"] = "json"  # of the lines on stderr
    rules: Path | None = None  # the file of rules for filters and re-ranking; none: no rules
    deadline_ms: float = Field(default=100.0, gt=0)  # an answer's time; stages that would not fit in it are left out
    store_ms: float = Field(default=50.0, gt=0)  # the feature store's share of it
    store_threads: int = Field(default=4, ge=1, le=64)  # reads of the feature store at once
    last_known_users: int = Field(default=2_000, ge=0)  # whose rows are kept for when the store fails; 2 to 20 kB each
    last_known_seconds: float = Field(default=86_400.0, gt=0)  # age from which such a row says nothing any more
    recent_users: int = Field(default=10_000, ge=1)  # whose events of POST /events are kept for their next request
    cache_seconds: float = Field(default=0.0, ge=0)  # how long a slate is served again; 0, as in experiments, never
    cache_events: int = Field(default=1, ge=1)  # events of the user after which it is not, whatever its age
    cache_users: int = Field(default=10_000, ge=1)  # whose slates are kept, at most 8 each
    max_preferences: int = Field(default=100, ge=1)  # items, attributes, and values of one attribute in a declaration
    interleave: str | None = Field(default=None, pattern=r"^[0-9]+$")  # a second version, whose slates are mixed in
    page: bool = False  # the page at `/`; it shows people's histories, so only `make serve` turns it on

    @field_validator("interleave")
    @classmethod
    def _one_experiment(cls, version: str | None, info: ValidationInfo) -> str | None:
        # A rollout judges the slates of one version.
        if version is not None and info.data.get("rollout") is not None:
            raise ValueError("no second version is mixed in while the process is part of a rollout")
        return version


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


def blocked_from_env(environ: Mapping[str, str] | None = None) -> Path | None:
    """SERVE_BLOCKED, for commands that need no version of the model."""
    given = (os.environ if environ is None else environ).get(f"{PREFIX}BLOCKED")
    return Path(given) if given else None


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
