"""`python -m k8s promote` and `rollback`: the same move wherever it is served, and what it came to in lines to read."""

from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum

from feature_repo.core.errors import SettingsRefused
from feature_repo.core.workspace import Workspace
from k8s.promote.local import local_deployer
from training.deployer import Deployer
from training.promotion.policy import PromotionPolicy

Say = Callable[[str], object]
NOTHING = "nothing is being served: only the aliases move (`make serve` serves the champion)"


class Where(StrEnum):
    """Where the stable version is served."""

    LOCAL = "local"
    KUBERNETES = "kubernetes"


def place(name: str) -> Where:
    """The place with that name.

    Raises:
        SettingsRefused: there is none.
    """
    try:
        return Where(name)
    except ValueError:
        raise SettingsRefused(f"DEPLOYER is {' or '.join(Where)}; got {name!r}") from None


def deployer_at(where: Where, workspace: Workspace) -> Deployer | None:
    """The deployer of that place; None where nothing is being served there."""
    if where is Where.LOCAL:
        return local_deployer(workspace)
    from k8s.cluster.api import open_api
    from k8s.cluster.deployer import DeploymentDeployer
    from k8s.cluster.settings import cluster_settings

    return DeploymentDeployer(open_api(cluster_settings()))


def promote(workspace: Workspace, policy: PromotionPolicy, *, where: Where, say: Say) -> None:
    """Decide on the challenger; on PASS redeploy and move the aliases."""
    from training.promote import promote as decide_and_move

    deployer = _found(where, workspace, say)
    done = decide_and_move(workspace, policy, deployer=deployer, now=datetime.now(UTC))
    if not done.decided:
        say("up to date: no challenger waits for a decision")
    elif done.report is not None:
        for reason in done.report["reasons"]:
            say(f"  {reason}")
        say(f"{done.report['verdict']}: the aliases {'moved' if done.moved else 'stay'}")
    if deployer is None and (late := deployer_at(where, workspace)) is not None and done.moved:
        # A server that started while the aliases moved may have read the old ones; asked again, it is seen to.
        decide_and_move(workspace, policy, deployer=late, now=datetime.now(UTC))
    _show(workspace, say)


def rollback(workspace: Workspace, *, where: Where, say: Say) -> None:
    """Undo the last move; returns when the stable side serves what was champion before it."""
    from training.deployer import DeployFailed
    from training.promote import rollback as undo
    from training.registry import Kind, Phase

    deployer = _found(where, workspace, say)
    move = undo(workspace, deployer=deployer, now=datetime.now(UTC))
    if deployer is None and (late := deployer_at(where, workspace)) is not None:
        move = undo(workspace, deployer=late, now=datetime.now(UTC))
    if move.kind is Kind.PROMOTION:
        say(f"the promotion of version {move.new} was given up: version {move.old} stays champion")
    elif move.phase is Phase.UNDONE:
        raise DeployFailed(f"version {move.new} did not come up, so version {move.old} stays champion: {move.why}")
    else:
        say(f"version {move.new} is champion again, in place of version {move.old}")
    _show(workspace, say)


def _found(where: Where, workspace: Workspace, say: Say) -> Deployer | None:
    deployer = deployer_at(where, workspace)
    if deployer is None:
        say(NOTHING)
    return deployer


def _show(workspace: Workspace, say: Say) -> None:
    from training.registry import aliases

    say(", ".join(f"{alias} = {version}" for alias, version in sorted(aliases(workspace).items())))
