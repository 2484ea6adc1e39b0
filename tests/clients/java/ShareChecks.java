import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.serialization.*;

/** Share groups with the Java client: prints "ok NAME" or "not ok NAME: why", a line a check. */
public class ShareChecks {
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

    /** A topic and a group of one name; the group reads from the beginning, and its configuration holds these entries. */
    static String group(String suffix, int partitions, String... entries) throws Exception {
        String group = name + "-" + suffix;
        admin.createTopics(List.of(new NewTopic(group, partitions, (short) 1))).all().get(20, TimeUnit.SECONDS);
        configure(group, "share.auto.offset.reset", "earliest");
        configure(group, entries);
        return group;
    }

    static void configure(String group, String... entries) throws Exception {
        List<AlterConfigOp> changes = new ArrayList<>();
        for (int i = 0; i < entries.length; i += 2) changes.add(new AlterConfigOp(new ConfigEntry(entries[i], entries[i + 1]), AlterConfigOp.OpType.SET));
        if (changes.isEmpty()) return;
        admin.incrementalAlterConfigs(Map.of(new ConfigResource(ConfigResource.Type.GROUP, group), changes)).all().get(20, TimeUnit.SECONDS);
    }

    static void produce(String topic, int from, int to) throws Exception {
        try (var producer = new KafkaProducer<>(with("linger.ms", 20), new StringSerializer(), new StringSerializer())) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int i = from; i < to; i++) sent.add(producer.send(new ProducerRecord<>(topic, 0, null, "v" + i)));
            for (var future : sent) future.get(20, TimeUnit.SECONDS);
        }
    }

    static KafkaShareConsumer<String, String> consumer(String group, Object... pairs) {
        Map<String, Object> config = with(pairs);
        config.put("group.id", group);
        var consumer = new KafkaShareConsumer<>(config, new StringDeserializer(), new StringDeserializer());
        consumer.subscribe(List.of(group));
        return consumer;
    }

    static KafkaShareConsumer<String, String> explicit(String group, Object... pairs) {
        Object[] all = Arrays.copyOf(pairs, pairs.length + 2);
        all[pairs.length] = "share.acknowledgement.mode";
        all[pairs.length + 1] = "explicit";
        return consumer(group, all);
    }

    /** The first poll that gives something. */
    static List<ConsumerRecord<String, String>> poll(KafkaShareConsumer<String, String> consumer) {
        List<ConsumerRecord<String, String>> got = new ArrayList<>();
        long deadline = System.currentTimeMillis() + 20_000;
        while (got.isEmpty() && System.currentTimeMillis() < deadline) consumer.poll(Duration.ofMillis(500)).forEach(got::add);
        require(!got.isEmpty(), "nothing was delivered");
        return got;
    }

    static void nothing(KafkaShareConsumer<String, String> consumer) {
        require(consumer.poll(Duration.ofMillis(1500)).isEmpty(), "nothing must be delivered");
    }

    static void committed(KafkaShareConsumer<String, String> consumer) {
        consumer.commitSync(Duration.ofSeconds(15)).forEach((partition, failure) -> require(failure.isEmpty(), "commit: " + failure));
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

    static short count(ConsumerRecord<String, String> record) {
        return record.deliveryCount().orElse((short) -1);
    }

    static void implicit() throws Exception {
        String group = group("implicit", 3);
        produce(group, 0, 500);
        Set<String> seen = new HashSet<>();
        try (var consumer = consumer(group)) {
            long deadline = System.currentTimeMillis() + 30_000;
            int total = 0;
            while (seen.size() < 500 && System.currentTimeMillis() < deadline) {
                for (var record : consumer.poll(Duration.ofMillis(500))) { seen.add(record.value()); total++; }
            }
            require(seen.size() == 500 && total == 500, "saw " + seen.size() + " of 500 in " + total);
            // What the last poll gave is accepted by the next one, or by this.
            committed(consumer);
        }
        produce(group, 500, 501);
        try (var consumer = consumer(group)) {
            require(poll(consumer).get(0).value().equals("v500"), "what was polled is accepted");
        }
    }

    static void explicitModes() throws Exception {
        String group = group("explicit", 1);
        produce(group, 0, 3);
        try (var consumer = explicit(group)) {
            var got = poll(consumer);
            require(got.size() == 3 && got.stream().allMatch(record -> count(record) == 1), "three, delivered once");
            consumer.acknowledge(got.get(0), AcknowledgeType.ACCEPT);
            consumer.acknowledge(got.get(1), AcknowledgeType.RELEASE);
            consumer.acknowledge(got.get(2), AcknowledgeType.REJECT);
            committed(consumer);
            var again = poll(consumer);
            require(again.size() == 1 && again.get(0).offset() == 1 && count(again.get(0)) == 2, "the released one comes again");
            consumer.acknowledge(again.get(0));
            committed(consumer);
            nothing(consumer);
        }
    }

    static void renew() throws Exception {
        String group = group("renew", 1, "share.record.lock.duration.ms", "2000");
        produce(group, 0, 1);
        try (var slow = explicit(group); var other = explicit(group)) {
            var record = poll(slow).get(0);
            require(slow.acquisitionLockTimeoutMs().orElse(-1) == 2000, "the lock's duration is told");
            for (int i = 0; i < 4; i++) {
                require(other.poll(Duration.ofMillis(1000)).isEmpty(), "a renewed record stays where it is");
                slow.acknowledge(record, AcknowledgeType.RENEW);
                committed(slow);
                // A renewed record comes back from the next poll, to be acknowledged again.
                var again = poll(slow);
                require(again.size() == 1 && again.get(0).offset() == record.offset(), "renewed records are polled again");
                record = again.get(0);
            }
            slow.acknowledge(record);
            committed(slow);
            nothing(other);
        }
    }

    static void recordLimit() throws Exception {
        String group = group("limit", 1);
        produce(group, 0, 100);
        try (var consumer = explicit(group, "share.acquire.mode", "record_limit", "max.poll.records", 7)) {
            int total = 0;
            while (total < 100) {
                var got = poll(consumer);
                require(got.size() <= 7, "a poll gave " + got.size() + " records");
                total += got.size();
                got.forEach(consumer::acknowledge);
                committed(consumer);
            }
            require(total == 100, "100 records, not " + total);
        }
    }

    static void lockTimeout() throws Exception {
        String group = group("lock", 1, "share.record.lock.duration.ms", "1000");
        produce(group, 0, 1);
        try (var slow = explicit(group); var fast = explicit(group)) {
            var record = poll(slow).get(0);
            var again = poll(fast).get(0);
            require(again.offset() == record.offset() && count(again) == 2, "it comes to another one");
            slow.acknowledge(record);
            var outcome = slow.commitSync(Duration.ofSeconds(15));
            require(outcome.values().stream().allMatch(failure -> failure.orElse(null) instanceof InvalidRecordStateException), "too late: " + outcome);
            fast.acknowledge(again);
            committed(fast);
        }
    }

    static void deliveryLimit() throws Exception {
        String group = group("deliveries", 1, "share.delivery.count.limit", "2");
        produce(group, 0, 1);
        try (var consumer = explicit(group)) {
            for (int i = 1; i <= 2; i++) {
                var record = poll(consumer).get(0);
                require(count(record) == i, "delivery " + i + " says " + count(record));
                consumer.acknowledge(record, AcknowledgeType.RELEASE);
                committed(consumer);
            }
            nothing(consumer);
        }
    }

    static void severalMembers() throws Exception {
        String group = group("members", 1);
        for (int i = 0; i < 40; i++) produce(group, 10 * i, 10 * i + 10);
        ConcurrentHashMap<String, Integer> seen = new ConcurrentHashMap<>();
        ExecutorService threads = Executors.newFixedThreadPool(3);
        List<Future<Integer>> counts = new ArrayList<>();
        for (int i = 0; i < 3; i++) counts.add(threads.submit(() -> {
            int own = 0;
            try (var consumer = consumer(group, "max.poll.records", 10)) {
                long deadline = System.currentTimeMillis() + 30_000;
                while (seen.size() < 400 && System.currentTimeMillis() < deadline) {
                    var got = consumer.poll(Duration.ofMillis(200));
                    for (var record : got) { seen.merge(record.value(), 1, Integer::sum); own++; }
                    // Else a member that closes gives its last records to those that still poll.
                    if (!got.isEmpty()) committed(consumer);
                }
            }
            return own;
        }));
        int total = 0;
        for (var future : counts) total += future.get(60, TimeUnit.SECONDS);
        threads.shutdown();
        require(seen.size() == 400 && total == 400, "saw " + seen.size() + " of 400 in " + total);
    }

    static void adminOffsets() throws Exception {
        String group = group("offsets", 1);
        TopicPartition partition = new TopicPartition(group, 0);
        produce(group, 0, 10);
        try (var consumer = consumer(group)) {
            require(poll(consumer).size() == 10, "all in one batch");
            committed(consumer);
            refused(GroupNotEmptyException.class, admin.alterShareGroupOffsets(group, Map.of(partition, 3L)).all());
        }
        var spec = Map.of(group, new ListShareGroupOffsetsSpec());
        var found = admin.listShareGroupOffsets(spec).partitionsToOffsetInfo(group).get(20, TimeUnit.SECONDS).get(partition);
        // Kafka stores how far the start is with the next change.
        require(Set.of(0L, 10L).contains(found.startOffset()) && found.lag().orElse(-1L) == 0, "done with all: " + found);
        admin.alterShareGroupOffsets(group, Map.of(partition, 7L)).all().get(20, TimeUnit.SECONDS);
        found = admin.listShareGroupOffsets(spec).partitionsToOffsetInfo(group).get(20, TimeUnit.SECONDS).get(partition);
        require(found.startOffset() == 7 && found.lag().orElse(-1L) == 3, "moved: " + found);
        try (var consumer = consumer(group)) {
            require(poll(consumer).get(0).offset() == 7, "begins where it was put");
        }
        admin.deleteShareGroupOffsets(group, Set.of(group)).all().get(20, TimeUnit.SECONDS);
        require(admin.listShareGroupOffsets(spec).partitionsToOffsetInfo(group).get(20, TimeUnit.SECONDS).get(partition) == null, "forgotten");
        refused(UnknownTopicOrPartitionException.class, admin.deleteShareGroupOffsets(group, Set.of(group)).all());
    }

    static void describeAndDelete() throws Exception {
        String group = group("described", 2);
        produce(group, 0, 1);
        try (var consumer = consumer(group, "client.id", "me")) {
            poll(consumer);
            var described = admin.describeShareGroups(List.of(group)).all().get(20, TimeUnit.SECONDS).get(group);
            require(described.groupState() == GroupState.STABLE && described.members().size() == 1, "stable with one: " + described);
            var member = described.members().iterator().next();
            require(member.clientId().equals("me") && member.assignment().topicPartitions().size() == 2, "both partitions: " + member);
            var listed = admin.listGroups(ListGroupsOptions.forShareGroups()).all().get(20, TimeUnit.SECONDS);
            require(listed.stream().anyMatch(one -> one.groupId().equals(group) && one.type().orElse(null) == GroupType.SHARE), "listed: " + listed);
            refused(GroupNotEmptyException.class, admin.deleteShareGroups(List.of(group)).all());
        }
        admin.deleteShareGroups(List.of(group)).all().get(20, TimeUnit.SECONDS);
        refused(GroupIdNotFoundException.class, admin.describeShareGroups(List.of(group)).all());
        refused(GroupIdNotFoundException.class, admin.deleteShareGroups(List.of(group)).all());
    }

    static void kindsOfGroups() throws Exception {
        String group = group("kinds", 1);
        try (var consumer = consumer(group)) {
            consumer.poll(Duration.ofMillis(1500));
        }
        var offsets = Map.of(new TopicPartition(group, 0), new OffsetAndMetadata(1));
        refused(GroupIdNotFoundException.class, admin.alterConsumerGroupOffsets(group, offsets).all());
        refused(GroupIdNotFoundException.class, admin.describeConsumerGroups(List.of(group)).all());
        Map<String, Object> config = with("group.id", group, "group.protocol", "classic");
        try (var classic = new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer())) {
            classic.subscribe(List.of(group));
            long deadline = System.currentTimeMillis() + 15_000;
            try {
                while (System.currentTimeMillis() < deadline) classic.poll(Duration.ofMillis(300));
                throw new AssertionError("a classic member joined a share group");
            } catch (InconsistentGroupProtocolException expected) {
                // The group is of another kind.
            }
        }
        String other = group + "-classic";
        admin.alterConsumerGroupOffsets(other, offsets).all().get(20, TimeUnit.SECONDS);
        try (var share = new KafkaShareConsumer<>(with("group.id", other), new StringDeserializer(), new StringDeserializer())) {
            share.subscribe(List.of(group));
            long deadline = System.currentTimeMillis() + 15_000;
            try {
                while (System.currentTimeMillis() < deadline) share.poll(Duration.ofMillis(300));
                throw new AssertionError("a share member joined a classic group");
            } catch (GroupIdNotFoundException expected) {
                // The group is of another kind.
            }
        }
    }

    static void configs() throws Exception {
        String group = name + "-configs";
        var resource = new ConfigResource(ConfigResource.Type.GROUP, group);
        configure(group, "share.record.lock.duration.ms", "20000");
        var described = admin.describeConfigs(List.of(resource), new DescribeConfigsOptions().includeSynonyms(true)).all().get(20, TimeUnit.SECONDS).get(resource);
        var lock = described.get("share.record.lock.duration.ms");
        require(lock.value().equals("20000") && lock.source() == ConfigEntry.ConfigSource.DYNAMIC_GROUP_CONFIG, "set: " + lock);
        require(described.get("share.isolation.level").source() == ConfigEntry.ConfigSource.DEFAULT_CONFIG, "a default");
        for (String entry : List.of("consumer.session.timeout.ms", "share.delivery.count.limit", "streams.num.standby.replicas")) {
            require(described.get(entry) != null, entry + " is shown");
        }
        var listed = admin.listConfigResources(Set.of(ConfigResource.Type.GROUP), new ListConfigResourcesOptions()).all().get(20, TimeUnit.SECONDS);
        require(listed.contains(resource), "listed");
        for (String[] bad : new String[][] {{"share.record.lock.duration.ms", "10"}, {"share.no.such", "1"}, {"share.delivery.count.limit", "x"}}) {
            var change = List.of(new AlterConfigOp(new ConfigEntry(bad[0], bad[1]), AlterConfigOp.OpType.SET));
            refused(InvalidConfigurationException.class, admin.incrementalAlterConfigs(Map.of(resource, change)).all());
        }
    }

    static void check(String check, Check body) {
        try {
            body.run();
            System.out.println("ok " + check);
        } catch (Throwable e) {
            System.out.println("not ok " + check + ": " + e);
            e.printStackTrace();
        }
    }

    public static void main(String[] arguments) throws Exception {
        bootstrap = arguments[0];
        name = arguments[1];
        Set<String> wanted = new HashSet<>(Arrays.asList(arguments).subList(2, arguments.length));
        Map<String, Check> checks = new LinkedHashMap<>();
        checks.put("implicit", ShareChecks::implicit);
        checks.put("explicit", ShareChecks::explicitModes);
        checks.put("renew", ShareChecks::renew);
        checks.put("record_limit", ShareChecks::recordLimit);
        checks.put("lock_timeout", ShareChecks::lockTimeout);
        checks.put("delivery_limit", ShareChecks::deliveryLimit);
        checks.put("several_members", ShareChecks::severalMembers);
        checks.put("admin_offsets", ShareChecks::adminOffsets);
        checks.put("describe_and_delete", ShareChecks::describeAndDelete);
        checks.put("kinds_of_groups", ShareChecks::kindsOfGroups);
        checks.put("configs", ShareChecks::configs);
        admin = Admin.create(with());
        checks.forEach((check, body) -> { if (wanted.isEmpty() || wanted.contains(check)) check(check, body); });
        admin.close();
        System.exit(0);
    }
}
