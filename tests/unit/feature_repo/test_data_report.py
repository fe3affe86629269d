from typing import Any

import pytest

from feature_repo.dataset.report import lines_of, markdown_of, metrics_of, share

REPORT: dict[str, Any] = {
    "dataset": "shop",
    "read": 100_000,
    "events": 99_994,
    "users": 20,
    "items": 30,
    "received": 7,
    "refused": {"event type has no weight": 1, "value is not finite": 5},
    "refused_entities": {"users.csv": {"user_id is missing": 3}, "items.csv": {}},
    "fingerprint": "f00",
}


def test_the_lines_are_the_totals_and_then_the_rules_by_their_rows() -> None:
    assert lines_of(REPORT) == [
        ("read", 100_000, 1.0),
        ("kept", 99_994, 0.99994),
        ("quarantined", 6, 0.00006),
        ("value is not finite", 5, 0.00005),
        ("event type has no weight", 1, 0.00001),
    ]


@pytest.mark.parametrize(
    ("part", "words"), [(0, "0.00 %"), (0.00005, "under 0.01 %"), (0.0123, "1.23 %"), (1, "100.00 %")]
)
def test_a_share_that_is_not_nothing_is_not_shown_as_nothing(part: float, words: str) -> None:
    assert share(part) == words


def test_metrics_have_names_that_mlflow_takes() -> None:
    assert metrics_of(REPORT) == {
        "data_read": 100_000,
        "data_kept": 99_994,
        "data_quarantined": 6,
        "data_refused_event_type_has_no_weight": 1,
        "data_refused_value_is_not_finite": 5,
    }


def test_the_table_is_readable_text() -> None:
    text = markdown_of(REPORT)

    assert text.startswith(
        "# Data of shop\n\n20 users and 30 items; 7 of the rows read arrived over HTTP. Fingerprint `f00`."
    )
    assert "| value is not finite | 5 | under 0.01 % |\n" in text
    assert text.endswith("users.csv: 3 rows left out, user_id is missing.\n")
