"""Kafka's own command-line classes against share groups, unchanged: what the scripts of its `bin` folder run."""

import json
import subprocess

import pytest
from test_confluent import create, produce
from test_share import JVM, LIBS, group  # noqa: F401 (a fixture)

CONFIGS = "kafka.admin.ConfigCommand"
GROUPS = "org.apache.kafka.tools.GroupsCommand"
SHARE_GROUPS = "org.apache.kafka.tools.consumer.group.ShareGroupCommand"
CONSOLE = "org.apache.kafka.tools.consumer.ConsoleShareConsumer"


def command(bootstrap, name, *arguments):
    return [*JVM, "-cp", f"{LIBS}/*", name, "--bootstrap-server", bootstrap, *arguments]


@pytest.fixture
def run(bootstrap):
    """Runs a class to its end; answers what it printed."""
    def run(name, *arguments):
        done = subprocess.run(command(bootstrap, name, *arguments), text=True, timeout=90, capture_output=True)
        return done.stderr + done.stdout
    return run


def table(printed):
    """The rows of the last table, by the names of its columns."""
    lines = [line.split() for line in printed.strip().split("\n\n")[-1].splitlines()]
    assert all(len(line) == len(lines[0]) for line in lines), printed
    return [dict(zip(lines[0], line)) for line in lines[1:]]


def offsets(run, group):
    rows = table(run(SHARE_GROUPS, "--describe", "--group", group))
    return {(row["TOPIC"], int(row["PARTITION"])): (row["START-OFFSET"], row["LAG"]) for row in rows}


def alter(run, group, *arguments):
    return run(CONFIGS, "--alter", "--entity-type", "groups", "--entity-name", group, *arguments)


def dynamic(run, group):
    printed = run(CONFIGS, "--describe", "--entity-type", "groups", "--entity-name", group)
    return dict(line.split()[0].split("=", 1) for line in printed.splitlines() if "DYNAMIC_GROUP_CONFIG" in line)


def values(lines):
    return [line.split("\t")[-1] for line in lines]


def test_configs_of_a_group(run, name):
    assert "Completed updating" in alter(run, name, "--add-config", "share.auto.offset.reset=earliest,"
                                         "share.record.lock.duration.ms=20000,share.delivery.count.limit=7")
    assert dynamic(run, name) == {"share.auto.offset.reset": "earliest", "share.record.lock.duration.ms": "20000",
                                  "share.delivery.count.limit": "7"}
    everything = run(CONFIGS, "--describe", "--all", "--entity-type", "groups", "--entity-name", name)
    assert "share.isolation.level=read_uncommitted" in everything, "defaults are shown when asked for"
    alter(run, name, "--delete-config", "share.record.lock.duration.ms,share.delivery.count.limit")
    assert dynamic(run, name) == {"share.auto.offset.reset": "earliest"}


@pytest.mark.parametrize("key,value", [("share.record.lock.duration.ms", "5"), ("share.delivery.count.limit", "x"),
                                       ("share.isolation.level", "none"), ("share.auto.offset.reset", "noon"),
                                       ("share.no.such", "1")])
def test_a_wrong_config_is_named(run, name, key, value):
    refused = alter(run, name, "--add-config", f"share.session.timeout.ms=50000,{key}={value}")
    reason = next(line for line in refused.splitlines() if "InvalidConfigurationException" in line)
    assert key in reason and (value in reason or key == "share.no.such"), refused
    assert dynamic(run, name) == {}, "all or none"


def test_configs_of_dead_letters(run, name, is_towpath):
    if not is_towpath:
        pytest.skip("Kafka 4.3 knows no dead letters yet")
    alter(run, name, "--add-config", "errors.deadletterqueue.topic.name=dlq.x,errors.deadletterqueue.copy.record.enable=true")
    assert dynamic(run, name) == {"errors.deadletterqueue.topic.name": "dlq.x",
                                  "errors.deadletterqueue.copy.record.enable": "true"}
    refused = alter(run, name, "--add-config", "errors.deadletterqueue.topic.name=letters")
    assert "the name must begin with dlq." in refused, refused
    refused = alter(run, name, "--add-config", "errors.deadletterqueue.copy.record.enable=perhaps")
    assert "InvalidConfigurationException" in refused and "perhaps" in refused, refused
    alter(run, name, "--delete-config", "errors.deadletterqueue.topic.name,errors.deadletterqueue.copy.record.enable")
    assert dynamic(run, name) == {}


