-- Gives an uploaded object its offsets, in one round trip; see 0002_append.sql.
--
-- New: a producer that the partition does not know and that does not begin with sequence 0 is undecided (outcome 5),
-- since whether it may begin there is for the agent to say. An older agent then decides as it always did.
CREATE OR REPLACE FUNCTION commit_object(
    p_node_id integer, p_node_epoch bigint, p_key text, p_byte_size bigint, p_body bytea, p_decided boolean,
    p_now bigint,
    p_topic_ids uuid[], p_partitions integer[], p_records bigint[], p_bytes bigint[], p_maxima bigint[],
    x_range integer[], x_base bigint[], x_last bigint[], x_position bigint[], x_length bigint[], x_crc bigint[],
    x_max_timestamp bigint[], x_running bigint[],
    c_range integer[], c_producer bigint[], c_first_epoch smallint[], c_first_sequence integer[],
    c_epoch smallint[], c_next_sequence integer[], c_records bigint[], c_batches bytea[],
    d_kinds text[], d_names bytea[], d_expects bigint[], d_changes smallint[], d_bodies bytea[],
    OUT outcome integer, OUT conflict integer, OUT committed_at bigint, OUT log_starts bigint[],
    OUT high_watermarks bigint[], OUT byte_sizes bigint[], OUT append_times bigint[]
)
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    ids           bigint[];
    highs         bigint[];
    maxima        bigint[];
    touched       bigint;
    step_position bigint;
    the_object_id bigint;
    was_tombstoned boolean;
    extents_added integer := coalesce(cardinality(x_range), 0);
