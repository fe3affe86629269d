"""Every retriever beside the two towers, by name."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from feature_repo.core.errors import SettingsRefused
from training.retrieval.als import Als
from training.retrieval.bpr import Bpr
from training.retrieval.content import Content
from training.retrieval.ease import Ease
from training.retrieval.edlae import Edlae
from training.retrieval.item_knn import ItemKnn
from training.retrieval.item_state import FORMULAS, ItemState
from training.retrieval.kernel import Kernel
from training.retrieval.next_item import NextItem
from training.retrieval.popular_within import BY_CONTEXT, BY_SEGMENT, PopularWithin
from training.retrieval.port import Retriever
from training.retrieval.repeat import Repeat
from training.retrieval.user_knn import UserKnn
from training.settings import BaselineSettings

Maker = Callable[[BaselineSettings], Retriever]


def _by_state(name: str, _: BaselineSettings) -> Retriever:
    return ItemState(name)


def _within(name: str, settings: BaselineSettings) -> Retriever:
    return PopularWithin(name, settings.popular_within)


RETRIEVERS: Mapping[str, Maker] = MappingProxyType(
    {
        **{name: partial(_by_state, name) for name in FORMULAS},
        **{name: partial(_within, name) for name in (BY_SEGMENT, BY_CONTEXT)},
        Repeat.name: lambda settings: Repeat(settings.repeat),
        ItemKnn.name: lambda settings: ItemKnn(settings.item_knn),
        UserKnn.name: lambda settings: UserKnn(settings.user_knn),
        Als.name: lambda settings: Als(settings.als),
        Bpr.name: lambda settings: Bpr(settings.bpr),
        Ease.name: lambda settings: Ease(settings.ease, settings.sparse),
        Edlae.name: lambda settings: Edlae(settings.edlae, settings.sparse),
        Kernel.name: lambda settings: Kernel(settings.kernel, settings.edlae),
        Content.name: lambda settings: Content(settings.content),
        NextItem.name: lambda settings: NextItem(settings.next_item, settings.sparse),
    }
)
NOT_SERVABLE = frozenset({UserKnn.name, Kernel.name})  # they answer from persons' rows, which no bundle keeps


def retriever(name: str, settings: BaselineSettings) -> Retriever:
    """A retriever that has learnt nothing yet.

    Raises:
        SettingsRefused: there is none of that name.
    """
    if name not in RETRIEVERS:
        raise SettingsRefused(f"a retriever is one of {', '.join(RETRIEVERS)}; got {name!r}")
    return RETRIEVERS[name](settings)
