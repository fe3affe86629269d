"""The page at `/`: ask for a slate in a browser and see what it is made of."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from serving.http import to_json
from serving.runtime import Runtime

PAGE_FILE = Path(__file__).with_name("page.html")
# Nothing from elsewhere, and nothing sent elsewhere: the page shows what people watched.
CONTENT_POLICY = (
    "default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
OLD_LOG = timedelta(days=30)  # after that, "now" finds every recent-activity feature empty


def page_routes() -> list[Route]:
    return [
        Route("/", page, methods=["GET"]),
        Route("/page/items", items, methods=["GET"]),
    ]


def default_moment(data_until: datetime, *, now: datetime) -> datetime | None:
    """The end of an old log, so that its users look alive; None, which means now, for a live one."""
    return data_until if now - data_until > OLD_LOG else None


async def page(request: Request) -> Response:
    """GET /: the page, where it is on."""
    runtime: Runtime = request.app.state.runtime
    if not runtime.settings.page:
        return Response(status_code=404)
    moment = default_moment(runtime.data_until, now=datetime.now(UTC))
    defaults = {
        "version": runtime.settings.version,
        "variant": runtime.settings.variant,
        "max_k": runtime.settings.max_k,
        "moment": None if moment is None else moment.isoformat(),
    }
    html = PAGE_FILE.read_text(encoding="utf-8").replace("{{defaults}}", script_json(defaults))
    return HTMLResponse(html, headers={"Content-Security-Policy": CONTENT_POLICY})


async def items(request: Request) -> Response:
    """GET /page/items?id=..&id=..: what the page shows of each item."""
    runtime: Runtime = request.app.state.runtime
    if not runtime.settings.page:
        return Response(status_code=404)
    ids = request.query_params.getlist("id")[: runtime.settings.max_k]
    shown = {item_id: dict(runtime.recommender.item(item_id)) for item_id in ids}
    return Response(to_json(shown), media_type="application/json")


def script_json(value: dict[str, Any]) -> str:
    """JSON that cannot end the script element it stands in."""
    return to_json(value).decode().replace("<", "\\u003c")
