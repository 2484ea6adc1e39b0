"""kafka-python 3: classic groups of several members, and what its admin client asks about groups and the cluster."""

import threading
import time

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import (ACL, ACLFilter, ACLOperation, ACLPermissionType, MemberToRemove, NewTopic, ResourcePattern,
                         ResourceType)
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.errors import NoError, NonEmptyGroupError, OffsetOutOfRangeError, SecurityDisabledError
from kafka.structs import OffsetAndMetadata


@pytest.fixture
def admin(bootstrap):
    client = KafkaAdminClient(bootstrap_servers=bootstrap)
    yield client
    client.close()


def produce(bootstrap, topic, count, partitions=1):
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    for i in range(count):
        producer.send(topic, b"%d" % i, partition=i % partitions)
    producer.flush(20)
    producer.close()


class Member:
    """A member of the group that is named as its topic, on a thread of its own."""

    def __init__(self, bootstrap, name, **config):
        self.assignment, self.seen, self.failure, self.stopping = [], [], None, threading.Event()
        self.name = name
        self.config = dict(bootstrap_servers=bootstrap, group_id=name, auto_offset_reset="earliest",
                           enable_auto_commit=False, session_timeout_ms=20_000, heartbeat_interval_ms=300, **config)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            consumer = KafkaConsumer(self.name, **self.config)
            while not self.stopping.is_set():
                for records in consumer.poll(100).values():
                    self.seen += [(record.partition, record.offset) for record in records]
                    consumer.commit()
                self.assignment = sorted(partition.partition for partition in consumer.assignment())
            consumer.close()
        except Exception as failure:  # the test's own thread tells it
            self.failure = failure

    def stop(self):
        self.stopping.set()
        self.thread.join(30)
        assert not self.thread.is_alive(), "the member did not stop"


def wait_until(condition, what, members=(), seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        for member in members:
            assert member.failure is None, member.failure
        assert time.monotonic() < deadline, f"{what} did not come true within {seconds} s"
        time.sleep(0.05)


@pytest.mark.parametrize("assignor", [RangePartitionAssignor, RoundRobinPartitionAssignor, CooperativeStickyAssignor])
def test_members_share_leave_and_inherit(bootstrap, admin, name, assignor):
    admin.create_topics([NewTopic(name, 4, 1)])
    first = Member(bootstrap, name, partition_assignment_strategy=[assignor])
    wait_until(lambda: first.assignment == [0, 1, 2, 3], "one member has all", [first])
    second = Member(bootstrap, name, partition_assignment_strategy=[assignor])
    both = [first, second]
    wait_until(lambda: len(first.assignment) == 2 and sorted(first.assignment + second.assignment) == [0, 1, 2, 3],
               "two members share", both)
    produce(bootstrap, name, 40, 4)
    wait_until(lambda: len(first.seen) + len(second.seen) >= 40, "everything is read", both)
    assert sorted(first.seen + second.seen) == [(p, o) for p in range(4) for o in range(10)], "once each"
    assert first.seen and second.seen
    first.stop()
    wait_until(lambda: second.assignment == [0, 1, 2, 3], "the other inherits", [second])
    second.stop()
    offsets = admin.list_group_offsets(name)[name]
    assert {partition.partition: at.offset for partition, at in offsets.items()} == {p: 10 for p in range(4)}


def test_a_static_member_returns_without_a_rebalance(bootstrap, admin, name):
    admin.create_topics([NewTopic(name, 2, 1)])
    other = Member(bootstrap, name, group_instance_id="a")
    static = Member(bootstrap, name, group_instance_id="b")
    wait_until(lambda: len(other.assignment) == 1 and sorted(other.assignment + static.assignment) == [0, 1],
               "both have one", [other, static])
    kept = static.assignment
    static.stop()
    members = admin.describe_groups([name])[name]["members"]
    assert sorted(member["group_instance_id"] for member in members) == ["a", "b"], "it is still a member"
    again = Member(bootstrap, name, group_instance_id="b")
    wait_until(lambda: again.assignment == kept, "the static member gets its partition back", [other, again])
    assert sorted(other.assignment + kept) == [0, 1]
    again.stop()
    # Its place is free only when an administrator says so.
    removed = MemberToRemove(group_instance_id="b")
    assert list(admin.remove_group_members(name, [removed]).values()) == [NoError]
    wait_until(lambda: other.assignment == [0, 1], "the other inherits", [other])
    other.stop()


def test_groups_and_their_offsets(bootstrap, admin, name):
    admin.create_topics([NewTopic(name, 2, 1)])
    produce(bootstrap, name, 10, 2)
    member = Member(bootstrap, name)
    wait_until(lambda: len(member.seen) == 10, "the member reads", [member])
    described = admin.describe_groups([name])[name]
    assert (described["error"], described["group_state"], len(described["members"])) == (None, "Stable", 1)
    assert name in [group["group_id"] for group in admin.list_groups()]
    assert name not in [group["group_id"] for group in admin.list_groups(states_filter=["Empty"])]
    assert admin.delete_groups([name])[name] == NonEmptyGroupError.__name__
    member.stop()
    wait_until(lambda: admin.describe_groups([name])[name]["group_state"] == "Empty", "the member has left")
    zero, one = TopicPartition(name, 0), TopicPartition(name, 1)
    moved = admin.alter_group_offsets(name, {zero: OffsetAndMetadata(2, "by hand", -1)})
    assert moved == {zero: NoError}
    offsets = admin.list_group_offsets(name)[name]
    assert (offsets[zero].offset, offsets[zero].metadata, offsets[one].offset) == (2, "by hand", 5)
    assert admin.delete_group_offsets(name, [one]) == {one: NoError}
    assert list(admin.list_group_offsets(name)[name]) == [zero]
    assert admin.delete_groups([name])[name] == "OK"
    assert name not in [group["group_id"] for group in admin.list_groups()]


def test_delete_records(bootstrap, admin, name):
    admin.create_topics([NewTopic(name, 1, 1)])
    produce(bootstrap, name, 10)
    partition = TopicPartition(name, 0)
    assert admin.delete_records({partition: 6})[partition]["low_watermark"] == 6
    with pytest.raises(OffsetOutOfRangeError):
        admin.delete_records({partition: 11})
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=30_000)
    consumer.assign([partition])
    assert consumer.beginning_offsets([partition]) == {partition: 6}
    assert [next(consumer).offset for _ in range(4)] == [6, 7, 8, 9]
    consumer.close()


def test_log_dirs_count_the_bytes_of_a_partition(bootstrap, admin, name):
    admin.create_topics([NewTopic(name, 1, 1)])
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    producer.send(name, b"x" * 10_000).get(20)
    producer.close()
    sizes = [partition["partition_size"] for broker in admin.describe_log_dirs([name])
             for directory in broker["log_dirs"] for topic in directory["topics"] if topic["name"] == name
             for partition in topic["partitions"]]
    assert len(sizes) == 1 and sizes[0] > 10_000


def test_without_an_authorizer_acls_are_refused(admin):
    pattern = ResourcePattern(ResourceType.TOPIC, "t")
    who = dict(principal="User:a", host="*", operation=ACLOperation.READ, permission_type=ACLPermissionType.ALLOW,
               resource_pattern=pattern)
    assert admin.create_acls([ACL(**who)]) == {"succeeded": [], "failed": [SecurityDisabledError]}
    with pytest.raises(SecurityDisabledError):
        admin.describe_acls(ACLFilter(**who))
    [(_, deleted, error)] = admin.delete_acls([ACLFilter(**who)])
    assert (deleted, error) == ([], SecurityDisabledError)
