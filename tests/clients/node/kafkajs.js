// Prints one line a check, "ok NAME" or "not ok NAME: why"; the pytest beside it reads them.
const { CompressionCodecs, CompressionTypes, Kafka, logLevel } = require("kafkajs");
const lz4 = require("lz4js");
const snappy = require("kafkajs-snappy");
const { ZstdCodec } = require("zstd-codec");
CompressionCodecs[CompressionTypes.Snappy] = snappy;
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async (encoder) => Buffer.from(lz4.compress(encoder.buffer)),
  decompress: async (bytes) => Buffer.from(lz4.decompress(bytes)),
});
const zstd = new Promise((resolve) => ZstdCodec.run((codec) => resolve(new codec.Simple())));
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => Buffer.from((await zstd).compress(encoder.buffer, 3)),
  decompress: async (bytes) => Buffer.from((await zstd).decompress(bytes)),
});
const [bootstrap, name] = process.argv.slice(2);
const kafka = new Kafka({ clientId: "kafkajs", brokers: [bootstrap], logLevel: logLevel.NOTHING });
const admin = kafka.admin();
const assert = require("node:assert");
const { isDeepStrictEqual } = require("node:util");

async function consume(topic, groupId, count, extra = {}) {
  const consumer = kafka.consumer({ groupId, sessionTimeout: 10000, heartbeatInterval: 500, ...extra });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  const got = [];
  await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`got ${got.length} of ${count}`)), 30000);
    consumer.run({ eachMessage: async ({ partition, message }) => {
      got.push({ partition, ...message });
      if (got.length >= count) { clearTimeout(timer); resolve(); }
    } }).catch(reject);
  });
  return { consumer, got };
}

