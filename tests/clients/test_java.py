"""The Java client 4.3: one JVM runs every check and prints a line for each."""

import os
import pathlib
import subprocess
import uuid

import pytest

HERE = pathlib.Path(__file__).parent
LIBS = os.environ.get("TOWPATH_JAVA_LIBS", str(HERE / "java" / "libs"))
CHECKS = ["topic_life", "every_codec_and_acks", "headers_keys_nulls", "size_limits", "positions", "many_partitions",
          "classic_group", "static_member", "idempotence", "configs", "cluster_and_log_dirs", "quotas", "acls_are_refused",
          "log_file"]


@pytest.fixture(scope="module")
def lines(bootstrap, tmp_path_factory):
    folder = tmp_path_factory.mktemp("java")
    log = folder / "app.log"
    log.write_text("".join(f"2026-11-23T10:00:00Z INFO request={i} status=200 path=/api/{i % 7}\n" for i in range(20_000)))
    subprocess.run(["javac", "-cp", f"{LIBS}/*", "-d", str(folder), str(HERE / "java" / "Checks.java")], check=True)
    done = subprocess.run(["java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Dlog.file={log}",
                           f"-Dtowpath={str('TOWPATH_BOOTSTRAP' not in os.environ).lower()}",
                           "-cp", f"{folder}:{LIBS}/*", "Checks", bootstrap, f"java-{uuid.uuid4().hex[:8]}"],
                          capture_output=True, text=True, timeout=420)
    return done.stdout.splitlines() + done.stderr.splitlines()[-20:]


@pytest.mark.parametrize("check", CHECKS)
def test_java(lines, check):
    line = next((line for line in lines if line.split(":")[0].split()[-1:] == [check]), None)
    assert line == f"ok {check}", line or "\n".join(lines)


def test_the_console_producer_class(bootstrap, name):
    """kafka-console-producer's and -consumer's own classes, unchanged."""
    jvm = ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{LIBS}/*"]
    body = "".join(f"line {i}\n" for i in range(500))
    subprocess.run([*jvm, "org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", bootstrap, "--topic", name],
                   input=body, text=True, check=True, timeout=60, capture_output=True)
    done = subprocess.run([*jvm, "org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", bootstrap,
                           "--topic", name, "--from-beginning", "--max-messages", "500"], text=True, check=True,
                          timeout=60, capture_output=True)
    assert done.stdout == body
