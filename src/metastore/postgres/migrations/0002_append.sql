-- The steps that append: every lock order is nodes → partitions (by topic id, partition) → documents (by kind,
-- name) → objects. Refusals are answers, not errors, so that they cost no line in the server's log; an error
-- with the code 40001 means a race was lost and the same call may simply be made again.

-- Where in the feed the running transaction stands, after it has locked its partitions and so knows `touched`,
-- the largest position that any of them has.
--
-- A position must grow along every partition's offsets, and a reader must be able to tell that nothing will ever
-- appear below one. Transaction ids give the second: all below pg_snapshot_xmin are over. They do not give the
-- first, since an id is taken before the locks are won; hence the larger of the two. As only a transaction that
-- is older than the last toucher's id gets a position by counting on, 16 bits (more than there can be
-- connections) suffice before the next id's range begins. Two transactions may share a position, but then they
-- have no partition in common, and both are over once the horizon has passed it.
--
-- In plpgsql, because it keeps the plan: a function in SQL that reads a table is parsed and planned in every commit.
CREATE FUNCTION take_position(touched bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    RETURN (SELECT greatest(base + (pg_current_xact_id()::text::bigint << 16), touched + 1) FROM feed_state);
END
$$;

-- No step at or beyond the horizon is complete; every step below it is.
CREATE FUNCTION feed_horizon() RETURNS bigint
LANGUAGE sql STABLE
AS $$
    SELECT base + (pg_snapshot_xmin(pg_current_snapshot())::text::bigint << 16) FROM feed_state
$$;

-- A horizon that only the feed's own writers hold back, for when some other transaction of the server stays open
-- for long. Every transaction that will add a step locks the table before it has an id, and keeps the lock to its
-- end. So one that held the lock when the locks were looked at is counted by its id; one that was over by then is
-- visible to every later snapshot; and one that came later has an id not below `upper`, which was taken before.
-- Between taking an id and showing it in pg_locks a transaction can not be judged: then the horizon is the other.
CREATE FUNCTION feed_horizon_of_writers() RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    upper   bigint := pg_snapshot_xmax(pg_current_snapshot())::text::bigint;
    behind  bigint;
    unclear boolean;
BEGIN
    WITH locks AS MATERIALIZED (SELECT * FROM pg_locks),
         writers AS (SELECT DISTINCT l.pid FROM locks l
                      WHERE l.locktype = 'relation' AND l.relation = 'steps'::regclass AND l.mode = 'RowExclusiveLock'
                        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())),
         -- Locks show the lower 32 bits of an id; the rest is that of an id not far away.
         ids AS (SELECT (upper - x.transactionid::text::bigint) & 4294967295 AS distance
                   FROM writers w LEFT JOIN locks x
                     ON x.pid = w.pid AND x.locktype = 'transactionid' AND x.mode = 'ExclusiveLock' AND x.granted)
    SELECT coalesce(max(CASE WHEN distance < 2147483648 THEN distance END), 0), coalesce(bool_or(distance IS NULL), false)
      INTO behind, unclear FROM ids;
    IF unclear THEN
        RETURN feed_horizon();
    END IF;
    RETURN (SELECT base + ((upper - behind) << 16) FROM feed_state);
END
$$;

-- Checks and applies conditional changes of documents. expects: −1 anything, 0 absent, else exactly that version.
-- changes: 0 check, 1 put, 2 delete. Answers the place (from 1) of the first put whose expectation does not
-- hold, or 0 and the versions.
CREATE FUNCTION write_documents(
    p_kinds text[], p_names bytea[], p_expects bigint[], p_changes smallint[], p_bodies bytea[],
    OUT conflict integer, OUT versions bigint[]
)
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    found_versions bigint[];
    alive          boolean[];
    inserted       bigint;
    absent         bigint;