// Kafka's brokers hear of what the controller did a moment later.
async function eventually(read, expected, why) {
  for (const deadline = Date.now() + 10000; ;) {
    const seen = await read();
    if (isDeepStrictEqual(seen, expected) || Date.now() > deadline) return assert.deepEqual(seen, expected, why);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const checks = {
  async topics() {
    assert.equal(await admin.createTopics({ topics: [{ topic: `${name}-a`, numPartitions: 3 }] }), true);
    assert.equal(await admin.createTopics({ topics: [{ topic: `${name}-a`, numPartitions: 3 }] }), false);
    const { topics } = await admin.fetchTopicMetadata({ topics: [`${name}-a`] });
    assert.equal(topics[0].partitions.length, 3);
    await admin.createPartitions({ topicPartitions: [{ topic: `${name}-a`, count: 4 }] });
    await admin.deleteTopics({ topics: [`${name}-a`] });
  },
  async produce_every_acks_and_gzip() {
    await admin.createTopics({ topics: [{ topic: `${name}-b`, numPartitions: 1 }] });
    const producer = kafka.producer();
    await producer.connect();
    for (const acks of [-1, 1, 0]) {
      for (const compression of [CompressionTypes.None, CompressionTypes.GZIP]) {
        await producer.send({ topic: `${name}-b`, acks, compression,
          messages: [{ key: "k", value: `v${acks}`, headers: { h: ["1", "2"] } }, { key: null, value: null }] });
      }
    }
    await producer.disconnect();
    const { consumer, got } = await consume(`${name}-b`, `${name}-gb`, 12);
    await consumer.disconnect();
    assert.deepEqual(got.map((m) => Number(m.offset)), [...Array(12).keys()]);
    assert.equal(got[0].value.toString(), "v-1");
    assert.deepEqual(got[0].headers.h.map(String), ["1", "2"]);
    assert.equal(got[1].value, null);
  },
  async every_codec() {
    const producer = kafka.producer();
    await producer.connect();
    for (const [name_, compression] of Object.entries(CompressionTypes)) {
      const topic = `${name}-z${compression}`;
      await admin.createTopics({ topics: [{ topic, numPartitions: 1 }] });
      const messages = [...Array(200).keys()].map((i) => ({ value: `value ${i} of ${name_} `.repeat(20) }));
      await producer.send({ topic, acks: -1, compression, messages });
      const { consumer, got } = await consume(topic, `${topic}-g`, 200);
      await consumer.disconnect();
      assert.deepEqual(got.map((m) => m.value.toString()), messages.map((m) => m.value), name_);
    }
    await producer.disconnect();
  },
  async size_limit() {
    await admin.createTopics({ topics: [{ topic: `${name}-s`, numPartitions: 1 }] });
    const producer = kafka.producer({ retry: { retries: 0 } });
    await producer.connect();
    const large = (bytes) => producer.send({ topic: `${name}-s`, messages: [{ value: Buffer.alloc(bytes, 7) }] });
    await assert.rejects(large(2_000_000), { type: "MESSAGE_TOO_LARGE" });
    await large(1_000_000);
    await producer.disconnect();
    const { consumer, got } = await consume(`${name}-s`, `${name}-gs`, 1, { maxBytesPerPartition: 1000 });
    await consumer.disconnect();
    assert.equal(got[0].value.length, 1_000_000);
  },
  async seek_latest_and_an_empty_poll() {
    const topic = `${name}-k`;
    await admin.createTopics({ topics: [{ topic, numPartitions: 1 }] });
    const producer = kafka.producer();
    await producer.connect();
    await producer.send({ topic, messages: [...Array(10).keys()].map((i) => ({ value: `${i}` })) });
    // kafkajs reads committed records only, unless it is told otherwise.
    for (const readUncommitted of [false, true]) {
      const consumer = kafka.consumer({ groupId: `${topic}-${readUncommitted}`, readUncommitted, maxWaitTimeInMs: 200 });
      await consumer.connect();
      await consumer.subscribe({ topic, fromBeginning: false });
      const got = [];
      const fetched = new Promise((resolve) => consumer.on(consumer.events.FETCH, resolve));
      await consumer.run({ eachMessage: async ({ message }) => { got.push(message.value.toString()); } });
      await fetched;
      assert.deepEqual(got, [], "latest sees nothing old");
      consumer.seek({ topic, partition: 0, offset: "7" });
      for (const deadline = Date.now() + 20000; got.length < 3 && Date.now() < deadline;) await new Promise((r) => setTimeout(r, 20));
      assert.deepEqual(got, ["7", "8", "9"]);
      await consumer.disconnect();
    }
    await producer.disconnect();
  },
  async a_fetch_of_too_few_bytes() {
    const topic = `${name}-e`;
    await admin.createTopics({ topics: [{ topic, numPartitions: 1 }] });
    const producer = kafka.producer();
    await producer.connect();
    for (let i = 0; i < 4; i++) await producer.send({ topic, messages: [{ value: Buffer.alloc(100_000, i) }] });
    await producer.disconnect();
    const { consumer, got } = await consume(topic, `${topic}-g`, 4, { maxBytes: 1000, maxBytesPerPartition: 1000 });
    await consumer.disconnect();
    assert.deepEqual(got.map((m) => [m.value.length, m.value[0]]), [0, 1, 2, 3].map((i) => [100_000, i]));
  },
  // No answer that kafkajs asks for carries a topic id (its Metadata stops at version 6, CreateTopics at 3), so a new topic
  // of an old name shows itself by what is not there any more: partitions, records, committed offsets.
  async a_topic_that_is_created_again_is_another_one() {
    const topic = `${name}-r`;
    const groupId = `${topic}-g`;
    const partitions = async () => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length;
    const ends = async () => (await admin.fetchTopicOffsets(topic)).map((one) => [one.partition, one.low, one.high]).sort();
    const fill = async (values) => {
      const producer = kafka.producer();
      await producer.connect();
      const [{ baseOffset }] = await producer.send({ topic, messages: values.map((value) => ({ value, partition: 0 })) });
      await producer.disconnect();
      return baseOffset;
    };
    // Those that there are: the client says -1 where there is none.
    const committed = async () => (await admin.fetchOffsets({ groupId, topics: [topic] }))[0].partitions
      .filter((one) => one.offset !== "-1").map((one) => [one.partition, one.offset]);

    assert.equal(await admin.createTopics({ topics: [{ topic, numPartitions: 2 }] }), true);
    await admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] });
    await eventually(partitions, 3);
    assert.equal(await fill(["old 0", "old 1", "old 2"]), "0");
    assert.deepEqual(await ends(), [[0, "0", "3"], [1, "0", "0"], [2, "0", "0"]]);
    await admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: "3" }] });
    assert.deepEqual(await committed(), [[0, "3"]]);

    await admin.deleteTopics({ topics: [topic] });
    await eventually(async () => (await admin.listTopics()).includes(topic), false);
    assert.equal(await admin.createTopics({ topics: [{ topic, numPartitions: 1 }] }), true);
    await eventually(partitions, 1);
    assert.deepEqual(await ends(), [[0, "0", "0"]]);
    await eventually(committed, [], "what was committed for the old topic does not hold for the new one");
    assert.equal(await fill(["new 0", "new 1"]), "0");
    const { consumer, got } = await consume(topic, groupId, 2);
    await consumer.disconnect();
    assert.deepEqual(got.map((m) => [m.partition, m.offset, m.value.toString()]), [[0, "0", "new 0"], [0, "1", "new 1"]]);
  },
  async offsets_by_time() {
    await admin.createTopics({ topics: [{ topic: `${name}-c`, numPartitions: 1 }] });
    const producer = kafka.producer();
    await producer.connect();
    for (let i = 0; i < 5; i++) {
      await producer.send({ topic: `${name}-c`, messages: [{ value: `${i}`, timestamp: `${1700000000000 + i * 1000}` }] });
    }
    await producer.disconnect();
    assert.equal((await admin.fetchTopicOffsets(`${name}-c`))[0].high, "5");
    assert.equal((await admin.fetchTopicOffsetsByTimestamp(`${name}-c`, 1700000001500))[0].offset, "2");
    await admin.deleteTopicRecords({ topic: `${name}-c`, partitions: [{ partition: 0, offset: "3" }] });
    assert.equal((await admin.fetchTopicOffsets(`${name}-c`))[0].low, "3");
  },
  async group_rebalance_and_offsets() {
    await admin.createTopics({ topics: [{ topic: `${name}-d`, numPartitions: 4 }] });
    const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
    await producer.connect();
    await producer.send({ topic: `${name}-d`, messages: [...Array(40).keys()].map((i) => ({ value: `${i}`, partition: i % 4 })) });
    const first = await consume(`${name}-d`, `${name}-gd`, 40);
    const second = kafka.consumer({ groupId: `${name}-gd`, sessionTimeout: 10000, heartbeatInterval: 500 });
    await second.connect();
    await second.subscribe({ topic: `${name}-d`, fromBeginning: true });
    const joined = new Promise((resolve) => second.on(second.events.GROUP_JOIN, (event) => {
      if ((event.payload.memberAssignment[`${name}-d`] || []).length === 2) resolve();
    }));
    await second.run({ eachMessage: async () => {} });
    await joined;
    const described = await admin.describeGroups([`${name}-gd`]);
    assert.equal(described.groups[0].members.length, 2);
    await first.consumer.disconnect();
    await second.disconnect();
    const offsets = await admin.fetchOffsets({ groupId: `${name}-gd`, topics: [`${name}-d`] });
    assert.deepEqual(offsets[0].partitions.map((p) => Number(p.offset)), [10, 10, 10, 10]);
    await producer.disconnect();
    await admin.deleteGroups([`${name}-gd`]);
  },
};

(async () => {
  await admin.connect();
  for (const [check, run] of Object.entries(checks)) {
    try { await run(); console.log(`ok ${check}`); } catch (error) { console.log(`not ok ${check}: ${error.message.replace(/\n/g, " | ")}`); }
  }
  await admin.disconnect();
  process.exit(0);
})();
