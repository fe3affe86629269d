"""The edge to MLflow: runs, versions of the one registered model `recommender`, and its aliases.

An alias has no compare-and-set, so every move happens under one lock (lock.py) as a move that is written down before it
begins (intent.py, mover.py).
"""

from training.registry.alias_view import aliases, compared_pair, last_move, version_of_alias
from training.registry.audit_log import audit
from training.registry.connection import connect
from training.registry.intent import Kind, Move, Phase
from training.registry.lock import Held, alias_lock, lock_url
from training.registry.mover import Mover, move_champion
from training.registry.names import BUNDLE, CHALLENGER, CHAMPION, MODEL, PREVIOUS, MoveRefused
from training.registry.versions import download_bundle, log_report, register, version_with_key

__all__ = [
    "BUNDLE",
    "CHALLENGER",
    "CHAMPION",
    "MODEL",
    "PREVIOUS",
    "Held",
    "Kind",
    "Move",
    "MoveRefused",
    "Mover",
    "Phase",
    "alias_lock",
    "aliases",
    "audit",
    "compared_pair",
    "connect",
    "download_bundle",
    "last_move",
    "lock_url",
    "log_report",
    "move_champion",
    "register",
    "version_of_alias",
    "version_with_key",
]
