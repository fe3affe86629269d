"""One row of the request log: what one answer was made of, as it was when it was made."""

import pyarrow as pa

# In the metadata of every file: which key its pseudonyms were made with.
KEY_CHECK = b"pseudonym_key"

REQUEST_LOG_SCHEMA = pa.schema(
    [
        pa.field("request_id", pa.string(), nullable=False),
        pa.field("received_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("moment", pa.timestamp("us", tz="UTC"), nullable=False),  # what the features were computed for
        pa.field("user_id", pa.string(), nullable=False),  # the user's pseudonym, see pseudonym.py
        pa.field("variant", pa.string(), nullable=False),
        pa.field("model_version", pa.string(), nullable=False),
        # Null where no rollout was under way, or the caller did not send one, and in rows from before they were logged.
        pa.field("rollout", pa.string()),  # the name of the rollout that this process was part of
        pa.field("bucket", pa.int32()),  # of the user, 0 to 99, as the caller sent it: see serving/bucket.py
        pa.field("degraded", pa.list_(pa.string()), nullable=False),
        pa.field("user_features", pa.string()),  # JSON of the user row as served; null when it could not be read
        pa.field("k", pa.int32(), nullable=False),
        pa.field("slate", pa.list_(pa.string()), nullable=False),  # item ids in the order shown
        # Of each place of the slate: the probability that its item holds it. Null in rows from before it was logged.
        pa.field("propensities", pa.list_(pa.float32())),
        # Null where the slate is of one version alone: see serving/interleaving.py.
        pa.field("interleaved", pa.string()),  # the version whose slate was mixed into that of model_version
        pa.field("teams", pa.list_(pa.int8())),  # of each place: -1 for model_version, 1 for interleaved, 0 for neither
        pa.field("candidates", pa.list_(pa.string()), nullable=False),
        pa.field("sources", pa.list_(pa.string()), nullable=False),  # the retriever of each candidate
        pa.field("scores", pa.list_(pa.float32()), nullable=False),  # of each candidate
        pa.field("features", pa.list_(pa.list_(pa.float32())), nullable=False),  # [candidates, feature_names]
        pa.field("feature_names", pa.list_(pa.string()), nullable=False),
    ]
)
