from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from monitoring.drift.exposition import exposition


def column(name: str, shift: float | None, **changed: Any) -> dict[str, Any]:
    found = {"column": name, "shift": shift, "shift_threshold": 0.3, "distance": 0.1, "distance_threshold": 0.2}
    return found | {"expected": False, "drifted": False} | changed


REPORT = {
    "version": "7",
    "verdict": "FAIL",
    "made_at": "2026-01-05T00:00:00+00:00",
    "reference_rows": 100,
    "current_rows": 50,
    "columns": [
        column('say "hi"\\', 0.5, drifted=True),
        column("flag=1", 0.0, distance=None, distance_threshold=None),
        column("gone", None),
        column("constant", None, expected=True),
    ],
}


def samples(name: str) -> dict[tuple[str, ...], float]:
    (family,) = [f for f in text_string_to_metric_families(exposition(REPORT)) if f.name == f"recommender_drift_{name}"]
    return {tuple(sample.labels.values()): sample.value for sample in family.samples}


def test_the_verdict_of_the_last_run_is_one_and_the_others_are_zero() -> None:
    assert samples("verdict") == {("7", "PASS"): 0.0, ("7", "FAIL"): 1.0, ("7", "INCONCLUSIVE"): 0.0}


def test_names_with_quotes_and_backslashes_come_out_as_they_went_in() -> None:
    assert samples("shift") == {("7", 'say "hi"\\'): 0.5, ("7", "flag=1"): 0.0}
    assert samples("distance") == {("7", 'say "hi"\\'): 0.1}


def test_columns_are_counted_by_what_came_of_them_and_the_run_has_a_time() -> None:
    assert samples("columns") == {("quiet",): 1, ("drifted",): 1, ("broken",): 1, ("not_judged",): 1}
    assert samples("made_timestamp_seconds") == {("7",): 1767571200.0}
    assert samples("rows") == {("reference",): 100.0, ("current",): 50.0}
