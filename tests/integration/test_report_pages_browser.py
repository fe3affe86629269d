"""The index of reports and the page on fairness as a person meets them, in headless Chromium."""

import importlib.util
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from browser import PROGRAM, Page, browser_page
from fair_window import fair_window

from feature_repo.core.workspace import write_json
from monitoring.fairness.assess import assess_fairness
from monitoring.fairness.page import render
from monitoring.fairness.policy import FairnessPolicy
from monitoring.reports_index import write_index

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(PROGRAM is None, reason="needs Debian's chromium, which .ci/run installs"),
]

NOW = datetime(2026, 5, 1, tzinfo=UTC)
PHONE, DESK = (390, 844), (1280, 900)
PAGES = ("index.html", "fairness.html")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages") / "reports"
    found = assess_fairness(fair_window(np.random.default_rng(1), kept=0.3), FairnessPolicy(resamples=200))
    window = {"start": "2026-04-01T00:00:00+00:00", "end": "2026-05-01T00:00:00+00:00"}
    report = {"champion": "1", "challenger": "2", "made_at": NOW.isoformat(), "window": window, **found}
    write_json(folder / "fairness.json", report)
    write_json(folder / "drift.json", {"verdict": "INCONCLUSIVE", "champion": "1"})
    write_json(folder / "promotion.json", {"verdict": "PASS", "champion": "2"})
    (folder / "fairness.html").write_text(render(report), encoding="utf-8")
    write_index(folder, now=NOW)
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser_page(tmp_path_factory.mktemp("browser")) as page:
        yield page


def show(browser: Page, folder: Path, name: str, size: tuple[int, int] = DESK) -> None:
    browser.screen(width=size[0], height=size[1])
    browser.complaints.clear()
    browser.asked.clear()
    address = (folder / name).as_uri()
    browser.go(address)
    browser.wait_for(f"document.readyState === 'complete' && location.href === {address!r}")


@pytest.mark.parametrize("name", PAGES)
def test_no_rule_of_axe_is_broken_and_nothing_is_fetched_from_elsewhere(browser: Page, folder: Path, name: str) -> None:
    show(browser, folder, name)
    browser.run("document.querySelectorAll('details').forEach((e) => { e.open = true })")
    browser.run(axe_script())

    broken = browser.run("axe.run().then((r) => r.violations.map((v) => [v.id, v.nodes.map((n) => n.html)]))")

    assert broken == []
    assert browser.complaints == []
    assert all(address.startswith(("file:", "data:")) for address in browser.asked)


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_wider_than_a_phone(browser: Page, folder: Path, name: str) -> None:
    show(browser, folder, name, PHONE)

    assert browser.run("document.documentElement.scrollWidth") <= PHONE[0]


def test_with_keys_alone_a_person_skips_to_the_reports_and_opens_the_one_that_failed(
    browser: Page, folder: Path
) -> None:
    show(browser, folder, "index.html")
    browser.press("Tab")
    first = browser.focused()
    browser.press("Enter")
    browser.press("Tab", times=2)
    link = browser.focused()
    browser.press("Enter")
    browser.wait_for("document.title === 'Fairness of version 2'")

    assert first == ("link", "Skip to the content")
    assert link == ("link", "fairness")


def test_a_screen_reader_meets_verdicts_as_words_and_links_with_names_of_their_own(browser: Page, folder: Path) -> None:
    show(browser, folder, "index.html")

    tree = browser.tree()

    assert [name for role, name in tree if role == "heading"] == [
        "Reports of the release",
        "What there is",
        "What is missing",
    ]
    cells = [name for role, name in tree if role in ("rowheader", "cell")]
    assert cells[:2] == ["fairness", "FAIL"]
    links = [name for role, name in tree if role == "link"]
    assert len(set(links)) == len(links)


def axe_script() -> str:
    """The rules of axe-core, which a wheel carries as one file."""
    found = importlib.util.find_spec("axe_core_python")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).with_name("axe.min.js").read_text(encoding="utf-8") + ";null"
