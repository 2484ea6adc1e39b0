"""Share groups in raw frames: one member on one connection, at version 1 or 2."""

import base64
import datetime
import time
import uuid

from kio.schema.errors import ErrorCode
from kio.schema.types import GroupId, TopicName
from kio.static.primitive import i8, i16, i32, i64, i32Timedelta
from raw import Connection, batch, schema

GAP, ACCEPT, RELEASE, REJECT, RENEW = range(5)


def milliseconds(number):
    return i32Timedelta.parse(datetime.timedelta(milliseconds=number))


def member_id():
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def set_config(connection, kind, name, **entries):
    m = schema("incremental_alter_configs", 1, "request")
    configs = tuple(m.AlterableConfig(name=key.replace("__", "."), config_operation=i8(0), value=str(value))
                    for key, value in entries.items())
    answer = connection.call("incremental_alter_configs", m.IncrementalAlterConfigsRequest(
        resources=(m.AlterConfigsResource(resource_type=i8(kind), resource_name=name, configs=configs),),
        validate_only=False))
    return answer.responses[0]


def group_config(connection, group, **entries):
    answer = set_config(connection, 32, group, **entries)
    assert answer.error_code is ErrorCode.none, answer


def create_topic(connection, name, partitions=1, **configs):
    """Creates a topic and returns its id."""
    m = schema("create_topics", 7, "request")
    entries = tuple(m.CreatableTopicConfig(name=key.replace("__", "."), value=str(value))
                    for key, value in configs.items())
    answer = connection.call("create_topics", m.CreateTopicsRequest(
        topics=(m.CreatableTopic(name=TopicName(name), num_partitions=i32(partitions), replication_factor=i16(1),
                                 assignments=(), configs=entries),),
        timeout=milliseconds(10_000), validate_only=False))
    assert answer.topics[0].error_code is ErrorCode.none, answer
    return answer.topics[0].topic_id


def produce(connection, name, values, partition=0):
    m = schema("produce", 8, "request")
    deadline = time.monotonic() + 10
    while True:
        answer = connection.call("produce", m.ProduceRequest(
            transactional_id=None, acks=i16(-1), timeout=milliseconds(10_000),
            topic_data=(m.TopicProduceData(name=TopicName(name), partition_data=(
                m.PartitionProduceData(index=i32(partition), records=batch(values)),)),)))
        partition_answer = answer.responses[0].partition_responses[0]
        if partition_answer.error_code is ErrorCode.none:
            return int(partition_answer.base_offset)
        assert time.monotonic() < deadline, partition_answer
        time.sleep(0.1)


def find_coordinator(connection, group):
    """Kafka makes the place where a group lives when somebody asks for it."""
    m, deadline = schema("find_coordinator", 4, "request"), time.monotonic() + 30
    while True:
        answer = connection.call("find_coordinator", m.FindCoordinatorRequest(key_type=i8(0), coordinator_keys=(group,)))
        if answer.coordinators[0].error_code is ErrorCode.none:
            return
        assert time.monotonic() < deadline, answer
        time.sleep(0.2)


NOT_YET = {ErrorCode.not_coordinator, ErrorCode.coordinator_not_available, ErrorCode.coordinator_load_in_progress}


