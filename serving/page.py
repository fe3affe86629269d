"""The page at `/`: pick a person, see the slate and why, act on an item, see the slate change.

It shows people's histories, so SERVE_PAGE turns it on where that is wanted; elsewhere its paths are not there.
"""

import mimetypes
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from feature_repo.core.errors import StoreUnavailable
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.split import to_microseconds
from serving.graph.preferences import UNTIL_INTERACTIONS
from serving.http import to_json
from serving.page_data import PageData, as_json, history_of, offered_of, open_page_data, search
from serving.runtime import Runtime

# The page's files lie beside this one; a path that is not in this list is not there.
FILES = ("page.css", "page.js", "page_likes.js", "page_people.js", "page_service.js", "page_slate.js", "page.svg")
SHOWN_HISTORY = 12
OLD_LOG = timedelta(days=30)  # after that, "now" finds every recent-activity feature empty
HEADERS = {
    # Nothing from elsewhere, nothing inline, and nothing sent elsewhere: the page shows what people watched.
    "Content-Security-Policy": (
        "default-src 'none'; connect-src 'self'; img-src 'self'; style-src 'self'; script-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

Endpoint = Callable[[Request], Awaitable[Response]]


def page_routes() -> list[Route]:
    return [
        Route("/", where_on(page), methods=["GET"]),
        *(Route(f"/{name}", where_on(file_of(name)), methods=["GET"]) for name in FILES),
        Route("/page/about", where_on(about), methods=["GET"]),
        Route("/page/people", where_on(people), methods=["GET"]),
        Route("/page/history", where_on(history), methods=["GET"]),
        Route("/page/preferences", where_on(preferences), methods=["GET"]),
        Route("/page/items", where_on(items), methods=["GET"]),
    ]


def where_on(endpoint: Endpoint) -> Endpoint:
    """The endpoint where the page is on; 404 elsewhere."""

    async def answer(request: Request) -> Response:
        if not _runtime(request).settings.page:
            return Response(status_code=404)
        return await endpoint(request)

    return answer


def default_moment(data_until: datetime, *, now: datetime) -> datetime | None:
    """The end of an old log, so that its users look alive; None, which means now, for a live one."""
    return data_until if now - data_until > OLD_LOG else None


async def page(_: Request) -> Response:
    """GET /: the page."""
    return _file("page.html")


def file_of(name: str) -> Endpoint:
    async def answer(_: Request) -> Response:
        return _file(name)

    return answer


async def about(request: Request) -> Response:
    """GET /page/about: what is served, the moment that the page starts at, and which events it can send."""
    runtime, now = _runtime(request), datetime.now(UTC)
    moment = default_moment(runtime.data_until, now=now)
    return _json(
        {
            "model_version": runtime.settings.version,
            "variant": runtime.settings.variant,
            "max_k": runtime.settings.max_k,
            "event_types": (await _data(request)).event_types,
            "now": now.isoformat(),
            "moment": None if moment is None else moment.isoformat(),
        }
    )


async def people(request: Request) -> Response:
    """GET /page/people?q=..: some known users, by id and attributes."""
    known = (await _data(request)).people
    found = search(known, request.query_params.get("q", ""))
    return _json({"people": as_json(found), "known": len(known)})


async def history(request: Request) -> Response:
    """GET /page/history?user_id=..: what the next answer goes by; `read` is false when the store did not answer.

    `is_new` says that what the user declares still counts.
    """
    # Loaded long ago by the start; Bento's supervisor does not need it.
    from serving.graph.overlay import with_recent
    from serving.graph.user import interactions_of

    runtime, user_id = _runtime(request), request.query_params.get("user_id", "")
    recent = runtime.recent.of(user_id)
    try:
        stored, read = runtime.reader.user_row(user_id), True
    except StoreUnavailable:
        stored, read = {}, False
    row = with_recent(stored, recent.events, moment_us=to_microseconds(datetime.now(UTC)))
    is_new = read and interactions_of(row) < UNTIL_INTERACTIONS
    shown = history_of(row, limit=SHOWN_HISTORY)
    return _json({"items": shown, "hidden": recent.hidden, "read": read, "is_new": is_new})


async def preferences(request: Request) -> Response:
    """GET /page/preferences?user_id=..: what items can be picked by, and what this user declared."""
    runtime = _runtime(request)
    declared = runtime.preferences.of(request.query_params.get("user_id", ""))
    offered = await run_in_threadpool(offered_of, runtime.recommender.items.columns)
    return _json({"offered": offered, "declared": {"items": declared.items, "attributes": dict(declared.attributes)}})


async def items(request: Request) -> Response:
    """GET /page/items?id=..&id=..: what the page shows of each item."""
    runtime = _runtime(request)
    ids = request.query_params.getlist("id")[: runtime.settings.max_k]
    return _json({item_id: dict(runtime.recommender.item(item_id)) for item_id in ids})


async def _data(request: Request) -> PageData:
    state = request.app.state
    if getattr(state, "page_data", None) is None:
        until = _runtime(request).data_until
        # Off the event loop: a log of millions of events takes a second.
        state.page_data = await run_in_threadpool(open_page_data, Workspace.from_env(), until=until)
    data: PageData = state.page_data
    return data


def _runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


def _file(name: str) -> Response:
    path = Path(__file__).with_name(name)
    return Response(path.read_bytes(), media_type=mimetypes.guess_type(name)[0], headers=HEADERS)


def _json(value: dict[str, Any]) -> Response:
    return Response(to_json(value), media_type="application/json", headers=HEADERS)
