// Prints one line a check, "ok NAME" or "not ok NAME: why"; the pytest beside it reads them.
const { CompressionTypes, Kafka, logLevel } = require("kafkajs");
const [bootstrap, name] = process.argv.slice(2);
const kafka = new Kafka({ clientId: "kafkajs", brokers: [bootstrap], logLevel: logLevel.NOTHING });
const admin = kafka.admin();
const assert = require("node:assert");

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
