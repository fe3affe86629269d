"""What a caller copies to send its users' buckets; it needs nothing of ours and nothing but Python's own library."""

import hashlib
import hmac


def bucket_header(user_id: str, key: bytes, layer: str = "rollout") -> dict[str, str]:
    """The header of a request for `user_id`; `key` is the value of RECOMMENDER_ASSIGNMENT_KEY."""
    digest = hmac.new(key, f"{layer}\0{user_id}".encode(), hashlib.sha256).digest()
    return {"X-Recommender-Bucket": str(int.from_bytes(digest[:8], "big") % 100)}