BEGIN
    conflict := 0;
    versions := '{}';
    IF coalesce(cardinality(p_kinds), 0) = 0 THEN
        RETURN;
    END IF;
    -- What exists is locked first, then what does not is inserted, each in order: no two calls can wait for
    -- each other.
    PERFORM 1
      FROM unnest(p_kinds, p_names) r(kind, name)
      JOIN documents d ON d.kind = r.kind AND d.name = r.name
     ORDER BY d.kind, d.name
       FOR UPDATE OF d;
    SELECT array_agg(coalesce(d.version, 0) ORDER BY r.n), array_agg(d.body IS NOT NULL ORDER BY r.n),
           count(*) FILTER (WHERE d.version IS NULL)
      INTO found_versions, alive, absent
      FROM unnest(p_kinds, p_names) WITH ORDINALITY r(kind, name, n)
      LEFT JOIN documents d ON d.kind = r.kind AND d.name = r.name;
    SELECT coalesce(min(r.n), 0)
      INTO conflict
      FROM unnest(p_expects, found_versions, alive) WITH ORDINALITY r(expect, version, alive, n)
     WHERE (r.expect = 0 AND r.alive) OR (r.expect NOT IN (-1, 0) AND NOT (r.alive AND r.version = r.expect));
    IF conflict > 0 THEN
        RETURN;
    END IF;
    -- A check of absence inserts its row too, and takes it back below: until this step is over nobody can
    -- create what it found missing.
    IF absent > 0 THEN
        INSERT INTO documents (kind, name, version, body)
        SELECT r.kind, r.name, CASE r.change WHEN 1 THEN 1 ELSE 0 END, CASE r.change WHEN 1 THEN r.body END
          FROM unnest(p_kinds, p_names, p_changes, p_bodies, found_versions) r(kind, name, change, body, version)
         WHERE r.version = 0
         ORDER BY r.kind COLLATE "C", r.name
            ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS inserted = ROW_COUNT;
        IF inserted < absent THEN
            RAISE EXCEPTION 'a document was created at the same time' USING ERRCODE = '40001';
        END IF;
        DELETE FROM documents d
         USING unnest(p_kinds, p_names, p_changes, found_versions) r(kind, name, change, version)
         WHERE r.version = 0 AND r.change <> 1 AND d.kind = r.kind AND d.name = r.name;
    END IF;
    UPDATE documents d
       SET version = CASE r.change WHEN 1 THEN d.version + 1 ELSE d.version END,
           body = CASE r.change WHEN 1 THEN r.body END
      FROM unnest(p_kinds, p_names, p_changes, p_bodies, found_versions) r(kind, name, change, body, version)
     WHERE r.version > 0 AND r.change <> 0 AND d.kind = r.kind AND d.name = r.name;
    SELECT array_agg(CASE r.change WHEN 1 THEN r.version + 1 WHEN 2 THEN r.version
                          ELSE CASE WHEN r.alive THEN r.version ELSE 0 END END ORDER BY r.n)
      INTO versions
      FROM unnest(p_changes, found_versions, alive) WITH ORDINALITY r(change, version, alive, n);
END
$$;

-- Gives an uploaded object its offsets, in one round trip.
--
-- The agent sends what follows if every batch is accepted; this function only has to find out whether that is
-- so. If not (outcome 5) nothing was written, and the agent decides batch by batch within a transaction of its
-- own and calls again with p_decided. A producer that the partition does not know and that does not begin with
-- sequence 0 is undecided too: whether it may begin there is for the agent to say.
--
-- outcome: 0 done · 1 fenced · 2 tombstoned · 3 a document (conflict) · 4 committed before, the receipt tells ·
-- 5 undecided · 6 committed before, the receipt is gone
--
-- p_topic_ids, p_partitions: the partitions, sorted; x_…: extents, offsets relative to the partition's high
-- watermark; c_…: per partition and producer, what must hold (first epoch and sequence) and what will (epoch,
-- next sequence, records of that epoch, remembered batches); d_…: documents, as in write_documents.
CREATE FUNCTION commit_object(
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
