"""What a challenger must show, as one typed file. A gate that the policy leaves out (null) is not asked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from feature_repo.core.errors import SettingsRefused
from training.promotion.quantity import Hours, Milliseconds, Points, Share


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Quality(_Part):
    # Largest loss of NDCG@10 on the newest window that is tolerated, of the champion's; "5 %".
    max_loss: Share = 0.05


class Retrievers(_Part):
    # Largest loss of NDCG@10 against the challenger's own best retriever alone; "0.005 points".
    max_loss: Points = 0.005


class Breadth(_Part):
    # Smallest coverage of the catalogue, or novelty of what is shown, of the champion's; "80 %".
    least: Share = 0.8


class SegmentsGate(_Part):
    # Largest loss of NDCG@10 in a segment of users, of the champion's there; "20 %".
    max_loss: Share = 0.2
    # Users below which a segment is named and not judged.
    least_users: int = Field(30, ge=2)


class LatencyGate(_Part):
    # Largest median and 99th percentile of POST /recommend on the bundle alone; "10 ms".
    max_p50: Milliseconds = 10.0
    max_p99: Milliseconds = 50.0
    # Requests that must have been measured.
    least_requests: int = Field(100, ge=1)


class IndexRecall(_Part):
    # Smallest share of the exact neighbours that the index finds; "95 %".
    least: Share = 0.95


class DriftGate(_Part):
    # Where the world has drifted: how much later the challenger's window must end than the champion's; "24 hours".
    newer_by: Hours = 24.0


class LeaksGate(_Part):
    # Rows of the training set that must have been compared with what was known at their moment.
    least_rows: int = Field(50, ge=1)


class Told(_Part):
    """A gate whose report carries its own verdict; it has nothing to set."""


class Offline(_Part):
    """What is known before anybody is served."""

    quality: Quality | None = Quality()
    retrievers: Retrievers | None = Retrievers()
    coverage: Breadth | None = Breadth()
    novelty: Breadth | None = Breadth()
    segments: SegmentsGate | None = SegmentsGate()
    index_recall: IndexRecall | None = IndexRecall()
    leaks: LeaksGate | None = LeaksGate()
    drift: DriftGate | None = DriftGate()
    latency: LatencyGate | None = None
    fairness: Told | None = None
    skew: Told | None = None


class PromotionPolicy(_Part):
    """The gates, in the order in which they are passed. The defaults ask for what `make demo` makes on a laptop."""

    # Oldest report that still counts; "7 days".
    max_report_age: Hours = 24.0 * 7
    offline: Offline = Offline()
    shadow: Told | None = Told()
    canary: Told | None = Told()


def policy_of(stated: Mapping[str, Any], *, named: str) -> PromotionPolicy:
    """A policy from values as a file has them.

    Raises:
        SettingsRefused: a key is unknown, a value breaks its rule, or a margin has no unit.
    """
    try:
        return PromotionPolicy.model_validate(stated)
    except ValidationError as error:
        raise SettingsRefused(f"{named}: {sentence(error)}") from None


def sentence(error: ValidationError) -> str:
    """The first broken rule of a policy."""
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"{key} is no key of a policy"
    return f"{key}: {first['msg'].removeprefix('Value error, ')}; got {first['input']!r}"


def read_mapping(path: Path) -> dict[str, Any]:
    """The keys of a YAML file.

    Raises:
        SettingsRefused: it cannot be read, or holds something else.
    """
    try:
        stated = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsRefused(f"{path}: expected a readable YAML file; got {' '.join(str(error).split())}") from None
    if not isinstance(stated, dict):
        raise SettingsRefused(f"{path}: expected a mapping of policy keys; got {type(stated).__name__}")
    return stated
