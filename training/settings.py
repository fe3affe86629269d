"""Every hyperparameter, once, with its meaning and unit."""

from pydantic import BaseModel, ConfigDict, Field


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TwoTowerSettings(_Settings):
    dimension: int = Field(48, description="length of a query's and an item's embedding")
    hidden: int = Field(96, description="units of each tower's hidden layer")
    epochs: int = Field(8, description="passes over the training events")
    batch_size: int = Field(1024, description="events in a batch; the other items of the batch are the negatives")
    learning_rate: float = Field(0.003, description="of Adam")
    temperature: float = Field(0.1, description="divides the cosine of query and item")
    id_dropout: float = Field(0.7, description="share of user ids hidden in training, so that features must carry")


class RankerSettings(_Settings):
    rounds: int = Field(120, description="boosted trees")
    learning_rate: float = Field(0.06, description="shrinkage of each tree")
    depth: int = Field(5, description="levels of each tree")
    min_child_weight: float = Field(5.0, description="smallest sum of hessians in a leaf")
    subsample: float = Field(0.8, description="share of rows that each tree sees")
    column_share: float = Field(0.6, description="share of features that each tree sees")
    requests: int = Field(2000, description="most requests that the training set is built from")


class EncoderSettings(_Settings):
    category_codes: int = Field(16_384, description="most codes of a categorical attribute; more values are hashed")
    multi_codes: int = Field(256, description="most codes of a multi-valued attribute; more values are hashed")
    text_dimension: int = Field(16, description="numbers that a text is reduced to")
    text_words: int = Field(2_000, description="most words that texts are counted over")
    segments: int = Field(6, description="groups of users by behaviour")


class CandidateSettings(_Settings):
    total: int = Field(200, description="candidates that the ranker scores")
    two_tower: int = Field(150, description="of them from the two-tower index; the rest are popular items")
    popular_window_days: int = Field(30, description="days that popularity is counted over, today included")


class TrainingSettings(_Settings):
    """What a training run is made with; its values are parameters of the MLflow run."""

    seed: int = Field(20, description="seeds every random choice")
    ranker_share: float = Field(0.15, description="last share of the window's events, kept for the ranker")
    leak_requests: int = Field(40, description="requests whose features are checked against the log before them")
    reference_requests: int = Field(400, description="requests in the reference sample for drift")
    encoder: EncoderSettings = EncoderSettings()
    tower: TwoTowerSettings = TwoTowerSettings()
    ranker: RankerSettings = RankerSettings()
    candidates: CandidateSettings = CandidateSettings()
