"""Share groups (KIP-932) to the error code, in raw frames at both versions."""

import struct
import time
import uuid

import pytest
from kio.schema.errors import ErrorCode
from kio.schema.types import GroupId, TopicName
from kio.static.primitive import i32, i64
from raw import Connection, schema
from share_raw import (ACCEPT, GAP, REJECT, RELEASE, RENEW, Member, acquired, create_topic, group_config, member_id,
                       milliseconds, produce, set_config)


@pytest.fixture
def connection(bootstrap):
    connection = Connection(bootstrap)
    yield connection
    connection.close()


@pytest.fixture
def group(connection, name):
    """A group that reads from the beginning, and a topic of the same name with one partition."""
    group_config(connection, name, share__auto__offset__reset="earliest")
    return name


@pytest.fixture(params=[1, 2], ids=["v1", "v2"])
def joined(request, bootstrap, connection, group):
    """A member that was assigned the topic's one partition, and the partition's key."""
    topic_id = create_topic(connection, group)
    member = Member(bootstrap, group, request.param)
    partitions, _ = member.join(group)
    assert partitions == {topic_id: [0]}
    yield member, (topic_id, 0)
    member.close()


def another(bootstrap, member):
    other = Member(bootstrap, member.group, member.version)
    other.join(member.group)
    return other


def test_the_first_answer_holds_the_assignment(bootstrap, connection, group, is_towpath):
    topic_id = create_topic(connection, group, 3)
    member = Member(bootstrap, group)
    partitions, beats = member.join(group)
    assert partitions == {topic_id: [0, 1, 2]}
    assert beats == 1 or not is_towpath
    assert member.heartbeat().assignment is None, "it did not change"
    assert member.heartbeat(epoch=member.member_epoch + 5).error_code is ErrorCode.fenced_member_epoch
    assert int(member.leave().member_epoch) == -1
    assert member.heartbeat(epoch=1).error_code is ErrorCode.unknown_member_id
    member.close()


@pytest.mark.parametrize("change", [{"epoch": -2}, {"topics": ()}, {"topics": None}, {"member": ""},
                                    {"member": "m" * 37}], ids=str)
def test_a_heartbeat_that_makes_no_sense(bootstrap, name, change):
    member = Member(bootstrap, name, member=change.get("member"))
    member.member = change.get("member", member.member)
    answer = member.heartbeat(change.get("topics", (name,)), epoch=change.get("epoch"))
    assert answer.error_code is ErrorCode.invalid_request
    member.close()


def test_a_group_that_does_not_exist(bootstrap, name):
    member = Member(bootstrap, name)
    assert member.heartbeat((name,), epoch=3).error_code is ErrorCode.group_id_not_found
    member.close()


def test_records_are_delivered_once_and_accepted(joined, connection):
    member, key = joined
    produce(connection, member.group, [b"a", b"b", b"c"])
    answer = member.fetch({key: []})
    part = answer[key]
    assert acquired(part) == [(0, 2, 1)]
    assert b"c" in bytes(part.records)
    assert member.lock_timeout.total_seconds() == 30
    assert member.acknowledge({key: [(0, 2, [ACCEPT])]}) == {key: "none"}
    assert member.fetch(wait=300) == {}, "nothing is left, and nothing is said of it"
    produce(connection, member.group, [b"d"])
    assert member.take(key) == [(3, 3, 1)]


def test_the_first_answer_names_every_partition_and_later_ones_only_news(bootstrap, connection, group):
    topic_id = create_topic(connection, group, 3)
    member = Member(bootstrap, group)
    member.join(group)
    answer = member.fetch({(topic_id, part): [] for part in (0, 1)}, wait=100)
    assert sorted(part for _, part in answer) == [0, 1]
    assert all(len(bytes(part.records or b"")) == 0 for part in answer.values())
    assert member.fetch(wait=100) == {}
    assert sorted(member.fetch({(topic_id, 2): []}, wait=100)) == [(topic_id, 2)], "a new one is named"
    produce(connection, group, [b"x"], 1)
    produce(connection, group, [b"y"], 2)
    assert member.take((topic_id, 1), wait=500, forget={topic_id: [2]}) == [(0, 0, 1)]
    assert member.fetch(wait=200) == {}, "a forgotten one is not fetched"
    member.close()


