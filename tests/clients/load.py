"""Load that never stops, the log afterwards, and what must hold between the two."""

import threading
import time
import uuid

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic


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
