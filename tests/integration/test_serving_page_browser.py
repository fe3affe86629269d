"""The page as a person meets it: headless Chromium over a real server, a real store and a bundle made by hand."""

import importlib.util
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from browser import PROGRAM, Page, browser_page

from feature_repo.core.workspace import Workspace
from feature_repo.dataset.received import read_received
from feature_repo.store.item_table import newest_snapshot, publish
from serving.graph.preferences import PreferenceFiles
from serving.process import running_server

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(PROGRAM is None, reason="needs Debian's chromium, which .ci/run installs"),
]

TITLES = "[...document.querySelectorAll('.card h3')].map((e) => e.firstChild.textContent.trim())"
ERROR = "document.querySelector('#likes [role=alert]').textContent"
STATUS = "document.getElementById('status').textContent"
GENRES = ("comedy", "drama", "horror", "western")
PHONE, DESK = (390, 844), (1280, 900)


@pytest.fixture(scope="module")
def workspace(copy_of_world: Callable[[Path], Workspace], tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    copy = copy_of_world(tmp_path_factory.mktemp("page") / "build")
    with_genres(copy)
    return copy


@pytest.fixture(scope="module")
def address(workspace: Workspace) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SERVE_PAGE", "true")
        with running_server(workspace, version="1") as server:
            yield f"http://127.0.0.1:{server.port}"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser_page(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture
def page(browser: Page, address: str) -> Page:
    """The page on a desk's screen with the slate of u3."""
    browser.screen(width=DESK[0], height=DESK[1])
    browser.prefer(color_scheme="light", reduced_motion="reduce")
    browser.complaints.clear()
    browser.asked.clear()
    browser.go(f"{address}/?user_id=u3")
    browser.wait_for(f"document.title === 'Recommendations' && {TITLES}.length === 10")
    browser.wait_for("document.querySelector('main').ariaBusy === 'false'")
    return browser


def test_with_keys_alone_a_person_is_found_an_item_is_taken_up_and_the_slate_changes(
    page: Page, workspace: Workspace
) -> None:
    page.press("Tab")
    first = page.focused()
    page.press("Tab")
    search = page.focused()
    page.type("u7")
    page.wait_for("document.querySelectorAll('[role=option]').length > 0")
    page.press("ArrowDown")
    chosen = page.run("document.querySelector('[role=option][aria-selected=true]').dataset.id")
    page.press("Enter")
    page.wait_for("document.getElementById('slate-title').textContent === 'For user u7'")
    page.wait_for(f"{STATUS} === '10 items, the best first.'")
    before = page.run(TITLES)
    page.press("Tab")
    offered = page.focused()
    page.press("Enter")
    page.wait_for(f"{STATUS}.startsWith('View: ')")
    after = page.run(TITLES)
    then = page.focused()
    page.press("Tab")
    page.press(" ")
    page.wait_for(f"{STATUS}.startsWith('Hide: ')")
    last = page.run(TITLES)

    assert first == ("link", "Skip to the slate")
    assert search == ("combobox", "Search by id or attribute")
    assert chosen == "u7"
    assert offered == ("button", f"View: {before[0]}")
    assert before[0] not in after
    assert len(after) == 10
    assert then == ("button", f"View: {after[0]}")
    assert after[0] not in last
    assert len(last) == 10
    assert page.focused() == ("button", f"Hide: {last[0]}")
    history = page.run("[...document.querySelectorAll('#history li')].map((e) => e.innerText.split('\\n')[0])")
    assert history[:2] == [after[0], before[0]]
    events = read_received(workspace).to_pylist()
    assert {(e["user_id"], e["event_type"], e["position"]) for e in events} == {("u7", "view", 1), ("u7", "hide", 1)}
    assert {len(e["request_id"]) for e in events} == {32}


def test_escape_closes_the_list_and_gives_back_the_person_that_is_shown(page: Page) -> None:
    page.run("document.getElementById('person').focus()")
    page.type("nobody yet")
    page.wait_for("document.querySelectorAll('[role=option]').length === 1")
    offered = page.run("document.querySelector('[role=option]').textContent")
    page.press("Escape")

    assert offered == "nobody yetAsk as a new person"
    assert page.run("document.getElementById('people').hidden")
    assert page.run("document.getElementById('person').value") == "u3"
    assert page.run("document.getElementById('person').ariaExpanded") == "false"


def test_somebody_new_gets_a_slate(page: Page) -> None:
    page.run("document.getElementById('person').focus()")
    page.type("nobody yet")
    page.press("Enter")
    page.wait_for("document.getElementById('slate-title').textContent === 'For user nobody yet'")
    page.wait_for(f"{STATUS} === '10 items, the best first.'")

    assert page.run("document.getElementById('history-hint').textContent") == "Nothing is known yet: a new person."


def test_with_keys_alone_a_new_person_says_what_to_like_and_the_slate_follows(
    page: Page, workspace: Workspace, address: str
) -> None:
    page.go(f"{address}/?user_id=somebody new")
    page.wait_for(f"document.getElementById('likes')?.open && {STATUS} === '10 items, the best first.'")
    before = page.run(TITLES)
    page.run("document.getElementById('person').focus()")
    page.press("Tab")
    summary = page.focused()
    page.press("Tab")
    first = page.focused()
    page.press("Tab", times=4)
    button = page.focused()
    page.press("Enter")
    page.wait_for(f"{ERROR} !== ''")
    refused, at_refusal = page.run(ERROR), page.focused()
    page.run(axe_script())
    broken = violations(page)
    page.press("Tab", times=2)
    page.press(" ")
    after_choice = page.run(ERROR)
    page.press("Tab", times=2)
    page.press("Enter")
    page.wait_for(f"{STATUS}.startsWith('1 of your likes count')")
    after, then = page.run(TITLES), page.focused()
    declared = PreferenceFiles(workspace.store / "preferences").of("somebody new")
    page.go(f"{address}/?user_id=somebody new")
    page.wait_for(f"{TITLES}.length === 10 && !document.getElementById('likes').hidden")

    assert summary[1] == "What do you like?"
    assert first == ("checkbox", "comedy")
    assert button == ("button", "Save and ask again")
    assert refused == "Pick at least one thing that you like."
    assert at_refusal == first
    assert broken == []
    assert after_choice == ""
    assert then == summary
    assert declared.attributes == {"genre": ("horror",)}
    assert after != before
    assert horrors(after[:5]) > horrors(before[:5])
    assert page.run("[...document.querySelectorAll('#likes :checked')].map((e) => e.value)") == ["horror"]
    assert page.run("document.getElementById('likes').open") is False


def test_likes_that_cannot_be_stored_are_refused_in_words_and_one_who_did_enough_is_not_asked(
    page: Page, workspace: Workspace, address: str
) -> None:
    hidden_for_u3 = page.run("document.getElementById('likes').hidden")
    page.go(f"{address}/?user_id=unlucky")
    page.wait_for(f"document.getElementById('likes')?.open && {STATUS} === '10 items, the best first.'")
    folder = workspace.store / "preferences"
    kept = folder.rename(folder.with_name("kept")) if folder.exists() else None
    folder.write_text("a file stands where the folder belongs")
    page.run("document.querySelector('#likes input').click()")
    page.run("document.querySelector('#likes button').click()")
    page.wait_for(f"{ERROR} !== ''")
    refused = page.run(ERROR)
    folder.unlink()
    if kept:
        kept.rename(folder)

    assert hidden_for_u3
    assert refused.startswith("Nothing was saved: the preferences could not be stored")
    assert page.run("document.querySelector('#likes input').checked")


def test_the_page_says_what_answered_and_loads_nothing_from_elsewhere(page: Page, address: str) -> None:
    facts = page.run("document.getElementById('facts').innerText").split("\n")

    shown = dict(zip(facts[::2], facts[1::2], strict=True))
    assert (shown["Model"], shown["Variant"], shown["Degraded parts"]) == ("version 1", "stable", "none")
    assert shown["Round trip"].endswith(" ms")
    assert page.complaints == []
    assert [url for url in page.asked if not url.startswith((address, "data:"))] == []


def test_similar_items_open_in_a_dialog_that_gives_the_focus_back(page: Page) -> None:
    page.run("document.querySelector('[data-type=similar]').focus()")
    button = page.focused()
    page.press("Enter")
    page.wait_for("document.querySelector('dialog').open")
    inside = page.focused()
    listed = page.run("document.querySelectorAll('#similar-items li').length")
    page.press("Escape")

    assert listed == 10
    assert inside == ("button", "Close")
    assert page.focused() == button


def test_no_rule_of_axe_is_broken_in_any_state_of_the_page(page: Page) -> None:
    states = {
        "as it opens": "null",
        "with the list open": "document.getElementById('person').click()",
        "with the options open": "document.querySelector('details').open = true",
        "with the dialog open": "document.querySelector('[data-type=similar]').click()",
    }
    ready = {"with the list open": "document.querySelectorAll('[role=option]').length > 1"}
    ready |= {"with the dialog open": "document.querySelector('dialog').open"}
    page.run(axe_script())

    broken = {}
    for scheme in ("light", "dark"):
        page.prefer(color_scheme=scheme, reduced_motion="reduce")
        for state, script in states.items():
            page.run("document.getElementById('person').focus()")
            page.run(script)
            page.wait_for(ready.get(state, "true"))
            broken[scheme, state] = violations(page)
            page.press("Escape")

    assert broken == {state: [] for state in broken}


def test_a_screen_reader_meets_headings_lists_and_named_controls(page: Page) -> None:
    tree = page.tree()

    headings = [name for role, name in tree if role == "heading"]
    assert headings[:4] == ["Recommendations", "Person", "For user u3", "History"]
    assert len(headings) == 14
    controls = [(role, name) for role, name in tree if role in ("button", "combobox", "link", "spinbutton")]
    assert all(name for _, name in controls)
    assert len(set(controls)) == len(controls)
    assert ("status", "") in tree


@pytest.mark.parametrize(
    ("width", "height", "zoom", "mobile"),
    [(*PHONE, 1, True), (*DESK, 2, False), (*DESK, 4, False)],
    ids=["phone", "at 200 %", "at 400 %"],
)
def test_nothing_is_wider_than_the_screen(page: Page, width: int, height: int, zoom: float, mobile: bool) -> None:
    page.screen(width=width, height=height, zoom=zoom, mobile=mobile)

    assert page.run("document.documentElement.scrollWidth") <= width / zoom
    small = "[...document.querySelectorAll('button, input, summary')].filter((e) => e.checkVisibility())"
    assert page.run(f"Math.min(...{small}.map((e) => e.getBoundingClientRect().height))") >= 24


def test_what_moves_stands_still_for_who_asks_for_it(page: Page) -> None:
    page.run("document.querySelector('[data-type=view]').click()")
    page.wait_for("document.querySelector('.card.fresh')")
    moves = "getComputedStyle(document.querySelector('.card.fresh')).animationName"

    still = page.run(moves)
    page.prefer(reduced_motion="no-preference")

    assert (still, page.run(moves)) == ("none", "arrive")


def test_a_store_that_is_gone_is_said_in_words(page: Page, workspace: Workspace, address: str) -> None:
    # The last one in this file, since the store does not come back.
    with closing(sqlite3.connect(workspace.feast_online)) as connection, connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            connection.execute(f'DROP TABLE "{table}"')
    page.go(f"{address}/?user_id=u4")
    page.wait_for("document.querySelector('#facts .warn')")

    assert "features" in page.run("document.querySelector('#facts .warn').textContent")
    assert page.run("document.getElementById('history-hint').textContent") == "The feature store does not answer."


def with_genres(workspace: Workspace) -> None:
    """Give every item a genre, by its number, in a new snapshot."""
    newest = newest_snapshot(workspace)
    with pa.ipc.open_file(workspace.snapshots / newest.file) as reader:
        table = reader.read_all()
    genres = pa.array([genre_of(item.removeprefix("i")) for item in table["item_id"].to_pylist()])
    publish(table.append_column("genre", genres), workspace, as_of=newest.as_of)


def genre_of(number: str) -> str:
    return GENRES[int(number) % len(GENRES)]


def horrors(titles: list[str]) -> int:
    return sum(genre_of(title.split()[-1]) == "horror" for title in titles)


def axe_script() -> str:
    """The rules of axe-core, which a wheel carries as one file."""
    found = importlib.util.find_spec("axe_core_python")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).with_name("axe.min.js").read_text(encoding="utf-8") + ";null"


def violations(page: Page) -> list[Any]:
    return list(page.run("axe.run().then((r) => r.violations.map((v) => [v.id, v.nodes.map((n) => n.html)]))"))
