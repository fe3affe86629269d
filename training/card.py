"""The model card: what a person should know of a version before trusting it."""

from typing import Any

TEMPLATE = """# {dataset}: two-stage recommender

**Data.** {dataset}, fingerprint `{data_fingerprint}`. Trained on events from {window_start} to before {window_end}:
{tower_events} events for the two towers, {ranker_requests} later requests for the ranker, {ranker_source}.

**Stages.** {retrievers} retrieve {candidates} candidates; LambdaMART ranks them on {features} features.

**Measured** on {validation_requests} requests of the training window that the ranker did not see:

{metrics}

**Point in time.** {leaks}

**Limits.** {new} Measured inside the training window; the evaluation report of the run measures held-out time. Scores
order the items of one request and are neither probabilities nor comparable between requests.
"""

NEW = (
    "New users and items are recommended and recommended to through their attributes, activity and popularity, "
    "since their ids are unknown to the towers."
)


def model_card(facts: dict[str, Any], metrics: dict[str, float]) -> str:
    """Markdown from what the training run knows."""
    lines = "\n".join(f"- {name}: {value:.4f}" for name, value in sorted(metrics.items()))
    return TEMPLATE.format(**facts, metrics=lines, new=NEW)
