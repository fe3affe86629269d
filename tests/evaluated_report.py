"""A small report with every part that the page can show, for tests of the page."""

from datetime import UTC, datetime
from typing import Any

from training.evaluation.page_content import Report


def report_content(model: str = "two-stage", reference: str = "ease", gap: float = 0.05) -> dict[str, Any]:
    """As JSON holds it: two models and a third that is told apart from neither; `gap` is model minus reference."""

    def row(name: str, ndcg: float) -> dict[str, Any]:
        return {
            "name": name,
            "metrics": {
                "ndcg@10": {"value": ndcg, "low": ndcg - 0.01, "high": ndcg + 0.01},
                "recall@10": {"value": 0.5},
                "coverage": {"value": 0.4, "low": 0.3, "high": 0.5},
                "gini": {"value": 1.0 - ndcg},
                "novelty@10": {"value": 11.25},
            },
        }

    def difference(name: str, value: float, verdict: str) -> dict[str, Any]:
        estimate = {"value": value, "low": value - 0.01, "high": value + 0.01}
        return {"model": name, "estimate": estimate, "verdict": verdict}

    def segment(of: str, name: str) -> dict[str, Any]:
        estimate = {"value": 0.1, "low": 0.05, "high": 0.2}
        return {"of": of, "segment": name, "model": model, "requests": 1234, "users": 56, "estimate": estimate}

    evaluation = {
        "name": "Replay",
        "protocol": ["Every event asks first."],
        "requests": 2000,
        "users": 300,
        "seeds": 3,
        "metric": "ndcg@10",
        "model": model,
        "reference": reference,
        "reference_is": "the best on validation",
        "models": [row(model, 0.3 + gap), row(reference, 0.3), row("popular", 0.2)],
        "differences": [difference(model, gap, "PASS"), difference("popular", -0.1, "FAIL")],
        "segments": [segment("users", "new"), segment("users", "heavy"), segment("items", "old")],
    }
    return {
        "title": "How good are the recommendations?",
        "made_at": datetime(2026, 11, 22, 15, 40, tzinfo=UTC).isoformat(),
        "data": {"data set": "shop", "events": "1,000"},
        "evaluations": [evaluation],
        "importances": {"measure": "gain", "values": {"ease_score": 3.0, "user_age": 1.0}},
        "charts": [
            {
                "title": "Learning",
                "x_label": "epoch",
                "y_label": "NDCG@10",
                "lines": [{"name": "seed 1", "x": [1, 2], "y": [0.1, 0.2]}, {"name": "seed 2", "x": [1], "y": [0.1]}],
            }
        ],
        "notes": ["The window is short."],
    }


def report(**changes: Any) -> Report:
    return Report.model_validate(report_content(**changes))