def test_acknowledgements_travel_with_the_next_fetch(joined, connection):
    member, key = joined
    produce(connection, member.group, [b"a", b"b", b"c", b"d"])
    member.take(key)
    answer = member.fetch({key: [(0, 0, [ACCEPT]), (1, 3, [RELEASE, REJECT, GAP])]})
    assert answer[key].acknowledge_error_code == 0
    assert acquired(answer[key]) == [(1, 1, 2)], "what was released comes back with a higher count"


@pytest.mark.parametrize("limit", [2, 3])
def test_the_delivery_limit(joined, connection, limit):
    member, key = joined
    group_config(connection, member.group, share__delivery__count__limit=limit)
    produce(connection, member.group, [b"poison"])
    for count in range(1, limit + 1):
        assert member.take(key) == [(0, 0, count)]
        assert member.acknowledge({key: [(0, 0, [RELEASE])]}) == {key: "none"}
    assert member.fetch(wait=500) == {}, "given up"
    produce(connection, member.group, [b"good"])
    assert member.take(key) == [(1, 1, 1)]


def test_a_lock_ends(bootstrap, joined, connection):
    member, key = joined
    group_config(connection, member.group, share__record__lock__duration__ms=1000)
    other = another(bootstrap, member)
    produce(connection, member.group, [b"a"])
    assert member.take(key) == [(0, 0, 1)]
    assert acquired(other.fetch({key: []}, wait=200)[key]) == []
    started = time.monotonic()
    assert other.take(key, wait=5000) == [(0, 0, 2)]
    assert time.monotonic() - started < 3
    assert member.acknowledge({key: [(0, 0, [ACCEPT])]}) == {key: "invalid_record_state"}
    assert other.acknowledge({key: [(0, 0, [ACCEPT])]}) == {key: "none"}
    other.close()


def test_a_closed_connection_gives_everything_back(bootstrap, joined, connection):
    member, key = joined
    produce(connection, member.group, [b"a", b"b"])
    assert member.take(key) == [(0, 1, 1)]
    other = another(bootstrap, member)
    assert acquired(other.fetch({key: []}, wait=200)[key]) == []
    member.close()
    started = time.monotonic()
    assert other.take(key, wait=500) == [(0, 1, 2)]
    assert time.monotonic() - started < 4, "long before the lock ends"
    other.close()


def test_a_closed_session_gives_everything_back(bootstrap, joined, connection):
    member, key = joined
    produce(connection, member.group, [b"a", b"b"])
    member.take(key)
    other = another(bootstrap, member)
    assert member.fetch({key: [(0, 0, [ACCEPT])]}, epoch=-1)[key].acknowledge_error_code == 0
    assert member.fetch(epoch=-1) == "share_session_not_found"
    assert other.take(key) == [(1, 1, 2)]
    assert other.acknowledge({key: [(1, 1, [ACCEPT])]}, epoch=-1) == {key: "none"}
    other.close()


def test_sessions_and_their_epochs(joined):
    member, key = joined
    assert member.fetch({key: []}, epoch=1, wait=0) == "share_session_not_found"
    assert member.fetch({key: [(0, 0, [ACCEPT])]}, epoch=0, wait=0) == "invalid_request"
    assert member.acknowledge({key: []}, epoch=5) == "share_session_not_found"
    assert member.acknowledge({key: []}, epoch=-1) == "share_session_not_found"
    member.fetch({key: []}, wait=0)
    assert member.acknowledge({key: []}, epoch=0) == "invalid_share_session_epoch"
    assert member.fetch(epoch=2, wait=0) == "invalid_share_session_epoch"
    assert member.acknowledge({key: []}, epoch=7) == "invalid_share_session_epoch"
    assert member.fetch(wait=0) == {}, "epoch 1 is still expected"
    assert member.fetch(epoch=0, wait=0) == {}, "a new session takes the old one's place"
    assert member.fetch({key: []}, group=False, wait=0) == "invalid_request"
    assert member.fetch({key: []}, member="m" * 37, wait=0) == "invalid_request"
    assert member.fetch({key: []}, member="", wait=0) == "invalid_request"


