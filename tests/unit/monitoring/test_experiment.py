"""An A/B experiment from its declaration to the decision on record."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from experiment_world import AFTER, DECLARED, STARTS, click, clicks_on, log_rows, request, write_world
from rich.console import Console
from typer.testing import CliRunner

from feature_repo.core.errors import MissingArtifact, NotMeasurable, SettingsRefused
from feature_repo.dataset.received import RECEIVED_SCHEMA
from feature_repo.dataset.request_log_schema import REQUEST_LOG_SCHEMA
from monitoring.experiments.analysis import Analysis, analyse, judge
from monitoring.experiments.assign import read_strata, stratified, variant_of
from monitoring.experiments.baseline import baseline_of
from monitoring.experiments.commands import app
from monitoring.experiments.compare import strata_of
from monitoring.experiments.comparison import Comparison
from monitoring.experiments.declaration import Experiment, read_experiment
from monitoring.experiments.impressions import join
from monitoring.experiments.job import analyse_file
from monitoring.experiments.moment import moment_of
from monitoring.experiments.page import page_of
from monitoring.experiments.plan import plan_of
from monitoring.experiments.record import record
from monitoring.experiments.report import report_of
from monitoring.experiments.screen import analysis_table, baseline_line, plan_table
from training.verdict import Verdict

KEY = b"sixteen bytes or more"
EQUAL, BETTER, WORSE = ({"champion": 0.2, "challenger": rate} for rate in (0.2, 0.35, 0.08))


def declared(**more: Any) -> Experiment:
    return Experiment.model_validate(DECLARED | more)


def declared_file(folder: Path, text: str | None = None, **more: Any) -> Path:
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump(DECLARED | more) if text is None else text, encoding="utf-8")
    return path


def analysed(rates: Mapping[str, float], experiment: Experiment, *, users: int = 400, seed: int = 1) -> Analysis:
    rng = np.random.default_rng(seed)
    log = log_rows(rates, users=users)
    return analysis_of(log, clicks_on(log, rates, rng), experiment)


def analysis_of(log: pa.Table, events: pa.Table, experiment: Experiment) -> Analysis:
    joined = join(log, events, window=experiment.window, now=AFTER, rewarded=experiment.rewarded)
    return analyse(joined, experiment, now=AFTER)


def test_a_better_treatment_passes_and_a_worse_one_fails() -> None:
    better, worse = analysed(BETTER, declared()), analysed(WORSE, declared())

    assert better.verdict is Verdict.PASS
    assert better.reasons[0].startswith("challenger: clicks per impression is better: lift +")
    assert worse.verdict is Verdict.FAIL
    assert better.versions == {"champion": ("6",), "challenger": ("7",)}


def test_an_equal_treatment_is_inconclusive() -> None:
    found = analysed(EQUAL, declared())

    assert found.verdict is Verdict.INCONCLUSIVE
    assert "is not decided" in found.reasons[0]


def test_every_kind_of_metric_is_compared_with_its_textbook_test() -> None:
    metrics = ("slate_click_rate", "clicks_per_user", "clicking_users", "value_per_user", "value_per_impression")
    found = analysed(BETTER, declared(secondary=[{"metric": name} for name in metrics]))

    tests = {c.metric: c.test for c in found.comparisons}
    assert tests["click_rate"] == tests["slate_click_rate"] == "delta method, by user"
    assert (tests["clicks_per_user"], tests["clicking_users"]) == ("Welch's t", "chi-squared")
    assert [c.rank_p_value is None for c in found.comparisons] == [True, True, False, True, False, True]
    assert len(found.discoveries) == len(metrics)
    assert all(adjusted >= c.p_value for adjusted, c in zip(found.discoveries, found.comparisons[1:], strict=True))


def test_a_guardrail_beyond_its_margin_fails_an_experiment_whose_primary_metric_is_better() -> None:
    guardrail = {"metric": "clicks_per_user", "better": "lower", "margin": 0.1}

    found = analysed(BETTER, declared(guardrails=[guardrail]))

    assert found.verdict is Verdict.FAIL
    assert "clicks per user is worse" in found.reasons[0]
    assert "margin 10.0%" in found.reasons[0]


def test_a_guardrail_that_keeps_its_margin_is_named() -> None:
    found = analysed(BETTER, declared(guardrails=[{"metric": "slate_click_rate", "margin": 0.1}]))

    assert found.verdict is Verdict.PASS
    assert "share of slates with a click keeps its margin" in found.reasons[1]


def test_a_guardrail_that_could_be_either_holds_the_verdict_up() -> None:
    primary = comparison(role="primary", lift=0.2, low=0.1, high=0.3, p_value=0.001, margin=None)
    unsure = comparison(role="guardrail", lift=-0.01, low=-0.05, high=0.03, p_value=0.6, margin=0.02)

    verdict, reasons = judge([primary, unsure], declared())

    assert verdict is Verdict.INCONCLUSIVE
    assert "clicks per impression is not decided: lift -1.0%" in reasons[0]
    assert judge([primary, replace(unsure, lift_low=-0.01)], declared())[0] is Verdict.PASS


def test_one_passing_treatment_of_several_passes() -> None:
    three = declared(variants={"champion": 0.4, "one": 0.3, "two": 0.3})
    good = comparison(role="primary", lift=0.2, low=0.1, high=0.3, p_value=0.001, margin=None)
    bad = replace(good, lift=-0.2, lift_low=-0.3, lift_high=-0.1)

    verdict, reasons = judge([replace(bad, treatment="one"), replace(good, treatment="two")], three)

    assert (verdict, len(reasons)) == (Verdict.PASS, 1)
    # Two treatments share alpha, so what passes at 5 % alone may not pass here.
    late = replace(good, p_value=0.04)
    assert judge([replace(bad, treatment="one"), replace(late, treatment="two")], three)[0] is Verdict.INCONCLUSIVE


def comparison(*, role: Any, lift: float, low: float, high: float, p_value: float, margin: float | None) -> Comparison:
    return Comparison(
        metric="click_rate",
        role=role,
        treatment="challenger",
        better="higher",
        margin=margin,
        control_value=0.2,
        treatment_value=0.2 * (1 + lift),
        difference=0.2 * lift,
        difference_low=0.2 * low,
        difference_high=0.2 * high,
        lift=lift,
        lift_low=low,
        lift_high=high,
        p_value=p_value,
        test="by hand",
        rank_p_value=None,
        variance_left=1.0,
    )


def test_a_page_and_a_table_of_several_treatments_name_them() -> None:
    rates = {"champion": 0.2, "one": 0.2, "two": 0.35}
    three = declared(variants={"champion": 0.4, "one": 0.3, "two": 0.3})
    three = three.model_copy(update={"variants": dict.fromkeys(rates, 1 / 3)})
    report = report_of(three, analysed(rates, three, users=600), now=AFTER)
    console = Console(record=True, width=140)

    console.print(analysis_table(report))

    assert "clicks per impression, two" in page_of(report)
    assert "clicks per impression, two" in console.export_text()


def test_a_verdict_without_any_comparison_is_refused() -> None:
    three = declared(variants={"champion": 0.4, "one": 0.3, "two": 0.3})

    with pytest.raises(NotMeasurable, match="a treatment that was compared"):
        judge([], three.model_copy(update={"variants": {"champion": 1.0}}))


def test_figures_are_withheld_before_the_end_and_of_a_handful_of_users() -> None:
    few = analysed(BETTER, declared(), users=100)
    assert few.verdict is Verdict.INCONCLUSIVE
    assert few.reasons[0] == "variant champion has 50 of at least 100 users"
    assert few.comparisons == ()

    early = analysed(BETTER, declared(ends=(AFTER + timedelta(days=1)).isoformat()))
    assert early.reasons == (f"it is read once, after its last window: {(AFTER + timedelta(days=2)).isoformat()}",)
    assert early.comparisons == ()


def test_what_is_not_decided_says_how_many_users_it_was_short_of() -> None:
    small = declared(primary=DECLARED["primary"] | {"minimum_effect": 0.1})

    found = analysed(EQUAL, small)

    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.reasons[1] == "variant champion has 200 of 1,736 planned users"
    # What is decided at the end needs no more users than it had.
    assert analysed(BETTER, small).verdict is Verdict.PASS


def test_always_valid_intervals_may_be_read_early_and_are_wider() -> None:
    watched = declared(ends=(AFTER + timedelta(days=1)).isoformat(), looks="any")

    found, once = analysed(BETTER, watched), analysed(BETTER, declared())

    assert found.verdict is Verdict.PASS
    assert found.comparisons[0].test == "always valid (mSPRT)"
    widths = [c.lift_high - c.lift_low for c in (found.comparisons[0], once.comparisons[0])]
    assert widths[0] > widths[1]
    assert "has 40 of at least 100 users" in analysed(BETTER, watched, users=80).reasons[0]


def test_a_variant_without_users_is_inconclusive() -> None:
    found = analysed({"champion": 0.2}, declared())

    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.reasons[0] == "variant challenger has no user"


def test_a_metric_that_is_the_same_for_everybody_is_inconclusive() -> None:
    found = analysed({"champion": 0.0, "challenger": 0.0}, declared())

    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.reasons == (
        "challenger: clicks per impression: a difference needs a metric that varies between users; "
        "got one value for everybody",
    )


def test_users_in_several_variants_are_left_out_and_many_of_them_make_it_inconclusive() -> None:
    rows = [request(f"user-{n}", variant, f"{n}{variant}", STARTS) for n in range(300) for variant in EQUAL]

    found = analysis_of(
        pa.Table.from_pylist(rows, schema=REQUEST_LOG_SCHEMA), RECEIVED_SCHEMA.empty_table(), declared()
    )

    assert found.crossed == 300
    assert "variant champion has no user" in found.reasons
    half = [*rows[:200], *(request(f"alone-{n}", "champion", f"a{n}", STARTS) for n in range(200))]
    mixed = analysis_of(
        pa.Table.from_pylist(half, schema=REQUEST_LOG_SCHEMA), RECEIVED_SCHEMA.empty_table(), declared()
    )
    assert "100 of 300 users saw several variants: users were not kept in one" in mixed.reasons


def test_a_sample_ratio_mismatch_is_inconclusive_whatever_the_difference() -> None:
    found = analysed(BETTER, declared(variants={"champion": 0.8, "challenger": 0.2}), users=1_000)

    assert found.verdict is Verdict.INCONCLUSIVE
    assert any(reason.startswith("sample ratio mismatch") for reason in found.reasons)


def test_a_variant_that_two_versions_answered_for_is_inconclusive() -> None:
    rng = np.random.default_rng(3)
    log = log_rows(BETTER, users=400)
    other = request("late", "challenger", "late", STARTS, model_version="8")
    log = pa.concat_tables([log, pa.Table.from_pylist([other], schema=REQUEST_LOG_SCHEMA)])

    found = analysis_of(log, clicks_on(log, BETTER, rng), declared())

    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.reasons == ("variant challenger was answered by versions 7, 8: it stands for none of them",)


def test_what_users_did_before_narrows_the_interval() -> None:
    """Users differ much from each other, and are as they were: CUPED and strata see that, and the effect stays."""
    rng = np.random.default_rng(4)
    rows, clicks = [], []
    for user in range(400):
        eager = rng.random() < 0.5
        variant = "challenger" if user % 2 else "champion"
        for n in range(-6, 6):
            rows.append(request(f"user-{user}", variant, f"{user}_{n}", STARTS + timedelta(hours=n)))
            rate = (0.6 if eager else 0.1) + (0.1 if variant == "challenger" and n >= 0 else 0.0)
            moment = STARTS + timedelta(hours=n, minutes=1)
            clicks += [click(f"{user}_{n}", item, moment) for item in ("x", "y") if rng.random() < rate]
    log = pa.Table.from_pylist(rows, schema=REQUEST_LOG_SCHEMA)
    events = pa.Table.from_pylist(clicks, schema=RECEIVED_SCHEMA)

    plain, cuped, strata = (
        analysis_of(log, events, declared(**more)).comparisons[0]
        for more in ({}, {"covariate_days": 1}, {"covariate_days": 1, "strata": 2})
    )

    assert plain.variance_left == 1.0
    assert cuped.variance_left < 0.5
    assert strata.variance_left == pytest.approx(cuped.variance_left, rel=0.1)
    for found in (plain, cuped, strata):
        assert found.difference_low < 0.1 < found.difference_high
    assert cuped.lift_high - cuped.lift_low < 0.8 * (plain.lift_high - plain.lift_low)


def test_strata_are_newcomers_and_even_groups_of_the_others() -> None:
    found = strata_of(np.array([0.0, 0.0, 1.0, 2.0, 3.0, 4.0]), 2)

    assert found.tolist() == [0, 0, 1, 1, 2, 2]
    assert strata_of(np.zeros(3), 2).tolist() == [0, 0, 0]


def test_a_plan_by_hand() -> None:
    found = plan_of(declared(primary=DECLARED["primary"] | {"minimum_effect": 0.1}))

    # 16 s^2 / d^2 = 16 * 0.04 * (1 + 1.1^2) / 2 / 0.0004 = 1,768; Lehr's rule for 5 % and 80 %.
    assert found.users["champion"] == pytest.approx(1_768, rel=0.03)
    # Of a share the spread under the effect is known: p = 0.2 and 0.22.
    share = {"metric": "clicking_users", "minimum_effect": 0.1, "mean": 0.2, "standard_deviation": 0.4}
    assert plan_of(declared(primary=share)).users["champion"] == pytest.approx(
        16 * (0.16 + 0.1716) / 2 / 0.0004, rel=0.03
    )
    assert found.users["champion"] == found.users["challenger"]
    assert plan_of(declared(looks="any", primary=DECLARED["primary"] | {"minimum_effect": 0.1})).total > found.total


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"surprise": 1}, "Extra inputs are not permitted at surprise; got 1"),
        ({"variants": {"a": 0.5, "b": 0.4}}, "shares of variants sum to 1; got"),
        ({"control": "nobody"}, "the control is one of the variants; got 'nobody'"),
        ({"ends": "2026-02-01T00:00:00Z"}, "starts before it ends"),
        ({"starts": "2026-03-01T00:00:00"}, "should have timezone info at starts"),
        ({"traffic": [50, 20]}, "two rising hundredths from 0 to 100"),
        ({"strata": 2}, "strata need covariate_days above 0; got 0"),
        ({"alpha": 0.7}, "less than 0.5 at alpha; got 0.7"),
        ({"primary": DECLARED["primary"] | {"metric": "luck"}}, "a metric is one of click_rate, .* got 'luck'"),
    ],
)
def test_a_declaration_that_breaks_a_rule_is_one_sentence(tmp_path: Path, more: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsRefused, match=words):
        read_experiment(declared_file(tmp_path, **more))


@pytest.mark.parametrize(
    ("text", "words"), [("a: [", "cannot be read"), ("- a", "states fields and values; .* holds list")]
)
def test_a_file_that_is_no_declaration_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SettingsRefused, match=words):
        read_experiment(declared_file(tmp_path, text))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused, match=r"nothing\.yaml cannot be read"):
        read_experiment(tmp_path / "nothing.yaml")


def test_users_fall_into_variants_by_their_shares_and_outside_the_traffic_into_none() -> None:
    experiment = declared(traffic=[0, 50], variants={"champion": 0.25, "challenger": 0.75})

    found = [variant_of(f"user-{n}", experiment, key=KEY) for n in range(4_000)]

    counts = {name: found.count(name) for name in (None, "champion", "challenger")}
    assert counts[None] == pytest.approx(2_000, abs=150)
    assert counts["champion"] == pytest.approx(500, abs=90)
    assert variant_of("user-0", experiment, key=KEY) == found[0]


def test_two_experiments_of_one_layer_that_share_its_traffic_out_have_no_user_in_common() -> None:
    one, two = declared(traffic=[0, 50]), declared(name="other", traffic=[50, 100])

    both = [name for name in map(str, range(500)) if variant_of(name, one, key=KEY) and variant_of(name, two, key=KEY)]

    assert both == []


def test_strata_are_dealt_out_evenly_and_the_lone_by_chance() -> None:
    strata = {f"user-{n}": str(n % 7) for n in range(700)} | {f"lone-{n}": f"lone-{n}" for n in range(400)}

    found = stratified(strata, declared(), key=KEY)

    for stratum in map(str, range(7)):
        assert sum(found[u] == "challenger" for u, s in strata.items() if s == stratum) == 50
    assert sum(found[f"lone-{n}"] == "challenger" for n in range(400)) == pytest.approx(200, abs=50)
    assert stratified(strata, declared(), key=KEY) == found


def test_the_analysis_of_a_workspace_is_a_json_a_page_and_a_table(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    log = log_rows(BETTER, users=400)
    workspace = write_world(tmp_path, log, clicks_on(log, BETTER, rng))
    file = declared_file(tmp_path, hypothesis="<b>more</b> clicks", secondary=[{"metric": "clicks_per_user"}])

    report = analyse_file(workspace, file, now=AFTER)

    written = json.loads((workspace.reports / "experiment-newer-towers.json").read_text())
    assert (written["verdict"], written["champion"], written["challenger"]) == ("PASS", "6", "7")
    page = (workspace.reports / "experiment-newer-towers.html").read_text()
    assert "&lt;b&gt;more&lt;/b&gt; clicks" in page
    assert "None is on record yet." in page
    console = Console(record=True, width=120)
    console.print(analysis_table(report))
    assert "clicks per impression" in console.export_text()


def test_the_page_of_an_analysis_without_figures_says_so(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    log = log_rows(BETTER, users=20)
    workspace = write_world(tmp_path, log, clicks_on(log, BETTER, rng))

    analyse_file(workspace, declared_file(tmp_path), now=AFTER)

    page = (workspace.reports / "experiment-newer-towers.html").read_text()
    assert "No figure is shown." in page
    assert "10 of 104 planned users" in page
    assert "10 of at least 100 users" in page


def test_nothing_served_is_a_sentence(tmp_path: Path) -> None:
    workspace = write_world(tmp_path, REQUEST_LOG_SCHEMA.empty_table(), RECEIVED_SCHEMA.empty_table())

    with pytest.raises(MissingArtifact, match="the request log is empty"):
        analyse_file(workspace, declared_file(tmp_path), now=AFTER)


def test_a_decision_is_kept_in_report_page_and_audit_and_survives_another_analysis(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    log = log_rows(BETTER, users=400)
    workspace = write_world(tmp_path, log, clicks_on(log, BETTER, rng))
    file = declared_file(tmp_path)
    analyse_file(workspace, file, now=AFTER)

    record(workspace, "newer-towers", choice="ship", by="Ann", because="more clicks", now=AFTER)
    analyse_file(workspace, file, now=AFTER + timedelta(days=1))

    written = json.loads((workspace.reports / "experiment-newer-towers.json").read_text())
    assert (written["decision"]["choice"], written["decision"]["by"]) == ("ship", "Ann")
    assert "ship, by Ann" in (workspace.reports / "experiment-newer-towers.html").read_text()
    (line,) = (workspace.store / "audit" / "experiments.jsonl").read_text().splitlines()
    assert json.loads(line)["verdict"] == "PASS"


def test_shipping_what_did_not_pass_needs_its_own_words(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    log = log_rows(EQUAL, users=400)
    workspace = write_world(tmp_path, log, clicks_on(log, EQUAL, rng))
    analyse_file(workspace, declared_file(tmp_path), now=AFTER)

    with pytest.raises(SettingsRefused, match="shipping needs the verdict PASS; got INCONCLUSIVE"):
        record(workspace, "newer-towers", choice="ship", by="Ann", because="I like it", now=AFTER)
    with pytest.raises(SettingsRefused, match="names a person and a reason; got '' and 'x'"):
        record(workspace, "newer-towers", choice="stop", by="", because="x", now=AFTER)
    reason = "cheaper to run, against the verdict"
    kept = record(workspace, "newer-towers", choice="ship", by="Ann", because=reason, now=AFTER)
    assert kept["decision"]["because"] == reason


def test_a_plan_on_screen_says_users_and_chances() -> None:
    console = Console(record=True, width=120)

    console.print(plan_table(declared(), plan_of(declared())))

    shown = console.export_text()
    assert "find a change of 50.0% of 0.2" in shown
    assert "read once, at the end" in shown


@pytest.mark.parametrize(("text", "words"), [("noon", "is ISO 8601"), ("2026-03-01T12:00:00", "needs a zone")])
def test_a_moment_without_a_zone_is_refused(text: str, words: str) -> None:
    with pytest.raises(SettingsRefused, match=words):
        moment_of(text)
    assert moment_of("2026-03-01T00:00:00Z") == STARTS


def test_the_commands_plan_deal_out_analyse_and_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    log = log_rows(BETTER, users=400)
    workspace = write_world(tmp_path, log, clicks_on(log, BETTER, rng))
    monkeypatch.setenv("BUILD", str(workspace.root))
    monkeypatch.setenv("RECOMMENDER_ASSIGNMENT_KEY", KEY.decode())
    file = str(declared_file(tmp_path, traffic=[0, 50]))
    (tmp_path / "strata.csv").write_text("user_id,stratum\nann,old\nbob,old\n")
    runner = CliRunner()

    planned = runner.invoke(app, ["plan", file])
    dealt = runner.invoke(app, ["assign", file, *map(str, range(20)), "--strata", str(tmp_path / "strata.csv")])
    analysed = runner.invoke(app, ["analyse", file, "--now", AFTER.isoformat()])
    recorded = runner.invoke(app, ["record", file, "--choice", "ship", "--by", "Ann", "--because", "more clicks"])

    assert [result.exit_code for result in (planned, dealt, analysed, recorded)] == [0, 0, 0, 0]
    assert "the log has no baseline: a baseline needs 2 users of champion" in " ".join(planned.output.split())
    words = dealt.output.split()
    assert len(dealt.output.splitlines()) == 22
    assert {"champion", "challenger", "part"} < set(words)
    assert "newer-towers verdict: PASS" in analysed.output
    assert "newer-towers: ship, by Ann, on the verdict PASS" in recorded.output


def test_a_plan_shows_what_the_log_says_beside_what_was_declared() -> None:
    rng = np.random.default_rng(1)
    log = log_rows(EQUAL, users=1_000)
    joined = join(log, clicks_on(log, EQUAL, rng), window=timedelta(days=1), now=AFTER, rewarded=["click"])
    later = declared(starts=AFTER.isoformat(), ends=(AFTER + timedelta(days=7)).isoformat())

    found = baseline_of(joined.impressions, later)

    # Six impressions a user, each clicked with 0.2: sqrt(0.2 * 0.8 / 6).
    assert (found.mean, found.standard_deviation) == pytest.approx((0.2, 0.163), abs=0.02)
    assert found.users == 500
    assert "declared 0.2 and 0.2" in baseline_line(later, found).plain


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("user,stratum\na,b\n", "columns user_id and stratum; got"),
        ("", "got no row"),
        ("user_id,stratum\na,b\na,c\n", "1 rows name one again"),
    ],
)
def test_strata_that_are_none_are_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "strata.csv").write_text(text)

    with pytest.raises(SettingsRefused, match=words):
        read_strata(tmp_path / "strata.csv")
    with pytest.raises(SettingsRefused, match=r"nothing\.csv cannot be read"):
        read_strata(tmp_path / "nothing.csv")
