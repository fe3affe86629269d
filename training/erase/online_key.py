"""The key under which Feast keeps a user in an online store: Feast's own serialisation, as every store of it uses."""

from feast.infra.key_encoding_utils import serialize_entity_key, serialize_entity_key_prefix
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

VERSION = 3  # entity_key_serialization_version of feature_store.yaml, the only one that Feast still writes


def online_key(user_id: str) -> bytes:
    """The serialised entity key of one user."""
    key = EntityKey(join_keys=["user_id"], entity_values=[Value(string_val=user_id)])
    serialized: bytes = serialize_entity_key(key, entity_key_serialization_version=VERSION)
    return serialized


def online_prefix(join_key: str) -> bytes:
    """What the serialised keys of all entities with this join key start with."""
    prefix: bytes = serialize_entity_key_prefix([join_key], entity_key_serialization_version=VERSION)
    return prefix
