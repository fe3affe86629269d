"""Carrying a move of aliases out: intent, redeploy, check of what is served, aliases, done.

Every step is safe to repeat and its end is written down before the next one begins, so a move that was killed anywhere
is gone on with by whoever takes the lock next. What is served changes before the aliases do: an alias never names a
version that could not be served.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from feature_repo.core.workspace import Workspace
from training.deployer import Deployer, DeployFailed
from training.registry.alias_view import open_move, raw_aliases
from training.registry.audit_log import audit_once
from training.registry.intent import Kind, Move, Phase, after
from training.registry.lock import Held, alias_lock
from training.registry.names import CHALLENGER, CHAMPION, LAST_MOVE_TAG, MODEL, MOVE_TAG, PREVIOUS, MoveRefused
from training.registry.versions import download_bundle, pin_features

_SAID = {
    Phase.INTENDED: "move intended",
    Phase.ABANDONED: "move abandoned",
    Phase.UNDONE: "move undone",
    Phase.DONE: "champion moved",
}


@dataclass(frozen=True)
class Mover:
    """Whoever holds the lock. Without a `deployer` nothing is being served, and only the aliases move."""

    workspace: Workspace
    held: Held
    deployer: Deployer | None

    def move(self, kind: Kind, *, old: str, new: str, now: datetime, reason: Mapping[str, Any]) -> Move:
        """Make `new` the champion in place of `old`, and serve it; returns how that ended.

        It ends UNDONE where the new version did not come up.

        Raises:
            MoveRefused: another version is champion, or another move is open, or the lock was lost.
            DeployFailed: neither the new version nor the old one comes up; the move stays open.
        """
        if found := open_move(self.held.client):
            raise MoveRefused(f"the {found.kind} of version {found.new} is open: it must end before another begins")
        champion = self._champion()
        if champion not in (old, new):
            raise MoveRefused(f"expected version {old} to be champion; it is {champion}: decide anew")
        download_bundle(self.workspace, new)
        self.held.check()
        self.held.client.set_model_version_tag(MODEL, new, str(kind), json.dumps(reason, default=str))
        begun = Move(kind, old, new, self.held.fence, Phase.INTENDED, now.isoformat())
        return self._to_the_end(self._written(begun))

    def resume(self, *, give_up: str = "") -> Move | None:
        """End the move that somebody left open, if there is one; returns how it ended.

        A promotion whose aliases have not moved yet is given up where `give_up` says why; all else is gone on with.

        Raises:
            DeployFailed: nothing comes up; the move stays open.
        """
        found = open_move(self.held.client)
        if found is None:
            return None
        if give_up and (found.kind, found.phase) == (Kind.PROMOTION, Phase.INTENDED):
            found = self._written(replace(found, phase=Phase.ABANDONED, why=give_up))
        return self._to_the_end(found)

    def serve(self, version: str) -> None:
        """Have `version` served, and see that it is.

        Raises:
            DeployFailed: it does not come up, or something else answers.
        """
        if self.deployer is None:
            return
        self.held.check()
        self.deployer.deploy(version, fence=self.held.fence)
        if (answered := self.deployer.serving()) != version:
            raise DeployFailed(f"expected /readyz to report version {version} after its deployment; got {answered}")

    def _to_the_end(self, move: Move) -> Move:
        steps: Mapping[Phase, Callable[[Move], Move]] = {
            Phase.INTENDED: self._serve_new,
            Phase.MOVING: self._move_aliases,
            Phase.ABANDONED: self._serve_old_again,
        }
        while move.is_open:
            move = self._written(steps[move.phase](move))
        return move

    def _serve_new(self, move: Move) -> Move:
        champion = self._champion()
        if champion not in (move.old, move.new):
            return replace(move, phase=Phase.ABANDONED, why=f"version {champion} became champion meanwhile")
        try:
            self.serve(move.new)
        except DeployFailed as failed:
            return replace(move, phase=Phase.ABANDONED, why=str(failed))
        return replace(move, phase=Phase.MOVING)

    def _serve_old_again(self, move: Move) -> Move:
        self.serve(self._champion() or move.old)
        return replace(move, phase=Phase.UNDONE)

    def _move_aliases(self, move: Move) -> Move:
        client, now = self.held.client, raw_aliases(self.held.client.get_registered_model(MODEL))
        wanted = after(now, move)
        for alias in (PREVIOUS, CHAMPION):
            self.held.check()
            client.set_registered_model_alias(MODEL, alias, wanted[alias])
        if CHALLENGER in now and CHALLENGER not in wanted:
            self.held.check()
            client.delete_registered_model_alias(MODEL, CHALLENGER)
        pin_features(self.workspace)
        done = replace(move, phase=Phase.DONE)
        self.held.check()
        client.set_registered_model_tag(MODEL, LAST_MOVE_TAG, done.to_json())
        return done

    def _written(self, move: Move) -> Move:
        """Put a phase on record: first in the log, so that nothing happens that it does not tell of."""
        self.held.check()
        if move.phase in _SAID:
            entry = {"event": _SAID[move.phase], "move": move.number, "kind": str(move.kind)}
            audit_once(self.workspace, {**entry, "from": move.old, "to": move.new, "why": move.why}, same="move")
        self.held.client.set_registered_model_tag(MODEL, MOVE_TAG, move.to_json())
        return move

    def _champion(self) -> str | None:
        return raw_aliases(self.held.client.get_registered_model(MODEL)).get(CHAMPION)


def move_champion(workspace: Workspace, *, to: str, expected: str, reason: Mapping[str, Any]) -> None:
    """Make `to` the champion and `expected` the previous one, in the registry alone.

    Raises:
        MoveRefused: another version became champion in the meantime.
    """
    with alias_lock(workspace) as held:
        mover = Mover(workspace, held, deployer=None)
        mover.resume()
        mover.move(Kind.PROMOTION, old=expected, new=to, now=datetime.now(UTC), reason=reason)
