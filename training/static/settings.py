"""What the two stages of a random protocol are made of, as data."""

from pydantic import BaseModel, ConfigDict, Field

from training.settings import BAG_TOWER, BaselineSettings, RankerSettings, TwoTowerSettings


class Member(BaseModel):
    """A retriever of the two stages."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    retriever: str = Field(description="its name in the registry, or two-tower")
    label: str = Field("", description="its name in columns and tables, where two members are of one kind")
    copies: int = Field(1, ge=1, description="how many are fitted with seeds of their own; their mean is the score")
    proposes: bool = Field(True, description="its best items become candidates; the scores of others are read only")
    settings: BaselineSettings = BaselineSettings()
    tower: TwoTowerSettings = BAG_TOWER

    @property
    def name(self) -> str:
        return self.label or self.retriever


class StaticSettings(BaseModel):
    """Two stages without time: retrievers, their merged candidates, and a ranker that was fitted across folds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    members: tuple[Member, ...] = Field(min_length=1, description="the retrievers")
    folds: int = Field(10, ge=2, description="parts of everybody's items; one is held out at a time")
    fitted_folds: int = Field(2, ge=1, description="how many of them are held out in turn to teach the ranker")
    depth: int = Field(100, ge=1, description="best items of each retriever that are merged into candidates")
    total: int = Field(120, ge=1, description="candidates that the ranker scores")
    blend_share: float = Field(0.5, ge=0, le=1, description="share of the linear blend in the score, against the trees")
    blend_ridge: float = Field(
        1e-3, gt=0, description="on the squared weights of the linear blend; large ones are alike"
    )
    ranker: RankerSettings = RankerSettings()
