"""Vocabularies that grow: an earlier encoder that knows more ids, and nothing else new."""

from collections.abc import Iterable
from dataclasses import replace

from training.encoder import Encoder
from training.vocabulary import vocabulary


def grown_encoder(old: Encoder, user_ids: Iterable[str], item_ids: Iterable[str]) -> Encoder:
    """`old` with `user_ids` and `item_ids` besides its own.

    Scales, categories, text model and segments stay: the inputs that towers were trained on keep their meaning.
    """
    return replace(
        old,
        user_ids=vocabulary((*old.user_ids.values, *user_ids)),
        item_ids=vocabulary((*old.item_ids.values, *item_ids)),
    )
