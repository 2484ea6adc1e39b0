"""kafka-python 3: its own protocol code, generated from Kafka 4.3."""

import time

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.errors import KafkaError, MessageSizeTooLargeError, TopicAlreadyExistsError


def create(bootstrap, name, partitions=1):
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics([NewTopic(name, partitions, 1)])
    return admin


@pytest.mark.parametrize("codec", [None, "gzip", "lz4", "snappy", "zstd"])
def test_round_trip(bootstrap, name, codec):
    try:
        producer = KafkaProducer(bootstrap_servers=bootstrap, compression_type=codec, acks="all", linger_ms=5)
    except (AssertionError, RuntimeError) as missing:
        pytest.skip(f"the client lacks the codec's library: {missing}")
    headers = [("h", b"1"), ("h", b"2")]
    sent = [producer.send(name, b"v%d" % i, key=b"k%d" % i, headers=headers, partition=0) for i in range(100)]
    producer.flush(15)
    assert [future.get(15).offset for future in sent] == list(range(100))
    producer.close()
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=8000)
    consumer.assign([TopicPartition(name, 0)])
    got = [next(consumer) for _ in range(100)]
    assert [(m.key, m.value) for m in got] == [(b"k%d" % i, b"v%d" % i) for i in range(100)]
    assert list(got[0].headers) == headers
    consumer.close()


@pytest.mark.parametrize("acks", [0, 1, "all"])
def test_acks(bootstrap, name, acks):
    create(bootstrap, name)
    idempotence = {} if acks == "all" else {"enable_idempotence": False}
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks=acks, **idempotence)
    producer.send(name, b"v")
    producer.flush(15)
    producer.close()
    consumer = KafkaConsumer(name, bootstrap_servers=bootstrap, auto_offset_reset="earliest",
                             consumer_timeout_ms=10_000)
    assert next(consumer).value == b"v"
    consumer.close()


def test_topic_life(bootstrap, name):
    admin = create(bootstrap, name, 2)
    with pytest.raises(TopicAlreadyExistsError):
        admin.create_topics([NewTopic(name, 1, 1)])
    assert name in admin.list_topics()
    admin.delete_topics([name])
    deadline = time.monotonic() + 10
    while name in admin.list_topics() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert name not in admin.list_topics()


def test_seek_and_offsets_by_time(bootstrap, name):
    create(bootstrap, name)
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    for i in range(5):
        producer.send(name, b"%d" % i, partition=0, timestamp_ms=1_700_000_000_000 + i * 1000)
    producer.flush(15)
    partition = TopicPartition(name, 0)
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, consumer_timeout_ms=8000)
    consumer.assign([partition])
    assert consumer.beginning_offsets([partition]) == {partition: 0}
    assert consumer.end_offsets([partition]) == {partition: 5}
    assert consumer.offsets_for_times({partition: 1_700_000_001_500})[partition].offset == 2
    consumer.seek(partition, 3)
    assert next(consumer).value == b"3"
    consumer.seek_to_end(partition)
    assert consumer.poll(500) == {}
    consumer.close()


def test_group(bootstrap, name):
    create(bootstrap, name, 2)
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    for i in range(20):
        producer.send(name, b"%d" % i, partition=i % 2)
    producer.flush(15)
    config = dict(bootstrap_servers=bootstrap, group_id=name, auto_offset_reset="earliest", enable_auto_commit=False,
                  consumer_timeout_ms=15_000)
    consumer = KafkaConsumer(name, **config)
    got = sorted(int(next(consumer).value) for _ in range(20))
    assert got == list(range(20))
    consumer.commit()
    consumer.close()
    consumer = KafkaConsumer(name, **config)
    assert sum(consumer.committed(TopicPartition(name, p)) for p in (0, 1)) == 20
    consumer.close()


def test_idempotent_producer(bootstrap, name):
    create(bootstrap, name)
    producer = KafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, linger_ms=2)
    sent = [producer.send(name, b"%d" % i, partition=0) for i in range(3000)]
    producer.flush(30)
    assert [future.get(10).offset for future in sent] == list(range(3000))


def test_an_oversized_message_is_refused(bootstrap, name):
    create(bootstrap, name)
    producer = KafkaProducer(bootstrap_servers=bootstrap, max_request_size=5_000_000)
    with pytest.raises(MessageSizeTooLargeError):
        producer.send(name, b"x" * 2_000_000).get(20)


def test_admin(bootstrap, name):
    admin = create(bootstrap, name)
    cluster = admin.describe_cluster()
    assert cluster["cluster_id"]
    with pytest.raises(KafkaError):
        admin.create_topics([NewTopic("not a name", 1, 1)])
    admin.create_partitions({name: 3})
    assert len(admin.describe_topics([name])[0]["partitions"]) == 3


def test_headers_keys_and_nulls_are_read_committed(bootstrap, name):
    create(bootstrap, name)
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    headers = [("h", b"1"), ("h", b"2"), ("empty", b"")]
    producer.send(name, value=None, key=b"k", headers=headers, partition=0, timestamp_ms=1_700_000_000_123)
    producer.send(name, value=b"", key=None, partition=0)
    producer.flush(15)
    producer.close()
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=8000,
                             isolation_level="read_committed", max_partition_fetch_bytes=1)
    consumer.assign([TopicPartition(name, 0)])
    first, second = next(consumer), next(consumer)
    assert (first.key, first.value, list(first.headers), first.timestamp) == (b"k", None, headers, 1_700_000_000_123)
    assert (second.key, second.value) == (None, b"")
    assert consumer.poll(500) == {}, "nothing more is there, and nothing is held back"
    consumer.close()
