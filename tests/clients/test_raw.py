"""Frames no library would send, and answers no library would show."""

import datetime
import struct
import time
import uuid

import pytest
from kio.schema.errors import ErrorCode
from kio.schema.types import BrokerId, GroupId, TopicName
from kio.static.primitive import i8, i16, i32, i64, i32Timedelta
from raw import Connection, batch, schema

SECOND = i32Timedelta.parse(datetime.timedelta(seconds=10))


@pytest.fixture
def connection(bootstrap):
    connection = Connection(bootstrap)
    yield connection
    connection.close()


def create(connection, name, partitions=1):
    m = schema("create_topics", 5, "request")
    answer = connection.call("create_topics", m.CreateTopicsRequest(
        topics=(m.CreatableTopic(name=TopicName(name), num_partitions=i32(partitions), replication_factor=i16(1),
                                 assignments=(), configs=()),), timeout=SECOND, validate_only=False))
    assert answer.topics[0].error_code is ErrorCode.none
    deadline = time.monotonic() + 10
    while any(int(p.high_watermark) < 0 for p in partitions_of(fetch(connection, name, [(p, 0) for p in range(partitions)])).values()):
        assert time.monotonic() < deadline, "the partitions did not come up"
        time.sleep(0.05)


def produce(connection, name, records, acks=-1, version=8, partition=0):
    m = schema("produce", version, "request")
    answer = connection.call("produce", m.ProduceRequest(
        transactional_id=None, acks=i16(acks), timeout=SECOND,
        topic_data=(m.TopicProduceData(name=TopicName(name), partition_data=(
            m.PartitionProduceData(index=i32(partition), records=records),)),)))
    return answer.responses[0].partition_responses[0]


def next_producer_id(connection):
    m = schema("init_producer_id", 1, "request")
    answer = connection.call("init_producer_id", m.InitProducerIdRequest(transactional_id=None,
                                                                        transaction_timeout=SECOND))
    assert answer.error_code is ErrorCode.none
    return int(answer.producer_id)


@pytest.mark.parametrize("version", range(5))
def test_api_versions(connection, version):
    m = schema("api_versions", version, "request")
    fields = {} if version < 3 else {"client_software_name": "raw", "client_software_version": "1"}
    answer = connection.call("api_versions", m.ApiVersionsRequest(**fields))
    assert answer.error_code is ErrorCode.none
    ranges = {int(api.api_key): (int(api.min_version), int(api.max_version)) for api in answer.api_keys}
    # Kafka 4's minimums exactly, or old clients lose features; Produce is listed from 0 (KAFKA-18659).
    expected = {0: 0, 1: 4, 2: 1, 3: 0, 8: 2, 9: 1, 10: 0, 11: 0, 12: 0, 13: 0, 14: 0, 15: 0, 16: 0, 18: 0, 19: 2,
                20: 1, 21: 0, 22: 0, 23: 2, 32: 1, 33: 0, 35: 1, 37: 0, 42: 0, 43: 0, 44: 0, 45: 0, 46: 0, 47: 0, 48: 0, 49: 0,
                29: 1, 30: 1, 31: 1, 60: 0, 75: 0, 76: 1, 77: 1, 78: 1, 79: 1, 90: 0, 91: 0, 92: 0}
    assert {key: ranges[key][0] for key in expected} == expected


@pytest.mark.parametrize("version", [5, 6, 9, 99])
def test_an_unknown_api_versions_version_is_answered_in_version_0(connection, version):
    connection.frame(connection.header(18, version, True) + b"\x04raw\x021\0")
    answer = connection.read_frame()
    correlation, error, count = struct.unpack(">ihi", answer[:10])
    assert (correlation, error) == (1, 35) and count >= 1
    keys = [struct.unpack(">hhh", answer[10 + 6 * i:16 + 6 * i])[0] for i in range(count)]
    assert 18 in keys


