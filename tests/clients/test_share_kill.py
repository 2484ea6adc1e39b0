"""kill -9 under a share group: nothing is lost, nothing comes again after it was accepted, every delivery is counted.

A run of about 40 s by default; TOWPATH_SHARE_KILL_SECONDS=180 is the full one.
"""

import collections
import json
import os
import signal
import time
import urllib.request
import uuid

import pytest
from confluent_kafka import TopicCollection
from confluent_kafka.admin import AdminClient

from conftest import both
from load import create
from share_load import Ledger, Member, PacedLoad
from test_share import configure

pytestmark = pytest.mark.skipif("TOWPATH_BOOTSTRAP" in os.environ, reason="needs agents of its own")

SECONDS = int(os.environ.get("TOWPATH_SHARE_KILL_SECONDS", "40"))
RECORDS, PRODUCERS, MEMBERS, PARTITIONS = 20_000, 4, 8, 6
KILL_EVERY, LOCK_SECONDS, COUNT_LIMIT = 5.0, 5, 10
VERDICTS = ("lost", "doubled", "wrong")


@pytest.fixture(autouse=True)
def time_limit():
    """Ends a test that hangs, wherever it hangs."""
    def over(*_):
        raise TimeoutError("the test's time is over")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(SECONDS + 240)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def kill_in_turn(agents):
    """kill -9 of one agent every five seconds, started again a second later. Returns when each died."""
    kills, began = [], time.monotonic()
    for turn in range(int(SECONDS / KILL_EVERY)):
        time.sleep(max(0.0, began + KILL_EVERY * turn + 2.0 - time.monotonic()))
        victim = agents[turn % len(agents)]
        victim.kill()
        kills.append(time.monotonic())
        time.sleep(1.0)
        victim.start()
    return kills


def wait_until_all_list_all(agents):
    """Before that, clients would drop connections to agents that the newest list lacks."""
    admins = [AdminClient({"bootstrap.servers": agent.bootstrap}) for agent in agents]
    deadline = time.monotonic() + 15
    while any(len(admin.list_topics(timeout=10).brokers) != len(agents) for admin in admins):
        assert time.monotonic() < deadline, "every agent lists all"
        time.sleep(0.1)


def page_of(agents, topic, group):
    """Where an agent tells how far the group is."""
    admin = AdminClient({"bootstrap.servers": both(agents)})
    topic_id = admin.describe_topics(TopicCollection([topic]))[topic].result(15).topic_id
    high, low = (part % 2**64 for part in (topic_id.get_most_significant_bits(),
                                           topic_id.get_least_significant_bits()))
    asked = ",".join(f"{uuid.UUID(int=high << 64 | low)}/{partition}" for partition in range(PARTITIONS))
    return f"http://127.0.0.1:{agents[0].http}/api/share-groups/{group}?partitions={asked}"


def wait_until_through(page, loads, seconds):
    """Until the group's start is the end of the log everywhere: whatever was produced is done with."""
    ends = {partition: 1 + max(max(load.acked[partition]) for load in loads) for partition in range(PARTITIONS)}
    deadline = time.monotonic() + seconds
    while True:
        stands = json.load(urllib.request.urlopen(page, timeout=10))
        if {stand["partition"]: stand["start_offset"] for stand in stands} == ends:
            return
        assert time.monotonic() < deadline, f"not through after {seconds} s: {stands}, ends {ends}"
        time.sleep(0.5)


def test_share_consumers_live_through_kills(trio, name, tmp_path, capsys):
    wait_until_all_list_all(trio)
    create(both(trio), name, PARTITIONS)
    configure(both(trio), name, share__auto__offset__reset="earliest", share__delivery__count__limit=COUNT_LIMIT,
              share__record__lock__duration__ms=LOCK_SECONDS * 1000)
    page = page_of(trio, name, name)
    members = [Member(number, both(trio), name, name, LOCK_SECONDS) for number in range(MEMBERS)]
    loads = [PacedLoad(both(trio), name, PARTITIONS, number * 10_000_000, RECORDS // PRODUCERS, SECONDS)
             for number in range(PRODUCERS)]
    kills = kill_in_turn(trio)
    for load in loads:
        load.stop()
    produced = time.monotonic()
    wait_until_through(page, loads, 90)
    drained = time.monotonic() - produced
    for member in members:
        member.stop()
    for member in members:
        member.join(60)
        assert member.failure is None, f"{member.name}: {member.failure!r}"
    ledger = Ledger(loads, members, kills, LOCK_SECONDS, COUNT_LIMIT).judge()
    errors = sum((member.errors for member in members), collections.Counter())
    with capsys.disabled():
        print(f"\n{ledger.numbers()}\nclients' errors: {dict(errors)}; through {drained:.1f} s after the last record")
    with open(tmp_path / "findings.txt", "w") as file:
        file.writelines(f"{verdict} {found}\n" for verdict in VERDICTS for found in getattr(ledger, verdict))
        file.write(f"kills {[round(kill, 3) for kill in kills]}\n")
    assert len(ledger.produced) == RECORDS
    for verdict in VERDICTS:
        found = getattr(ledger, verdict)
        assert not found, f"{verdict}: {len(found)}, {found[:5]}; kills at {[round(kill, 3) for kill in kills]}"
    assert len(kills) == int(SECONDS / KILL_EVERY) and ledger.reasons["agent died"] > 0, "the kills met deliveries"
