"""Reading the aliases, and the moves that the registry remembers."""

from collections.abc import Mapping

from mlflow import MlflowClient
from mlflow.entities.model_registry import RegisteredModel
from mlflow.exceptions import MlflowException

from feature_repo.core.workspace import Workspace
from training.registry.connection import connect
from training.registry.intent import Move, settled
from training.registry.names import CHALLENGER, CHAMPION, LAST_MOVE_TAG, MODEL, MOVE_TAG, PREVIOUS

READS = 20  # in a row that each met another move: far more than movers can make


def aliases(workspace: Workspace) -> dict[str, str]:
    """Alias -> version; empty before the first registration. A move is seen as not begun or as done, never half."""
    try:
        model = _read_at_rest(connect(workspace))
    except MlflowException:
        return {}
    return settled(raw_aliases(model), newest_move(model))


def _read_at_rest(client: MlflowClient) -> RegisteredModel:
    """The model, read while its move stayed the same: aliases and tags are not read at one moment."""
    model = client.get_registered_model(MODEL)
    for _ in range(READS):
        again = client.get_registered_model(MODEL)
        if again.tags.get(MOVE_TAG) == model.tags.get(MOVE_TAG):
            return again
        model = again
    return model


def raw_aliases(model: RegisteredModel) -> dict[str, str]:
    """The aliases as MLflow has them."""
    return {name: str(version) for name, version in model.aliases.items()}


def newest_move(model: RegisteredModel) -> Move | None:
    return _move(model, MOVE_TAG)


def open_move(client: MlflowClient) -> Move | None:
    """The move that was begun and is not done."""
    move = newest_move(client.get_registered_model(MODEL))
    return move if move is not None and move.is_open else None


def last_move(workspace: Workspace) -> Move | None:
    """The newest move that was carried out."""
    try:
        return _move(connect(workspace).get_registered_model(MODEL), LAST_MOVE_TAG)
    except MlflowException:
        return None


def _move(model: RegisteredModel, tag: str) -> Move | None:
    text = model.tags.get(tag)
    return Move.from_json(text) if text else None


def version_of_alias(workspace: Workspace, alias: str) -> str | None:
    return aliases(workspace).get(alias)


def compared_pair(now: Mapping[str, str]) -> tuple[str | None, str | None]:
    """The two versions that a release is about: champion and challenger, or, once decided, what they were before."""
    if CHALLENGER in now or PREVIOUS not in now:
        return now.get(CHAMPION), now.get(CHALLENGER)
    return now[PREVIOUS], now.get(CHAMPION)