@pytest.mark.parametrize(("batches", "error"), [
    ([(1, 0, [ACCEPT])], "invalid_request"),
    ([(0, 1, [ACCEPT, ACCEPT, ACCEPT])], "invalid_request"),
    ([(0, 0, [])], "invalid_request"),
    ([(0, 0, [9])], "invalid_request"),
    ([(0, 0, [RENEW])], "invalid_request"),
    ([(2, 2, [ACCEPT]), (0, 0, [ACCEPT])], "invalid_request"),
    ([(0, 1, [ACCEPT]), (1, 1, [ACCEPT])], "invalid_record_state"),
    ([(0, 9, [ACCEPT])], "invalid_request"),
], ids=["turned round", "types", "no types", "unknown type", "renew", "order", "twice", "never acquired"])
def test_acknowledgements_that_make_no_sense(joined, connection, batches, error):
    member, key = joined
    produce(connection, member.group, [b"a", b"b", b"c"])
    assert member.take(key) == [(0, 2, 1)]
    assert member.acknowledge({key: batches}) == {key: error}
    answer = member.fetch({key: batches}, wait=0)
    assert ErrorCode(answer[key].acknowledge_error_code).name == error
    assert member.acknowledge({key: [(0, 2, [ACCEPT])]}) == {key: "none"}, "all or nothing: they are still held"
    assert member.acknowledge({key: [(0, 2, [ACCEPT])]}) == {key: "none"}, "below the start nothing matters"


def test_what_somebody_else_holds_is_not_ours(bootstrap, joined, connection):
    member, key = joined
    produce(connection, member.group, [b"a", b"b"])
    member.take(key)
    other = another(bootstrap, member)
    other.fetch({key: []}, wait=0)
    assert other.acknowledge({key: [(0, 1, [ACCEPT])]}) == {key: "invalid_record_state"}
    assert member.acknowledge({key: [(0, 1, [ACCEPT])]}) == {key: "none"}
    other.close()


def test_topics_and_partitions_that_do_not_exist(joined, is_towpath):
    member, (topic_id, _) = joined
    nowhere = uuid.uuid4()
    # Kafka 4.3 answers a topic that it does not know by an error of the whole request.
    unknown = {(nowhere, 0): []} if is_towpath else {}
    answer = member.fetch({**unknown, (topic_id, 7): [], (topic_id, 0): []}, wait=0)
    assert all(answer[key].error_code is ErrorCode.unknown_topic_id for key in unknown)
    assert answer[(topic_id, 7)].error_code is ErrorCode.unknown_topic_or_partition
    assert not is_towpath or answer[(topic_id, 0)].error_code is ErrorCode.none
    answer = member.acknowledge({(nowhere, 0): [(0, 0, [ACCEPT])], (topic_id, 7): [(0, 0, [ACCEPT])]})
    assert answer == {(nowhere, 0): "unknown_topic_id", (topic_id, 7): "unknown_topic_or_partition"}


def test_a_topic_that_comes_twice_in_one_request(bootstrap, connection, group):
    """librdkafka does it."""
    topic_id = create_topic(connection, group, 2)
    member = Member(bootstrap, group, 1)
    member.join(group)
    whole = Member.topics

    def doubled(self, module, partition_kind, topic_kind, wanted):
        return tuple(topic for key, batches in wanted.items()
                     for topic in whole(self, module, partition_kind, topic_kind, {key: batches}))

    Member.topics = doubled
    try:
        produce(connection, group, [b"a"], 0)
        produce(connection, group, [b"b"], 1)
        got, wanted, deadline = set(), {(topic_id, 0): [], (topic_id, 1): []}, time.monotonic() + 10
        while len(got) < 2 and time.monotonic() < deadline:
            answer = member.fetch(wanted)
            got |= {key for key, part in answer.items() if acquired(part)}
            wanted = {}
        assert got == {(topic_id, 0), (topic_id, 1)}
        acks = {key: [(0, 0, [ACCEPT])] for key in got}
        assert member.acknowledge(acks) == {key: "none" for key in got}
    finally:
        Member.topics = whole
    member.close()


