import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.serialization.*;

/**
 * An idempotent producer that sends numbers until its input ends. Prints "acked" with each first acknowledgement of a
 * second, and at the end "partition offset value" for all that was acknowledged and "failed why" for all that was not.
 */
public class Load {
    public static void main(String[] arguments) throws Exception {
        String topic = arguments[1];
        int partitions = Integer.parseInt(arguments[2]);
        Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", arguments[0], "acks", "all", "enable.idempotence", true,
            "linger.ms", 5, "delivery.timeout.ms", 120_000, "request.timeout.ms", 10_000, "metadata.max.age.ms", 1000,
            "reconnect.backoff.max.ms", 500, "client.id", arguments[3]));
        List<String> acked = Collections.synchronizedList(new ArrayList<>());
        List<String> failed = Collections.synchronizedList(new ArrayList<>());
        long[] told = {0};
        Thread input = new Thread(() -> { try { while (System.in.read() >= 0) { } } catch (java.io.IOException closed) { } });
        input.setDaemon(true);
        input.start();
        try (var producer = new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (int number = 0; input.isAlive(); number++) {
                String value = Integer.toString(number);
                producer.send(new ProducerRecord<>(topic, number % partitions, null, value.getBytes()), (metadata, failure) -> {
                    if (failure != null) { failed.add("failed " + value + " " + failure); return; }
                    acked.add(metadata.partition() + " " + metadata.offset() + " " + value);
                    long second = System.currentTimeMillis() / 250;
                    if (second != told[0]) { told[0] = second; System.out.println("acked"); System.out.flush(); }
                });
                if (number % 20 == 0) Thread.sleep(2);
            }
        }
        System.out.println(String.join("\n", acked));
        System.out.println(String.join("\n", failed));
        System.out.println("end");
    }
}
