"""aiokafka 0.14: a client that speaks old versions."""

import asyncio

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer


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