def console(run, group, count, *arguments):
    printed = run(CONSOLE, "--topic", group, "--group", group, "--max-messages", str(count), "--timeout-ms", "20000",
                  "--formatter-property", "print.delivery=true", *arguments).splitlines()
    assert f"Processed a total of {count} messages" in printed, printed
    return [line for line in printed if line.startswith("Delivery:")]


def test_the_console_consumer_releases_rejects_and_accepts(bootstrap, run, group):
    produce(bootstrap, group, [b"a", b"b", b"c"])
    assert sorted(console(run, group, 3, "--release")) == ["Delivery:1\ta", "Delivery:1\tb", "Delivery:1\tc"]
    assert sorted(values(console(run, group, 3, "--reject"))) == ["a", "b", "c"]
    produce(bootstrap, group, [b"d"])
    assert console(run, group, 1) == ["Delivery:1\td"], "what was rejected does not come again"
    produce(bootstrap, group, [b"e"])
    assert console(run, group, 1) == ["Delivery:1\te"], "nor what was accepted"


def test_the_console_consumer_takes_no_more_than_it_should(bootstrap, run, group):
    produce(bootstrap, group, [b"%d" % i for i in range(10)])
    first, rest = console(run, group, 4), console(run, group, 6)
    assert sorted(values(first + rest), key=int) == [str(i) for i in range(10)]


def test_rejected_records_become_letters(bootstrap, run, group, is_towpath):
    if not is_towpath:
        pytest.skip("Kafka 4.3 knows no dead letters yet")
    create(bootstrap, f"dlq.{group}", config={"errors.deadletterqueue.group.enable": "true"})
    alter(run, group, "--add-config", f"errors.deadletterqueue.topic.name=dlq.{group},"
          "errors.deadletterqueue.copy.record.enable=true")
    produce(bootstrap, group, [b"bad", b"worse"])
    console(run, group, 2, "--reject")
    printed = run("org.apache.kafka.tools.consumer.ConsoleConsumer", "--topic", f"dlq.{group}", "--from-beginning",
                  "--max-messages", "2", "--timeout-ms", "20000", "--formatter-property", "print.headers=true")
    found = [line for line in printed.splitlines() if "__dlq.errors" in line]
    assert values(found) == ["bad", "worse"], printed
    for offset, line in enumerate(found):
        for header in (f"topic:{group}", "partition:0", f"offset:{offset}", f"group:{group}"):
            assert f"__dlq.errors.{header}" in line, line


