"""Re-ranking: candidates with scores in, the slate and the probability of every place out.

Order: exclusions, boosts, pins, then place by place by relevance and diversity under caps and exposure, and exploration
last, since what is drawn before a deterministic step has no closed form after it.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np

from serving.rerank.caps import Caps
from serving.rerank.diversity import Gain, gain_by
from serving.rerank.explore import choices, new_items, pools
from serving.rerank.policy import Active, RerankPolicy
from serving.rerank.ranked import Choice, Note, Ranked, Reranked, check
from serving.rerank.relevance import of_group, relevance
from serving.rerank.rewards import NO_REWARDS, Rewards
from serving.rerank.slate import PINNED, Filled, Group, fill, place_pins
from training.slate import Request

Array = np.ndarray[Any, Any]


def rerank(
    ranked: Ranked,
    request: Request,
    policy: RerankPolicy,
    *,
    rng: np.random.Generator,
    now: datetime,
    rewards: Rewards = NO_REWARDS,
) -> Reranked:
    """The slate of at most `request.k` candidates. `now` is the moment whose hours count; `rng` draws exploration.

    Raises:
        RerankRefused: scores or embeddings are not finite, or an item comes twice.
        RulesRefused: a rule reads an attribute that the candidates do not have.
    """
    check(ranked)
    if policy.changes_nothing or not len(ranked):
        places = np.argsort(-ranked.scores, kind="stable")[: request.k]
        return Reranked(places, np.ones(len(places)))
    active = policy.active(now)
    worth, allowed = relevance(ranked, active.boosts), _allowed(ranked, active)
    caps = Caps(active.caps, ranked.attributes)
    groups = [Group(rule, of_group(rule, ranked) & allowed) for rule in active.exposure]
    gain = gain_by(policy.diversity, worth, ranked.embeddings, k=min(request.k, len(ranked)))
    gain.drop(np.flatnonzero(~allowed).tolist())
    filled = _certain(ranked, active, gain, caps, groups, k=request.k)
    drawn: tuple[Choice, ...] = ()
    if policy.exploration.method != "none":
        fresh = new_items(ranked, worth, allowed, policy.exploration, rewards)
        dealt = pools(filled, fresh.tolist(), caps, groups, policy.exploration)
        drawn = choices(filled, dealt, ranked, policy.exploration, rewards)
    slate, propensities, notes = _draw(filled, drawn, ranked, policy, rng)
    return Reranked(slate, propensities, (*filled.notes, *_boosted(slate, ranked, active), *notes), drawn)


def _allowed(ranked: Ranked, active: Active) -> Array:
    """Bool [c]: what no rule excludes."""
    allowed = np.ones(len(ranked), bool)
    for rule in active.exclusions:
        allowed &= ~rule.matches(ranked.item_ids, ranked.attributes)
    return allowed


def _certain(ranked: Ranked, active: Active, gain: Gain, caps: Caps, groups: list[Group], *, k: int) -> Filled:
    """The slate before exploration. Caps, diversity and exposure count pins from the first place on."""
    rows = {item: row for row, item in enumerate(ranked.item_ids.tolist())} if active.pins else {}
    pins, notes = place_pins(active.pins, rows, gain, caps, k=k)
    filled = fill(gain, caps, groups, pins, k=k)
    # A slate that ends early has no gap before a pin.
    filled.notes[:0] = [
        replace(note, place=filled.rows.index(rows[note.item_id]) + 1) if note.did == PINNED else note for note in notes
    ]
    return filled


def _draw(
    filled: Filled, drawn: tuple[Choice, ...], ranked: Ranked, policy: RerankPolicy, rng: np.random.Generator
) -> tuple[Array, Array, list[Note]]:
    """Rows [k], their propensities [k], and a note for every place that shows a new item."""
    slate, propensities = np.array(filled.rows, np.int64), np.ones(len(filled.rows))
    notes = []
    for choice in drawn:
        number = int(rng.choice(len(choice.rows), p=choice.probabilities))
        slate[choice.place - 1] = choice.rows[number]
        propensities[choice.place - 1] = choice.probabilities[number]
        if number:
            item = str(ranked.item_ids[choice.rows[number]])
            notes.append(Note(policy.exploration.method, "explored", item, choice.place))
    return slate, propensities, notes


def _boosted(slate: Array, ranked: Ranked, active: Active) -> list[Note]:
    attributes = {rule.attribute: ranked.attributes[rule.attribute][slate] for rule in active.boosts if rule.attribute}
    return [
        Note(rule.name, "boosted", str(ranked.item_ids[slate[place]]), int(place) + 1)
        for rule in active.boosts
        for place in np.flatnonzero(rule.matches(ranked.item_ids[slate], attributes))
    ]
