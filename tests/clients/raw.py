"""Raw frames: kio encodes and decodes what Kafka 4.3 defines, this file adds sockets and record batches."""

import importlib
import io
import socket
import struct

from kio.serial import entity_reader, entity_writer
from kio.static.constants import EntityType
from kio.static.primitive import i16, i32


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def varint(number):
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def batch(values, producer_id=-1, epoch=-1, sequence=-1, attributes=0, count=None, last_delta=None, magic=2,
          break_crc=False, timestamp=1_700_000_000_000):
    records = b""
    for delta, value in enumerate(values):
        body = b"\0" + varint(0) + varint(delta) + varint(-1) + varint(len(value)) + value + varint(0)
        records += varint(len(body)) + body
    count = len(values) if count is None else count
    last_delta = len(values) - 1 if last_delta is None else last_delta
    after_crc = struct.pack(">hiqqqhii", attributes, last_delta, timestamp, timestamp, producer_id, epoch, sequence,
                            count) + records
    crc = crc32c(after_crc) ^ (1 if break_crc else 0)
    after_length = struct.pack(">ibI", -1, magic, crc) + after_crc
    return struct.pack(">qi", 0, len(after_length)) + after_length


def schema(api, version, kind):
    module = importlib.import_module(f"kio.schema.{api}.v{version}.{kind}")
    return module


class Connection:
    def __init__(self, bootstrap):
        host, port = bootstrap.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=15)
        self.correlation = 0

    def frame(self, body):
        self.socket.sendall(struct.pack(">i", len(body)) + body)

    def read_frame(self):
        """The next frame, or None when the other side closed."""
        head = self.exactly(4)
        return None if head is None else self.exactly(struct.unpack(">i", head)[0])

    def exactly(self, count):
        data = b""
        while len(data) < count:
            try:
                piece = self.socket.recv(count - len(data))
            except ConnectionResetError:
                return None
            if not piece:
                return None
            data += piece
        return data

    def header(self, key, version, flexible):
        self.correlation += 1
        header = struct.pack(">hhi", key, version, self.correlation) + struct.pack(">h", 3) + b"raw"
        return header + (b"\0" if flexible else b"")

    def call(self, api, request, reply=True):
        """Sends a kio request and decodes the answer."""
        kind = type(request)
        body = io.BytesIO()
        entity_writer(kind)(body, request)
        self.frame(self.header(int(kind.__api_key__), int(kind.__version__), kind.__flexible__) + body.getvalue())
        if not reply:
            return None
        answer = self.read_frame()
        assert answer is not None, "the connection was closed"
        assert struct.unpack(">i", answer[:4])[0] == self.correlation
        module = schema(api, int(kind.__version__), "response")
        response = next(kind for kind in vars(module).values()
                        if getattr(kind, "__type__", None) is EntityType.response)
        start = 5 if response.__flexible__ and api != "api_versions" else 4
        return entity_reader(response)(memoryview(answer), start)[0]

    def close(self):
        self.socket.close()


__all__ = ["Connection", "batch", "schema", "i16", "i32"]
