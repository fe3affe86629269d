"""Which stored features the aliased versions read: a view that one of them reads is not altered under it.

Champion and challenger share one online store, so a changed view gets a new name, and the old one stays until no
aliased version reads it. Whoever moves an alias writes the pins; `make apply` reads them.
"""

from collections.abc import Mapping
from typing import Any

from feature_repo.core.errors import StoreUnavailable
from feature_repo.core.workspace import Workspace, read_json, write_json

PINS = "pins.json"


def write_pins(workspace: Workspace, features: Mapping[str, Mapping[str, str]]) -> None:
    """`features`: for each aliased version, like "champion, version 2", the raw features it reads with their types."""
    write_json(workspace.store / PINS, features)


def read_pins(workspace: Workspace) -> Mapping[str, Mapping[str, str]]:
    if not (workspace.store / PINS).exists():
        return {}
    return read_json(workspace.store / PINS, made_by="make train")


def refuse_altered(pins: Mapping[str, Mapping[str, str]], defined: Mapping[str, str]) -> None:
    """Check that every pinned feature is defined with the type that it had.

    Raises:
        StoreUnavailable: the sentence names the feature and the version that reads it.
    """
    for version, features in pins.items():
        for name, kind in features.items():
            if defined.get(name) != kind:
                now = f"would become {defined[name]}" if name in defined else "would be gone"
                raise StoreUnavailable(
                    f"{version} reads the feature {name!r} as {kind}, which {now}: "
                    "keep its view as it is and give the changed one a new name"
                )


def defined_features(definitions: Mapping[str, Any]) -> dict[str, str]:
    """Stored features by name, with the types that a bundle's manifest uses, from the names of a definitions module."""
    from feast import FeatureView
    from feast.types import Array, Float64, Int64, String

    names = {String: "string", Float64: "double", Int64: "int64"}

    def type_name(kind: Any) -> str:
        return f"list<{names[kind.base_type]}>" if isinstance(kind, Array) else names[kind]

    views = [value for value in definitions.values() if type(value) is FeatureView]
    return {field.name: type_name(field.dtype) for view in views for field in view.features}
