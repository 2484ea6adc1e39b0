"""kill -9 under load, with librdkafka: nothing acknowledged is lost, nothing is doubled, clients go on."""

import os
import threading
import time
import urllib.request
import uuid

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from conftest import Agent, dev_agent, free_port, wait_for_port

pytestmark = pytest.mark.skipif("TOWPATH_BOOTSTRAP" in os.environ, reason="needs agents of its own")


class Load:
    """An idempotent producer that never stops; remembers what was acknowledged, and when."""

    def __init__(self, bootstrap, topic, partitions, first=0):
        self.topic, self.partitions = topic, partitions
        self.acked, self.failed, self.sent = {}, [], first
        self.last_ack = time.monotonic()
        self.stopping = threading.Event()
        self.producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "acks": "all",
                                  "linger.ms": 5, "message.timeout.ms": 120_000, "reconnect.backoff.max.ms": 500,
                                  "retry.backoff.ms": 50, "topic.metadata.refresh.interval.ms": 1000})
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def delivered(self, error, message):
        if error:
            self.failed.append(error)
        else:
            self.last_ack = time.monotonic()
            self.acked.setdefault(message.partition(), {})[message.offset()] = message.value()

    def run(self):
        while not self.stopping.is_set():
            for _ in range(50):
                value = b"%d" % self.sent
                try:
                    self.producer.produce(self.topic, value, partition=self.sent % self.partitions,
                                          on_delivery=self.delivered)
                    self.sent += 1
                except BufferError:
                    break
            self.producer.poll(0.02)

    def wait_for_acks(self, seconds):
        """Returns how long it took until a record was acknowledged again."""
        began = time.monotonic()
        while self.last_ack < began:
            assert time.monotonic() - began < seconds, f"no acknowledgement within {seconds} s"
            time.sleep(0.01)
        return time.monotonic() - began

    def stop(self):
        self.stopping.set()
        self.thread.join()
        assert self.producer.flush(120) == 0
        assert not self.failed, self.failed[:3]


def create(bootstrap, name, partitions):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(name, partitions, 1)])[name].result(15)