def test_never_more_than_the_limit(bootstrap, connection, group):
    topic_id = create_topic(connection, group)
    member = Member(bootstrap, group)
    member.join(group)
    produce(connection, group, [b"%d" % i for i in range(10)])
    key = (topic_id, 0)
    assert member.take(key, records=3, mode=1) == [(0, 2, 1)]
    assert member.take(key, records=4, mode=1) == [(3, 6, 1)]
    assert member.take(key, records=4, mode=0) == [(7, 9, 1)]
    assert member.fetch({key: [(0, 9, [RELEASE])]}, records=0, wait=0)[key].acknowledge_error_code == 0
    total = sum(last - first + 1 for first, last, _ in member.take(key, records=3, mode=0))
    assert total >= 3
    assert member.fetch(mode=7, wait=0) in ("invalid_request", "unknown_server_error")
    member.close()


def test_renewal_keeps_a_record(bootstrap, connection, group):
    topic_id = create_topic(connection, group)
    key = (topic_id, 0)
    group_config(connection, group, share__record__lock__duration__ms=2000)
    member = Member(bootstrap, group)
    member.join(group)
    other = another(bootstrap, member)
    produce(connection, group, [b"slow"])
    assert member.take(key) == [(0, 0, 1)]
    for _ in range(3):
        time.sleep(1.2)
        assert member.acknowledge({key: [(0, 0, [RENEW])]}, renew=True) == {key: "none"}
    assert acquired(other.fetch({key: []}, wait=100)[key]) == []
    answer = member.fetch({key: [(0, 0, [RENEW])]}, renew=True)
    assert answer[key].acknowledge_error_code == 0 and acquired(answer[key]) == []
    group_config(connection, group, share__renew__acknowledge__enable="false")
    assert member.acknowledge({key: [(0, 0, [RENEW])]}, renew=True) == {key: "invalid_record_state"}
    assert member.acknowledge({key: [(0, 0, [ACCEPT])]}) == {key: "none"}
    other.close()
    member.close()


def test_a_fetch_that_renews_must_not_want_records(bootstrap, connection, group):
    create_topic(connection, group)
    member = Member(bootstrap, group)
    m = schema("share_fetch", 2, "request")
    request = m.ShareFetchRequest(
        group_id=GroupId(group), member_id=member.member, share_session_epoch=i32(1),
        max_wait=milliseconds(0), min_bytes=i32(0), max_bytes=i32(0), max_records=i32(5), batch_size=i32(0),
        is_renew_ack=True, topics=(), forgotten_topics_data=())
    assert member.connection.call("share_fetch", request).error_code is ErrorCode.invalid_request
    member.close()


def test_one_partition_has_many_members(bootstrap, joined, connection):
    member, key = joined
    others = [another(bootstrap, member) for _ in range(3)]
    for index in range(4):
        produce(connection, member.group, [b"%d" % index])
    got = []
    for one in [member, *others]:
        got += one.take(key, records=1)
    assert sorted(first for first, _, _ in got) == [0, 1, 2, 3], "each got another record"
    for other in others:
        other.close()


def describe_offsets(connection, group, topics=None, version=1):
    m = schema("describe_share_group_offsets", version, "request")
    wanted = None if topics is None else tuple(
        m.DescribeShareGroupOffsetsRequestTopic(topic_name=TopicName(topic), partitions=tuple(map(i32, partitions)))
        for topic, partitions in topics.items())
    answer = connection.call("describe_share_group_offsets", m.DescribeShareGroupOffsetsRequest(
        groups=(m.DescribeShareGroupOffsetsRequestGroup(group_id=GroupId(group), topics=wanted),)))
    assert answer.groups[0].error_code is ErrorCode.none, answer
    return {(str(topic.topic_name), int(part.partition_index)):
            (int(part.start_offset), int(getattr(part, "lag", -1)))
            for topic in answer.groups[0].topics for part in topic.partitions}


