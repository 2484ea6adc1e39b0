"""confluent-kafka on librdkafka 2.16: the modern C client."""

import threading
import time

import pytest
from confluent_kafka import (Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer,
                             TopicCollection, TopicPartition, Uuid, OFFSET_BEGINNING, OFFSET_END)
from confluent_kafka.admin import (AclBinding, AclOperation, AclPermissionType, AdminClient, AlterConfigOpType,
                                   ConfigEntry, ConfigResource, NewPartitions, NewTopic, OffsetSpec,
                                   ResourcePatternType, ResourceType)


def create(bootstrap, name, partitions=1, config=None):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(name, partitions, 1, config=config or {})])[name].result(15)
    return admin


def produce(bootstrap, name, values, **config):
    """Sends values to partition 0 and returns their offsets, in order."""
    offsets, failures = [], []

    def delivered(error, message):
        (failures.append(error) if error else offsets.append(message.offset()))

    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 1, **config})
    for value in values:
        producer.produce(name, value, partition=0, on_delivery=delivered)
        producer.poll(0)
    assert producer.flush(30) == 0
    assert not failures, failures
    return offsets


def consume(bootstrap, name, count, offset=OFFSET_BEGINNING, seconds=15, **config):
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": f"g-{name}", "enable.auto.commit": False,
                         "auto.offset.reset": "earliest", **config})
    consumer.assign([TopicPartition(name, 0, offset)])
    got, deadline = [], time.monotonic() + seconds
    while len(got) < count and time.monotonic() < deadline:
        message = consumer.poll(0.5)
        if message is not None:
            assert not message.error(), message.error()
            got.append(message)
    consumer.close()
    return got


def test_topic_life(bootstrap, name):
    admin = create(bootstrap, name, 3, {"retention.ms": "60000", "cleanup.policy": "delete"})
    assert len(admin.list_topics(name, timeout=10).topics[name].partitions) == 3
    with pytest.raises(KafkaException) as twice:
        admin.create_topics([NewTopic(name, 1, 1)])[name].result(10)
    assert twice.value.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS
    admin.create_partitions([NewPartitions(name, 5)])[name].result(10)
    assert len(admin.list_topics(name, timeout=10).topics[name].partitions) == 5
    with pytest.raises(KafkaException) as fewer:
        admin.create_partitions([NewPartitions(name, 2)])[name].result(10)
    assert fewer.value.args[0].code() == KafkaError.INVALID_PARTITIONS
    described = admin.describe_topics(TopicCollection([name]))[name].result(10)
    assert len(described.partitions) == 5 and str(described.topic_id) not in ("", str(Uuid(0, 0)))
    admin.delete_topics([name])[name].result(10)
    deadline = time.monotonic() + 10
    while name in admin.list_topics(timeout=10).topics and time.monotonic() < deadline:
        time.sleep(0.1)
    assert name not in admin.list_topics(timeout=10).topics


def test_illegal_topics_are_refused(bootstrap, name):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for new, code in [(NewTopic("bad name!", 1, 1), KafkaError.TOPIC_EXCEPTION),
                      (NewTopic(name, 1, 1, config={"cleanup.policy": "maybe"}), KafkaError.INVALID_CONFIG),
                      (NewTopic(name, 1, 1, config={"no.such.key": "1"}), KafkaError.INVALID_CONFIG)]:
        with pytest.raises(KafkaException) as refused:
            admin.create_topics([new])[new.topic].result(10)
        assert refused.value.args[0].code() == code
        assert len(refused.value.args[0].str()) > 15, "a sentence that says what is wrong"


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
@pytest.mark.parametrize("acks", ["0", "1", "all"])
def test_round_trip(bootstrap, name, codec, acks):
    create(bootstrap, name)
    values = [b"value %d " % i * 20 for i in range(300)]
    offsets = produce(bootstrap, name, values, **{"compression.type": codec, "acks": acks})
    # With acks=0 nobody tells the offset.
    assert len(offsets) == 300 and (acks == "0" or offsets == list(range(300)))
    assert [message.value() for message in consume(bootstrap, name, 300)] == values


def test_headers_keys_nulls_and_timestamps(bootstrap, name):
    create(bootstrap, name)
    headers = [("h", b"1"), ("h", b"2"), ("null", None), ("empty", b"")]
    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce(name, None, None, 0, headers=headers, timestamp=1_700_000_000_123)
    producer.produce(name, b"", b"key", 0)
    assert producer.flush(15) == 0
    first, second = consume(bootstrap, name, 2)
    assert (first.key(), first.value(), first.headers()) == (None, None, headers)
    assert first.timestamp() == (1, 1_700_000_000_123)
    assert (second.key(), second.value()) == (b"key", b"")


def test_the_topic_limits_the_size_of_a_batch(bootstrap, name):
    create(bootstrap, name, 1, {"max.message.bytes": "2000"})
    failures = []
    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce(name, b"x" * 5000, partition=0, on_delivery=lambda error, _: failures.append(error))
    producer.flush(15)
    assert failures[0].code() == KafkaError.MSG_SIZE_TOO_LARGE
    assert produce(bootstrap, name, [b"x" * 1000]) == [0]


