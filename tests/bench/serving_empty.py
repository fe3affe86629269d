"""Endpoints that answer nothing, each served in one process as ours is: what the framework alone costs.

`python -m bench.serving_empty native|mounted|bare PORT`: a native BentoML endpoint; an endpoint mounted the way ours
is, behind the same front; and no HTTP framework at all, but a fixed answer to whatever arrives, which shows what the
load generator itself is capable of.
"""

import asyncio
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

HOST = "127.0.0.1"
MAX_BODY_BYTES = 1_000_000
FIXED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


def native() -> Any:
    import bentoml

    class Native:
        """Takes what ours takes, and does nothing with it."""

        @bentoml.api
        def recommend(self, user_id: str, k: int, context: dict[str, str]) -> dict[str, str]:  # noqa: ARG002
            return {}

    service = bentoml.service(name="native", workers=1, logging={"access": {"enabled": False}})(Native)
    return service.to_asgi()


def mounted() -> Any:
    import bentoml
    from starlette.applications import Starlette
    from starlette.routing import Route

    from serving.operations.front import Front

    class Mounted:
        """A service with nothing but what is mounted into it."""

    ours = Starlette(routes=[Route("/recommend", empty, methods=["POST"]), Route("/readyz", ready)])
    ours.state.runtime = None
    service = bentoml.service(name="mounted", workers=1, logging={"access": {"enabled": False}})(Mounted)
    service.mount_asgi_app(ours)
    return Front(service.to_asgi(), ours=ours)


async def empty(request: "Request") -> "Response":
    from serving.app import json_response, read_body

    await read_body(request, MAX_BODY_BYTES)
    return json_response(b"{}")


async def ready(_: "Request") -> "Response":
    from serving.app import json_response

    return json_response(b"{}")


class Fixed(asyncio.Protocol):
    """Answers each request that arrives in one piece."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, _: bytes) -> None:
        self._transport.write(FIXED)


async def bare(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Fixed, HOST, port)
    await server.serve_forever()


def main(kind: str, port: int) -> None:
    if kind == "bare":
        asyncio.run(bare(port))
        return
    from serving.server import KEEP_ALIVE_SECONDS, keep_metrics_in_memory, prepared_for_bento

    keep_metrics_in_memory()
    with tempfile.TemporaryDirectory() as home, prepared_for_bento(Path(home)):
        import uvicorn

        app = {"native": native, "mounted": mounted}[kind]()
        uvicorn.run(
            app,
            host=HOST,
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )


if __name__ == "__main__":
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
    main(sys.argv[1], int(sys.argv[2]))
