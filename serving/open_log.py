"""Open the request log of a process: its key, Feast's log beside it, and the thread's limits."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from feature_repo.core.workspace import Workspace
from feature_repo.dataset.pseudonym import ENVIRONMENT, known_pseudonyms, open_pseudonyms
from serving.feature_log import open_feature_log
from serving.request_log import RequestLog
from serving.settings import ServingSettings

if TYPE_CHECKING:
    from feast import FeatureStore

logger = logging.getLogger("serving.open_log")


def open_request_log(
    settings: ServingSettings,
    workspace: Workspace,
    *,
    store: "FeatureStore | None",
    on_dropped: Callable[[int], object],
) -> RequestLog:
    """The log of one process; call its `start`. Without a `store` Feast's own log is left out.

    Raises:
        DatasetError: the key in the environment is too short.
    """
    pseudonyms = known_pseudonyms(workspace)
    if pseudonyms is None or pseudonyms.in_store:
        logger.warning(
            "pseudonym_key_in_store file=%s hint=%s",
            workspace.store / "pseudonym.key",
            f"set {ENVIRONMENT}: whoever copies the store has the log and its key",
        )
    features = open_feature_log(store) if store is not None else None
    if store is not None and features is None:
        logger.warning("served_features_not_logged hint=run `make apply`: the definitions declare no log")
    return RequestLog(
        workspace.request_log,
        name=f"{settings.variant}-v{settings.version}",
        queue_rows=settings.log_queue_rows,
        flush_rows=settings.log_flush_rows,
        flush_seconds=settings.log_flush_seconds,
        on_dropped=on_dropped,
        # Looked up by the writer: a store that takes no key today may take one later.
        pseudonyms=lambda: open_pseudonyms(workspace),
        features=features,
    )
