"""Settings in a JSON file: what a search found, or what a person wrote."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from feature_repo.core.errors import SettingsRefused
from training.settings import TrainingSettings


def load_settings(path: Path) -> TrainingSettings:
    """The settings in the report of a search, or in a file that holds them alone; what is left out has its default.

    Raises:
        SettingsRefused: there is no such file, it is no JSON object, or a setting breaks its rule.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsRefused(f"settings are a JSON file; {path.name} cannot be read: {error}") from None
    if not isinstance(values, dict):
        raise SettingsRefused(f"settings are a JSON object; {path.name} holds a {type(values).__name__}")
    return checked_settings(values.get("settings", values), path.name)


def checked_settings(values: Mapping[str, Any], source: str) -> TrainingSettings:
    """Settings from plain values.

    Raises:
        SettingsRefused: a name is not known or a value breaks its rule.
    """
    try:
        return TrainingSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SettingsRefused(f"{source}: {first['msg']} at {where}; got {first['input']!r}") from None
