import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from evaluated_report import report, report_content
from pydantic import ValidationError

from training.evaluation.glossary import term
from training.evaluation.headline import headline
from training.evaluation.html import best, number, render, write_page
from training.evaluation.page_content import Report
from training.verdict import Verdict

HOSTILE = "<script>alert('$x^2$')</script>\"&"


class Outside(HTMLParser):
    """Collects tags, and every address that the page would load from."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "xlink:href", "srcset"}]


@pytest.fixture(scope="module")
def page() -> str:
    return render(report())


def test_every_model_metric_and_figure_is_on_the_page(page: str) -> None:
    (evaluation,) = report().evaluations

    for row in evaluation.models:
        assert f'<th scope="row">{row.name}</th>' in page
        for metric, estimate in row.metrics.items():
            assert f'<th scope="col">{term(metric).label}</th>' in page
            assert number(estimate.value) in page
    for text in ("0.3400 to 0.3600", "+0.0500", "-0.1100 to -0.0900", "1,234", "the best on validation", "shop"):
        assert text in page
    for text in ("Every event asks first.", "The window is short.", "2,000 requests of 300 users, mean of 3 seeds"):
        assert text in page


def test_the_page_has_a_plot_of_each_kind_and_explains_its_metrics(page: str) -> None:
    names = re.findall(r'aria-label="([^"]+)"', page)
    assert names == [
        "NDCG@10 of every model",
        "Differences from ease",
        "NDCG@10 against Coverage",
        "NDCG@10 against Novelty@10",
        "NDCG@10 by segment of users",
        "NDCG@10 by segment of items",
        "Features by gain",
        "Learning",
    ]
    for text in ("ease_score", "user_age", "seed 1", "new", "How unequally items are shown", "Lower is better."):
        assert text in page


def test_the_page_needs_nothing_from_elsewhere(page: str) -> None:
    seen = Outside()

    seen.feed(page)

    assert "svg" in seen.tags
    assert not {"script", "iframe", "img"} & set(seen.tags)
    assert all(address.startswith(("#", "data:,")) for address in seen.addresses)


def test_a_hostile_name_is_text_in_the_table_and_in_the_plots() -> None:
    content = report_content(model=HOSTILE)
    content["title"] = content["importances"]["measure"] = content["charts"][0]["title"] = HOSTILE
    content["data"] = {HOSTILE: HOSTILE}
    content["evaluations"][0]["segments"][0]["segment"] = HOSTILE

    page = render(Report.model_validate(content))

    seen = Outside()
    seen.feed(page)
    assert "script" not in seen.tags
    assert "&lt;script&gt;" in page
    assert page.count("$x^2$") > 8


def test_the_same_content_gives_the_same_bytes_in_a_folder_that_is_made_for_it(page: str, tmp_path: Path) -> None:
    write_page(report(), tmp_path / "reports" / "evaluation.html")

    assert (tmp_path / "reports" / "evaluation.html").read_text(encoding="utf-8") == page


def test_a_report_is_json_and_comes_back_the_same() -> None:
    content = report()

    assert Report.model_validate(content.model_dump(mode="json")) == content
    assert Report.model_validate_json(content.model_dump_json()) == content


def test_the_best_value_is_marked_in_the_direction_that_is_better() -> None:
    (evaluation,) = report().evaluations

    assert best(evaluation, "ndcg@10") == {"two-stage"}
    assert best(evaluation, "gini") == {"two-stage"}
    assert best(evaluation, "recall@10") == {"two-stage", "ease", "popular"}
    assert best(evaluation, "novelty@10") == set()


@pytest.mark.parametrize(
    ("gap", "verdict", "sentence", "certainty"),
    [
        (0.05, Verdict.PASS, "two-stage is better than ease: NDCG@10 0.3500 against 0.3000, +16.7 %.", "above zero"),
        (-0.05, Verdict.FAIL, "two-stage is worse than ease: NDCG@10 0.2500 against 0.3000, -16.7 %.", "below zero"),
        (0.006, Verdict.INCONCLUSIVE, "two-stage and ease cannot be told apart", "more than 0.005 is ruled out"),
        (0.001, Verdict.INCONCLUSIVE, "two-stage and ease cannot be told apart", "more than 0.005 is not ruled out"),
    ],
)
def test_the_headline_says_what_won_by_how_much_and_how_sure_that_is(
    gap: float, verdict: Verdict, sentence: str, certainty: str
) -> None:
    found = headline(report(gap=gap).evaluations[0])

    assert found.verdict is verdict
    assert found.sentence.startswith(sentence)
    assert certainty in found.certainty


def test_the_headline_names_a_model_that_is_better_than_both() -> None:
    content = report_content()
    content["evaluations"][0]["models"][2]["metrics"]["ndcg@10"] = {"value": 0.9}

    found = headline(Report.model_validate(content).evaluations[0])

    assert found.certainty.endswith("The highest value in the table is that of popular, 0.9000.")


def test_without_a_comparison_the_headline_claims_nothing() -> None:
    content = report_content()
    content["evaluations"][0]["differences"] = []

    found = headline(Report.model_validate(content).evaluations[0])

    assert (found.verdict, found.certainty) == (Verdict.INCONCLUSIVE, "It was compared with nothing.")


def test_a_report_of_one_model_alone_is_a_page_too() -> None:
    content = report_content()
    evaluation = content["evaluations"][0]
    evaluation |= {"models": evaluation["models"][:1], "reference": "two-stage", "differences": [], "segments": []}
    content |= {"importances": None, "charts": [], "notes": [], "data": {}}

    page = render(Report.model_validate(content))

    assert "two-stage has NDCG@10 0.3500." in page


def broken(**changes: Any) -> dict[str, Any]:
    content = report_content()
    content["evaluations"][0] |= changes
    return content


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (broken(model="als"), r"expected models among \['two-stage', 'ease', 'popular'\]; got \['als'\] too"),
        (broken(metric="map@10"), "expected map@10 for every model"),
        (broken(models=report_content()["evaluations"][0]["models"] * 2), "expected one row for each model"),
        (broken(margin=float("nan")), "finite number"),
        (broken(sedes=3), "Extra inputs are not permitted"),
    ],
)
def test_a_report_that_does_not_fit_together_is_refused(content: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        Report.model_validate(content)


def test_a_metric_that_nobody_explained_stands_for_itself() -> None:
    assert term("loss@3").label == "loss@3"
    assert term("ndcg@20").label == "NDCG@20"
    assert term("loss").better is None
