"""A share group under load: paced producers, members that remember every delivery, and what must hold between them.

The judgement leans on delivery counts, which order the deliveries of one record whatever the clocks and threads say: a
count is given once, and nothing follows the count whose acceptance was answered as done.
"""

import collections
import random
import threading
import time

from confluent_kafka import AcknowledgeType, KafkaException, ShareConsumer

from load import Load


# The member's session at that agent is over, and with it its locks; the client gives up acknowledgements for an agent
# that the partition has left (NOT_LEADER_FOR_PARTITION) without sending them.
NO_SESSION = {"NOT_LEADER_FOR_PARTITION", "INVALID_SHARE_SESSION_EPOCH", "SHARE_SESSION_NOT_FOUND"}
SESSION_OVER = NO_SESSION | {"_TRANSPORT"}
# How long after an agent's death the others may still differ about who is there, in seconds.
LISTS_DIFFER = 5.0
# Nothing was applied; the record has to come again.
REFUSED = NO_SESSION | {"INVALID_RECORD_STATE"}


class PacedLoad(Load):
    """`count` records of an idempotent producer, spread evenly over `seconds`."""

    def __init__(self, bootstrap, topic, partitions, first, count, seconds):
        self.first, self.count, self.seconds = first, count, seconds
        self.sent_at = {}
        super().__init__(bootstrap, topic, partitions, first)

    def run(self):
        began = time.monotonic()
        while self.sent < self.first + self.count:
            passed = (time.monotonic() - began) / self.seconds
            due = self.first + min(self.count, int(self.count * passed))
            while self.sent < due:
                value = b"%d" % self.sent
                self.sent_at[value] = time.monotonic()
                self.producer.produce(self.topic, value, partition=self.sent % self.partitions,
                                      on_delivery=self.delivered)
                self.sent += 1
            self.producer.poll(0.02)


class Delivery:
    """One record at one member, and what became of its acknowledgement."""

    __slots__ = ("member", "record", "value", "count", "since", "at", "kind", "asked", "answered", "outcome")

    def __init__(self, member, message, since, at):
        self.member, self.value, self.count = member, message.value(), message.delivery_count()
        self.record = (message.partition(), message.offset())
        # When the member can have got its lock at the earliest, and when it had the record.
        self.since, self.at = since, at
        # "done", or why nobody knows whether the acknowledgement counted.
        self.kind, self.asked, self.answered, self.outcome = None, None, None, "no answer"

    def __repr__(self):
        asked = f"{self.kind.name} {self.asked:.3f} {self.answered:.3f}" if self.answered else "not acknowledged"
        return f"#{self.count} {self.since:.3f} {self.at:.3f} to {self.member}: {asked} {self.outcome}"


class Member:
    """Accepts most records, hands a few back, and is slow now and then, so that kills meet locks and answers."""

    def __init__(self, number, bootstrap, topic, group, lock_seconds):
        self.name, self.topic, self.lock_seconds = f"member-{number}", topic, lock_seconds
        self.random = random.Random(number)
        self.deliveries, self.errors, self.failure = [], collections.Counter(), None
        self.stopping = threading.Event()
        self.consumer = ShareConsumer({
            "bootstrap.servers": bootstrap, "group.id": group, "client.id": self.name, "max.poll.records": 50,
            "share.acknowledgement.mode": "explicit", "reconnect.backoff.max.ms": 500, "log_level": 2,
            "topic.metadata.refresh.interval.ms": 1000})
        self.consumer.subscribe([topic])
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            since = time.monotonic()
            while not self.stopping.is_set():
                began, messages = time.monotonic(), list(self.consumer.poll(0.5))
                self.process(messages, since)
                # The client fetches ahead: what the next poll brings may have waited since this one.
                since = began if messages else since
            self.consumer.close()
        except Exception as failure:  # noqa: BLE001: told to the test, which runs in another thread
            self.failure = failure

    def process(self, messages, since):
        at, batch = time.monotonic(), []
        for message in messages:
            if message.error():
                self.errors[f"poll: {message.error().name()}"] += 1
            else:
                batch.append((Delivery(self.name, message, since, at), message))
        self.deliveries += [delivery for delivery, _ in batch]
        if not batch:
            return
        self.pause()
        for delivery, message in batch:
            hand_back = delivery.count <= 3 and self.random.random() < 0.02
            delivery.kind = AcknowledgeType.RELEASE if hand_back else AcknowledgeType.ACCEPT
            self.consumer.acknowledge(message, delivery.kind)
        self.commit([delivery for delivery, _ in batch])

    def pause(self):
        chance = self.random.random()
        if chance < 0.005:
            time.sleep(self.lock_seconds + 0.5)
        elif chance < 0.15:
            time.sleep(self.random.uniform(0.2, 1.5))
        else:
            time.sleep(self.random.uniform(0, 0.05))

    def commit(self, deliveries):
        asked = time.monotonic()
        try:
            answered = {place.partition: error for place, error in self.consumer.commit_sync(30).items()}
        except KafkaException as refused:
            answered = {delivery.record[0]: refused for delivery in deliveries}
        for delivery in deliveries:
            delivery.asked, delivery.answered = asked, time.monotonic()
        for partition, error in answered.items():
            outcome = "done" if error is None else name_of(error)
            self.errors[f"commit: {outcome}"] += outcome != "done"
            for delivery in deliveries:
                if delivery.record[0] == partition:
                    delivery.outcome = outcome

    def stop(self):
        self.stopping.set()

    def join(self, seconds):
        self.thread.join(seconds)
        assert not self.thread.is_alive(), f"{self.name} did not close within {seconds} s"