@pytest.mark.parametrize("head", [b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\x80\0\0\0"])
def test_an_impossible_frame_size_closes_that_connection_only(bootstrap, connection, head):
    hostile = Connection(bootstrap)
    hostile.socket.sendall(head + b"x" * 100)
    assert hostile.read_frame() is None
    connection.call("api_versions", schema("api_versions", 0, "request").ApiVersionsRequest())


@pytest.mark.parametrize("body", [
    b"", b"\0", b"\0\x03\0\x0c\0\0\0\x01\xff\xff\0\xff\xff\xff\x7f",          # Metadata that claims 268 million topics
    b"\0\x03\0\x01\0\0\0\x01\xff\xff\x7f\xff\xff\xff",                        # the same in the old encoding
    b"\0\0\0\x09\0\0\0\x01\xff\xff\0" + b"\xff" * 40,                         # Produce of nothing but ones
    b"\x27\x0f\0\0\0\0\0\x01\xff\xff",                                        # an API that does not exist
    b"\0\x03\0\x63\0\0\0\x01\xff\xff",                                        # a version that does not exist
], ids=["empty", "one byte", "counts", "old counts", "ones", "api", "version"])
def test_a_lying_frame_closes_that_connection_only(bootstrap, connection, body):
    hostile = Connection(bootstrap)
    hostile.frame(body)
    assert hostile.read_frame() is None
    connection.call("api_versions", schema("api_versions", 0, "request").ApiVersionsRequest())


def test_half_a_frame_harms_nobody(bootstrap, connection):
    hostile = Connection(bootstrap)
    hostile.socket.sendall(struct.pack(">i", 1000) + b"half")
    hostile.close()
    connection.call("api_versions", schema("api_versions", 0, "request").ApiVersionsRequest())


@pytest.mark.parametrize(("records", "error"), [
    (batch([b"a"], break_crc=True), "corrupt_message"),
    (batch([b"a"], count=2), "invalid_record"),
    (batch([b"a", b"b"], last_delta=5), "invalid_record"),
    (batch([b"a"], attributes=0x20), "invalid_record"),
    (batch([b"a"], producer_id=5, epoch=0, sequence=-1), "invalid_record"),
    (batch([b"a"])[:40], "invalid_record"),
    (batch([b"a"]) + batch([b"b"]), "invalid_record"),
], ids=["crc", "count", "delta", "control", "sequence", "cut", "two batches"])
def test_a_malformed_batch_is_refused(connection, name, records, error):
    create(connection, name)
    assert produce(connection, name, records).error_code.name == error
    assert int(produce(connection, name, batch([b"good"])).base_offset) == 0


def test_wrong_acks(connection, name):
    create(connection, name)
    assert produce(connection, name, batch([b"a"]), acks=2).error_code is ErrorCode.invalid_required_acks


def test_unknown_topic(connection, name):
    assert produce(connection, name, batch([b"a"])).error_code is ErrorCode.unknown_topic_or_partition


def test_sequences(connection, name):
    create(connection, name)
    producer = next_producer_id(connection)

    def send(sequence, count=2, epoch=0):
        answer = produce(connection, name, batch([b"v"] * count, producer_id=producer, epoch=epoch, sequence=sequence))
        return answer.error_code.name, int(answer.base_offset)

    assert send(0) == ("none", 0)
    assert send(2) == ("none", 2)
    assert send(2) == ("none", 2), "a duplicate gets its original offset"
    assert send(0) == ("none", 0), "so does an older one"
    assert send(6)[0] == "out_of_order_sequence_number"
    assert send(4) == ("none", 4)
    assert send(0, epoch=1) == ("none", 6), "a new epoch begins at 0"
    assert send(6, epoch=0)[0] == "invalid_producer_epoch"
    for sequence in range(2, 14, 2):
        send(sequence, epoch=1)
    assert send(0, epoch=1)[0] in ("duplicate_sequence_number", "out_of_order_sequence_number")


def test_sequences_wrap(connection, name):
    create(connection, name)
    producer = next_producer_id(connection)
    first = batch([b"v"] * 3, producer_id=producer, epoch=0, sequence=2**31 - 2)
    assert int(produce(connection, name, first).base_offset) == 0
    after = batch([b"w"], producer_id=producer, epoch=0, sequence=1)
    answer = produce(connection, name, after)
    assert (answer.error_code, int(answer.base_offset)) == (ErrorCode.none, 3)
    assert int(produce(connection, name, first).base_offset) == 0, "the batch that wrapped is still recognised"


def fetch(connection, name, partitions, session=0, epoch=-1, wait=0, minimum=1):
    m = schema("fetch", 12, "request")
    topics = ()
    if partitions:
        topics = (m.FetchTopic(topic=TopicName(name), partitions=tuple(
            m.FetchPartition(partition=i32(p), fetch_offset=i64(o), partition_max_bytes=i32(1 << 20),
                             log_start_offset=i64(-1)) for p, o in partitions)),)
    return connection.call("fetch", m.FetchRequest(
        max_wait=i32Timedelta.parse(datetime.timedelta(milliseconds=wait)), min_bytes=i32(minimum), session_id=i32(session),
        session_epoch=i32(epoch), topics=topics, forgotten_topics_data=(), isolation_level=i8(0), rack_id=""))


def partitions_of(answer):
    return {int(p.partition_index): p for t in answer.responses for p in t.partitions}


def test_fetch_sessions(connection, name):
    create(connection, name, 3)
    assert produce(connection, name, batch([b"a"]), partition=1).error_code is ErrorCode.none
    full = fetch(connection, name, [(0, 0), (1, 0), (2, 0)], 0, 0)
    assert full.error_code is ErrorCode.none
    assert sorted(partitions_of(full)) == [0, 1, 2], "a full answer names exactly the requested partitions"
    assert partitions_of(full)[1].records, "with their records"
    session = int(full.session_id)
    if session:
        again = fetch(connection, name, [(1, 1)], session, 1)
        assert partitions_of(again) == {}, "nothing is new"
        produce(connection, name, batch([b"b"]), partition=2)
        assert sorted(partitions_of(fetch(connection, name, [], session, 2))) == [2]
        assert fetch(connection, name, [], session, 9).error_code is ErrorCode.invalid_fetch_session_epoch
    assert fetch(connection, name, [], 987654, 5).error_code is ErrorCode.fetch_session_id_not_found


def test_fetch_out_of_range(connection, name):
    create(connection, name)
    answer = partitions_of(fetch(connection, name, [(0, 5)]))[0]
    assert answer.error_code is ErrorCode.offset_out_of_range


def test_a_long_poll_ends_with_the_produce_behind_it(connection, name):
    """A produce that is sent behind a long poll on the same connection wakes that poll."""
    create(connection, name)
    m = schema("fetch", 12, "request")
    request = m.FetchRequest(
        max_wait=i32Timedelta.parse(datetime.timedelta(seconds=8)), min_bytes=i32(1), session_epoch=i32(-1),
        topics=(m.FetchTopic(topic=TopicName(name), partitions=(m.FetchPartition(
            partition=i32(0), fetch_offset=i64(0), partition_max_bytes=i32(1 << 20), log_start_offset=i64(-1)),)),),
        forgotten_topics_data=(), isolation_level=i8(0), rack_id="")
    other = Connection(f"{connection.socket.getpeername()[0]}:{connection.socket.getpeername()[1]}")
    started = datetime.datetime.now()
    connection.call("fetch", request, reply=False)
    produce(other, name, batch([b"wake"]))
    assert connection.read_frame() is not None
    assert datetime.datetime.now() - started < datetime.timedelta(seconds=6)
    other.close()


def topic_id_of(connection, name):
    m = schema("metadata", 12, "request")
    answer = connection.call("metadata", m.MetadataRequest(
        topics=(m.MetadataRequestTopic(topic_id=None, name=TopicName(name)),), allow_auto_topic_creation=False,
        include_topic_authorized_operations=False))
    return answer.topics[0].topic_id


def test_offsets_by_topic_id(connection, name):
    create(connection, name, 2)
    known, unknown = topic_id_of(connection, name), uuid.uuid4()
    m = schema("offset_commit", 10, "request")

    def commit(topic_id, index):
        return m.OffsetCommitRequestTopic(topic_id=topic_id, partitions=(m.OffsetCommitRequestPartition(
            partition_index=i32(index), committed_offset=i64(42), committed_metadata="note"),))

    deadline = time.monotonic() + 20
    while True:
        answer = connection.call("offset_commit", m.OffsetCommitRequest(
            group_id=GroupId(name), member_id="", topics=(commit(known, 1), commit(unknown, 0), commit(known, 7))))
        codes = [(t.topic_id, t.partitions[0].error_code.name) for t in answer.topics]
        # The first group of a fresh Kafka has to wait for its offsets topic.
        if codes[0][1] not in ("coordinator_load_in_progress", "not_coordinator") or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    assert codes == [(known, "none"), (unknown, "unknown_topic_id"), (known, "unknown_topic_or_partition")]

    m2 = schema("offset_fetch", 10, "request")

    def fetched(topics):
        answer = connection.call("offset_fetch", m2.OffsetFetchRequest(groups=(m2.OffsetFetchRequestGroup(
            group_id=GroupId(name), topics=topics),)))
        assert answer.groups[0].error_code is ErrorCode.none
        return {(t.topic_id, int(p.partition_index)): (int(p.committed_offset), p.error_code.name)
                for t in answer.groups[0].topics for p in t.partitions}

    def both(topic_id):
        return m2.OffsetFetchRequestTopics(topic_id=topic_id, partition_indexes=(i32(0), i32(1)))

    assert fetched((both(known), both(unknown))) == {
        (known, 0): (-1, "none"), (known, 1): (42, "none"),
        (unknown, 0): (-1, "unknown_topic_id"), (unknown, 1): (-1, "unknown_topic_id")}
    assert fetched(None) == {(known, 1): (42, "none")}


def test_a_topic_is_described_grown_and_deleted_by_its_id(connection, name):
    create(connection, name)
    known = topic_id_of(connection, name)
    grow = schema("create_partitions", 3, "request")

    def grown(count):
        return connection.call("create_partitions", grow.CreatePartitionsRequest(
            topics=(grow.CreatePartitionsTopic(name=TopicName(name), count=i32(count), assignments=None),),
            timeout=SECOND, validate_only=False)).results[0].error_code

    m = schema("metadata", 12, "request")

    def described(topic_id):
        topic = connection.call("metadata", m.MetadataRequest(
            topics=(m.MetadataRequestTopic(topic_id=topic_id, name=None),), allow_auto_topic_creation=False,
            include_topic_authorized_operations=False)).topics[0]
        return topic.error_code, topic.name, len(topic.partitions)

    def becomes(wanted):
        deadline = time.monotonic() + 20
        while (now := described(known)) != wanted:
            assert time.monotonic() < deadline, now
            time.sleep(0.05)

    assert grown(3) is ErrorCode.none
    becomes((ErrorCode.none, name, 3))
    assert grown(2) is ErrorCode.invalid_partitions
    d = schema("delete_topics", 6, "request")

    def deleted(topic_id):
        answer = connection.call("delete_topics", d.DeleteTopicsRequest(
            topics=(d.DeleteTopicState(name=None, topic_id=topic_id),), timeout=SECOND)).responses[0]
        return answer.topic_id, answer.error_code

    unknown = uuid.uuid4()
    assert deleted(unknown) == (unknown, ErrorCode.unknown_topic_id)
    assert deleted(known) == (known, ErrorCode.none)
    becomes((ErrorCode.unknown_topic_id, None, 0))
    create(connection, name)
    assert topic_id_of(connection, name) != known, "another topic of the same name is another topic"


def test_fetch_by_topic_id_that_is_gone(connection):
    m = schema("fetch", 13, "request")
    answer = connection.call("fetch", m.FetchRequest(
        max_wait=SECOND, min_bytes=i32(1), session_epoch=i32(-1), topics=(m.FetchTopic(
            topic_id=uuid.uuid4(), partitions=(m.FetchPartition(partition=i32(0), fetch_offset=i64(0),
                                                               partition_max_bytes=i32(1 << 20),
                                                               log_start_offset=i64(-1)),)),),
        forgotten_topics_data=(), isolation_level=i8(0), rack_id=""))
    assert answer.responses[0].partitions[0].error_code is ErrorCode.unknown_topic_id
