import json
import shlex
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from monitoring.closing import PARTS, Reports, closing_lines

ESTIMATE = {"value": 0.25, "low": 0.2, "high": 0.3}
SIDE = {"requests": 40, "errors": 0, "degraded": 1, "p50_ms": 5.0, "p99_ms": 22.15}
FULL: dict[str, dict[str, Any]] = {
    "data": {
        "dataset": "tiny",
        "events": 1234,
        "users": 12,
        "items": 34,
        "refused": {"duplicate": 9, "no timestamp": 0},
        "fingerprint": "f",
    },
    "evaluation": {
        "window": {"start": "1998-04-01T00:00:00+00:00", "end": "1998-04-23T00:00:00+00:00"},
        "requests": 987,
        "users": 30,
        "champion": "1",
        "challenger": "2",
        "metrics": [
            {"model": model, "version": "1", "metric": metric, **ESTIMATE}
            for model in ("popular-30d", "two-tower", "two-stage")
            for metric in ("ndcg@10", "recall@10", "mrr@10", "coverage")
        ],
        "lift": {"metric": "ndcg@10", "over": "popular-30d", "value": 0.1, "low": 0.05, "high": 0.15},
        "comparison": {"metric": "ndcg@10", "value": 0.01, "low": -0.01, "high": 0.03},
        "example_user": "7",
    },
    "promotion": {
        "verdict": "INCONCLUSIVE",
        "reasons": ["interval [-0.010, 0.030] includes zero"],
        "moved": False,
        "champion": "1",
        "previous": None,
    },
    "latency": {
        "requests": 200,
        "candidates": 200,
        "p50_ms": 6.1,
        "p99_ms": 14.2,
        "ready_seconds": 15.2,
        "import_seconds": 11.7,
        "ready_ratio": 1.3,
    },
    "canary": {
        "champion": "1",
        "challenger": "2",
        "end_state": "HALTED",
        "steps": [
            {
                "weight": 10,
                "requests": 80,
                "verdict": "INCONCLUSIVE",
                "reasons": ["40 requests; at least 100 are needed"],
                "stable": SIDE,
                "canary": SIDE,
                "quality": {"clicks": {"stable": {"rate": 0.0512}, "canary": {"rate": None}}},
            }
        ],
        "users": "simulated",
    },
    "drift": {
        "champion": "1",
        "verdict": "FAIL",
        "reasons": ["3 of 4 columns drifted"],
        "columns": [],
        "reference_rows": 3000,
        "current_rows": 5000,
        "html": "drift.html",
    },
    "resources": {
        "steps": {
            "data": {"seconds": 3.2, "peak_rss_mb": 300.0, "exit_status": 0},
            "train": {"seconds": 160.4, "peak_rss_mb": 2100.5, "exit_status": 0},
        }
    },
}


def reports(found: Mapping[str, Mapping[str, Any]], *damaged: str) -> Reports:
    return Reports(found=found, damaged=frozenset(damaged), folder="build/reports", files=("drift.html",))


def printed(found: Mapping[str, Mapping[str, Any]], *damaged: str) -> str:
    console = Console(width=110, color_system=None)
    with console.capture() as capture:
        for line in closing_lines(reports(found, *damaged)):
            console.print(line, soft_wrap=isinstance(line, Text))
    return capture.get()


def changed(report: str, **values: object) -> dict[str, dict[str, Any]]:
    found = deepcopy(FULL)
    found[report].update(values)
    return found


