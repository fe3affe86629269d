"""Names of simulated things: a title tells its category, and a little of its brand, as real titles do."""

from typing import Any

import numpy as np

from monitoring.simulator.streams import stream
from monitoring.simulator.world import World

Array = np.ndarray[Any, Any]

KINDS = ("lamp", "chair", "kettle", "rug", "clock", "shelf", "mug", "bag", "scarf", "radio", "bike", "tent")
LOOKS = ("small", "tall", "round", "plain", "bright", "light", "sturdy", "soft", "folding", "striped", "old", "quiet")
MAKERS = ("Alba", "Brio", "Corva", "Dunea", "Elm", "Fjell", "Gala", "Havn", "Isola", "Juno", "Karst", "Lume")


def category_name(number: int) -> str:
    return _name(KINDS, number)


def brand_name(number: int) -> str:
    return _name(MAKERS, number)


def titles(world: World) -> list[str]:
    """One title an item, such as `small round lamp by Alba`."""
    items, usual = world.items, world.settings.items
    looks = stream(world.seed, "titles").integers(len(LOOKS), size=(usual, 2))
    new = stream(world.seed, "titles of new items").integers(len(LOOKS), size=(len(items) - usual, 2))
    return [
        f"{LOOKS[a]} {LOOKS[b]} {category_name(category)} by {brand_name(brand)}"
        for (a, b), category, brand in zip(np.concatenate([looks, new]), items.category, items.brand, strict=True)
    ]


def _name(words: tuple[str, ...], number: int) -> str:
    """The word of that number; beyond the last one, a word and how often they have been through."""
    again, place = divmod(int(number), len(words))
    return f"{words[place]} {again + 1}" if again else words[place]