def test_a_group_with_a_member(bootstrap, run, group):
    produce(bootstrap, group, [b"x"])
    member = subprocess.Popen(command(bootstrap, CONSOLE, "--topic", group, "--group", group), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert member.stdout.readline() == "x\n"
        assert {"GROUP": group, "STATE": "Stable"} in table(run(SHARE_GROUPS, "--list", "--state"))
        assert {"GROUP": group, "STATE": "Stable"} in table(run(SHARE_GROUPS, "--list", "--state", "Stable"))
        assert group not in run(SHARE_GROUPS, "--list", "--state", "Empty")
        one, = table(run(SHARE_GROUPS, "--describe", "--group", group, "--members", "--verbose"))
        assert (one["CLIENT-ID"], one["#PARTITIONS"], one["ASSIGNMENT"]) == ("console-share-consumer", "1", f"{group}:0")
        assert int(one["MEMBER-EPOCH"]) > 0 and one["HOST"].startswith("/"), one
        # "COORDINATOR (ID)" and "host:port  (1)" are two words each.
        state, = table(run(SHARE_GROUPS, "--describe", "--group", group, "--state", "--verbose"))
        assert (state["COORDINATOR"], state["STATE"], state["#MEMBERS"]) == (bootstrap, "Stable", "1"), state
        assert state["GROUP-EPOCH"] == state["ASSIGNMENT-EPOCH"] == one["MEMBER-EPOCH"], state
        on = ("--group", group, "--topic", group)
        assert "not empty" in run(SHARE_GROUPS, "--reset-offsets", *on, "--to-earliest", "--execute")
        assert "Error" in run(SHARE_GROUPS, "--delete-offsets", *on)
        assert "GroupNotEmptyException" in run(SHARE_GROUPS, "--delete", "--group", group)
    finally:
        member.terminate()
        member.communicate(timeout=30)
    assert "has no active members" in run(SHARE_GROUPS, "--describe", "--group", group, "--members")
    state, = table(run(SHARE_GROUPS, "--describe", "--group", group, "--state"))
    assert (state["STATE"], state["#MEMBERS"]) == ("Empty", "0")
    assert group in run(SHARE_GROUPS, "--list", "--state", "Empty")


def test_offsets_are_moved_and_deleted(bootstrap, run, name):
    create(bootstrap, name, 2)
    produce(bootstrap, name, [b"x"] * 5)
    reset = ("--reset-offsets", "--group", name)
    plan = run(SHARE_GROUPS, *reset, "--topic", name, "--to-latest", "--dry-run")
    assert {(row["PARTITION"], row["NEW-OFFSET"]) for row in table(plan)} == {("0", "5"), ("1", "0")}
    assert name not in run(SHARE_GROUPS, "--list").split(), "a plan changes nothing"
    done = run(SHARE_GROUPS, *reset, "--topic", name, "--to-latest", "--execute")
    assert sorted(done.splitlines()) == sorted(plan.splitlines())
    assert offsets(run, name) == {(name, 0): ("5", "0"), (name, 1): ("0", "0")}
    run(SHARE_GROUPS, *reset, "--topic", f"{name}:0", "--to-datetime", "2020-01-01T00:00:00.000", "--execute")
    assert offsets(run, name) == {(name, 0): ("0", "5"), (name, 1): ("0", "0")}
    produce(bootstrap, name, [b"y"] * 2)
    run(SHARE_GROUPS, *reset, "--all-topics", "--to-latest", "--execute")
    assert offsets(run, name) == {(name, 0): ("7", "0"), (name, 1): ("0", "0")}
    run(SHARE_GROUPS, *reset, "--topic", name, "--to-earliest", "--execute")
    assert offsets(run, name) == {(name, 0): ("0", "7"), (name, 1): ("0", "0")}
    epoch, = {row["LEADER-EPOCH"] for row in table(run(SHARE_GROUPS, "--describe", "--group", name, "--verbose"))}
    assert epoch.isdigit()
    deleted = run(SHARE_GROUPS, "--delete-offsets", "--group", name, "--topic", name)
    assert table(deleted) == [{"TOPIC": name, "STATUS": "Successful"}]
    assert "has no offset information" in run(SHARE_GROUPS, "--describe", "--group", name)
    assert "was successful" in run(SHARE_GROUPS, "--delete", "--group", name)
    assert "GroupIdNotFoundException" in run(SHARE_GROUPS, "--describe", "--group", name)
    gone = run(SHARE_GROUPS, *reset, "--topic", f"{name}-none", "--to-earliest", "--execute")
    assert "UnknownTopicOrPartition" in gone, gone


def test_groups_lists_share_groups(bootstrap, run, group):
    run(SHARE_GROUPS, "--reset-offsets", "--group", group, "--topic", group, "--to-earliest", "--execute")
    assert {"GROUP": group, "TYPE": "Share", "PROTOCOL": "share"} in table(run(GROUPS, "--list", "--share"))
    assert group not in run(GROUPS, "--list", "--consumer")


def test_the_performance_tool(bootstrap, run, group):
    produce(bootstrap, group, [b"x" * 100] * 2000)
    printed = run("org.apache.kafka.tools.ShareConsumerPerformance", "--topic", group, "--group", group,
                  "--num-records", "2000", "--threads", "2", "--timeout", "20000")
    titles, measured = [line.split(", ") for line in printed.splitlines() if ", " in line]
    assert dict(zip(titles, measured))["data.consumed.in.nMsg"] == "2000", printed


@pytest.mark.parametrize("mode", ["auto", "sync", "async"])
def test_the_verifiable_tools(bootstrap, run, name, mode):
    create(bootstrap, name)
    told = run("org.apache.kafka.tools.VerifiableProducer", "--topic", name, "--max-messages", "500")
    assert json.loads(told.splitlines()[-1])["acked"] == 500, told
    told = run("org.apache.kafka.tools.VerifiableShareConsumer", "--topic", name, "--group-id", name,
               "--max-messages", "500", "--acknowledgement-mode", mode, "--offset-reset-strategy", "earliest")
    events = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    seen = {"records_consumed": [], "offsets_acknowledged": []}
    for event in events:
        if event["name"] in seen:
            assert event.get("success", True), event
            seen[event["name"]] += [offset for part in event["partitions"] for offset in part["offsets"]]
    assert sorted(seen["records_consumed"]) == list(range(500)), told
    assert sorted(seen["offsets_acknowledged"]) == list(range(500)), told
    assert [event["name"] for event in events][-1] == "shutdown_complete", told
