"""`python -m k8s release`: begin the rollout of the challenger on the cluster, once its offline gates hold.

It may be asked again and again: a rollout that is under way, or that has ended for these two versions, stays as it is.
"""

from collections.abc import Callable
from datetime import datetime

from feature_repo.core.workspace import Workspace
from k8s.cluster.api import Api
from k8s.cluster.gateways import MIRROR
from k8s.cluster.http_route import HttpRoutePlane
from k8s.cluster.state_store import ConfigMapStore
from k8s.policy.rules import RolloutPolicy
from k8s.promote.policy_file import ReleasePolicy
from k8s.rollout.rollout import Rollout
from k8s.rollout.store import StateStore
from training.promotion.decide import Decision
from training.promotion.filed import Pair
from training.verdict import Verdict

Judge = Callable[[Pair], Decision]


def begin_rollout(
    store: StateStore,
    pair: Pair,
    policy: RolloutPolicy,
    *,
    judge: Judge,
    mirrors: Callable[[], bool],
    again: bool,
    now: datetime,
) -> str:
    """Begin a rollout of `pair` if there is reason to; what came of it is the sentence that comes back.

    `judge` asks the offline gates, `mirrors` whether the gateway can do what a shadow needs.

    Raises:
        StaleState: somebody else began one at the same moment.
    """
    held = store.load()
    if held and not held[0].ended:
        return f"the rollout {held[0].name} is under way: {held[0].state}"
    if held and (held[0].champion, held[0].challenger) == (pair.champion, pair.challenger) and not again:
        return f"up to date: the rollout {held[0].name} of these versions ended {held[0].state}"
    if policy.shadow is not None and not mirrors():
        return (
            f"version {pair.challenger} is not released: its policy asks for a shadow, and the gateway of the route "
            f"does not say that it mirrors requests ({MIRROR}); `shadow: null` does without"
        )
    decision = judge(pair)
    if decision.verdict is not Verdict.PASS:
        return f"{decision.verdict}: version {pair.challenger} is not released: {'; '.join(decision.reasons)}"
    name = f"{pair.champion}-{pair.challenger}-{now:%Y%m%d%H%M%S}"
    rollout = Rollout.begin(name, pair.champion, pair.challenger, policy, now=now)
    store.save(rollout, held[1] if held else None)
    return f"the rollout {name} begins"


def begin_from_registry(workspace: Workspace, api: Api, policy: ReleasePolicy, *, again: bool, now: datetime) -> str:
    """`begin_rollout` of champion and challenger, on a cluster, by the policy's offline gates."""
    from training.promote import evidence_of
    from training.promotion.decide import decide
    from training.registry import CHALLENGER, CHAMPION, aliases

    held = aliases(workspace)
    if CHAMPION not in held or CHALLENGER not in held:
        return "up to date: no challenger waits for a release"
    offline = policy.promotion.model_copy(update={"shadow": None, "canary": None})

    def judge(pair: Pair) -> Decision:
        return decide(evidence_of(workspace, pair, offline, now=now), offline)

    return begin_rollout(
        ConfigMapStore(api),
        Pair(str(held[CHAMPION]), str(held[CHALLENGER])),
        policy.rollout,
        judge=judge,
        mirrors=HttpRoutePlane(api).mirrors,
        again=again,
        now=now,
    )
