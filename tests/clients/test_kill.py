"""kill -9 under load, with librdkafka: nothing acknowledged is lost, nothing is doubled, clients go on."""

import os
import time
import urllib.request
import uuid

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from conftest import both, dev_agent, wait_for_port
from load import Load, create, judge, read_all

pytestmark = pytest.mark.skipif("TOWPATH_BOOTSTRAP" in os.environ, reason="needs agents of its own")


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
