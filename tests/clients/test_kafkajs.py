"""kafkajs 2.2.4, frozen since 2023: old versions of every API.

It can not show a topic's id: that a topic is another one after it was deleted and created again is proved by its records
and offsets.
"""

import os
import pathlib
import subprocess
import uuid

import pytest

HERE = pathlib.Path(__file__).parent


CHECKS = ["topics", "produce_every_acks_and_gzip", "every_codec", "size_limit", "seek_latest_and_an_empty_poll",
          "a_fetch_of_too_few_bytes", "a_topic_that_is_created_again_is_another_one", "offsets_by_time",
          "group_rebalance_and_offsets"]


@pytest.fixture(scope="module")
def lines(bootstrap):
    name = f"js-{uuid.uuid4().hex[:8]}"
    modules = os.environ.get("TOWPATH_NODE_MODULES", str(HERE / "node" / "node_modules"))
    done = subprocess.run(["node", str(HERE / "node" / "kafkajs.js"), bootstrap, name], capture_output=True, text=True,
                          timeout=180, env={**os.environ, "NODE_PATH": modules, "KAFKAJS_NO_PARTITIONER_WARNING": "1"})
    return done.stdout.splitlines() + done.stderr.splitlines()[-20:]


@pytest.mark.parametrize("check", CHECKS)
def test_kafkajs(lines, check):
    line = next((line for line in lines if line.split(":")[0].split()[-1:] == [check]), None)
    assert line == f"ok {check}", line or "\n".join(lines)
