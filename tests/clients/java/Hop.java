import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.*;

/** Two agents in two zones: what is acknowledged through one is read at once through the other. Prints "ok" or throws. */
public class Hop {
    static Map<String, Object> at(String bootstrap, String zone) {
        return new HashMap<>(Map.of("bootstrap.servers", bootstrap, "client.id", "hop,towpath_az=" + zone, "isolation.level",
            "read_committed", "enable.auto.commit", false, "acks", "all"));
    }

    public static void main(String[] arguments) throws Exception {
        String topic = arguments[2];
        int partitions = Integer.parseInt(arguments[3]);
        for (int turn = 0; turn < 2 * partitions; turn++) {
            int source = turn % 2, target = 1 - source;
            var partition = new TopicPartition(topic, turn % partitions);
            byte[] value = Integer.toString(turn).getBytes();
            RecordMetadata sent;
            try (var producer = new KafkaProducer<>(at(arguments[source], "ab".substring(source, source + 1)), new ByteArraySerializer(), new ByteArraySerializer())) {
                sent = producer.send(new ProducerRecord<>(topic, partition.partition(), null, value)).get();
            }
            try (var consumer = new KafkaConsumer<>(at(arguments[target], "ab".substring(target, target + 1)), new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
                consumer.assign(List.of(partition));
                long end = consumer.endOffsets(List.of(partition)).get(partition);
                if (end != sent.offset() + 1) throw new AssertionError("turn " + turn + ": the end is " + end + " after " + sent.offset());
                consumer.seek(partition, sent.offset());
                var read = consumer.poll(Duration.ofSeconds(10)).records(partition);
                if (read.isEmpty() || !Arrays.equals(read.get(0).value(), value)) throw new AssertionError("turn " + turn + ": read " + read);
            }
        }
        System.out.println("ok");
    }
}