def test_a_message_of_almost_one_megabyte(bootstrap, name):
    create(bootstrap, name)
    value = bytes(range(256)) * 3900
    produce(bootstrap, name, [value])
    assert consume(bootstrap, name, 1)[0].value() == value


def test_log_append_time(bootstrap, name):
    create(bootstrap, name, 1, {"message.timestamp.type": "LogAppendTime"})
    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce(name, b"v", partition=0, timestamp=1)
    producer.flush(15)
    kind, when = consume(bootstrap, name, 1)[0].timestamp()
    assert kind == 2 and abs(when - time.time() * 1000) < 60_000


def test_offsets_by_time_and_spec(bootstrap, name):
    admin = create(bootstrap, name)
    producer = Producer({"bootstrap.servers": bootstrap})
    for i, when in enumerate([1000, 2000, 3000, 2500]):
        producer.produce(name, b"%d" % i, partition=0, timestamp=1_700_000_000_000 + when)
    producer.flush(15)
    partition = TopicPartition(name, 0)

    def at(spec):
        return admin.list_offsets({partition: spec})[partition].result(10).offset

    assert at(OffsetSpec.earliest()) == 0
    assert at(OffsetSpec.latest()) == 4
    assert at(OffsetSpec.for_timestamp(1_700_000_001_500)) == 1
    assert at(OffsetSpec.for_timestamp(1_700_000_003_001)) in (-1, 4)
    assert at(OffsetSpec.max_timestamp()) == 2


def test_seek_end_and_an_empty_poll(bootstrap, name):
    create(bootstrap, name)
    produce(bootstrap, name, [b"%d" % i for i in range(10)])
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": name, "isolation.level": "read_committed"})
    consumer.assign([TopicPartition(name, 0, OFFSET_END)])
    assert consumer.poll(1.0) is None
    consumer.seek(TopicPartition(name, 0, 7))
    assert consumer.poll(10).offset() == 7
    assert consumer.get_watermark_offsets(TopicPartition(name, 0)) == (0, 10)
    consumer.close()


@pytest.mark.parametrize("isolation", ["read_committed", "read_uncommitted"])
def test_what_is_acknowledged_is_committed(bootstrap, name, isolation):
    create(bootstrap, name)
    values = [b"%d" % i for i in range(10)]
    produce(bootstrap, name, values, **{"enable.idempotence": True})
    assert [message.value() for message in consume(bootstrap, name, 10, **{"isolation.level": isolation})] == values


def test_max_bytes_still_gives_at_least_one_message(bootstrap, name):
    create(bootstrap, name)
    produce(bootstrap, name, [b"x" * 100_000 for _ in range(5)], **{"linger.ms": 0})
    got = consume(bootstrap, name, 5, **{"fetch.max.bytes": 1000, "max.partition.fetch.bytes": 1000,
                                        "message.max.bytes": 1000, "receive.message.max.bytes": 2_000_000})
    assert [len(message.value()) for message in got] == [100_000] * 5


class Member:
    """A group member on a thread of its own."""

    def __init__(self, bootstrap, name, **config):
        self.assignment, self.seen, self.stopping = [], [], threading.Event()
        self.config = {"bootstrap.servers": bootstrap, "group.id": name, "auto.offset.reset": "earliest",
                       "session.timeout.ms": 6000, "heartbeat.interval.ms": 500, **config}
        self.name = name
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        consumer = Consumer(self.config)
        consumer.subscribe([self.name])
        while not self.stopping.is_set():
            message = consumer.poll(0.1)
            if message is not None and not message.error():
                self.seen.append((message.partition(), message.offset()))
            self.assignment = sorted(partition.partition for partition in consumer.assignment())
        consumer.close()

    def stop(self):
        self.stopping.set()
        self.thread.join(20)


def wait_until(condition, seconds=30, what="the condition"):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true within {seconds} s"
        time.sleep(0.05)


@pytest.mark.parametrize("strategy", ["range", "roundrobin", "cooperative-sticky"])
def test_group_rebalances(bootstrap, name, strategy):
    create(bootstrap, name, 4)
    first = Member(bootstrap, name, **{"partition.assignment.strategy": strategy})
    wait_until(lambda: first.assignment == [0, 1, 2, 3], what="one member has all")
    second = Member(bootstrap, name, **{"partition.assignment.strategy": strategy})
    wait_until(lambda: len(first.assignment) == 2 and len(second.assignment) == 2
               and sorted(first.assignment + second.assignment) == [0, 1, 2, 3], what="two members share")
    first.stop()
    wait_until(lambda: second.assignment == [0, 1, 2, 3], what="the other inherits")
    second.stop()