BEGIN
    conflict := 0;
    -- Before the transaction has an id: see feed_horizon_of_writers.
    LOCK TABLE steps IN ROW EXCLUSIVE MODE;
    IF EXISTS (SELECT 1 FROM steps s WHERE s.object_key = p_key) THEN
        outcome := 4;
        RETURN;
    END IF;
    -- A beat does not disturb this lock, a registration waits for it.
    PERFORM 1 FROM nodes n
      WHERE n.node_id = p_node_id AND n.node_epoch = p_node_epoch AND n.registered
        FOR KEY SHARE;
    IF NOT FOUND THEN
        outcome := 1;
        RETURN;
    END IF;
    SELECT o.tombstoned INTO was_tombstoned FROM objects o WHERE o.key = p_key;
    IF FOUND THEN
        outcome := CASE WHEN was_tombstoned THEN 2 ELSE 6 END;
        RETURN;
    END IF;

    SELECT array_agg(l.partition_id), array_agg(l.high_watermark), array_agg(l.max_timestamp),
           array_agg(l.log_start_offset), array_agg(l.high_watermark + l.records),
           array_agg(l.byte_size + l.bytes), array_agg(l.append_time), max(l.last_position)
      INTO ids, highs, maxima, log_starts, high_watermarks, byte_sizes, append_times, touched
      FROM (SELECT p.*, r.records, r.bytes
              FROM unnest(p_topic_ids, p_partitions, p_records, p_bytes) r(topic_id, partition, records, bytes)
              JOIN partitions p ON p.topic_id = r.topic_id AND p.partition = r.partition
             ORDER BY p.topic_id, p.partition
               FOR NO KEY UPDATE OF p) l;
    IF coalesce(cardinality(ids), 0) < coalesce(cardinality(p_topic_ids), 0) THEN
        outcome := 5;
        RETURN;
    END IF;
    IF NOT p_decided AND EXISTS (
        SELECT 1
          FROM unnest(c_range, c_producer, c_first_epoch, c_first_sequence) c(range, producer, epoch, sequence)
          LEFT JOIN producers s ON s.partition_id = ids[c.range] AND s.producer_id = c.producer
         WHERE CASE WHEN s.producer_id IS NULL THEN c.sequence <> 0
                    ELSE NOT ((c.epoch = s.producer_epoch AND c.sequence = s.next_sequence)
                           OR (c.epoch > s.producer_epoch AND c.sequence = 0)) END
    ) THEN
        outcome := 5;
        RETURN;
    END IF;
    IF coalesce(cardinality(d_kinds), 0) > 0 THEN
        SELECT w.conflict INTO conflict FROM write_documents(d_kinds, d_names, d_expects, d_changes, d_bodies) w;
        IF conflict > 0 THEN
            outcome := 3;
            RETURN;
        END IF;
    END IF;

    -- After the locks, so that it does not run behind an earlier step on the same partitions.
    committed_at := coalesce(p_now, now_ms());
    step_position := take_position(coalesce(touched, 0));
    INSERT INTO objects (key, byte_size, tombstoned, extent_count, dereferenced_at)
    VALUES (p_key, p_byte_size, false, extents_added, CASE WHEN extents_added = 0 THEN committed_at END)
        ON CONFLICT DO NOTHING
    RETURNING object_id INTO the_object_id;
    IF the_object_id IS NULL THEN
        RAISE EXCEPTION 'the same object was committed or tombstoned at the same time' USING ERRCODE = '40001';
    END IF;

    SELECT array_agg(CASE WHEN r.records > 0 THEN greatest(r.append_time, committed_at) ELSE r.append_time END)
      INTO append_times
      FROM unnest(append_times, p_records) r(append_time, records);
    UPDATE partitions p
       SET high_watermark = p.high_watermark + r.records,
           byte_size = p.byte_size + r.bytes,
           append_time = r.append_time,
           max_timestamp = greatest(p.max_timestamp, r.maximum),
           last_position = step_position
      FROM unnest(ids, p_records, p_bytes, append_times, p_maxima) r(id, records, bytes, append_time, maximum)
     WHERE p.partition_id = r.id AND r.records > 0;
    IF extents_added > 0 THEN
        INSERT INTO extents (partition_id, last_offset, base_offset, object_id, position, length, crc, max_timestamp,
                             running_max_timestamp, append_time)
        SELECT ids[x.range], highs[x.range] + x.last, highs[x.range] + x.base, the_object_id, x.position, x.length,
               x.crc, x.max_timestamp, greatest(maxima[x.range], x.running), append_times[x.range]
          FROM unnest(x_range, x_base, x_last, x_position, x_length, x_crc, x_max_timestamp, x_running)
               x(range, base, last, position, length, crc, max_timestamp, running);
    END IF;
    IF coalesce(cardinality(c_range), 0) > 0 THEN
        INSERT INTO producers AS s (partition_id, producer_id, producer_epoch, next_sequence, record_count,
                                    last_write, batches)
        SELECT ids[c.range], c.producer, c.epoch, c.next_sequence, c.records, append_times[c.range],
               ARRAY[int8send(highs[c.range]) || int8send(append_times[c.range]) || c.batches]
          FROM unnest(c_range, c_producer, c_epoch, c_next_sequence, c_records, c_batches)
               c(range, producer, epoch, next_sequence, records, batches)
            ON CONFLICT (partition_id, producer_id) DO UPDATE
           SET producer_epoch = excluded.producer_epoch,
               next_sequence = excluded.next_sequence,
               last_write = excluded.last_write,
               record_count = excluded.record_count
                            + CASE WHEN s.producer_epoch = excluded.producer_epoch THEN s.record_count ELSE 0 END,
               batches = CASE WHEN s.producer_epoch = excluded.producer_epoch
                              THEN s.batches[greatest(cardinality(s.batches) - 3, 1):] || excluded.batches
                              ELSE excluded.batches END;
    END IF;

    log_starts := coalesce(log_starts, '{}');
    high_watermarks := coalesce(high_watermarks, '{}');
    byte_sizes := coalesce(byte_sizes, '{}');
    append_times := coalesce(append_times, '{}');
    INSERT INTO steps (position, object_key, committed_at, entry_count, log_starts, high_watermarks, byte_sizes,
                       append_times, body)
    VALUES (step_position, p_key, committed_at, extents_added, log_starts, high_watermarks, byte_sizes,
            append_times, p_body);
    outcome := 0;
END
$$;
