"""The settings of the two published random protocols, chosen on cuts of their training parts.

Linear models and a kernel lead on both; factor models lead on the smaller one, where a mean over seeds helps them most.
The two towers are worth their time on the larger one only.
"""

from training.settings import (
    AlsSettings,
    BaselineSettings,
    EaseSettings,
    EdlaeSettings,
    KernelSettings,
    RankerSettings,
    UserKnnSettings,
)
from training.static.settings import Member, StaticSettings

_RANKER = RankerSettings(
    rounds=100,
    learning_rate=0.06,
    depth=4,
    column_share=0.5,
    cutoff=20,
    pair_method="mean",
    pairs=4,
)
_LARGE = BaselineSettings(
    als=AlsSettings(factors=64, regularization=10.0, confidence=2.0),
    ease=EaseSettings(regularization=800.0),
    kernel=KernelSettings(sharpness=5.0, completed=0.6),
    user_knn=UserKnnSettings(neighbours=100),
)
_SMALL = BaselineSettings(
    als=AlsSettings(factors=24, regularization=20.0, confidence=4.0),
    ease=EaseSettings(regularization=800.0),
    edlae=EdlaeSettings(regularization=100.0),
    kernel=KernelSettings(sharpness=5.0, completed=0.6),
    user_knn=UserKnnSettings(neighbours=100),
)


def _members(settings: BaselineSettings) -> tuple[Member, ...]:
    """What both have; the weakest are read only, since their lists hold little that others' do not."""
    weak = (Member(retriever=name, settings=settings, proposes=False) for name in ("popular", "item-knn"))
    strong = (Member(retriever=name, settings=settings) for name in ("user-knn", "ease", "edlae", "kernel"))
    return (*weak, *strong)


def _als(settings: BaselineSettings, als: AlsSettings, *, copies: int) -> Member:
    return Member(retriever="als", label="als-small", copies=copies, settings=settings.model_copy(update={"als": als}))


MOVIELENS_1M = StaticSettings(
    members=(
        *_members(_LARGE),
        Member(retriever="als", settings=_LARGE),
        _als(_LARGE, AlsSettings(factors=32, regularization=20.0, confidence=4.0), copies=1),
        Member(retriever="two-tower"),
    ),
    fitted_folds=2,
    blend_share=0.3,
    ranker=_RANKER,
)

MOVIELENS_100K = StaticSettings(
    members=(
        *_members(_SMALL),
        Member(
            retriever="kernel",
            label="kernel-bags",
            proposes=False,
            settings=_SMALL.model_copy(update={"kernel": KernelSettings(sharpness=3.0, completed=0.0)}),
        ),
        Member(retriever="als", copies=2, settings=_SMALL),
        _als(_SMALL, AlsSettings(factors=12, regularization=10.0, confidence=4.0), copies=4),
    ),
    fitted_folds=6,
    total=100,
    blend_ridge=0.3,
    ranker=_RANKER.model_copy(update={"cutoff": 10}),
)
