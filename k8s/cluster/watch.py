"""Changes of a variant's pods, for as long as anybody wants to know.

A watch ends by itself, is cut off, or is told that the server's memory does not reach back so far (410). It goes on
from the last resourceVersion that it saw, and after 410 from a new list; what changed in between is one RELISTED.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from k8s.cluster.api import LONGEST_PAUSE, Api
from k8s.cluster.errors import ClusterError, ClusterUnavailable, Expired, translated
from k8s.cluster.pods import Pod, pod_of, selector


@dataclass(frozen=True)
class Change:
    """What happened to a pod: ADDED, MODIFIED or DELETED; or RELISTED, with no pod: anything may have."""

    kind: str
    pod: Pod | None = None


class PodWatch:
    """Watches the pods of one variant. `stop` ends it from another thread."""

    def __init__(self, api: Api, variant: str) -> None:
        self._api = api
        self._variant = variant
        self._stopped = threading.Event()
        self._ended = threading.Event()
        self._ended.set()
        self._thread: int | None = None
        self._stream: Any = None
        self._version: str | None = None

    def changes(self) -> Iterator[Change]:
        """Changes from now on; ends after `stop` only. First comes RELISTED, as after every new list."""
        self._ended.clear()
        self._thread = threading.get_ident()
        try:
            yield from self._changes()
        finally:
            self._ended.set()

    def _changes(self) -> Iterator[Change]:
        while not self._stopped.is_set():
            try:
                if self._version is None:
                    self._version = self._listed()
                    yield Change("RELISTED")
                yield from self._watched()
            except Expired:
                self._version = None
            except ClusterUnavailable:
                self._stopped.wait(LONGEST_PAUSE / 4)
            except ClusterError:
                self._version = None
                self._stopped.wait(LONGEST_PAUSE)

    def stop(self) -> None:
        """End the iteration, at once where it waits for the server; from the iterating thread after this change."""
        self._stopped.set()
        if self._thread == threading.get_ident():
            return
        deadline = time.monotonic() + self._api.settings.request_seconds
        # A stream that begins just now forgets that it was stopped, so it is told until it ends.
        while not self._ended.is_set() and time.monotonic() < deadline:
            if self._stream is not None:
                self._stream.stop()
            self._ended.wait(0.02)

    def _listed(self) -> str:
        options = {"label_selector": selector(self._variant)}
        listed = self._api.call(self._api.core.list_namespaced_pod, self._api.settings.namespace, **options)
        return str(listed.metadata.resource_version)

    def _watched(self) -> Iterator[Change]:
        from kubernetes.watch import Watch

        self._stream = Watch()
        options = {
            "label_selector": selector(self._variant),
            "resource_version": self._version,
            "timeout_seconds": self._api.settings.watch_seconds,
            "allow_watch_bookmarks": True,
            "_request_timeout": (self._api.settings.request_seconds, self._api.settings.watch_seconds + 5),
        }
        events = self._stream.stream(self._api.core.list_namespaced_pod, self._api.settings.namespace, **options)
        try:
            for event in events:
                self._version = self._stream.resource_version
                if event["type"] != "BOOKMARK":
                    yield Change(event["type"], pod_of(event["object"], self._api))
                if self._stopped.is_set():
                    return
        except GeneratorExit:
            raise
        except Exception as error:  # noqa: BLE001 - the border, as in `Api.call`
            if not self._stopped.is_set():
                raise translated(error) from None
        finally:
            with suppress(Exception):
                events.close()
