"""aiokafka 0.14: a client that speaks old versions."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition


def test_round_trip_in_a_group(bootstrap, name):
    async def run():
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True)
        await producer.start()
        sent = [await producer.send_and_wait(name, b"%d" % i, partition=0) for i in range(20)]
        await producer.stop()
        assert [metadata.offset for metadata in sent] == list(range(20))
        consumer = AIOKafkaConsumer(name, bootstrap_servers=bootstrap, group_id=name, auto_offset_reset="earliest")
        await consumer.start()
        got = [(await asyncio.wait_for(consumer.getone(), 15)).value for _ in range(20)]
        await consumer.commit()
        await consumer.stop()
        assert got == [b"%d" % i for i in range(20)]

    asyncio.run(asyncio.wait_for(run(), 60))


@pytest.mark.parametrize("codec", [None, "gzip", "snappy", "lz4", "zstd"])
@pytest.mark.parametrize("acks", [0, 1, "all"])
def test_every_codec_and_acks_is_read_committed(bootstrap, name, codec, acks):
    headers = [("h", b"1"), ("h", b"2")]

    async def run():
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap, compression_type=codec, acks=acks, linger_ms=5)
        await producer.start()
        values = [b"value %d " % i * 20 for i in range(100)]
        sent = [await producer.send(name, value, key=None, headers=headers, partition=0) for value in values]
        await producer.flush()
        await asyncio.gather(*sent)
        await producer.stop()
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed",
                                    auto_offset_reset="earliest")
        await consumer.start()
        partition = TopicPartition(name, 0)
        consumer.assign([partition])
        got = [await asyncio.wait_for(consumer.getone(), 15) for _ in values]
        assert [message.value for message in got] == values
        assert list(got[0].headers) == headers
        consumer.seek(partition, 97)
        assert (await asyncio.wait_for(consumer.getone(), 15)).value == values[97]
        await consumer.seek_to_end(partition)
        assert await consumer.getmany(timeout_ms=300) == {}
        await consumer.stop()

    asyncio.run(asyncio.wait_for(run(), 60))
