"""kafka-python 3: configurations of topics, brokers and groups, and topic ids, as its admin client sets and shows them.

Errors of single resources are not raised by this client: what it returns names them, and a description is then empty.
"""

import time
import uuid

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import AlterConfigOp, ConfigResource, NewTopic
from kafka.errors import InvalidConfigurationError, UnknownTopicIdError, UnknownTopicOrPartitionError


@pytest.fixture
def admin(bootstrap):
    client = KafkaAdminClient(bootstrap_servers=bootstrap)
    yield client
    client.close()


def described(admin, kind, name, configs=None, config_filter="modified"):
    """The entries of a resource; "modified" ones are those that are set on it."""
    asked = [ConfigResource(kind, name, configs)]
    return admin.describe_configs(asked, include_synonyms=True, config_filter=config_filter)[kind.lower()][name]


def altered(admin, kind, name, configs, **how):
    """Sends the change as it is, without the client's own look at the names; what became of it."""
    asked = [ConfigResource(kind, name, configs)]
    return admin.alter_configs(asked, raise_on_unknown=False, **how)[kind.lower()][name]


def own_values(admin, kind, name):
    return {key: entry["value"] for key, entry in described(admin, kind, name).items()}


def is_refused(outcome, error):
    return outcome.startswith(f"[Error {error.errno}] {error.__name__}")


def test_configs_of_a_topic(admin, name):
    admin.create_topics([NewTopic(name, 1, 1, topic_configs={"retention.ms": "5000"})])
    entries = described(admin, "TOPIC", name, ["retention.ms", "cleanup.policy"], "all")
    retention, policy = entries.pop("retention.ms"), entries.pop("cleanup.policy")
    assert entries == {}, "nothing else was asked for"
    assert (retention["value"], retention["config_source"], retention["config_type"], retention["read_only"],
            retention["is_sensitive"]) == ("5000", "DYNAMIC_TOPIC_CONFIG", "LONG", False, False)
    assert [(one["name"], one["value"], one["source"]) for one in retention["synonyms"]][0] == (
        "retention.ms", "5000", "DYNAMIC_TOPIC_CONFIG")
    assert (policy["value"], policy["config_source"], policy["config_type"]) == ("delete", "DEFAULT_CONFIG", "LIST")
    change = {"retention.ms": "777000", "cleanup.policy": (AlterConfigOp.APPEND, "compact")}
    assert altered(admin, "TOPIC", name, change, validate_only=True) == "OK"
    assert own_values(admin, "TOPIC", name) == {"retention.ms": "5000"}, "it was only asked whether it could be"
    assert altered(admin, "TOPIC", name, change) == "OK"
    assert own_values(admin, "TOPIC", name) == {"retention.ms": "777000", "cleanup.policy": "delete,compact"}
    change = {"retention.ms": (AlterConfigOp.DELETE, None), "cleanup.policy": (AlterConfigOp.SUBTRACT, "delete")}
    assert altered(admin, "TOPIC", name, change) == "OK"
    assert own_values(admin, "TOPIC", name) == {"cleanup.policy": "compact"}
    # The older request names all that shall be set; the client adds what is set already.
    assert altered(admin, "TOPIC", name, {"segment.ms": "888000"}, incremental=False) == "OK"
    assert own_values(admin, "TOPIC", name) == {"cleanup.policy": "compact", "segment.ms": "888000"}
    admin.reset_configs([ConfigResource("TOPIC", name, {"segment.ms": None, "cleanup.policy": None})])
    assert own_values(admin, "TOPIC", name) == {}


@pytest.mark.parametrize("incremental", [True, False])
def test_configs_that_a_topic_does_not_take(admin, name, incremental):
    admin.create_topics([NewTopic(name, 1, 1, topic_configs={"retention.ms": "5000"})])
    for change in [{"retention.ms": "soon"}, {"cleanup.policy": "maybe"}, {"max.message.bytes": "-1"},
                   {"no.such.name": "1"}, {"segment.ms": "888000", "no.such.name": "1"}]:
        outcome = altered(admin, "TOPIC", name, change, incremental=incremental)
        assert is_refused(outcome, InvalidConfigurationError), f"{change}: {outcome}"
    assert own_values(admin, "TOPIC", name) == {"retention.ms": "5000"}, "a refused change leaves everything"
    with pytest.raises(ValueError, match="no.such.name"):
        admin.alter_configs([ConfigResource("TOPIC", name, {"no.such.name": "1"})])
    missing = f"{name}-missing"
    assert described(admin, "TOPIC", missing, config_filter="all") == {}
    outcome = altered(admin, "TOPIC", missing, {"retention.ms": "1"}, incremental=True)
    assert is_refused(outcome, UnknownTopicOrPartitionError), outcome
    for configs in [{"retention.ms": "soon"}, {"no.such.name": "1"}]:
        with pytest.raises(InvalidConfigurationError):
            admin.create_topics([NewTopic(missing, 1, 1, topic_configs=configs)])
    assert missing not in admin.list_topics()