def test_offsets_are_shown_moved_and_forgotten(bootstrap, joined, connection, is_towpath):
    member, key = joined
    group = member.group
    produce(connection, group, [b"%d" % i for i in range(10)])
    member.take(key)
    assert member.acknowledge({key: [(0, 3, [ACCEPT]), (6, 6, [ACCEPT])]}) == {key: "none"}
    # Kafka stores how far the start is with the next change.
    start = 4 if is_towpath else 0
    assert describe_offsets(connection, group) == {(group, 0): (start, 5)}
    assert describe_offsets(connection, group, version=0) == {(group, 0): (start, -1)}
    assert describe_offsets(connection, group, {"never-heard-of": [0]}) == {("never-heard-of", 0): (-1, -1)}
    alter = schema("alter_share_group_offsets", 0, "request")

    def move(topic, partition, offset):
        return connection.call("alter_share_group_offsets", alter.AlterShareGroupOffsetsRequest(
            group_id=GroupId(group), topics=(alter.AlterShareGroupOffsetsRequestTopic(
                topic_name=TopicName(topic), partitions=(alter.AlterShareGroupOffsetsRequestPartition(
                    partition_index=i32(partition), start_offset=i64(offset)),)),)))

    delete = schema("delete_share_group_offsets", 0, "request")

    def forget(topic):
        return connection.call("delete_share_group_offsets", delete.DeleteShareGroupOffsetsRequest(
            group_id=GroupId(group),
            topics=(delete.DeleteShareGroupOffsetsRequestTopic(topic_name=TopicName(topic)),)))

    assert move(group, 0, 2).error_code is ErrorCode.non_empty_group
    assert forget(group).error_code is ErrorCode.non_empty_group
    member.leave()
    member.fetch(epoch=-1)
    assert move(group, 9, 2).responses[0].partitions[0].error_code is ErrorCode.unknown_topic_or_partition
    answer = move(group, 0, 8)
    assert (answer.error_code, answer.responses[0].partitions[0].error_code) == (ErrorCode.none, ErrorCode.none)
    assert describe_offsets(connection, group) == {(group, 0): (8, 2)}
    member.join(group)
    # Kafka 4.3 may still go on where it was (KAFKA-20910).
    assert member.take(key)[0][0] == 8 or not is_towpath
    member.leave()
    member.fetch(epoch=-1)
    assert forget(group).responses[0].error_code is ErrorCode.none
    assert describe_offsets(connection, group, {group: [0]}) == {(group, 0): (-1, -1)}
    assert forget(group).responses[0].error_code is ErrorCode.unknown_topic_or_partition
    member.join(group)
    assert member.take(key)[0][0] == 0, "earliest decides anew"
    m = schema("delete_groups", 2, "request")
    call = lambda: connection.call("delete_groups", m.DeleteGroupsRequest(groups_names=(GroupId(group),)))
    assert call().results[0].error_code is ErrorCode.non_empty_group
    member.leave()
    assert call().results[0].error_code is ErrorCode.none
    assert call().results[0].error_code is ErrorCode.group_id_not_found


def test_groups_are_listed_and_described(joined, connection):
    member, (topic_id, _) = joined
    m = schema("list_groups", 5, "request")
    listed = connection.call("list_groups", m.ListGroupsRequest(states_filter=(), types_filter=("share",)))
    mine = next(group for group in listed.groups if str(group.group_id) == member.group)
    assert (mine.group_type.lower(), mine.protocol_type, mine.group_state) == ("share", "share", "Stable")
    listed = connection.call("list_groups", m.ListGroupsRequest(states_filter=(), types_filter=("classic",)))
    assert member.group not in [str(group.group_id) for group in listed.groups]
    m = schema("share_group_describe", 1, "request")
    answer = connection.call("share_group_describe", m.ShareGroupDescribeRequest(
        group_ids=(GroupId(member.group), GroupId("a-group-never-heard-of")), include_authorized_operations=False))
    missing, group = sorted(answer.groups, key=lambda described: str(described.group_id))
    assert (group.group_state, group.assignor_name, len(group.members)) == ("Stable", "simple", 1)
    described = group.members[0]
    assert (described.member_id, described.client_id, described.client_host) == (member.member, "raw", "/127.0.0.1")
    assert [str(topic) for topic in described.subscribed_topic_names] == [member.group]
    assert [(str(t.topic_name), list(map(int, t.partitions))) for t in described.assignment.topic_partitions] == \
        [(member.group, [0])]
    assert missing.error_code is ErrorCode.group_id_not_found and missing.error_message
    m = schema("describe_groups", 5, "request")
    classic = connection.call("describe_groups", m.DescribeGroupsRequest(groups=(GroupId(member.group),), include_authorized_operations=False))
    assert classic.groups[0].group_state == "Dead"


