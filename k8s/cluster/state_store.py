"""A rollout's state in one ConfigMap: compare-and-set.

A version is the hash of the state that was loaded, and every write carries the resourceVersion that it was read with.
So who touches the ConfigMap without changing the state, a label say, is no rival: the write is made again. A write that
was done and whose answer was lost finds its own state and is content.

The manifests make the ConfigMap, empty, so that a controller needs no right to create any. Where there is none it is
created, by whoever has that right.
"""

import hashlib
from typing import Any

from k8s.cluster.api import Api
from k8s.cluster.errors import Absent, Conflict
from k8s.rollout.rollout import Rollout
from k8s.rollout.store import StaleState

KEY = "rollout.json"


class ConfigMapStore:
    """The port `StateStore` over the ConfigMap that the settings name."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def load(self) -> tuple[Rollout, str] | None:
        """The rollout and its version; None when the ConfigMap is empty or not there.

        Raises:
            RolloutUnreadable: the ConfigMap holds something else.
            ClusterError: it cannot be read.
        """
        state = _state(self._read())
        return None if state is None else (Rollout.from_json(state), _version(state))

    def save(self, rollout: Rollout, version: str | None) -> str:
        """Keep the rollout if the stored one is still that of `version`; None stands for none.

        Raises:
            StaleState: somebody else saved another since, or writes the ConfigMap faster than this can.
            ClusterError: the ConfigMap cannot be written.
        """
        new = rollout.to_json()
        try:
            self._api.again(lambda: self._attempt(new, version))
        except Conflict:
            raise self._stale() from None
        return _version(new)

    def _attempt(self, new: str, version: str | None) -> None:
        found = self._read()
        held = _state(found)
        if held == new:
            return
        if (None if held is None else _version(held)) != version:
            raise self._stale()
        self._write(found, new)

    def _write(self, found: Any, new: str) -> None:
        settings, core = self._api.settings, self._api.core
        if found is None:
            made = {"metadata": {"name": settings.state}, "data": {KEY: new}}
            self._api.call(core.create_namespaced_config_map, settings.namespace, made)
        else:
            found.data = {**(found.data or {}), KEY: new}
            self._api.call(core.replace_namespaced_config_map, settings.state, settings.namespace, found)

    def _read(self) -> Any:
        settings = self._api.settings
        try:
            return self._api.call(self._api.core.read_namespaced_config_map, settings.state, settings.namespace)
        except Absent:
            return None

    def _stale(self) -> StaleState:
        return StaleState(
            f"expected the ConfigMap {self._api.settings.state} as it was loaded; somebody wrote it since"
        )


def _state(found: Any) -> str | None:
    return None if found is None else (found.data or {}).get(KEY)


def _version(state: str) -> str:
    return hashlib.sha256(state.encode()).hexdigest()
