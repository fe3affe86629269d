"""Requests made from the service's own OpenAPI document, and answers held against it (schemathesis)."""

from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS

from serving.process import HOST

# What a JSON schema cannot say is refused all the same: 31.0 is an integer to it, and a date may be of any year.
LEFT_OUT = ("positive_data_acceptance",)


def cases(document: dict[str, Any], path: str) -> st.SearchStrategy[Any]:
    """Bodies that the document allows, and bodies that it does not."""
    operation = schemathesis.openapi.from_dict(document)[path]["POST"]
    modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    return st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in modes))


def status_of(case: Any, port: int) -> int:
    """Send it.

    Raises:
        schemathesis.core.failures.FailureGroup: the answer is not one that the document allows, or is a 5xx.
    """
    reply = case.call(base_url=f"http://{HOST}:{port}")
    case.validate_response(reply, excluded_checks=CHECKS.get_by_names(LEFT_OUT))
    return int(reply.status_code)
