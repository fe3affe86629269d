"""A TCP proxy in front of a real server, whose answers can be made to come late."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

HOST = "127.0.0.1"
CHUNK = 65_536


class SlowProxy:
    """Holds back each piece of an answer for `delay` seconds, which may be changed at any moment."""

    def __init__(self, target: int) -> None:
        self.delay = 0.0
        self.port = 0
        self._target = target

    async def listen(self) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, HOST, 0)
        self.port = int(server.sockets[0].getsockname()[1])
        return server

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        try:
            server, to_server = await asyncio.open_connection(HOST, self._target)
        except OSError:
            to_client.close()
            return
        await asyncio.wait(
            [
                asyncio.create_task(self._pipe(client, to_server, late=False)),
                asyncio.create_task(self._pipe(server, to_client, late=True)),
            ],
            return_when=asyncio.FIRST_COMPLETED,
        )
        for writer in (to_client, to_server):
            writer.close()

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, late: bool) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                if late:
                    await asyncio.sleep(self.delay)
                writer.write(data)
                await writer.drain()


@contextmanager
def slow_proxy(target: int) -> Iterator[SlowProxy]:
    """A proxy on a free port in front of the port `target` of this machine."""
    proxy, loop, ready = SlowProxy(target), asyncio.new_event_loop(), threading.Event()

    def run() -> None:
        server = loop.run_until_complete(proxy.listen())
        ready.set()
        loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    thread = threading.Thread(target=run, name="slow-proxy")
    thread.start()
    ready.wait()
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