@pytest.mark.parametrize(("key", "value"), [
    ("share.record.lock.duration.ms", "10"), ("share.delivery.count.limit", "1"), ("share.isolation.level", "none"),
    ("share.auto.offset.reset", "by_duration:-PT1H"), ("share.no.such.thing", "1"),
    ("share.session.timeout.ms", "1000"), ("share.partition.max.record.locks", "99")])
def test_group_configurations_have_bounds(connection, name, key, value):
    answer = set_config(connection, 32, name, **{key.replace(".", "__"): value})
    assert answer.error_code is ErrorCode.invalid_config and key in answer.error_message


def test_where_a_group_begins(bootstrap, connection, name):
    topic_id = create_topic(connection, name)
    produce(connection, name, [b"old"])
    key = (topic_id, 0)
    latest = Member(bootstrap, name)
    latest.join(name)
    assert acquired(latest.fetch({key: []}, wait=300)[key]) == []
    by_time = f"{name}-by-time"
    group_config(connection, by_time, share__auto__offset__reset="by_duration:P36500D")
    old = Member(bootstrap, by_time)
    old.join(name)
    assert old.take(key) == [(0, 0, 1)]
    produce(connection, name, [b"new"])
    assert latest.take(key) == [(1, 1, 1)]
    latest.close()
    old.close()


def test_the_records_are_whole_batches(joined, connection):
    member, key = joined
    produce(connection, member.group, [b"a", b"b"])
    produce(connection, member.group, [b"c"])
    records = bytes(member.fetch({key: []})[key].records)
    base_offsets = []
    while records:
        offset, length = struct.unpack(">qi", records[:12])
        base_offsets.append(offset)
        records = records[12 + length:]
    assert base_offsets == [0, 2]


def test_member_ids_are_the_clients_own(bootstrap, connection, group):
    create_topic(connection, group)
    ours = member_id()
    member = Member(bootstrap, group, member=ours)
    member.join(group)
    assert member.heartbeat().member_id in (ours, None)
    again = member.heartbeat((group,), epoch=0)
    assert again.error_code is ErrorCode.none and again.assignment is not None, "joining again is no error"
    member.close()


# ---------------------------------------------------------------- Kafka 4.4, and beyond

@pytest.fixture
def only_towpath(is_towpath):
    if not is_towpath:
        pytest.skip("not in Kafka 4.3")


def letters(bootstrap, topic, count):
    from test_confluent import consume
    got = consume(bootstrap, topic, count)
    assert len(got) == count
    return got


@pytest.mark.parametrize("copy", ["false", "true"])
def test_dead_letters(only_towpath, bootstrap, joined, connection, copy):
    member, key = joined
    topic = f"dlq.{member.group}"
    create_topic(connection, topic, errors__deadletterqueue__group__enable="true")
    group_config(connection, member.group, errors__deadletterqueue__topic__name=topic,
                 errors__deadletterqueue__copy__record__enable=copy, share__delivery__count__limit=2)
    produce(connection, member.group, [b"good", b"rejected", b"poison"])
    assert member.take(key) == [(0, 2, 1)]
    assert member.acknowledge({key: [(0, 2, [ACCEPT, REJECT, RELEASE])]}) == {key: "none"}
    assert member.take(key) == [(2, 2, 2)]
    assert member.acknowledge({key: [(2, 2, [RELEASE])]}) == {key: "none"}
    assert member.fetch(wait=300) == {}, "given up"
    got = letters(bootstrap, topic, 2)
    told = [{name: value.decode() for name, value in message.headers()} for message in got]
    assert [letter["__dlq.errors.offset"] for letter in told] == ["1", "2"]
    assert [letter["__dlq.errors.message"] for letter in told] == \
        ["Offset rejected by client.", "Offset delivery count exceeded the threshold."]
    assert [letter["__dlq.errors.delivery.count"] for letter in told] == ["1", "2"]
    assert all((letter["__dlq.errors.topic"], letter["__dlq.errors.partition"], letter["__dlq.errors.group"]) ==
               (member.group, "0", member.group) for letter in told)
    assert [message.value() for message in got] == ([b"rejected", b"poison"] if copy == "true" else [None, None])


