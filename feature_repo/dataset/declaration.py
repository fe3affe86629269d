"""dataset.yaml: how a team's own tables become the unified event log."""

import re
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from feature_repo.core.errors import DatasetError
from feature_repo.dataset.cleaning import Cleaning

BUILT_IN = Path(__file__).parent / "built_in"
EVENT_COLUMNS = frozenset(
    {
        "event_id",
        "user_id",
        "item_id",
        "timestamp",
        "event_type",
        "value",
        "request_id",
        "position",
        "consent",
    }
)
# What the door adds to a row, kept or refused.
_TAKEN = EVENT_COLUMNS | {"score", "reason", "raw_timestamp", "raw_value", "raw_line", "read_from"}
# What the tables of users and items hold besides their attributes.
ENTITY_COLUMNS = frozenset({"user_id", "item_id", "valid_from", "recorded", "event_timestamp", "created_timestamp"})
REQUIRED_EVENT_COLUMNS = ("user_id", "item_id", "timestamp")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")


def _feature_name(name: str) -> str:
    # The name becomes a Feast field, a parquet column and a key in JSON.
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"a feature name starts with a letter and holds letters, digits and _ only; got {name!r}: "
            "give it a new name under columns"
        )
    return name


FeatureName = Annotated[str, AfterValidator(_feature_name)]


class _Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Declared):
    """A registry package that carries the tables as files; `sha256` names every file that is read."""

    package: str = Field(pattern=r"^[A-Za-z0-9_.-]+==[A-Za-z0-9_.]+$")
    folder: str
    sha256: dict[str, str]


class Events(_Declared):
    path: str
    columns: dict[str, str]
    event_type: str | None = None
    context: tuple[FeatureName, ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> "Events":
        missing = [name for name in REQUIRED_EVENT_COLUMNS if name not in self.columns]
        if missing:
            raise ValueError(f"columns must map {', '.join(REQUIRED_EVENT_COLUMNS)}; {missing[0]} is missing")
        unknown = sorted(set(self.columns) - EVENT_COLUMNS)
        if unknown:
            raise ValueError(f"columns maps onto {', '.join(sorted(EVENT_COLUMNS))}; got {unknown[0]!r}")
        if (self.event_type is None) == ("event_type" not in self.columns):
            raise ValueError("give either event_type (a constant) or columns.event_type (a column), not both")
        return self

    @model_validator(mode="after")
    def _free_names(self) -> "Events":
        taken = next((name for name in self.context if name.lower() in _TAKEN or self.context.count(name) > 1), None)
        if taken:
            raise ValueError(f"context names columns that no other column is called; got {taken!r}")
        return self


class EntityTable(_Declared):
    """Attributes of users or items: one row a key, or several with `valid_from`.

    `recorded` names when a row became known, which may be later than `valid_from`; alone, it is `valid_from` too.
    """

    path: str
    key: str
    columns: dict[FeatureName, str] = {}
    categorical: tuple[FeatureName, ...] = ()
    numeric: tuple[FeatureName, ...] = ()
    multi: tuple[FeatureName, ...] = ()
    text: tuple[FeatureName, ...] = ()
    separator: str = Field(default="|", min_length=1)
    valid_from: str | None = None
    recorded: str | None = None

    @property
    def attributes(self) -> tuple[str, ...]:
        return (*self.categorical, *self.numeric, *self.multi, *self.text)

    def column(self, attribute: str) -> str:
        """The name that `attribute` has in the team's own table."""
        return self.columns.get(attribute, attribute)

    @model_validator(mode="after")
    def _distinct(self) -> "EntityTable":
        # Engines tell columns apart by their letters alone, whatever their case.
        names = [name.lower() for name in self.attributes]
        repeated = sorted(name for name in self.attributes if names.count(name.lower()) > 1)
        if repeated:
            raise ValueError(f"an attribute has one kind; {repeated[0]!r} is declared twice")
        taken = sorted(name for name in self.attributes if name.lower() in ENTITY_COLUMNS)
        if taken:
            raise ValueError(f"{taken[0]!r} is a column of every table: give it another name under columns")
        unused = sorted(set(self.columns) - set(self.attributes))
        if unused:
            raise ValueError(f"columns renames declared attributes; {unused[0]!r} is not declared")
        return self


class Dataset(_Declared):
    """A validated dataset.yaml. `base` is the folder that relative paths start from."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")
    events: Events
    users: EntityTable | None = None
    items: EntityTable | None = None
    weights: dict[str, float] = Field(min_length=1)
    repeat_consumption: bool = True
    cleaning: Cleaning = Cleaning()
    source: Source | None = None
    base: Path = Path()

    @model_validator(mode="after")
    def _one_meaning_a_name(self) -> "Dataset":
        # All features of a request stand in one table.
        groups = (*(table.attributes for table in (self.users, self.items) if table), self.events.context)
        names = [name for group in groups for name in group]
        lower = [name.lower() for name in names]
        shared = next((name for name in names if lower.count(name.lower()) > 1), None)
        if shared:
            raise ValueError(
                f"users, items and context name their columns differently; {shared!r} is there twice: "
                "give one a new name under columns"
            )
        return self


def load_dataset(name_or_path: str) -> Dataset:
    """Read a built-in data set by name, or the dataset.yaml at a path.

    Raises:
        DatasetError: a sentence that names file, rule and value.
    """
    built_in = BUILT_IN / f"{name_or_path}.yaml"
    path = built_in if built_in.exists() else Path(name_or_path)
    if not path.is_file():
        names = ", ".join(sorted(p.stem for p in BUILT_IN.glob("*.yaml")))
        raise DatasetError(f"DATASET is the name of a built-in data set ({names}) or a file; got {name_or_path!r}")
    return parse_dataset(path.read_text(encoding="utf-8", errors="replace"), path)


def parse_dataset(text: str, path: Path) -> Dataset:
    """Validate the text of a dataset.yaml that came from `path`."""
    try:
        declared: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DatasetError(f"{path}: expected YAML; {' '.join(str(error).split())}") from None
    if not isinstance(declared, dict):
        raise DatasetError(f"{path}: expected a mapping with name, events and weights; got {declared!r:.80}")
    try:
        return Dataset.model_validate({**declared, "base": path.resolve().parent})
    except ValidationError as error:
        raise DatasetError(f"{path}: {_sentence(error)}") from None


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "the file"
    if first["type"] == "extra_forbidden":
        return f"{where} is not a known key (got {first['input']!r:.80})"
    if first["type"] == "missing":
        return f"{where} is required and missing"
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message} (got {first['input']!r:.80})"
