"""kafkajs 2.2.4, frozen since 2023: old versions of every API."""

import os
import pathlib
import subprocess

HERE = pathlib.Path(__file__).parent


def test_kafkajs(bootstrap, name):
    modules = os.environ.get("TOWPATH_NODE_MODULES", str(HERE / "node" / "node_modules"))
    done = subprocess.run(["node", str(HERE / "node" / "kafkajs.js"), bootstrap, name], capture_output=True, text=True,
                          timeout=180, env={**os.environ, "NODE_PATH": modules, "KAFKAJS_NO_PARTITIONER_WARNING": "1"})
    lines = done.stdout.splitlines()
    assert len(lines) == 4 and all(line.startswith("ok ") for line in lines), done.stdout + done.stderr