def test_a_topic_for_dead_letters_is_made(only_towpath, bootstrap, joined, connection):
    member, key = joined
    assert set_config(connection, 4, "", errors__deadletterqueue__auto__create__topics__enable="true").error_code \
        is ErrorCode.none
    topic = f"dlq.{member.group}-made"
    group_config(connection, member.group, errors__deadletterqueue__topic__name=topic)
    produce(connection, member.group, [b"bad"])
    member.take(key)
    assert member.acknowledge({key: [(0, 0, [REJECT])]}) == {key: "none"}
    assert dict(letters(bootstrap, topic, 1)[0].headers())["__dlq.errors.offset"] == b"0"


def test_a_topic_that_takes_no_dead_letters(only_towpath, bootstrap, joined, connection):
    """Records are given up all the same: a topic that is not ready does not stop the group."""
    member, key = joined
    topic = f"dlq.{member.group}"
    create_topic(connection, topic)
    group_config(connection, member.group, errors__deadletterqueue__topic__name=topic)
    produce(connection, member.group, [b"bad"])
    member.take(key)
    assert member.acknowledge({key: [(0, 0, [REJECT])]}) == {key: "none"}
    produce(connection, member.group, [b"good"])
    assert member.take(key) == [(1, 1, 1)]


def test_a_pause_before_redelivery(only_towpath, joined, connection):
    member, key = joined
    group_config(connection, member.group, towpath__share__redelivery__backoff__ms=1500)
    produce(connection, member.group, [b"a"])
    member.take(key)
    started = time.monotonic()
    assert member.acknowledge({key: [(0, 0, [RELEASE])]}) == {key: "none"}
    assert member.take(key, wait=5000) == [(0, 0, 2)]
    assert 1.3 < time.monotonic() - started < 4


def test_a_group_is_paused(only_towpath, joined, connection):
    member, key = joined
    produce(connection, member.group, [b"a", b"b"])
    assert member.take(key, records=1, mode=1 if member.version >= 2 else 0)
    group_config(connection, member.group, towpath__share__delivery__paused="true")
    assert member.acknowledge({key: [(0, 0, [RELEASE])]}) == {key: "none"}
    assert member.fetch(wait=500) == {}
    group_config(connection, member.group, towpath__share__delivery__paused="false")
    assert (0, 0, 2) in member.take(key)


def test_dead_letters_are_limited(only_towpath, bootstrap, joined, connection):
    member, key = joined
    topic = f"dlq.{member.group}"
    create_topic(connection, topic, errors__deadletterqueue__group__enable="true")
    group_config(connection, member.group, errors__deadletterqueue__topic__name=topic,
                 towpath__share__deadletterqueue__rate__limit__per__minute=2)
    produce(connection, member.group, [b"%d" % i for i in range(4)])
    member.take(key)
    assert member.acknowledge({key: [(0, 1, [REJECT])]}) == {key: "none"}
    member.acknowledge({key: [(2, 3, [REJECT])]})
    assert len(letters(bootstrap, topic, 2)) == 2
    _, lag = describe_offsets(connection, member.group)[(member.group, 0)]
    assert lag == 2, "what can not become a letter now is not given up"


def test_an_agents_death_loses_no_count(only_towpath, tmp_path, name):
    from conftest import dev_agent
    agent = dev_agent(tmp_path).start()
    try:
        admin = Connection(agent.bootstrap)
        group_config(admin, name, share__auto__offset__reset="earliest")
        key = (create_topic(admin, name), 0)
        member = Member(agent.bootstrap, name)
        member.join(name)
        produce(admin, name, [b"a", b"b", b"c"])
        assert member.take(key) == [(0, 2, 1)]
        assert member.acknowledge({key: [(0, 0, [ACCEPT])]}) == {key: "none"}
        agent.kill()
        agent.start()
        other = Member(agent.bootstrap, name)
        other.join(name)
        # The dead agent's locks end with its session, long before their own time.
        assert other.take(key, seconds=25, wait=2000) == [(1, 2, 2)]
        assert other.acknowledge({key: [(1, 2, [ACCEPT])]}) == {key: "none"}
        other.close()
    finally:
        agent.stop()
