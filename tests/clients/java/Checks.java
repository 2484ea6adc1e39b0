import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.acl.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.quota.*;
import org.apache.kafka.common.resource.*;
import org.apache.kafka.common.serialization.*;

/** The Java client: prints "ok NAME" or "not ok NAME: why", a line a check. */
public class Checks {
    static String bootstrap;
    static String name;
    static Admin admin;

    interface Check { void run() throws Exception; }

    static void require(boolean holds, String what) {
        if (!holds) throw new AssertionError(what);
    }

    static Map<String, Object> with(Object... pairs) {
        Map<String, Object> config = new HashMap<>();
        config.put("bootstrap.servers", bootstrap);
        for (int i = 0; i < pairs.length; i += 2) config.put((String) pairs[i], pairs[i + 1]);
        return config;
    }

    static KafkaProducer<byte[], byte[]> producer(Object... pairs) {
        return new KafkaProducer<>(with(pairs), new ByteArraySerializer(), new ByteArraySerializer());
    }

    static KafkaConsumer<byte[], byte[]> consumer(Object... pairs) {
        Map<String, Object> config = with(pairs);
        config.putIfAbsent("auto.offset.reset", "earliest");
        config.putIfAbsent("enable.auto.commit", "false");
        return new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    static String topic(String suffix, int partitions, String... configs) throws Exception {
        String topic = name + "-" + suffix;
        Map<String, String> entries = new HashMap<>();
        for (int i = 0; i < configs.length; i += 2) entries.put(configs[i], configs[i + 1]);
        admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1).configs(entries))).all().get(20, TimeUnit.SECONDS);
        return topic;
    }

    static List<ConsumerRecord<byte[], byte[]>> read(KafkaConsumer<byte[], byte[]> consumer, int count) {
        List<ConsumerRecord<byte[], byte[]>> got = new ArrayList<>();
        long deadline = System.currentTimeMillis() + 30_000;
        while (got.size() < count && System.currentTimeMillis() < deadline) {
            consumer.poll(Duration.ofMillis(200)).forEach(got::add);
        }
        require(got.size() == count, "read " + got.size() + " of " + count);
        return got;
    }

    static <T extends Throwable> T refused(Class<T> kind, Future<?> future) throws Exception {
        try {
            future.get(20, TimeUnit.SECONDS);
        } catch (ExecutionException e) {
            if (kind.isInstance(e.getCause())) return kind.cast(e.getCause());
            throw new AssertionError("expected " + kind.getSimpleName() + ", got " + e.getCause());
        }
        throw new AssertionError("expected " + kind.getSimpleName() + ", but it succeeded");
    }

    static void topicLife() throws Exception {
        String topic = topic("life", 3);
        TopicDescription described = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
        require(described.partitions().size() == 3, "three partitions");
        require(!described.topicId().equals(Uuid.ZERO_UUID), "a topic id");
        refused(TopicExistsException.class, admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1))).all());
        admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(5))).all().get();
        refused(InvalidPartitionsException.class, admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(5))).all());
        require(admin.describeTopics(TopicCollection.ofTopicIds(List.of(described.topicId()))).allTopicIds().get()
            .get(described.topicId()).partitions().size() == 5, "found by id, with five");
        refused(InvalidTopicException.class, admin.createTopics(List.of(new NewTopic("a b", 1, (short) 1))).all());
        admin.createTopics(List.of(new NewTopic(topic + "-dry", 1, (short) 1)), new CreateTopicsOptions().validateOnly(true)).all().get();
        require(!admin.listTopics().names().get().contains(topic + "-dry"), "validate only creates nothing");
        admin.deleteTopics(List.of(topic)).all().get();
        refused(UnknownTopicOrPartitionException.class, admin.deleteTopics(List.of(topic)).all());
    }

    static void everyCodecAndAcks() throws Exception {
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            for (String acks : List.of("0", "1", "all")) {
                String topic = topic(codec + acks, 1);
                try (var producer = producer("compression.type", codec, "acks", acks, "enable.idempotence", acks.equals("all") ? "true" : "false", "linger.ms", 5)) {
                    for (int i = 0; i < 200; i++) producer.send(new ProducerRecord<>(topic, 0, null, ("value " + i).getBytes()));
                }
                try (var consumer = consumer()) {
                    consumer.assign(List.of(new TopicPartition(topic, 0)));
                    var got = read(consumer, 200);
                    for (int i = 0; i < 200; i++) require(new String(got.get(i).value()).equals("value " + i), codec + " " + acks + " at " + i);
                }
            }
        }
    }

    static void headersKeysNulls() throws Exception {
        String topic = topic("headers", 1);
        try (var producer = producer()) {
            var record = new ProducerRecord<byte[], byte[]>(topic, 0, 1_700_000_000_123L, null, null);
            record.headers().add(new RecordHeader("h", "1".getBytes())).add(new RecordHeader("h", "2".getBytes())).add(new RecordHeader("n", null));
            producer.send(record).get();
            producer.send(new ProducerRecord<>(topic, 0, new byte[0], new byte[0])).get();
        }
        try (var consumer = consumer("isolation.level", "read_committed")) {
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            var got = read(consumer, 2);
            require(got.get(0).key() == null && got.get(0).value() == null && got.get(0).timestamp() == 1_700_000_000_123L, "nulls and timestamp");
            require(Arrays.stream(got.get(0).headers().toArray()).map(h -> h.key() + "=" + (h.value() == null ? null : new String(h.value())))
                .collect(Collectors.joining(",")).equals("h=1,h=2,n=null"), "duplicate headers");
            require(got.get(1).key().length == 0 && got.get(1).value().length == 0, "empty is not null");
        }
    }

    static void sizeLimits() throws Exception {
        String topic = topic("size", 1, "max.message.bytes", "3000");
        try (var producer = producer("batch.size", 100_000, "linger.ms", 200)) {
            refused(RecordTooLargeException.class, producer.send(new ProducerRecord<>(topic, 0, null, new byte[5000])));
            // A batch above the limit is split by the client and then fits.
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int i = 0; i < 20; i++) sent.add(producer.send(new ProducerRecord<>(topic, 0, null, new byte[500])));
            for (var future : sent) future.get(30, TimeUnit.SECONDS);
        }
        String large = topic("large", 1);
        byte[] value = new byte[1_000_000];
        new Random(1).nextBytes(value);
        try (var producer = producer("max.request.size", 2_000_000)) { producer.send(new ProducerRecord<>(large, 0, null, value)).get(); }
        try (var consumer = consumer("max.partition.fetch.bytes", 1000)) {
            consumer.assign(List.of(new TopicPartition(large, 0)));
            require(Arrays.equals(read(consumer, 1).get(0).value(), value), "a megabyte comes back");
        }
    }

    static void positions() throws Exception {
        String topic = topic("positions", 1);
        TopicPartition partition = new TopicPartition(topic, 0);
        try (var producer = producer("linger.ms", 0)) {
            for (int i = 0; i < 10; i++) producer.send(new ProducerRecord<>(topic, 0, 1_700_000_000_000L + i * 1000, null, ("" + i).getBytes())).get();
        }
        try (var consumer = consumer("auto.offset.reset", "latest")) {
            consumer.assign(List.of(partition));
            require(consumer.poll(Duration.ofMillis(700)).isEmpty(), "latest sees nothing old");
            require(consumer.position(partition) == 10, "position is the end");
            consumer.seek(partition, 7);
            require(new String(read(consumer, 3).get(0).value()).equals("7"), "seek");
            require(consumer.offsetsForTimes(Map.of(partition, 1_700_000_004_500L)).get(partition).offset() == 5, "by time");
            require(consumer.beginningOffsets(List.of(partition)).get(partition) == 0, "beginning");
            require(consumer.endOffsets(List.of(partition)).get(partition) == 10, "end");
        }
        require(admin.listOffsets(Map.of(partition, OffsetSpec.maxTimestamp())).all().get().get(partition).offset() == 9, "max timestamp");
        require(admin.listOffsets(Map.of(partition, OffsetSpec.latest())).all().get().get(partition).offset() == 10, "latest");
        require(admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(4))).lowWatermarks().get(partition).get().lowWatermark() == 4, "low watermark");
        refused(org.apache.kafka.common.errors.OffsetOutOfRangeException.class, admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(99))).all());
        try (var consumer = consumer("auto.offset.reset", "none")) {
            consumer.assign(List.of(partition));
            consumer.seek(partition, 1);
            try {
                consumer.poll(Duration.ofSeconds(5));
                throw new AssertionError("reading before the log start must be out of range");
            } catch (org.apache.kafka.clients.consumer.OffsetOutOfRangeException expected) { }
        }
    }

    static void manyPartitions() throws Exception {
        String topic = topic("many", 60);
        try (var producer = producer("linger.ms", 20)) {
            for (int i = 0; i < 6000; i++) producer.send(new ProducerRecord<>(topic, i % 60, null, ("" + i).getBytes()));
        }
        try (var consumer = consumer()) {
            consumer.assign(IntStream.range(0, 60).mapToObj(p -> new TopicPartition(topic, p)).toList());
            Map<Integer, Long> next = new HashMap<>();
            for (var record : read(consumer, 6000)) {
                require(record.offset() == next.getOrDefault(record.partition(), 0L), "dense offsets in order");
                next.merge(record.partition(), 1L, Long::sum);
            }
            // Steady state: the incremental session still sees news of single partitions.
            try (var producer = producer()) {
                for (int p : new int[] {3, 59, 3}) {
                    producer.send(new ProducerRecord<>(topic, p, null, "news".getBytes())).get();
                    require(read(consumer, 1).get(0).partition() == p, "news of partition " + p);
                }
            }
        }
    }

    static void classicGroup() throws Exception {
        for (String assignor : List.of("RangeAssignor", "CooperativeStickyAssignor")) {
            String topic = topic("group-" + assignor, 4);
            String group = topic;
            Object[] config = {"group.id", group, "partition.assignment.strategy", "org.apache.kafka.clients.consumer." + assignor,
                "session.timeout.ms", 6000, "heartbeat.interval.ms", 300};
            try (var first = consumer(config); var second = consumer(config)) {
                first.subscribe(List.of(topic));
                second.subscribe(List.of(topic));
                long deadline = System.currentTimeMillis() + 40_000;
                while (first.assignment().size() != 2 || second.assignment().size() != 2) {
                    first.poll(Duration.ofMillis(100));
                    second.poll(Duration.ofMillis(100));
                    require(System.currentTimeMillis() < deadline, assignor + " does not settle: " + first.assignment() + second.assignment());
                }
                var all = new HashSet<>(first.assignment());
                all.addAll(second.assignment());
                require(all.size() == 4, "every partition has one owner");
                try (var producer = producer()) {
                    for (int i = 0; i < 40; i++) producer.send(new ProducerRecord<>(topic, i % 4, null, ("" + i).getBytes()));
                }
                read(first, 20);
                read(second, 20);
                first.commitSync();
                second.commitSync();
                var described = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
                require(described.groupState() == GroupState.STABLE && described.members().size() == 2, "described");
                refused(GroupNotEmptyException.class, admin.deleteConsumerGroups(List.of(group)).all());
            }
            var offsets = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
            require(offsets.size() == 4 && offsets.values().stream().allMatch(o -> o.offset() == 10), "offsets " + offsets);
            admin.alterConsumerGroupOffsets(group, Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(3, "meta"))).all().get();
            require(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(new TopicPartition(topic, 0)).metadata().equals("meta"), "metadata");
            admin.deleteConsumerGroupOffsets(group, Set.of(new TopicPartition(topic, 1))).all().get();
            require(!admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().containsKey(new TopicPartition(topic, 1)), "offset deleted");
            require(admin.listGroups().all().get().stream().anyMatch(g -> g.groupId().equals(group)), "listed");
            admin.deleteConsumerGroups(List.of(group)).all().get();
            refused(GroupIdNotFoundException.class, admin.deleteConsumerGroups(List.of(group)).all());
        }
    }

    static void staticMember() throws Exception {
        String topic = topic("static", 2);
        Object[] config = {"group.id", topic, "group.instance.id", "one", "session.timeout.ms", 20000};
        Set<TopicPartition> had;
        try (var consumer = consumer(config)) {
            consumer.subscribe(List.of(topic));
            while (consumer.assignment().isEmpty()) consumer.poll(Duration.ofMillis(100));
            had = Set.copyOf(consumer.assignment());
            // A second consumer under the same instance id fences the first.
            try (var twin = consumer(config)) {
                twin.subscribe(List.of(topic));
                while (twin.assignment().isEmpty()) twin.poll(Duration.ofMillis(100));
                require(twin.assignment().equals(had), "same assignment");
                try {
                    long deadline = System.currentTimeMillis() + 20_000;
                    while (System.currentTimeMillis() < deadline) consumer.poll(Duration.ofMillis(100));
                    throw new AssertionError("the older static member must be fenced");
                } catch (FencedInstanceIdException expected) { }
            }
        }
        admin.removeMembersFromConsumerGroup(topic, new RemoveMembersFromConsumerGroupOptions(List.of(new MemberToRemove("one")))).all().get();
        require(admin.describeConsumerGroups(List.of(topic)).all().get().get(topic).members().isEmpty(), "removed by instance id");
    }

    static void idempotence() throws Exception {
        String topic = topic("idempotent", 1);
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (var producer = producer("enable.idempotence", true, "linger.ms", 1, "batch.size", 2000)) {
            for (int i = 0; i < 20_000; i++) sent.add(producer.send(new ProducerRecord<>(topic, 0, null, ("" + i).getBytes())));
        }
        for (int i = 0; i < sent.size(); i++) require(sent.get(i).get().offset() == i, "offset of " + i);
    }

    static void configs() throws Exception {
        String topic = topic("configs", 1, "retention.ms", "5000");
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        var described = admin.describeConfigs(List.of(resource), new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true)).all().get().get(resource);
        require(described.get("retention.ms").value().equals("5000"), "set at creation");
        require(described.get("retention.ms").source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, "source");
        require(described.get("retention.ms").type() == ConfigEntry.ConfigType.LONG, "type");
        require(described.get("retention.ms").documentation() != null, "documentation");
        require(described.get("cleanup.policy").isDefault(), "default");
        require(described.entries().size() >= 25, "all of Kafka's entries, got " + described.entries().size());
        admin.incrementalAlterConfigs(Map.of(resource, List.of(
            new AlterConfigOp(new ConfigEntry("cleanup.policy", "compact"), AlterConfigOp.OpType.APPEND),
            new AlterConfigOp(new ConfigEntry("retention.ms", ""), AlterConfigOp.OpType.DELETE)))).all().get();
        described = admin.describeConfigs(List.of(resource)).all().get().get(resource);
        require(described.get("cleanup.policy").value().equals("delete,compact"), "appended: " + described.get("cleanup.policy").value());
        require(described.get("retention.ms").isDefault(), "deleted");
        refused(InvalidConfigurationException.class, admin.incrementalAlterConfigs(Map.of(resource, List.of(
            new AlterConfigOp(new ConfigEntry("retention.ms", "abc"), AlterConfigOp.OpType.SET)))).all());
        refused(UnknownTopicOrPartitionException.class, admin.describeConfigs(List.of(new ConfigResource(ConfigResource.Type.TOPIC, topic + "-no"))).all());
        String node = admin.describeCluster().nodes().get().iterator().next().idString();
        var broker = new ConfigResource(ConfigResource.Type.BROKER, node);
        require(admin.describeConfigs(List.of(broker)).all().get().get(broker).entries().size() > 10, "broker entries");
    }

    static void clusterAndLogDirs() throws Exception {
        require(admin.describeCluster().clusterId().get() != null, "cluster id");
        String topic = topic("dirs", 1);
        try (var producer = producer()) { producer.send(new ProducerRecord<>(topic, 0, null, new byte[10_000])).get(); }
        var nodes = admin.describeCluster().nodes().get().stream().map(Node::id).toList();
        long size = 0;
        for (var directories : admin.describeLogDirs(nodes).allDescriptions().get().values())
            for (var directory : directories.values())
                for (var replica : directory.replicaInfos().entrySet())
                    if (replica.getKey().topic().equals(topic)) size += replica.getValue().size();
        require(size > 10_000, "the log directory counts the bytes: " + size);
        refused(SecurityDisabledException.class, admin.describeAcls(org.apache.kafka.common.acl.AclBindingFilter.ANY).values());
        require(admin.listPartitionReassignments().reassignments().get().isEmpty(), "no reassignments");
        require(admin.describeFeatures().featureMetadata().get().finalizedFeaturesEpoch().orElse(-1L) >= 0, "features epoch");
        refused(ElectionNotNeededException.class, admin.electLeaders(ElectionType.PREFERRED, Set.of(new TopicPartition(topic, 0))).partitions().get().get(new TopicPartition(topic, 0)).<Future<?>>map(e -> CompletableFuture.failedFuture(e)).orElse(CompletableFuture.completedFuture(null)));
    }

    /** Quotas are not kept: saying so is right, and keeping what was taken would be; to take and forget is wrong. */
    static void quotas() throws Exception {
        var entity = new ClientQuotaEntity(Map.of(ClientQuotaEntity.CLIENT_ID, name));
        var filter = ClientQuotaFilter.contains(List.of(ClientQuotaFilterComponent.ofEntity(ClientQuotaEntity.CLIENT_ID, name)));
        require(admin.describeClientQuotas(filter).entities().get(20, TimeUnit.SECONDS).isEmpty(), "no quota yet");
        var change = List.of(new ClientQuotaAlteration(entity, List.of(new ClientQuotaAlteration.Op("producer_byte_rate", 1e6))));
        if (Boolean.getBoolean("towpath")) {
            var refusal = refused(InvalidRequestException.class, admin.alterClientQuotas(change).all());
            require(refusal.getMessage().contains("uota"), "a sentence that says what is wrong: " + refusal.getMessage());
            require(admin.describeClientQuotas(ClientQuotaFilter.all()).entities().get(20, TimeUnit.SECONDS).isEmpty(), "still none");
        } else {
            admin.alterClientQuotas(change).all().get(20, TimeUnit.SECONDS);
        }
    }

    static void aclsAreRefused() throws Exception {
        var pattern = new ResourcePattern(ResourceType.TOPIC, "t", PatternType.LITERAL);
        var acl = new AclBinding(pattern, new AccessControlEntry("User:a", "*", AclOperation.READ, AclPermissionType.ALLOW));
        refused(SecurityDisabledException.class, admin.createAcls(List.of(acl)).all());
        refused(SecurityDisabledException.class, admin.deleteAcls(List.of(acl.toFilter())).all());
        refused(SecurityDisabledException.class, admin.describeAcls(AclBindingFilter.ANY).values());
    }

    static void logFile() throws Exception {
        String topic = topic("file", 1);
        Path log = Path.of(System.getProperty("log.file"));
        List<String> lines = Files.readAllLines(log);
        try (var producer = producer("linger.ms", 5)) {
            for (String line : lines) producer.send(new ProducerRecord<>(topic, 0, null, line.getBytes()));
        }
        try (var consumer = consumer()) {
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            var got = read(consumer, lines.size());
            for (int i = 0; i < lines.size(); i++) require(new String(got.get(i).value()).equals(lines.get(i)), "line " + i);
        }
    }

    public static void main(String[] arguments) throws Exception {
        bootstrap = arguments[0];
        name = arguments[1];
        admin = Admin.create(with());
        Map<String, Check> checks = new LinkedHashMap<>();
        checks.put("topic_life", Checks::topicLife);
        checks.put("every_codec_and_acks", Checks::everyCodecAndAcks);
        checks.put("headers_keys_nulls", Checks::headersKeysNulls);
        checks.put("size_limits", Checks::sizeLimits);
        checks.put("positions", Checks::positions);
        checks.put("many_partitions", Checks::manyPartitions);
        checks.put("classic_group", Checks::classicGroup);
        checks.put("static_member", Checks::staticMember);
        checks.put("idempotence", Checks::idempotence);
        checks.put("configs", Checks::configs);
        checks.put("cluster_and_log_dirs", Checks::clusterAndLogDirs);
        checks.put("quotas", Checks::quotas);
        checks.put("acls_are_refused", Checks::aclsAreRefused);
        checks.put("log_file", Checks::logFile);
        for (var check : checks.entrySet()) {
            if (arguments.length > 2 && !arguments[2].equals(check.getKey())) continue;
            try {
                check.getValue().run();
                System.out.println("ok " + check.getKey());
            } catch (Throwable failure) {
                System.out.println("not ok " + check.getKey() + ": " + failure + Arrays.stream(failure.getStackTrace())
                    .filter(frame -> frame.getClassName().equals("Checks")).limit(2).map(frame -> " at line " + frame.getLineNumber()).collect(Collectors.joining()));
            }
        }
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }
}
