"""The credit test on the request log: the better version is named, and what cannot tell is INCONCLUSIVE."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from feature_repo.core.team_draft import team_draft
from feature_repo.core.workspace import Workspace
from monitoring.experiments.commands import app
from monitoring.experiments.impressions import join
from monitoring.experiments.interleaving.job import page_of, screen
from monitoring.experiments.interleaving.judge import judge

NOW = datetime(2024, 5, 1, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
ITEMS = [f"i{n}" for n in range(10)]  # the first are what users like best
GOOD, K = ITEMS, 6
LOG = ("request_id", "user_id", "variant", "slate", "propensities", "moment", "model_version", "interleaved", "teams")


def shuffled(rng: np.random.Generator) -> list[str]:
    return [ITEMS[n] for n in rng.permutation(len(ITEMS))]


def row(request: int, slate: Any, teams: Any, **changes: Any) -> dict[str, Any]:
    fields = {"user_id": f"u{request % 150}", "variant": "stable", "moment": NOW, "model_version": "1"}
    mixed = {"request_id": f"r{request}", "slate": list(slate), "propensities": [1.0] * len(slate)}
    return {**fields, **mixed, "interleaved": "2", "teams": [int(team) for team in teams], **changes}


def drafts(requests: int, rng: np.random.Generator, *, second_is_good: bool) -> list[dict[str, Any]]:
    """Slates of the good ranking and a shuffled one."""
    found = []
    for request in range(requests):
        one, two = (shuffled(rng), GOOD) if second_is_good else (GOOD, shuffled(rng))
        slate = team_draft(one[:K], two[:K], k=K, rng=rng)
        found.append(row(request, slate.items, slate.credit))
    return found


def clicks_on(rows: list[dict[str, Any]], rng: np.random.Generator, *, at_random: bool = False) -> pa.Table:
    """Users look at a place with probability place^-0.5 and click what they like, or anything."""
    events = []
    for shown in rows:
        for place, item in enumerate(shown["slate"], start=1):
            likes = 0.3 if at_random else 0.5 * 0.7 ** ITEMS.index(item)
            if rng.random() < place**-0.5 * likes:
                events.append((shown["request_id"], item, NOW, "click", 1.0))
    names = ("request_id", "item_id", "timestamp", "event_type", "value")
    kinds = (pa.string(), pa.string(), pa.timestamp("us", tz="UTC"), pa.string(), pa.float64())
    columns = zip(*events, strict=True) if events else [[]] * len(names)
    return pa.table({n: pa.array(list(c), k) for n, c, k in zip(names, columns, kinds, strict=True)})


def report_of(rows: list[dict[str, Any]], events: pa.Table) -> dict[str, Any]:
    log = log_of(rows)
    joined = join(log, events, window=timedelta(hours=1), now=LATER, rewarded=("click",))
    return judge(joined, log, "2", alpha=0.05, now=LATER)


def log_of(rows: list[dict[str, Any]]) -> pa.Table:
    kinds = {"moment": pa.timestamp("us", tz="UTC"), "teams": pa.list_(pa.int8()), "interleaved": pa.string()}
    return pa.table({n: pa.array([r[n] for r in rows], kinds.get(n)) for n in LOG})


@pytest.mark.parametrize(("second_is_good", "verdict", "named"), [(True, "PASS", "2"), (False, "FAIL", "1")])
def test_the_better_of_a_good_and_a_shuffled_ranking_is_named(second_is_good: bool, verdict: str, named: str) -> None:
    rng = np.random.default_rng(5)
    rows = drafts(300, rng, second_is_good=second_is_good)

    report = report_of(rows, clicks_on(rows, rng))

    assert report["verdict"] == verdict
    assert report["reasons"][0].startswith(f"version {named} is preferred: credit a request ")
    assert (report["requests"], report["users"], report["name"]) == (300, 150, "interleaving-1-2")
    assert (report["found"]["low"] > 0) is second_is_good
    assert f'<p class="verdict">{verdict}</p>' in page_of(report)


def test_users_who_click_at_random_prefer_neither() -> None:
    rng = np.random.default_rng(6)
    rows = drafts(300, rng, second_is_good=True)

    report = report_of(rows, clicks_on(rows, rng, at_random=True))

    assert report["verdict"] == "INCONCLUSIVE"
    assert report["reasons"][0].startswith("neither is surely preferred: credit a request ")


def test_requests_that_one_version_answered_alone_are_counted_and_judge_nothing() -> None:
    rng = np.random.default_rng(7)
    rows = drafts(150, rng, second_is_good=True)
    alone = [{**row(1_000 + n, ITEMS[:K], []), "interleaved": None, "teams": None} for n in range(40)]

    report = report_of([*rows, *alone], clicks_on(rows, rng))

    assert (report["requests"], report["requests_of_one_version_alone"]) == (150, 40)


DOUBTS = {
    "no request whose window is over was mixed with version 2": [
        row(n, ITEMS[:2], [0, 0], interleaved="3") for n in (1, 2)
    ],
    "version 2 was mixed with versions 1, 5: it is compared with one": [
        row(n, ITEMS[:2], [1, -1] if n % 2 else [-1, 1], model_version="1" if n % 3 else "5") for n in range(200)
    ],
    "9 of at least 100 users saw a mixed slate": [row(n, ITEMS[:2], [1, -1] if n % 2 else [-1, 1]) for n in range(9)],
    "the coin was not fair, by who began: sample ratio mismatch": [row(n, ITEMS[:2], [1, -1]) for n in range(200)],
    "a preference needs a click that tells the rankers apart": [row(n, ITEMS[:2], [0, 0]) for n in range(200)],
}


@pytest.mark.parametrize(("sentence", "rows"), DOUBTS.items(), ids=range(len(DOUBTS)))
def test_what_cannot_tell_is_inconclusive_with_its_reason(sentence: str, rows: list[dict[str, Any]]) -> None:
    report = report_of(rows, clicks_on([], np.random.default_rng(1)))

    assert report["verdict"] == "INCONCLUSIVE"
    assert report["reasons"][0].startswith(sentence)
    assert report["found"] is None
    assert "No figure is shown." in page_of(report)
    assert screen(report)


def test_the_command_reads_the_log_writes_the_report_and_prints_the_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(root=tmp_path, store=tmp_path / "store")
    workspace.request_log.mkdir(parents=True)
    log = log_of(drafts(120, np.random.default_rng(8), second_is_good=True))
    pq.write_table(log.append_column("received_at", log["moment"]), workspace.request_log / "a.parquet")
    monkeypatch.setenv("BUILD", str(tmp_path))

    shown = CliRunner().invoke(app, ["interleaved", "2", "--now", LATER.isoformat()])

    assert shown.exit_code == 0, shown.output
    words = " ".join(shown.output.split())
    assert "120 mixed requests of 120 users; 0 requests were answered by the first version alone;" in words
    assert "Interleaving: version 1 with version 2 verdict: INCONCLUSIVE" in words
    assert {path.suffix for path in workspace.reports.glob("experiment-interleaving-1-2.*")} == {".json", ".html"}