def test_committed_offsets_survive_the_member(bootstrap, name):
    create(bootstrap, name)
    produce(bootstrap, name, [b"%d" % i for i in range(10)])
    config = {"bootstrap.servers": bootstrap, "group.id": name, "auto.offset.reset": "earliest",
              "enable.auto.commit": False}
    consumer = Consumer(config)
    consumer.subscribe([name])
    for _ in range(4):
        message = consumer.poll(15)
    consumer.commit(message=message, asynchronous=False)
    consumer.close()
    consumer = Consumer(config)
    consumer.subscribe([name])
    assert consumer.poll(15).offset() == 4
    assert consumer.committed([TopicPartition(name, 0)], 10)[0].offset == 4
    consumer.close()


def test_a_static_member_returns_without_a_rebalance(bootstrap, name):
    create(bootstrap, name, 2)
    other = Member(bootstrap, name, **{"group.instance.id": "a", "session.timeout.ms": 20000})
    static = Member(bootstrap, name, **{"group.instance.id": "b", "session.timeout.ms": 20000})
    wait_until(lambda: len(other.assignment) == 1 and len(static.assignment) == 1, what="both have one")
    kept = static.assignment
    static.stop()
    again = Member(bootstrap, name, **{"group.instance.id": "b", "session.timeout.ms": 20000})
    wait_until(lambda: again.assignment == kept, seconds=15, what="the static member gets its partition back")
    assert len(other.assignment) == 1
    other.stop()
    again.stop()


def test_group_admin(bootstrap, name):
    admin = create(bootstrap, name, 1)
    produce(bootstrap, name, [b"x"] * 5)
    member = Member(bootstrap, name)
    wait_until(lambda: len(member.seen) == 5, what="the member reads")
    described = admin.describe_consumer_groups([name])[name].result(10)
    assert described.state.name == "STABLE" and len(described.members) == 1
    assert any(group.group_id == name for group in admin.list_consumer_groups().result(10).valid)
    with pytest.raises(KafkaException) as busy:
        admin.delete_consumer_groups([name])[name].result(10)
    assert busy.value.args[0].code() == KafkaError.NON_EMPTY_GROUP
    member.stop()
    wait_until(lambda: admin.describe_consumer_groups([name])[name].result(10).state.name == "EMPTY", what="empty")
    moved = ConsumerGroupTopicPartitions(name, [TopicPartition(name, 0, 2)])
    admin.alter_consumer_group_offsets([moved])[name].result(10)
    offsets = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(name)])[name].result(10)
    assert offsets.topic_partitions[0].offset == 2
    admin.delete_consumer_groups([name])[name].result(10)
    assert not any(group.group_id == name for group in admin.list_consumer_groups().result(10).valid)


def test_configs(bootstrap, name):
    admin = create(bootstrap, name)
    resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[
        ConfigEntry("retention.ms", "1234567", incremental_operation=AlterConfigOpType.SET)])
    admin.incremental_alter_configs([resource])[resource].result(10)
    asked = ConfigResource(ResourceType.TOPIC, name)
    entries = admin.describe_configs([asked])[asked].result(10)
    assert entries["retention.ms"].value == "1234567" and not entries["retention.ms"].is_default
    assert entries["cleanup.policy"].value == "delete" and entries["cleanup.policy"].is_default
    bad = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[
        ConfigEntry("retention.ms", "soon", incremental_operation=AlterConfigOpType.SET)])
    with pytest.raises(KafkaException) as refused:
        admin.incremental_alter_configs([bad])[bad].result(10)
    assert refused.value.args[0].code() == KafkaError.INVALID_CONFIG


def test_delete_records(bootstrap, name):
    admin = create(bootstrap, name)
    produce(bootstrap, name, [b"%d" % i for i in range(10)])
    partition = TopicPartition(name, 0, 6)
    assert admin.delete_records([partition])[partition].result(15).low_watermark == 6
    assert consume(bootstrap, name, 4)[0].offset() == 6


def test_cluster(bootstrap):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    described = admin.describe_cluster().result(10)
    assert described.cluster_id and len(described.nodes) == 1


def test_without_an_authorizer_acls_are_refused(bootstrap):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    # librdkafka shows a refused describe_acls as an empty list; the others tell.
    new = AclBinding(ResourceType.TOPIC, "t", ResourcePatternType.LITERAL, "User:a", "*", AclOperation.READ,
                     AclPermissionType.ALLOW)
    with pytest.raises(KafkaException) as refused:
        admin.create_acls([new])[new].result(10)
    assert refused.value.args[0].code() == KafkaError.SECURITY_DISABLED


def test_idempotent_producer(bootstrap, name):
    create(bootstrap, name)
    values = [b"%06d" % i for i in range(20_000)]
    offsets = produce(bootstrap, name, values, **{"enable.idempotence": True, "linger.ms": 5})
    assert offsets == list(range(20_000))
    assert [message.value() for message in consume(bootstrap, name, 20_000, seconds=60)] == values


def test_auto_created_topic(bootstrap, name):
    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce(name, b"hello")
    assert producer.flush(15) == 0
    admin = AdminClient({"bootstrap.servers": bootstrap})
    assert name in admin.list_topics(timeout=10).topics
