"""Brings a turn at once when the canary's pods change: a pod that dies waits for no interval."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from k8s.cluster.api import Api
from k8s.cluster.watch import PodWatch

logger = logging.getLogger("k8s.controller")


@contextmanager
def waking(api: Api, wake: threading.Event) -> Iterator[None]:
    """Set `wake` at every change of the canary's pods while the block lasts.

    A controller whose watch is cut off is only slower, so nothing that happens to the watch ends it.
    """
    watch = PodWatch(api, "canary")

    def follow() -> None:
        for change in watch.changes():
            logger.debug("pods_changed kind=%s", change.kind)
            wake.set()

    thread = threading.Thread(target=follow, name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        watch.stop()
        thread.join(api.settings.request_seconds)
