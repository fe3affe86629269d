"""`python -m k8s rollout`: what an operator asks of a rollout that is under way, and how it stands."""

from datetime import UTC, datetime

from rich.table import Table

from feature_repo.core.errors import SettingsRefused
from feature_repo.core.workspace import Workspace
from k8s.rollout.file_store import FileStore
from k8s.rollout.rollout import Rollout
from k8s.rollout.step import Order, ordered
from k8s.rollout.store import NoRollout, StateStore, change


def local_store(workspace: Workspace) -> FileStore:
    """Where a rollout on this machine keeps its state."""
    return FileStore(workspace.root / "rollout" / "state.json")


def stored(workspace: Workspace, *, where: str) -> StateStore:
    """The rollout's state: on this machine, or in the cluster's ConfigMap.

    Raises:
        SettingsRefused: there is no such place.
    """
    if where == "local":
        return local_store(workspace)
    if where != "kubernetes":
        raise SettingsRefused(f"DEPLOYER is local or kubernetes; got {where!r}")
    from k8s.cluster.api import open_api
    from k8s.cluster.settings import cluster_settings
    from k8s.cluster.state_store import ConfigMapStore

    return ConfigMapStore(open_api(cluster_settings()))


def give(store: StateStore, order: Order, *, by: str) -> Rollout:
    """Move the stored rollout by an order. Whoever conducts it follows within one tick."""
    return change(store, lambda held: ordered(held, order, by=by, now=datetime.now(UTC)))


def stands(store: StateStore, *, now: datetime) -> Table:
    """Where the rollout is and how it came there.

    Raises:
        NoRollout: there is none.
    """
    held = store.load()
    if held is None:
        raise NoRollout("expected a rollout; there is none")
    rollout = held[0]
    paused = ", paused" if rollout.paused_at else ""
    at = "" if rollout.ended else f" for {rollout.seconds_in_step(now):.0f} of {rollout.deadline_seconds:.0f} s"
    title = f"rollout {rollout.name}: {rollout.state} at weight {rollout.weight} %{at}{paused}"
    table = Table("when (UTC)", "what", "led to", "why", title=title)
    for move in rollout.history:
        step = f"{move.state} {rollout.policy.canary.steps[move.index]} %" if move.state == "CANARY" else move.state
        table.add_row(f"{move.at:%Y-%m-%d %H:%M:%S}", move.event, step, "\n".join(move.reasons))
    table.caption = "; ".join(rollout.reasons) or None
    return table