def test_configs_of_a_broker(admin, is_towpath):
    node = str(admin.describe_cluster()["brokers"][0]["broker_id"])
    entries = described(admin, "BROKER", node, config_filter="all")
    assert {"log.retention.ms", "message.max.bytes", "num.partitions"} <= set(entries)
    largest = entries["message.max.bytes"]
    assert (largest["value"], largest["config_source"], largest["config_type"], largest["read_only"]) == (
        "1048588", "DEFAULT_CONFIG", "INT", False)
    with pytest.raises(ValueError, match="no.such.name"):
        admin.alter_configs([ConfigResource("BROKER", node, {"no.such.name": "1"})])
    if is_towpath:
        # Any agent serves any partition, so what holds for topics is set for all agents. This client can not name them
        # all: it takes numbers only.
        for change in [{"message.max.bytes": "2000000"}, {"message.max.bytes": "many"}, {"no.such.name": "1"}]:
            outcome = altered(admin, "BROKER", node, change)
            assert is_refused(outcome, InvalidConfigurationError) and "--entity-default" in outcome, outcome
        with pytest.raises(ValueError):
            altered(admin, "BROKER", "", {"message.max.bytes": "2000000"})
    assert described(admin, "BROKER", node, ["message.max.bytes"], "all")["message.max.bytes"] == largest


def test_configs_of_a_group(admin, name):
    def groups():
        return admin.list_config_resources(["GROUP"]).get("group", [])

    default = described(admin, "GROUP", name, config_filter="all")["share.record.lock.duration.ms"]
    assert (default["value"], default["config_type"], default["read_only"]) == ("30000", "INT", False)
    assert described(admin, "GROUP", name) == {} and name not in groups()
    assert altered(admin, "GROUP", name, {"share.record.lock.duration.ms": "20000",
                                          "share.auto.offset.reset": "earliest"}) == "OK"
    entries = described(admin, "GROUP", name)
    assert {key: (entry["value"], entry["config_source"]) for key, entry in entries.items()} == {
        "share.record.lock.duration.ms": ("20000", "DYNAMIC_GROUP_CONFIG"),
        "share.auto.offset.reset": ("earliest", "DYNAMIC_GROUP_CONFIG")}
    assert name in groups(), "it is listed although it has no members"
    for change in [{"share.record.lock.duration.ms": "soon"}, {"share.record.lock.duration.ms": "1"},
                   {"share.auto.offset.reset": "middle"}, {"no.such.name": "1"}]:
        outcome = altered(admin, "GROUP", name, change)
        assert is_refused(outcome, InvalidConfigurationError), f"{change}: {outcome}"
    assert described(admin, "GROUP", name) == entries, "a refused change leaves everything"
    admin.reset_configs([ConfigResource("GROUP", name, dict.fromkeys(entries))])
    assert described(admin, "GROUP", name) == {} and name not in groups()


def test_a_topic_that_is_created_again_is_another_one(bootstrap, admin, name):
    def fill(values):
        producer = KafkaProducer(bootstrap_servers=bootstrap)
        assert [producer.send(name, value, partition=0).get(20).offset for value in values] == list(range(len(values)))
        producer.close()

    def create(partitions):
        created = admin.create_topics([NewTopic(name, partitions, 1)], wait_for_metadata=True)["topics"][0]
        assert (created["error_code"], created["error_message"], created["num_partitions"]) == (0, None, partitions)
        return uuid.UUID(created["topic_id"])

    def shown(topic):
        found = admin.describe_topics([topic])[0]
        return (found["error_code"], found["name"], found["topic_id"], len(found["partitions"]))

    old = create(2)
    assert shown(name) == shown(old) == (0, name, str(old), 2), "found by its name and by its id"
    admin.create_partitions({name: 3})
    assert shown(old) == (0, name, str(old), 3), "it has grown and is the same"
    fill([b"old 0", b"old 1"])
    [deleted] = admin.delete_topics([old])["topics"]
    assert (deleted["name"], deleted["topic_id"]) == (name, str(old))
    # Kafka's brokers hear of it a moment later.
    deadline = time.monotonic() + 10
    while shown(old)[0] == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert shown(old)[0] == UnknownTopicIdError.errno and shown(name)[0] == UnknownTopicOrPartitionError.errno
    new = create(1)
    assert new != old and new.int != 0
    assert shown(name) == shown(new) == (0, name, str(new), 1)
    assert shown(old)[0] == UnknownTopicIdError.errno, "nobody takes the new one for the old one"
    with pytest.raises(UnknownTopicIdError):
        admin.delete_topics([old])
    fill([b"new"])
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=8000)
    consumer.assign([TopicPartition(name, 0)])
    assert next(consumer).value == b"new"
    assert consumer.poll(500) == {}, "the old records are gone"
    consumer.close()


def test_a_fetch_of_too_few_bytes_gets_a_whole_batch(bootstrap, admin, name):
    admin.create_topics([NewTopic(name, 2, 1)])
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    for i in range(8):
        producer.send(name, bytes([i]) * 100_000, partition=i % 2).get(20)
    producer.close()
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=8000,
                             max_partition_fetch_bytes=1000, fetch_max_bytes=1000)
    consumer.assign([TopicPartition(name, partition) for partition in (0, 1)])
    got = [next(consumer) for _ in range(8)]
    seen = {partition: [(m.offset, m.value) for m in got if m.partition == partition] for partition in (0, 1)}
    assert seen == {p: [(o, bytes([2 * o + p]) * 100_000) for o in range(4)] for p in (0, 1)}
    consumer.close()