def green_texts(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return what is printed in green, whole lines and parts of lines."""
    lines = [line for line in closing_lines(reports(found)) if isinstance(line, Text)]
    whole = [line.plain for line in lines if "green" in str(line.style)]
    spans = [line.plain[s.start : s.end] for line in lines for s in line.spans if "green" in str(s.style)]
    return whole + spans


def test_the_metrics_table_has_a_row_for_each_model_and_an_interval_in_each_cell() -> None:
    text = printed(FULL)

    for model in ("popular-30d", "two-tower v1", "two-stage v1"):
        (row,) = [line for line in text.splitlines() if line.startswith(f"│ {model} ")]
        assert row.count("0.250 [0.200, 0.300]") == 4


def test_the_champions_figures_are_not_those_of_the_challenger() -> None:
    """Once the later version's row took the place of the champion's, beside a lift that was still the champion's."""
    champion = FULL["evaluation"]["metrics"]
    challenger = [{**row, "version": "2", "value": 0.29} for row in champion]

    text = printed(changed("evaluation", metrics=[*champion, *challenger]))

    (one,) = [line for line in text.splitlines() if line.startswith("│ two-stage v1 ")]
    (two,) = [line for line in text.splitlines() if line.startswith("│ two-stage v2 ")]
    assert one.count("0.250") == two.count("0.290") == 4
    assert sum(line.startswith("│ popular-30d ") for line in text.splitlines()) == 1


def test_a_model_that_was_not_measured_has_a_row_that_says_so() -> None:
    rows = [row for row in FULL["evaluation"]["metrics"] if row["model"] != "two-tower"]

    text = printed(changed("evaluation", metrics=rows))

    (row,) = [line for line in text.splitlines() if line.startswith("│ two-tower v1 ")]
    assert row.count("not measured") == 4


def test_a_value_without_an_interval_says_so() -> None:
    rows = [{**row, "low": None} for row in FULL["evaluation"]["metrics"]]

    assert "0.250 [no interval]" in printed(changed("evaluation", metrics=rows))


@pytest.mark.parametrize(
    ("low", "high", "sentence"),
    [
        (0.05, 0.15, "Two-stage beats popular-30d on NDCG@10 in replay"),
        (-0.05, 0.15, "Two-stage does not beat popular-30d on NDCG@10 in replay"),
        (0.0, 0.15, "Two-stage does not beat popular-30d on NDCG@10 in replay"),
        (-0.15, -0.05, "Two-stage is worse than popular-30d on NDCG@10 in replay"),
        (None, None, "It is not known whether two-stage beats popular-30d on NDCG@10 in replay"),
        (float("nan"), float("nan"), "It is not known whether two-stage beats popular-30d on NDCG@10 in replay"),
    ],
)
def test_the_lift_over_popular_is_one_plain_sentence(low: float | None, high: float | None, sentence: str) -> None:
    lift = {"metric": "ndcg@10", "over": "popular-30d", "value": 0.1, "low": low, "high": high}

    found = changed("evaluation", lift=lift)

    assert sentence in printed(found)
    beats = any(text.startswith("Two-stage") for text in green_texts(found))
    assert beats == (low == 0.05)


def test_the_challenger_is_compared_or_its_absence_is_said() -> None:
    assert "Challenger 2 minus champion 1 on NDCG@10, same window, paired by user: 0.010" in printed(FULL)
    assert "No challenger was compared" in printed(changed("evaluation", challenger=None, comparison=None))


def test_reasons_are_printed_as_they_are_and_never_read_as_markup() -> None:
    found = changed("promotion", reasons=["[red]interval[/red] [-0.010, 0.030]"])

    assert "  [red]interval[/red] [-0.010, 0.030]" in printed(found)


def test_each_step_of_the_rollout_shows_stable_beside_canary_and_the_end_state_its_reasons() -> None:
    text = printed(FULL)

    (row,) = [line for line in text.splitlines() if line.startswith("│") and "10 %" in line]
    assert [cell.strip() for cell in row.split("│")[2:7]] == [
        "40 / 40",
        "0 / 0",
        "1 / 1",
        "22.1 / 22.1",
        "0.0512 / -",
    ]
    assert "asked by simulated people" in text
    assert "ended as HALTED\n  40 requests; at least 100 are needed" in text


def test_a_rollout_without_steps_says_so() -> None:
    assert "no step was run" in printed(changed("canary", steps=[]))


def test_a_rollout_without_known_clicks_shows_none() -> None:
    (step,) = FULL["canary"]["steps"]
    unknown = {**step, "quality": {"clicks": {"missing": "the request log is empty"}}}

    assert "- / -" in printed(changed("canary", steps=[unknown]))


def test_the_rollouts_own_reasons_come_before_those_of_its_last_step() -> None:
    assert "ended as HALTED\n  out of events\n" in printed(changed("canary", reasons=["out of events"]))


def test_time_and_memory_are_the_sum_and_the_largest_over_the_steps() -> None:
    text = printed(FULL)

    assert "Time of 2 steps: 164 s (bound 360 s: holds), longest train" in text
    assert "Largest process: 2,100 MB (bound 3,000 MB: holds), in train" in text


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.report)
def test_a_report_that_is_missing_damaged_or_strange_is_a_line_with_its_command(part: Any) -> None:
    without = {name: report for name, report in FULL.items() if name != part.report}

    assert f"{part.report}.json is not there: run `{part.made_by}`" in printed(without)
    assert f"{part.report}.json cannot be read: run `{part.made_by}`" in printed(without, part.report)
    strange = printed({**FULL, part.report: {"steps": 3}})
    assert f"{part.report}.json does not hold what this table shows: run `{part.made_by}`" in strange


def test_nothing_is_green_when_no_report_is_there() -> None:
    assert green_texts({}) == []


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


@settings(deadline=None)  # rendering tables is slow on a busy machine
@given(report=st.sampled_from(sorted(FULL)), data=st.data())
def test_a_report_with_any_value_in_any_key_never_crashes_the_table(report: str, data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(FULL[report])))

    assert printed(changed(report, **{key: data.draw(json_values)}))


def test_the_request_to_try_is_one_line_that_a_shell_reads_back() -> None:
    (line,) = [line for line in printed(changed("evaluation", example_user="o'hara")).splitlines() if "curl" in line]

    words = shlex.split(line)
    assert words[:5] == ["curl", "-s", "localhost:3000/recommend", "-H", "content-type: application/json"]
    assert json.loads(words[6]) == {
        "user_id": "o'hara",
        "k": 5,
        "context": {"timestamp": "1998-04-01T00:00:00+00:00"},
    }


def test_a_moment_without_a_zone_is_sent_as_utc() -> None:
    found = changed("evaluation", window={"start": "1998-04-01 08:00:00", "end": "1998-04-23"})

    assert '"timestamp": "1998-04-01T08:00:00+00:00"' in printed(found)


def test_without_an_evaluation_there_is_no_request_to_try() -> None:
    text = printed({})

    assert "A request to try needs evaluation.json: run `make evaluate`" in text
    assert "curl -s" not in text
