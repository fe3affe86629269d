"""Train a version again without the person, and put it in the place of the one that holds them."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from feature_repo.core.workspace import Workspace
from training import registry
from training.pipeline import Progress
from training.runs import train_and_register
from training.settings import TrainingSettings


@dataclass(frozen=True)
class Retrain:
    """`replaced`: each version that was to go, with the version that took its aliases, or None where it had none."""

    workspace: Workspace
    progress: Progress
    history: dict[str, list[tuple[int, float]]]
    replaced: dict[str, str | None] = field(default_factory=dict)

    def in_place_of(self, version: str) -> None:
        """Train on the window and with the settings of `version`, which must go, if an alias points to it."""
        new = self._train(version) if version in registry.aliases(self.workspace).values() else None
        self.replaced[version] = new

    def _train(self, version: str) -> str:
        client = registry.connect(self.workspace)
        known = client.get_model_version(registry.MODEL, version)
        settings = settings_of(client.get_run(str(known.run_id)).data.params)
        end = datetime.fromisoformat(known.tags["window_end"])
        self.history.clear()
        return train_and_register(
            self.workspace, settings, end=end, progress=self.progress, history=self.history, replaces=version
        )


def settings_of(parameters: Mapping[str, str]) -> TrainingSettings:
    """The settings among a run's parameters; what this code does not know is left out, what is new has its default."""
    return TrainingSettings.model_validate(_nested(TrainingSettings, parameters, ""))


def _nested(kind: type[BaseModel], parameters: Mapping[str, str], prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, declared in kind.model_fields.items():
        inner = declared.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found[name] = _nested(inner, parameters, f"{prefix}{name}.")
        elif f"{prefix}{name}" in parameters:
            found[name] = _value(parameters[f"{prefix}{name}"])
    return found


def _value(text: str) -> Any:
    # Parameters are logged as Python writes them; what is no literal is the text itself.
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
