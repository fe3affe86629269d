"""The header in which a caller says which of 100 buckets its user is in.

A gateway routes by it, so a user stays on one side of a rollout while its share grows; the service only writes it down.
Callers compute it with the lines of serving/bucket_client.py, which give what `bucket_of` in
feature_repo/core/assignment.py gives for the layer "rollout".
"""

import re
from collections.abc import Sequence

from feature_repo.core.assignment import BUCKETS
from serving.rules import BadRequest, shown

BUCKET_HEADER = "X-Recommender-Bucket"
# One spelling for each number: a gateway matches the text, so "07" would be routed otherwise than "7".
_SPELLING = re.compile("0|[1-9][0-9]?")


def parse_bucket(values: Sequence[str]) -> int | None:
    """The bucket in the header's values, 0 to 99; None where there is no such header.

    Raises:
        BadRequest: it is no such number, or was sent more than once.
    """
    if not values:
        return None
    if len(values) > 1:
        raise BadRequest(f"the header {BUCKET_HEADER} must be sent once; got it {len(values)} times")
    if not _SPELLING.fullmatch(values[0]):
        rule = f"a whole number from 0 to {BUCKETS - 1}, without sign or leading zero"
        raise BadRequest(f"the header {BUCKET_HEADER} must be {rule}; got {shown(values[0])}")
    return int(values[0])
