"""Where traffic goes once a rollout is over. Pure."""

from dataclasses import replace

from k8s.rollout.pods import PodsSeen
from k8s.rollout.rollout import Rollout
from k8s.rollout.split import Split
from k8s.rollout.states import State


def resting_split(rollout: Rollout, stable: PodsSeen) -> Split:
    """The split of an ended rollout.

    After PROMOTED the canary's pods answer everything until the stable's serve the promoted version, all of them; then
    traffic goes back there, and the canary's are free for the next release. After every other end the canary gets none.
    """
    everywhere = stable.wanted > 0 and stable.ready >= stable.wanted and stable.versions == (rollout.challenger,)
    if rollout.state is State.PROMOTED and everywhere:
        return replace(rollout.split, weight=0)
    return rollout.split
