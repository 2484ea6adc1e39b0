"""One broker for the whole run: a started `towpath dev`, or whatever TOWPATH_BOOTSTRAP names.

The second form runs the same suite against Apache Kafka, which is how the suite itself is tested.
"""

import os
import pathlib
import socket
import subprocess
import time
import uuid

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Tests of locks should not have to wait for the 15 s that Kafka allows at least.
SHORT_LOCKS = ["--set", "share.record_lock_duration_min_ms=1000"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def binary():
    named = os.environ.get("TOWPATH_BIN")
    if named:
        return named
    return str(pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "towpath")


def wait_for_port(port, process, log, seconds=30):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the agent ended with {process.returncode}:\n{pathlib.Path(log).read_text()[-4000:]}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=0.3).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"port {port} did not open within {seconds} s:\n{pathlib.Path(log).read_text()[-4000:]}")


class Agent:
    """A started agent that can be killed without warning and started again on the same data."""

    def __init__(self, log, arguments, port):
        self.log, self.arguments, self.port = str(log), arguments, port
        self.process = None

    @property
    def bootstrap(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([binary(), *self.arguments], stdout=log, stderr=log,
                                            env={**os.environ, "TOWPATH_LOG": os.environ.get("TOWPATH_LOG", "info")})
        wait_for_port(self.port, self.process, self.log)
        return self

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
                raise RuntimeError("the agent did not stop within 20 s of SIGTERM")


def dev_agent(folder, port=None):
    port = port or free_port()
    arguments = ["dev", "--data", str(folder / "data"), "--listen", f"127.0.0.1:{port}",
                 "--http", f"127.0.0.1:{free_port()}", *SHORT_LOCKS]
    return Agent(folder / "agent.log", arguments, port)


@pytest.fixture(scope="session")
def bootstrap(tmp_path_factory):
    named = os.environ.get("TOWPATH_BOOTSTRAP")
    if named:
        yield named
        return
    agent = dev_agent(tmp_path_factory.mktemp("agent")).start()
    yield agent.bootstrap
    agent.stop()


def cluster(folder, racks, *more):
    """Agents of one cluster: one folder (or the store that is named), one PostgreSQL, a rack each."""
    postgres = os.environ.get("TOWPATH_TEST_POSTGRES")
    if not postgres:
        pytest.skip("TOWPATH_TEST_POSTGRES names no database")
    store = os.environ.get("TOWPATH_TEST_SHARED_STORE")
    # s3://bucket/prefix?endpoint=…: each cluster gets a prefix of its own.
    store = store.replace("?", f"-{uuid.uuid4().hex[:6]}?") if store else f"file://{folder}/bucket"
    schema = f"k{uuid.uuid4().hex[:10]}"
    agents = []
    for rack in racks:
        port, http = free_port(), free_port()
        arguments = ["agent", "--store", store, "--metastore", f"{postgres}?towpath_schema={schema}", "--rack", rack,
                     "--listen", f"127.0.0.1:{port}", "--advertise", f"127.0.0.1:{port}", "--http", f"127.0.0.1:{http}",
                     *more]
        agent = Agent(folder / f"agent-{rack}.log", arguments, port)
        agent.http = http
        agents.append(agent.start())
    yield agents
    for agent in agents:
        if agent.process.poll() is None:
            agent.stop()


@pytest.fixture
def pair(tmp_path):
    """Two agents of one cluster, in two racks."""
    yield from cluster(tmp_path, "ab")


@pytest.fixture
def trio(tmp_path):
    """Three agents of one cluster, in three racks, where locks may be as short as a second."""
    yield from cluster(tmp_path, "abc", *SHORT_LOCKS)


def both(agents):
    return ",".join(agent.bootstrap for agent in agents)


@pytest.fixture
def name():
    """A name nobody else uses, for topics and groups."""
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def is_towpath():
    return "TOWPATH_BOOTSTRAP" not in os.environ