def name_of(error):
    error = error.args[0] if isinstance(error, KafkaException) else error
    return error.name() if hasattr(error, "name") else str(error)


def is_late(acceptance, deliveries):
    """Whether the record's next member accepted it first. What lies below the group's start is done whoever says so,
    and Kafka answers a late acceptance of it without an error."""
    return any(later.count > acceptance.count and later.kind is AcknowledgeType.ACCEPT and later.asked
               and later.asked < acceptance.answered for later in deliveries)


class Ledger:
    """All deliveries of all members, held against what was produced and when agents died."""

    def __init__(self, loads, members, kills, lock_seconds, count_limit):
        self.kills, self.lock_seconds, self.count_limit = kills, lock_seconds, count_limit
        self.sent_at = collections.ChainMap(*(load.sent_at for load in loads))
        self.produced = {(partition, offset): value for load in loads
                         for partition, acked in load.acked.items() for offset, value in acked.items()}
        self.delivered = collections.defaultdict(list)
        for member in members:
            for delivery in member.deliveries:
                self.delivered[delivery.record].append(delivery)
        for deliveries in self.delivered.values():
            deliveries.sort(key=lambda delivery: delivery.count)
        self.reasons, self.unknown, self.unseen, self.late = collections.Counter(), collections.Counter(), 0, 0
        self.lost, self.doubled, self.wrong = [], [], []

    def judge(self):
        """Fills `lost`, `doubled` and `wrong`. The group must be through with every record by now."""
        for record, value in self.produced.items():
            deliveries = self.delivered.get(record, [])
            if not deliveries:
                self.lost.append((record, "never delivered"))
                continue
            if {delivery.value for delivery in deliveries} != {value}:
                self.wrong.append((record, "another value", deliveries))
            self.judge_counts(record, value, deliveries)
            self.judge_end(record, deliveries)
        strangers = self.delivered.keys() - self.produced.keys()
        self.wrong += [(record, "nobody produced it", self.delivered[record]) for record in strangers]
        return self

    def judge_counts(self, record, value, deliveries):
        counts = [delivery.count for delivery in deliveries]
        if len(set(counts)) != len(counts):
            self.doubled.append((record, "one delivery count twice", deliveries))
        if counts[0] < 1 or counts[-1] > self.count_limit:
            self.wrong.append((record, "a count out of bounds", deliveries))
        # Deliveries whose answer died with an agent, or came to a member after their lock's end.
        unseen = counts[0] - 1
        if unseen > self.endings(self.sent_at[value], deliveries[0].at):
            self.wrong.append((record, "a first count that nothing explains", deliveries))
        for earlier, later in zip(deliveries, deliveries[1:]):
            reason, steps = self.reason(earlier, later), later.count - earlier.count
            self.reasons[reason] += 1
            if reason == "none":
                self.wrong.append((record, "delivered again for no reason", deliveries))
            elif steps - 1 > self.endings(earlier.since, later.at):
                self.wrong.append((record, "a step of the count that nothing explains", deliveries))
            unseen += max(steps - 1, 0)
        self.unseen += unseen

    def endings(self, since, until):
        """How many deliveries can have ended unseen, one after the other: with an agent, with the lock's time, or with
        a connection. While agents do not list the same agents, after a death, librdkafka drops connections to those
        that its newest list lacks, and fetches with them."""
        deaths = sum(since - LISTS_DIFFER <= kill <= until for kill in self.kills)
        return deaths + int((until - since) / self.lock_seconds)

    def reason(self, earlier, later):
        if earlier.kind is AcknowledgeType.RELEASE:
            return "released"
        if any(earlier.since <= kill <= later.at for kill in self.kills):
            return "agent died"
        if later.at - earlier.since >= self.lock_seconds:
            return "lock ended"
        return "session ended" if earlier.outcome in SESSION_OVER else "none"

    def judge_end(self, record, deliveries):
        done = [delivery for delivery in deliveries
                if delivery.kind is AcknowledgeType.ACCEPT and delivery.outcome == "done"]
        late = [delivery for delivery in done if is_late(delivery, deliveries)]
        self.late += len(late)
        done = [delivery for delivery in done if delivery not in late]
        if len(done) > 1:
            self.doubled.append((record, "accepted twice", deliveries))
        elif done and deliveries[-1].count > done[0].count:
            self.doubled.append((record, "delivered after it was accepted", deliveries))
        elif not done:
            # An acceptance whose answer was lost may have counted; then nothing comes after it.
            last = deliveries[-1]
            if last.kind is AcknowledgeType.ACCEPT and last.outcome not in {"done"} | REFUSED:
                self.unknown[last.outcome] += 1
            else:
                self.lost.append((record, "never accepted", deliveries))

    def numbers(self):
        deliveries = [delivery for each in self.delivered.values() for delivery in each]
        return {
            "records": len(self.produced), "kills": len(self.kills), "deliveries": len(deliveries),
            "redeliveries": len(deliveries) - len(self.delivered), "reasons": dict(self.reasons),
            "unseen deliveries": self.unseen, "highest count": max((d.count for d in deliveries), default=0),
            "accepted late": self.late,
            "accepted, answer lost": dict(self.unknown), "lost": len(self.lost), "doubled": len(self.doubled),
            "wrong": len(self.wrong)}
