"""Every hyperparameter, once, with its meaning and unit."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TwoTowerSettings(_Settings):
    dimension: int = Field(48, description="length of a query's and an item's embedding")
    hidden: int = Field(96, description="units of each tower's hidden layer")
    heads: int = Field(2, description="ways of attending to the history, each a mean of its own")
    user_scale: float = Field(0.1, description="length of a user's embedding before training; an item's is 1")
    epochs: int = Field(10, description="most passes over the training requests")
    patience: int = Field(3, description="epochs without a better validation NDCG before training ends")
    held_share: float = Field(0.05, description="share of the requests held out to tell the best epoch", ge=0, lt=1)
    batch_size: int = Field(128, description="requests in a batch", gt=0)
    learning_rate: float = Field(0.003, description="of Adam, falling to a fiftieth along a cosine")
    temperature: float = Field(0.1, description="divides the cosine of query and item", gt=0)
    exact_items: int = Field(8_192, description="items up to which all are candidates of the softmax at every step")
    uniform_negatives: int = Field(4_096, description="items drawn uniformly for a batch of a larger catalogue")
    hard_negatives: int = Field(0, description="top-scored items that are no positives, for each request of a batch")
    hard_refresh: int = Field(3, description="epochs after which hard negatives are looked up anew", gt=0)
    spare_met: bool = Field(True, description="no item that the user met before is a negative, or counts in validation")
    id_dropout: float = Field(0.7, description="share of user ids hidden in training, so that features must carry")
    item_dropout: float = Field(0.1, description="share of item ids hidden in training, where items have features")
    history_dropout: float = Field(0.1, description="share of a history's items hidden in training")
    input_share: tuple[float, float] = Field((0.5, 0.9), description="range of the share of a bag that is shown")
    spectral: bool = Field(True, description="item embeddings of bags start from a singular value decomposition")


# For bags of ids without features or time: chosen on a validation cut of MovieLens-1M's training pairs.
BAG_TOWER = TwoTowerSettings(
    dimension=128,
    hidden=256,
    epochs=20,
    patience=10,
    batch_size=64,
    learning_rate=0.003,
    temperature=0.15,
    id_dropout=0.5,
    input_share=(0.3, 0.9),
    held_share=0.1,
)


class Objective(_Settings):
    """One of several aims of the ranker: what each event type is worth to it, and its share in the whole."""

    name: str
    weights: dict[str, float] = Field(description="gain of an item by the type of the event that it got")
    share: float = Field(1.0, gt=0, description="against the shares of the others")


class RankerSettings(_Settings):
    rounds: int = Field(150, description="boosted trees at most")
    learning_rate: float = Field(0.05, description="shrinkage of each tree")
    depth: int = Field(4, description="levels of each tree")
    min_child_weight: float = Field(20.0, description="smallest sum of hessians in a leaf")
    l2: float = Field(1.0, description="lambda, on the squared values of leaves")
    subsample: float = Field(0.8, description="share of rows that each tree sees")
    column_share: float = Field(0.6, description="share of features that each tree sees")
    max_bin: int = Field(256, description="values that a feature is divided into; above 256 takes twice the memory")
    requests: int = Field(4000, description="most requests that the training set is built from")
    candidates: int = Field(100, description="first candidates of a request that are learnt from")
    pause_hours: float = Field(1.0, description="hours away that make a request the opening of a visit")
    opening_weight: int = Field(4, description="times that an opening is learnt from", ge=1)
    objective: Literal["rank:ndcg", "rank:pairwise", "binary:logistic", "reg:squarederror"] = Field(
        "rank:pairwise",
        description="LambdaMART with pairs weighed alike (rank:pairwise) or by NDCG (rank:ndcg), or pointwise",
    )
    cutoff: int = Field(10, description="places of the NDCG that is watched")
    patience: int = Field(30, description="rounds without a better validation NDCG after which training ends; 0: never")
    pair_method: Literal["topk", "mean"] = Field(
        "topk", description="pairs with each of the first candidates as ranked now, or some drawn for each candidate"
    )
    pairs: int = Field(0, description="how many first candidates, or how many drawn; 0: XGBoost's own, 32 or 1")
    normalise_pairs: bool = Field(True, description="gradients of a request divided by their sum")
    exponential_gain: bool = Field(False, description="the gain of a grade is 2^grade - 1, and not the grade itself")
    position_bias: bool = Field(False, description="learn how likely each place is clicked, and take it out")
    increasing: tuple[str, ...] = Field((), description="features with which the score may only rise")
    decreasing: tuple[str, ...] = Field((), description="features with which the score may only fall")
    interactions: tuple[tuple[str, ...], ...] = Field((), description="features that may be combined, in sets; () all")
    objectives: tuple[Objective, ...] = Field(
        (), description="aims of the ranker; () the data set's weights are its one"
    )
    blend: Literal["labels", "models"] = Field(
        "labels", description="several objectives: one ranker on their mean gain, or a ranker each, scores blended"
    )
    distillation: float = Field(0.0, ge=0, lt=1, description="share of the champion's order in the gains")
    distillation_depth: int = Field(20, description="first places of the champion that are learnt from")


class EncoderSettings(_Settings):
    category_codes: int = Field(16_384, description="most codes of a categorical attribute; more values are hashed")
    multi_codes: int = Field(256, description="most codes of a multi-valued attribute; more values are hashed")
    text_dimension: int = Field(16, description="numbers that a text is reduced to")
    text_words: int = Field(2_000, description="most words that texts are counted over")
    segments: int = Field(6, description="groups of users by behaviour")


class CandidateSettings(_Settings):
    total: int = Field(200, description="candidates that the ranker scores")
    depth: int = Field(100, description="best items of each retriever that are merged into them")
    half_life: float = Field(14.0, description="items until what was met counts half for the item-item retrievers")
    retrievers: tuple[str, ...] = Field(
        ("popular-30d", "ease", "item-knn", "next-item", "repeat"),
        description="retrievers beside the two-tower, as far as the data set allows them",
    )


class SparseTopSettings(_Settings):
    dense_items: int = Field(4_096, description="largest vocabulary whose item-item weights are kept whole, 64 MiB")
    top_n: int = Field(200, description="weights kept of each item beyond that, the largest by size")


class PopularWithinSettings(_Settings):
    smoothing: float = Field(200.0, description="events that the overall counts weigh against those of one value")
    values: int = Field(1_000, description="most values of a context column that are counted apart, the commonest")


class RepeatSettings(_Settings):
    half_life_days: float = Field(14.0, description="days after which a past event counts half")


class ItemKnnSettings(_Settings):
    neighbours: int = Field(100, description="most similar items that an item is scored by")
    asymmetry: float = Field(0.75, description="power of the met item's count; the scored item's has the rest of 1")
    shrinkage: float = Field(10.0, description="added to the cosine's denominator: few common users say little")


class UserKnnSettings(_Settings):
    neighbours: int = Field(75, description="most similar users that are asked")
    shrinkage: float = Field(0.0, description="added to the cosine's denominator: few common items say little")


class AlsSettings(_Settings):
    factors: int = Field(48, description="length of an item's and a user's vector")
    regularization: float = Field(10.0, description="lambda, on the squared length of every vector")
    confidence: float = Field(3.0, description="confidence in a met item; that in any other is 1")
    iterations: int = Field(15, description="rounds of alternating least squares")


class BprSettings(_Settings):
    factors: int = Field(64, description="length of an item's vector, its bias left out")
    learning_rate: float = Field(0.02, description="of stochastic gradient ascent")
    regularization: float = Field(0.003, description="on every vector and bias")
    iterations: int = Field(30, description="passes over the met items")


class EaseSettings(_Settings):
    regularization: float = Field(500.0, description="lambda, on the squared weights")
    most_items: int = Field(10_000, description="largest Gram matrix that is inverted: that of the most popular items")
    weighted: bool = Field(False, description="an item met counts its events' largest weight, and not 1")


class EdlaeSettings(_Settings):
    regularization: float = Field(200.0, description="lambda, on the squared weights")
    dropout: float = Field(0.5, ge=0, lt=1, description="probability that an item met was hidden in learning")
    user_balance: float = Field(0.5, description="a user counts the items met to the power of minus this")
    item_balance: float = Field(0.2, description="an item's column counts its users to the power of minus this")
    most_items: int = Field(10_000, description="largest Gram matrix that is inverted: that of the most popular items")


class KernelSettings(_Settings):
    regularization: float = Field(2.0, description="lambda, on the squared length of a solution in the kernel's space")
    sharpness: float = Field(4.0, description="s of exp(s (cos - 1)): how fast likeness falls with the cosine")
    completed: float = Field(0.4, ge=0, le=1, description="share of the completed bags in the cosine, against the bags")
    most_users: int = Field(10_000, description="largest kernel matrix that is solved: that of users drawn at random")


class ContentSettings(_Settings):
    words: int = Field(20_000, description="most words and values that items are described by")


class NextItemSettings(_Settings):
    window: int = Field(10, description="moments of one user that a pair of items may be apart")
    backward: float = Field(0.5, description="what a pair counts in the other direction of time, against 1 forward")
    shrinkage: float = Field(20.0, description="pairs added to each item's sum: few pairs say little")
    last_items: int = Field(30, gt=0, description="items of the history's end that are gone on from")
    half_life: float = Field(2.0, description="moments until an item of the history counts half")


class IndexSettings(_Settings):
    exact_items: int = Field(20_000, description="largest catalogue that is searched exactly: 0.3 ms at most")
    aimed_recall: float = Field(0.97, le=1, description="share of the exact best that a search of cells is to find")
    least_recall: float = Field(0.95, description="share of the exact best that it must find, or no bundle is made")


class BaselineSettings(_Settings):
    """The retrievers beside the two towers."""

    sparse: SparseTopSettings = SparseTopSettings()
    popular_within: PopularWithinSettings = PopularWithinSettings()
    repeat: RepeatSettings = RepeatSettings()
    item_knn: ItemKnnSettings = ItemKnnSettings()
    user_knn: UserKnnSettings = UserKnnSettings()
    als: AlsSettings = AlsSettings()
    bpr: BprSettings = BprSettings()
    ease: EaseSettings = EaseSettings()
    edlae: EdlaeSettings = EdlaeSettings()
    kernel: KernelSettings = KernelSettings()
    content: ContentSettings = ContentSettings()
    next_item: NextItemSettings = NextItemSettings()


class PriorSettings(_Settings):
    """What is added to the ranker's scores at the opening of a visit: weights of what a retriever ranks first."""

    openings: dict[str, float] = Field({"popular-30d": 2.0}, description="for whoever comes, first or after a pause")
    newcomers: dict[str, float] = Field({"two-tower": 0.5}, description="besides, for users without a single event")


class TrainingSettings(_Settings):
    """What a training run is made with; its values are parameters of the MLflow run."""

    seed: int = Field(20, description="seeds every random choice")
    ranker_share: float = Field(0.15, description="last share of the window's events, kept for the ranker")
    leak_requests: int = Field(40, description="requests whose features are checked against the log before them")
    reference_requests: int = Field(400, description="latest requests, which validate a run; part of drift's reference")
    encoder: EncoderSettings = EncoderSettings()
    tower: TwoTowerSettings = TwoTowerSettings()
    ranker: RankerSettings = RankerSettings()
    prior: PriorSettings = PriorSettings()
    candidates: CandidateSettings = CandidateSettings()
    retrievers: BaselineSettings = BaselineSettings()
    index: IndexSettings = IndexSettings()
