"""Two agents of one cluster, with clients that switch between them: any agent serves any partition, and kill -9 of one
loses, doubles and reorders nothing that was acknowledged. librdkafka's share of this is in test_kill.py."""

import os
import pathlib
import subprocess
import threading
import time

import pytest
from kafka import KafkaProducer

from conftest import both
from load import create, judge, read_all

pytestmark = pytest.mark.skipif("TOWPATH_BOOTSTRAP" in os.environ, reason="needs agents of its own")

HERE = pathlib.Path(__file__).parent
LIBS = os.environ.get("TOWPATH_JAVA_LIBS", str(HERE / "java" / "libs"))


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classes")
    sources = [str(HERE / "java" / f"{name}.java") for name in ("Load", "Hop")]
    subprocess.run(["javac", "-cp", f"{LIBS}/*", "-d", str(folder), *sources], check=True)
    return ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{folder}:{LIBS}/*"]


class JavaLoad:
    """Load.java: an idempotent producer of its own process."""

    def __init__(self, java, bootstrap, topic, partitions, client_id):
        self.acked, self.failed, self.last_ack = {}, [], 0.0
        self.process = subprocess.Popen([*java, "Load", bootstrap, topic, str(partitions), client_id], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.ended = False
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self):
        for line in self.process.stdout:
            words = line.split()
            if words == ["acked"]:
                self.last_ack = time.monotonic()
            elif words == ["end"]:
                self.ended = True
            elif words and words[0] == "failed":
                self.failed.append(line)
            elif words:
                partition, offset, value = words
                self.acked.setdefault(int(partition), {})[int(offset)] = value.encode()

    def wait_for_acks(self, seconds):
        began = time.monotonic()
        while self.last_ack < began:
            assert self.process.poll() is None, "the producer ended"
            assert time.monotonic() - began < seconds, f"no acknowledgement within {seconds} s"
            time.sleep(0.01)

    def stop(self):
        self.process.stdin.close()
        self.process.wait(150)
        self.thread.join(30)
        assert self.ended, "the producer did not end in order"
        assert not self.failed, self.failed[:3]


def test_java_either_of_two_agents_may_be_killed(pair, name, classes):
    create(both(pair), name, 4)
    load = JavaLoad(classes, both(pair), name, 4, "load")
    load.wait_for_acks(30)
    for turn in range(4):
        time.sleep(2.0)
        victim = pair[turn % 2]
        victim.kill()
        load.wait_for_acks(30)
        victim.start()
    load.stop()
    assert judge(load, read_all(both(pair), name, 4)) > 1000


def test_java_any_agent_serves_any_partition(pair, name, classes):
    create(both(pair), name, 3)
    done = subprocess.run([*classes, "Hop", pair[0].bootstrap, pair[1].bootstrap, name, "3"], capture_output=True,
                          text=True, timeout=120)
    assert done.stdout == "ok\n", done.stdout + done.stderr[-3000:]


class PythonLoad:
    """kafka-python's idempotent producer."""

    def __init__(self, agents, topic, partitions):
        self.acked, self.failed, self.sent = {}, [], 0
        self.topic, self.partitions = topic, partitions
        self.stopping, self.last_ack = threading.Event(), 0.0
        self.producer = KafkaProducer(bootstrap_servers=[agent.bootstrap for agent in agents], enable_idempotence=True,
                                      acks="all", linger_ms=5, metadata_max_age_ms=1000, reconnect_backoff_max_ms=500,
                                      request_timeout_ms=10_000, delivery_timeout_ms=120_000)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopping.is_set():
            value, self.sent = self.sent, self.sent + 1
            future = self.producer.send(self.topic, b"%d" % value, partition=value % self.partitions)
            future.add_callback(self.delivered, b"%d" % value).add_errback(self.failed.append)
            if value % 20 == 0:
                time.sleep(0.01)

    def delivered(self, value, metadata):
        self.last_ack = time.monotonic()
        self.acked.setdefault(metadata.partition, {})[metadata.offset] = value

    def wait_for_acks(self, seconds):
        began = time.monotonic()
        while self.last_ack < began:
            assert time.monotonic() - began < seconds, f"no acknowledgement within {seconds} s"
            time.sleep(0.01)

    def stop(self):
        self.stopping.set()
        self.thread.join()
        self.producer.flush(120)
        self.producer.close()
        assert not self.failed, self.failed[:3]


def test_kafka_python_switches_agents(pair, name):
    """Idempotence across retries and a switch of agents."""
    create(both(pair), name, 2)
    load = PythonLoad(pair, name, 2)
    load.wait_for_acks(30)
    for turn in range(2):
        time.sleep(2.0)
        pair[turn].kill()
        load.wait_for_acks(45)
        pair[turn].start()
    load.stop()
    assert judge(load, read_all(both(pair), name, 2)) > 200