def read_all(bootstrap, topic, partitions):
    """Every partition from its beginning to its end."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": uuid.uuid4().hex, "auto.offset.reset": "earliest",
                         "enable.auto.commit": False, "enable.partition.eof": True})
    consumer.assign([TopicPartition(topic, p, 0) for p in range(partitions)])
    log, ended, deadline = {p: {} for p in range(partitions)}, set(), time.monotonic() + 120
    while len(ended) < partitions:
        assert time.monotonic() < deadline, "the log was not read to its end"
        for message in consumer.consume(5000, 0.5):
            if message.error():
                ended.add(message.partition())
            else:
                log[message.partition()][message.offset()] = message.value()
    consumer.close()
    return log


def judge(load, log):
    total = 0
    for partition, records in log.items():
        acked = load.acked.get(partition, {})
        lost = {offset: value for offset, value in acked.items() if records.get(offset) != value}
        assert not lost, f"partition {partition} lost {len(lost)} of {len(acked)}: {list(lost.items())[:5]}"
        assert sorted(records) == list(range(len(records))), f"partition {partition} has holes"
        values = list(records.values())
        assert len(set(values)) == len(values), f"partition {partition} holds duplicates"
        assert [int(v) for v in values] == sorted(int(v) for v in values), f"partition {partition} is out of order"
        total += len(acked)
    return total


def test_a_killed_agent_comes_back_with_everything(tmp_path, name):
    agent = dev_agent(tmp_path).start()
    create(agent.bootstrap, name, 2)
    load = Load(agent.bootstrap, name, 2)
    for _ in range(4):
        time.sleep(2.0)
        agent.kill()
        agent.start()
        load.wait_for_acks(20)
    load.stop()
    agent.kill()
    agent.start()
    assert judge(load, read_all(agent.bootstrap, name, 2)) > 1000
    agent.stop()


@pytest.fixture
def pair(tmp_path):
    """Two agents of one cluster: one folder, one PostgreSQL, two racks."""
    postgres = os.environ.get("TOWPATH_TEST_POSTGRES")
    if not postgres:
        pytest.skip("TOWPATH_TEST_POSTGRES names no database")
    store = os.environ.get("TOWPATH_TEST_SHARED_STORE")
    # s3://bucket/prefix?endpoint=…: each pair gets a prefix of its own.
    store = store.replace("?", f"-{uuid.uuid4().hex[:6]}?") if store else f"file://{tmp_path}/bucket"
    schema = f"k{uuid.uuid4().hex[:10]}"
    agents = []
    for rack in ("a", "b"):
        port, http = free_port(), free_port()
        arguments = ["agent", "--store", store, "--metastore", f"{postgres}?towpath_schema={schema}", "--rack", rack,
                     "--listen", f"127.0.0.1:{port}", "--advertise", f"127.0.0.1:{port}", "--http", f"127.0.0.1:{http}"]
        agent = Agent(tmp_path / f"agent-{rack}.log", arguments, port)
        agent.http = http
        agents.append(agent.start())
    yield agents
    for agent in agents:
        if agent.process.poll() is None:
            agent.stop()


def both(agents):
    return ",".join(agent.bootstrap for agent in agents)


def test_either_of_two_agents_may_be_killed(pair, name):
    create(both(pair), name, 4)
    loads = [Load(both(pair), name, 4, first=number * 10_000_000) for number in range(2)]
    for turn in range(6):
        time.sleep(2.0)
        victim = pair[turn % 2]
        victim.kill()
        for load in loads:
            load.wait_for_acks(25)
        victim.start()
    for load in loads:
        load.stop()
    log = read_all(both(pair), name, 4)
    for partition in log.values():
        values = list(partition.values())
        assert len(set(values)) == len(values), "duplicates"
    total = 0
    for load in loads:
        for partition, acked in load.acked.items():
            lost = {offset for offset, value in acked.items() if log[partition].get(offset) != value}
            assert not lost, f"lost {len(lost)} of {len(acked)}"
            total += len(acked)
            own = set(acked.values())
            mine = [int(value) for _, value in sorted(log[partition].items()) if value in own]
            assert mine == sorted(mine), "one producer's records are out of order"
    assert total > 1000


def test_any_agent_serves_any_partition(pair, name):
    """What is acknowledged through one agent is there at once through the other."""
    create(pair[0].bootstrap, name, 6)
    admins = [AdminClient({"bootstrap.servers": agent.bootstrap}) for agent in pair]
    deadline = time.monotonic() + 15
    while any(len(admin.list_topics(name, timeout=10).brokers) != 2 for admin in admins):
        assert time.monotonic() < deadline, "every agent lists both"
        time.sleep(0.1)
    for rack in ("a", "b"):
        zoned = AdminClient({"bootstrap.servers": both(pair), "client.id": f"x,towpath_az={rack}"})
        listed = zoned.list_topics(name, timeout=10)
        expected = {port.port for port in pair if f"agent-{rack}" in port.log}
        leaders = {listed.brokers[p.leader].port for p in listed.topics[name].partitions.values()}
        assert leaders == expected, "leaders are in the client's zone"
    for turn in range(10):
        source, target = pair[turn % 2], pair[(turn + 1) % 2]
        producer = Producer({"bootstrap.servers": source.bootstrap, "client.id": f"towpath_az={'ab'[turn % 2]}"})
        producer.produce(name, b"%d" % turn, partition=turn % 6)
        assert producer.flush(15) == 0
        consumer = Consumer({"bootstrap.servers": target.bootstrap, "group.id": uuid.uuid4().hex,
                             "client.id": f"towpath_az={'ab'[(turn + 1) % 2]}"})
        low, high = consumer.get_watermark_offsets(TopicPartition(name, turn % 6), timeout=10)
        consumer.assign([TopicPartition(name, turn % 6, high - 1)])
        message = consumer.poll(10)
        assert message is not None and message.value() == b"%d" % turn
        consumer.close()


def test_sigterm_drains(pair, name):
    """A rolling restart fails no send."""
    create(both(pair), name, 2)
    load = Load(both(pair), name, 2)
    for agent in pair:
        time.sleep(1.5)
        began = time.monotonic()
        agent.stop()
        assert time.monotonic() - began < 20
        load.wait_for_acks(20)
        agent.start()
    load.stop()
    judge(load, read_all(both(pair), name, 2))


def test_health_and_metrics(pair):
    wait_for_port(pair[0].http, pair[0].process, pair[0].log)
    for path, word in [("livez", "ok"), ("readyz", "ready"), ("metrics", "towpath_")]:
        body = urllib.request.urlopen(f"http://127.0.0.1:{pair[0].http}/{path}", timeout=5).read().decode()
        assert word in body, body[:300]
