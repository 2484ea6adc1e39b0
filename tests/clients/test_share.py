"""Share groups with the clients people use: librdkafka 2.16 (version 1 on the wire) and Java 4.3 (version 2)."""

import os
import pathlib
import subprocess
import time
import uuid

import pytest
from confluent_kafka import AcknowledgeType, KafkaError, KafkaException, ShareConsumer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from test_confluent import create, produce

HERE = pathlib.Path(__file__).parent
LIBS = os.environ.get("TOWPATH_JAVA_LIBS", str(HERE / "java" / "libs"))
JVM = ["java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]


def configure(bootstrap, group, **entries):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    changes = [ConfigEntry(key.replace("__", "."), str(value), incremental_operation=AlterConfigOpType.SET)
               for key, value in entries.items()]
    resource = ConfigResource(ResourceType.GROUP, group, incremental_configs=changes)
    admin.incremental_alter_configs([resource])[resource].result(15)


@pytest.fixture
def group(bootstrap, name):
    """A topic and a group of one name; the group reads from the beginning."""
    create(bootstrap, name)
    configure(bootstrap, name, share__auto__offset__reset="earliest")
    return name


def consumer(bootstrap, group, **config):
    consumer = ShareConsumer({"bootstrap.servers": bootstrap, "group.id": group, **config})
    consumer.subscribe([group])
    return consumer


def explicit(bootstrap, group):
    return consumer(bootstrap, group, **{"share.acknowledgement.mode": "explicit"})


def poll(consumer, count, seconds=20):
    """Polls until `count` messages came, and acknowledges nothing."""
    got, deadline = [], time.monotonic() + seconds
    while len(got) < count:
        assert time.monotonic() < deadline, f"{len(got)} of {count} messages came"
        batch = list(consumer.poll(0.5))
        for message in batch:
            assert not message.error(), message.error()
        got += batch
        if len(got) < count and batch:
            for message in batch:
                consumer.acknowledge(message)
    return got


def test_implicit_acknowledgement(bootstrap, group):
    produce(bootstrap, group, [b"%d" % i for i in range(100)])
    got, deadline = [], time.monotonic() + 20
    with consumer(bootstrap, group) as member:
        while len(got) < 100 and time.monotonic() < deadline:
            got += [message.value() for message in member.poll(0.5)]
        member.commit_sync(15)
    assert sorted(got, key=int) == [b"%d" % i for i in range(100)]
    produce(bootstrap, group, [b"last"])
    with consumer(bootstrap, group) as member:
        assert [message.value() for message in poll(member, 1)] == [b"last"], "the rest was accepted"


def test_explicit_acknowledgement(bootstrap, group):
    produce(bootstrap, group, [b"accept", b"release", b"reject"])
    with explicit(bootstrap, group) as member:
        first = {message.value(): message for message in poll(member, 3)}
        assert all(message.delivery_count() == 1 for message in first.values())
        member.acknowledge(first[b"accept"])
        member.acknowledge(first[b"release"], AcknowledgeType.RELEASE)
        member.acknowledge(first[b"reject"], AcknowledgeType.REJECT)
        member.commit_sync(15)
        again = poll(member, 1)
        assert [(message.value(), message.delivery_count()) for message in again] == [(b"release", 2)]
        member.acknowledge(again[0])
        member.commit_sync(15)
        assert list(member.poll(1)) == []


def test_the_delivery_limit(bootstrap, group):
    configure(bootstrap, group, share__delivery__count__limit=3)
    produce(bootstrap, group, [b"poison"])
    with explicit(bootstrap, group) as member:
        for count in (1, 2, 3):
            message, = poll(member, 1)
            assert message.delivery_count() == count
            member.acknowledge(message, AcknowledgeType.RELEASE)
            member.commit_sync(15)
        assert list(member.poll(1)) == []


def test_a_lock_ends(bootstrap, group):
    configure(bootstrap, group, share__record__lock__duration__ms=1000)
    produce(bootstrap, group, [b"slow"])
    slow, fast = explicit(bootstrap, group), explicit(bootstrap, group)
    message, = poll(slow, 1)
    again, = poll(fast, 1)
    assert (again.offset(), again.delivery_count()) == (message.offset(), 2)
    fast.acknowledge(again)
    fast.commit_sync(15)
    fast.close()
    slow.close()


def test_two_members_share_one_partition(bootstrap, group):
    first, second = consumer(bootstrap, group), consumer(bootstrap, group)
    seen, deadline = {0: [], 1: []}, time.monotonic() + 40
    for index in range(200):
        produce(bootstrap, group, [b"%d" % index], **{"linger.ms": 0}) if index % 20 == 0 else None
    produce(bootstrap, group, [b"x%d" % index for index in range(500)], **{"linger.ms": 0, "batch.num.messages": 5})
    while sum(map(len, seen.values())) < 510 and time.monotonic() < deadline:
        for index, member in enumerate((first, second)):
            seen[index] += [message.offset() for message in member.poll(0.2)]
    assert sorted(seen[0] + seen[1]) == list(range(510)), "every record once"
    first.close()
    second.close()


def test_a_group_of_another_kind_is_refused(bootstrap, group):
    from confluent_kafka import Consumer
    classic = Consumer({"bootstrap.servers": bootstrap, "group.id": f"{group}-c", "auto.offset.reset": "earliest"})
    classic.subscribe([group])
    classic.poll(5)
    member = ShareConsumer({"bootstrap.servers": bootstrap, "group.id": f"{group}-c"})
    member.subscribe([group])
    with pytest.raises(KafkaException) as refused:
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            for message in member.poll(0.5):
                if message.error():
                    raise KafkaException(message.error())
    assert refused.value.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND
    classic.close()


CHECKS = ["implicit", "explicit", "renew", "record_limit", "lock_timeout", "delivery_limit", "several_members",
          "admin_offsets", "describe_and_delete", "kinds_of_groups", "configs"]


@pytest.fixture(scope="module")
def lines(bootstrap, tmp_path_factory):
    folder = tmp_path_factory.mktemp("java-share")
    subprocess.run(["javac", "-cp", f"{LIBS}/*", "-d", str(folder), str(HERE / "java" / "ShareChecks.java")], check=True)
    done = subprocess.run([*JVM, "-cp", f"{folder}:{LIBS}/*", "ShareChecks", bootstrap, f"java-{uuid.uuid4().hex[:8]}"],
                          capture_output=True, text=True, timeout=420)
    return done.stdout.splitlines() + done.stderr.splitlines()[-20:]


@pytest.mark.parametrize("check", CHECKS)
def test_java(lines, check):
    line = next((line for line in lines if line.split(":")[0].split()[-1:] == [check]), None)
    assert line == f"ok {check}", line or "\n".join(lines)


def tool(name, *arguments, **options):
    return subprocess.run([*JVM, "-cp", f"{LIBS}/*", f"org.apache.kafka.tools.{name}", *arguments], text=True,
                          timeout=90, capture_output=True, **options)


def test_the_console_classes(bootstrap, group):
    """kafka-console-share-consumer's and kafka-share-groups' own classes, unchanged."""
    produce(bootstrap, group, [b"line %d" % i for i in range(200)])
    done = tool("consumer.ConsoleShareConsumer", "--bootstrap-server", bootstrap, "--topic", group, "--group", group,
                "--max-messages", "200")
    assert sorted(done.stdout.split("\n"))[1:] == sorted(f"line {i}" for i in range(200)), done.stderr
    groups = ("consumer.group.ShareGroupCommand", "--bootstrap-server", bootstrap)
    assert group in tool(*groups, "--list").stdout.split()
    described = tool(*groups, "--describe", "--group", group).stdout
    # Kafka stores how far the start is with the next change.
    assert described.split()[-5:] in ([group, group, "0", start, "0"] for start in ("0", "200")), described
    moved = tool(*groups, "--reset-offsets", "--to-earliest", "--group", group, "--topic", group, "--execute")
    assert moved.stdout.split()[-4:] == [group, group, "0", "0"], moved.stdout + moved.stderr
    deleted = tool(*groups, "--delete", "--group", group)
    assert "successful" in deleted.stdout, deleted.stdout + deleted.stderr
    assert group not in tool(*groups, "--list").stdout.split()
