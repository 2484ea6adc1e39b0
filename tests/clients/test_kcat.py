"""kcat on librdkafka 2.0.2: the strict old client."""

import subprocess

import pytest


def kcat(*arguments, input=None):
    done = subprocess.run(["kcat", *arguments], input=input, capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_lists_brokers(bootstrap):
    assert b"1 brokers" in kcat("-b", bootstrap, "-L")


def test_a_log_file_goes_in_and_the_same_bytes_come_out(bootstrap, name, tmp_path):
    lines = b"".join(b"2026-11-23T10:%02d:%02dZ INFO request=%d status=200\n" % (i // 60 % 60, i % 60, i)
                     for i in range(20_000))
    log = tmp_path / "app.log"
    log.write_bytes(lines)
    kcat("-b", bootstrap, "-P", "-t", name, "-p", "0", "-l", str(log))
    assert kcat("-b", bootstrap, "-C", "-t", name, "-p", "0", "-o", "beginning", "-e", "-q") == lines


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
@pytest.mark.parametrize("acks", ["0", "1", "all"])
def test_every_codec_and_acks(bootstrap, name, codec, acks):
    body = b"".join(b"line %d of %s\n" % (i, codec.encode()) for i in range(500))
    kcat("-b", bootstrap, "-P", "-t", name, "-p", "0", "-z", codec, "-X", f"acks={acks}", input=body)
    # acks=0 promises nothing about when: read until all is there.
    got = kcat("-b", bootstrap, "-C", "-t", name, "-p", "0", "-o", "beginning", "-c", "500", "-q")
    assert got == body


def test_keys_headers_and_nulls(bootstrap, name):
    kcat("-b", bootstrap, "-P", "-t", name, "-p", "0", "-K:", "-Z", "-H", "a=1", "-H", "a=2", input=b"k1:v1\nk2:\n:v3\n")
    out = kcat("-b", bootstrap, "-C", "-t", name, "-p", "0", "-o", "beginning", "-e", "-q", "-f", "%o|%K|%S|%h\n")
    # -Z sends empty keys and values as null: length -1.
    assert out.decode().splitlines() == ["0|2|2|a=1,a=2", "1|2|-1|a=1,a=2", "2|-1|2|a=1,a=2"]


def test_offsets_by_position_and_time(bootstrap, name):
    kcat("-b", bootstrap, "-P", "-t", name, "-p", "0", input=b"a\nb\nc\nd\n")
    consume = ["-b", bootstrap, "-C", "-t", name, "-p", "0", "-e", "-q"]
    assert kcat(*consume, "-o", "2") == b"c\nd\n"
    assert kcat(*consume, "-o", "-1") == b"d\n"
    assert kcat(*consume, "-o", "s@0") == b"a\nb\nc\nd\n"
    assert kcat(*consume, "-o", "end") == b""
    assert kcat("-b", bootstrap, "-Q", "-t", f"{name}:0:-1") .strip().endswith(b"offset 4")
