"""What the API server may answer, as sentences of ours."""

import json
from typing import Any

from feature_repo.core.errors import RecommenderError

# Answers that a later attempt may get past: too many requests, and the server's own trouble.
PASSING = frozenset({429, 500, 502, 503, 504})


class ClusterError(RecommenderError):
    """The cluster does not do what it was asked."""


class ClusterUnavailable(ClusterError):
    """The API server does not answer, or says that it cannot at present."""


class Conflict(ClusterError):
    """An object is not what it was when it was read: somebody else wrote it, or made it first."""


class Absent(ClusterError):
    """There is no such object."""


class Expired(ClusterError):
    """A watch was asked to go on from where the server's memory does not reach back to."""


class ClusterRefused(ClusterError):
    """The API server refuses a request for good: no right to it, or something that it does not take."""


def translated(error: Exception) -> ClusterError:
    """The one border where errors of the client become ours."""
    from kubernetes.client.exceptions import ApiException

    if not isinstance(error, ApiException):
        return ClusterUnavailable(f"the API server must answer; got {type(error).__name__}: {_one_line(str(error))}")
    kinds = {404: Absent, 409: Conflict, 410: Expired}
    status = int(error.status or 0)
    kind = kinds.get(status) or (ClusterUnavailable if status in PASSING or status == 0 else ClusterRefused)
    return kind(f"the API server must do what it is asked; got {status}: {_said(error)}")


def _said(error: Any) -> str:
    """The server's own sentence: `message` of the Status object that it answers with."""
    try:
        return _one_line(str(json.loads(error.body)["message"]))
    except (TypeError, ValueError, KeyError):
        return _one_line(str(error.reason))


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]
