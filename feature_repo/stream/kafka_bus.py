"""The event bus in a Kafka topic: keyed by user, committed by hand after the write.

The consumer takes all partitions itself and leaves no choice to the group, which only keeps its offsets: one consumer
reads for a workspace anyway, and after a kill a group would wait for the dead member's session to end.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import parse_qsl, urlsplit

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka import Message as KafkaMessage

from feature_repo.stream.bus import BusUnavailable, CannotErase, Message, Record

GROUP = "recommender"
SECONDS = 10.0  # how long a call waits for the brokers


class KafkaBus:
    """`url` is kafka://host:port,host:port/topic?setting=value, with librdkafka's own settings (TLS, group.id, ...)."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._topic = parts.path.strip("/")
        self._brokers = parts.netloc
        given = dict(parse_qsl(parts.query))
        shared = {"bootstrap.servers": self._brokers, "log_level": 0, **given}
        shared.pop("group.id", None)
        reading = {
            "group.id": given.get("group.id", GROUP),
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "session.timeout.ms": 6_000,
        }
        try:
            self._producer = Producer({**shared, "acks": "all", "linger.ms": 5, "delivery.timeout.ms": 10_000})
            self._consumer = Consumer({**shared, **reading})
            # Offsets are asked for on connections of their own: on the consumer's they wait behind its fetches.
            self._offsets = Consumer({**shared, **reading})
        except KafkaException as error:
            raise BusUnavailable(f"BUS_URL {url!r}: {error.args[0].str()}") from None
        self._assigned: set[int] = set()
        self._read: dict[int, int] = {}

    def publish(self, messages: Sequence[Message]) -> None:
        failed: list[KafkaError] = []

        def delivered(error: KafkaError | None, _: KafkaMessage) -> None:
            if error is not None:
                failed.append(error)

        for message in messages:
            self._produce(message, delivered)
        left = self._producer.flush(SECONDS)
        if left or failed:
            raise self._down(failed[0].str() if failed else f"{left} messages are not delivered")

    def read(self, limit: int, *, timeout: float) -> list[Record]:
        deadline = time.monotonic() + timeout
        try:
            if not self._assigned:
                self._assign(self._committed())
            # Events come a few at a time; a batch is what there is within a fraction of the wait.
            messages = self._consumer.consume(1, timeout)
            if messages and limit > 1:
                left = max(0.0, deadline - time.monotonic())
                messages += self._consumer.consume(limit - 1, min(left, 0.05))
        except KafkaException as error:
            raise self._down(error.args[0].str()) from error
        return [record for message in messages if (record := self._record(message)) is not None]

    def commit(self) -> None:
        if not self._read:
            return
        offsets = [TopicPartition(self._topic, p, offset) for p, offset in sorted(self._read.items())]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            raise self._down(error.args[0].str()) from error
        self._read.clear()

    def lag(self) -> int:
        try:
            committed = self._committed()
            if self._assigned:
                self._assign(committed)  # a topic can grow
            behind = 0
            for partition in committed:
                low, high = self._offsets.get_watermark_offsets(partition, timeout=SECONDS, cached=False)
                behind += high - (low if partition.offset == OFFSET_INVALID else max(low, partition.offset))
            return behind
        except KafkaException as error:
            raise self._down(error.args[0].str()) from error

    def erase(self, user_id: str) -> int:
        raise CannotErase(
            f"Kafka removes no single records, so the topic {self._topic!r} keeps the events of {user_id!r} until they "
            "expire: set its retention.ms to the longest time that they may stay, or compact it by key "
            "(cleanup.policy=compact) and publish a message without a value under the user's id"
        )

    def close(self) -> None:
        self._consumer.close()
        self._offsets.close()
        self._producer.flush(SECONDS)

    def _committed(self) -> list[TopicPartition]:
        """All partitions of the topic, each with the committed offset."""
        known = self._offsets.list_topics(self._topic, timeout=SECONDS).topics[self._topic].partitions
        return self._offsets.committed([TopicPartition(self._topic, p) for p in known], timeout=SECONDS)

    def _assign(self, partitions: Iterable[TopicPartition]) -> None:
        """Read from the committed offsets on; where there is none, from the beginning."""
        new = [partition for partition in partitions if partition.partition not in self._assigned]
        if new:
            self._consumer.incremental_assign(new)
            self._assigned.update(partition.partition for partition in new)

    def _produce(self, message: Message, delivered: Callable[[KafkaError | None, KafkaMessage], None]) -> None:
        while True:
            try:
                self._producer.produce(
                    self._topic, key=message.user_id.encode(), value=message.payload, on_delivery=delivered
                )
                self._producer.poll(0)
                return
            except BufferError:
                self._producer.poll(0.1)  # the local queue is full: wait for the brokers
            except KafkaException as error:
                raise self._down(error.args[0].str()) from error

    def _record(self, message: KafkaMessage) -> Record | None:
        error = message.error()
        if error is not None:
            if error.code() in (KafkaError._PARTITION_EOF, KafkaError.UNKNOWN_TOPIC_OR_PART):
                return None
            raise self._down(error.str())
        partition, offset = message.partition(), message.offset()
        assert partition is not None
        assert offset is not None
        self._read[partition] = offset + 1
        value = message.value()
        # Without a value it tells a compacted topic to forget the key; it is no event.
        return None if value is None else Record(f"{self._topic}/{partition}/{offset}", value)

    def _down(self, reason: str) -> BusUnavailable:
        return BusUnavailable(f"the event bus at {self._brokers}, topic {self._topic!r}, did not answer: {reason}")