class Member:
    """A member of a share group, with its session on one connection."""

    def __init__(self, bootstrap, group, version=2, member=None):
        self.connection = Connection(bootstrap)
        self.group, self.version, self.member = group, version, member or member_id()
        self.member_epoch, self.epoch = 0, 0

    def heartbeat(self, topics=None, epoch=None):
        m, deadline = schema("share_group_heartbeat", 1, "request"), time.monotonic() + 30
        request = m.ShareGroupHeartbeatRequest(
            group_id=GroupId(self.group), member_id=self.member,
            member_epoch=i32(self.member_epoch if epoch is None else epoch),
            subscribed_topic_names=None if topics is None else tuple(TopicName(topic) for topic in topics))
        answer = self.connection.call("share_group_heartbeat", request)
        while answer.error_code in NOT_YET and time.monotonic() < deadline:
            find_coordinator(self.connection, self.group)
            time.sleep(0.1)
            answer = self.connection.call("share_group_heartbeat", request)
        if answer.error_code is ErrorCode.none:
            self.member_epoch = int(answer.member_epoch)
        return answer

    def join(self, *topics, seconds=20):
        """Joins and waits for an assignment; returns it and how many heartbeats it took."""
        answer, beats, deadline = self.heartbeat(topics), 1, time.monotonic() + seconds
        assert answer.error_code is ErrorCode.none, answer
        while answer.assignment is None or not answer.assignment.topic_partitions:
            assert time.monotonic() < deadline, "no assignment"
            time.sleep(0.2)
            answer, beats = self.heartbeat(), beats + 1
        partitions = {topic.topic_id: sorted(int(p) for p in topic.partitions)
                      for topic in answer.assignment.topic_partitions}
        return partitions, beats

    def leave(self):
        answer = self.heartbeat(epoch=-1)
        self.member_epoch = 0
        return answer

    def topics(self, m, partition_kind, topic_kind, wanted):
        """wanted: {(topic id, partition): [(first, last, types), …]}"""
        by_topic = {}
        for (topic_id, partition), batches in wanted.items():
            by_topic.setdefault(topic_id, []).append(partition_kind(
                partition_index=i32(partition),
                acknowledgement_batches=tuple(
                    m.AcknowledgementBatch(first_offset=i64(first), last_offset=i64(last),
                                           acknowledge_types=tuple(i8(kind) for kind in types))
                    for first, last, types in batches)))
        return tuple(topic_kind(topic_id=topic_id, partitions=tuple(parts)) for topic_id, parts in by_topic.items())

    def fetch(self, wanted=None, forget=None, epoch=None, records=500, wait=3000, mode=0, renew=False, min_bytes=1,
              group=True, member=None):
        """One ShareFetch; {(topic id, partition): answer} or the error of the whole request."""
        m = schema("share_fetch", self.version, "request")
        newer = {"share_acquire_mode": i8(mode), "is_renew_ack": renew} if self.version >= 2 else {}
        epoch = self.epoch if epoch is None else epoch
        answer = self.connection.call("share_fetch", m.ShareFetchRequest(
            group_id=GroupId(self.group) if group else None, member_id=self.member if member is None else member,
            share_session_epoch=i32(epoch), max_wait=milliseconds(0 if renew else wait),
            min_bytes=i32(0 if renew else min_bytes), max_bytes=i32(0 if renew else 50 << 20),
            max_records=i32(0 if renew else records), batch_size=i32(0 if renew else records),
            topics=self.topics(m, m.FetchPartition, m.FetchTopic, wanted or {}),
            forgotten_topics_data=tuple(m.ForgottenTopic(topic_id=topic_id, partitions=tuple(map(i32, partitions)))
                                        for topic_id, partitions in (forget or {}).items()), **newer))
        if answer.error_code is not ErrorCode.none:
            return answer.error_code.name
        self.lock_timeout = answer.acquisition_lock_timeout
        self.epoch = 0 if epoch == -1 else epoch + 1
        return {(topic.topic_id, int(part.partition_index)): part
                for topic in answer.responses for part in topic.partitions}

    def acknowledge(self, wanted, epoch=None, renew=False):
        m = schema("share_acknowledge", self.version, "request")
        epoch = self.epoch if epoch is None else epoch
        newer = {"is_renew_ack": renew} if self.version >= 2 else {}
        answer = self.connection.call("share_acknowledge", m.ShareAcknowledgeRequest(
            group_id=GroupId(self.group), member_id=self.member, share_session_epoch=i32(epoch),
            topics=self.topics(m, m.AcknowledgePartition, m.AcknowledgeTopic, wanted), **newer))
        if answer.error_code is not ErrorCode.none:
            return answer.error_code.name
        self.epoch = 0 if epoch == -1 else epoch + 1
        return {(topic.topic_id, int(part.partition_index)): part.error_code.name
                for topic in answer.responses for part in topic.partitions}

    def take(self, key, wanted=None, seconds=10, **options):
        """Fetches until something of partition `key` is acquired: [(first, last, delivery count), …]."""
        wanted, deadline = dict(wanted or {}), time.monotonic() + seconds
        if self.epoch == 0:
            wanted.setdefault(key, [])
        while True:
            answer = self.fetch(wanted, **options)
            assert isinstance(answer, dict), answer
            got = acquired(answer.get(key))
            if got:
                return got
            assert time.monotonic() < deadline, "nothing was delivered"
            wanted = {}

    def close(self):
        self.connection.close()


def acquired(partition):
    if partition is None:
        return []
    assert partition.error_code is ErrorCode.none, partition
    return [(int(range_.first_offset), int(range_.last_offset), int(range_.delivery_count))
            for range_ in partition.acquired_records]
