-- Steps that remove. Each does a bounded amount of work, so that none holds a lock for long that commits need.

-- Notes that extents of these objects are gone, one element per extent.
CREATE FUNCTION dereference(p_object_ids bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    -- Two partitions share objects: in order, so that two removals can not wait for each other.
    PERFORM 1 FROM objects WHERE object_id = ANY (p_object_ids) ORDER BY object_id FOR NO KEY UPDATE;
    UPDATE objects o
       SET extent_count = o.extent_count - d.dropped,
           dereferenced_at = CASE WHEN o.extent_count = d.dropped THEN now_ms() END
      FROM (SELECT u.id, count(*)::integer AS dropped FROM unnest(p_object_ids) u(id) GROUP BY u.id) d
     WHERE o.object_id = d.id;
END
$$;

-- Moves one partition's log start, over at most p_limit extents; `more` says that it did not get there yet.
-- outcome: 0 unchanged · 1 moved · 2 beyond the high watermark · 3 no such partition
CREATE FUNCTION move_log_start(p_topic_id uuid, p_partition integer, p_offset bigint, p_limit integer,
                               OUT outcome integer, OUT more boolean, OUT dropped bigint, OUT log_start bigint,
                               OUT high bigint, OUT size bigint)
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    the_partition partitions%ROWTYPE;
    target        bigint;
    bytes_dropped bigint;
    last_dropped  bigint;
    object_ids    bigint[];
BEGIN
    more := false;
    dropped := 0;
    SELECT * INTO the_partition FROM partitions WHERE topic_id = p_topic_id AND partition = p_partition
       FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        outcome := 3;
        RETURN;
    END IF;
    log_start := the_partition.log_start_offset;
    high := the_partition.high_watermark;
    size := the_partition.byte_size;
    target := coalesce(p_offset, high);
    IF target > high OR target <= log_start THEN
        outcome := CASE WHEN target > high THEN 2 ELSE 0 END;
        RETURN;
    END IF;
    WITH gone AS (
        DELETE FROM extents e
         USING (SELECT partition_id, last_offset FROM extents
                 WHERE partition_id = the_partition.partition_id AND last_offset < target
                 ORDER BY last_offset LIMIT p_limit) d
         WHERE e.partition_id = d.partition_id AND e.last_offset = d.last_offset
        RETURNING e.last_offset, e.length, e.object_id
    )
    SELECT count(*), coalesce(sum(length), 0), max(last_offset), array_agg(object_id)
      INTO dropped, bytes_dropped, last_dropped, object_ids FROM gone;
    more := dropped >= p_limit AND EXISTS (
        SELECT 1 FROM extents WHERE partition_id = the_partition.partition_id AND last_offset < target);
    IF more THEN
        target := last_dropped + 1;
    END IF;
    outcome := 1;
    log_start := target;
    size := size - bytes_dropped;
    UPDATE partitions SET log_start_offset = log_start, byte_size = size
     WHERE partition_id = the_partition.partition_id;
    IF dropped > 0 THEN
        PERFORM dereference(object_ids);
    END IF;
END
$$;

-- Ends a step that moved bounds: one row of the feed, its position behind everything its partitions have seen.
CREATE FUNCTION bounds_moved(p_topic_ids uuid[], p_partitions integer[], p_log_starts bigint[], p_highs bigint[],
                             p_sizes bigint[], p_body bytea) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    step_position bigint;
BEGIN
    SELECT take_position(max(p.last_position)) INTO step_position
      FROM unnest(p_topic_ids, p_partitions) r(topic_id, partition)
      JOIN partitions p ON p.topic_id = r.topic_id AND p.partition = r.partition;
    UPDATE partitions p SET last_position = step_position
      FROM unnest(p_topic_ids, p_partitions) r(topic_id, partition)
     WHERE p.topic_id = r.topic_id AND p.partition = r.partition;
    INSERT INTO steps (position, committed_at, entry_count, log_starts, high_watermarks, byte_sizes, append_times, body)
    VALUES (step_position, now_ms(), cardinality(p_partitions), p_log_starts, p_highs, p_sizes,
            array_fill(-1::bigint, ARRAY[cardinality(p_partitions)]), p_body);
END
$$;

-- Clears away what one deleted partition left, at most p_limit extents and as many producers; false: nothing is
-- left of any.
CREATE FUNCTION drop_extents(p_limit integer) RETURNS boolean
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    the_partition_id bigint;
    object_ids       bigint[];
    producers_gone   bigint;
BEGIN
    SELECT partition_id INTO the_partition_id FROM dropped_partitions
     ORDER BY partition_id LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    WITH gone AS (
        DELETE FROM extents e
         USING (SELECT partition_id, last_offset FROM extents WHERE partition_id = the_partition_id
                 ORDER BY last_offset LIMIT p_limit) d
         WHERE e.partition_id = d.partition_id AND e.last_offset = d.last_offset
        RETURNING e.object_id
    )
    SELECT array_agg(object_id) INTO object_ids FROM gone;
    IF object_ids IS NOT NULL THEN
        PERFORM dereference(object_ids);
    END IF;
    DELETE FROM producers s
     USING (SELECT partition_id, producer_id FROM producers WHERE partition_id = the_partition_id LIMIT p_limit) d
     WHERE s.partition_id = d.partition_id AND s.producer_id = d.producer_id;
    GET DIAGNOSTICS producers_gone = ROW_COUNT;
    IF coalesce(cardinality(object_ids), 0) < p_limit AND producers_gone < p_limit THEN
        DELETE FROM dropped_partitions WHERE partition_id = the_partition_id;
    END IF;
    RETURN true;
END
$$;

-- Per key whether it is tombstoned now.
CREATE FUNCTION tombstone(p_keys text[]) RETURNS boolean[]
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    INSERT INTO objects (key, byte_size, tombstoned, extent_count)
    SELECT DISTINCT r.key COLLATE "C", 0, true, 0 FROM unnest(p_keys) r(key) ORDER BY 1
        ON CONFLICT DO NOTHING;
    RETURN (SELECT array_agg(coalesce(o.tombstoned, false) ORDER BY r.n)
              FROM unnest(p_keys) WITH ORDINALITY r(key, n) LEFT JOIN objects o ON o.key = r.key);
END
$$;

-- Removes old steps: those committed before p_before, but never of the last p_keep that have entries, and at
-- most p_limit. Says how many.
CREATE FUNCTION trim_steps(p_before bigint, p_keep integer, p_limit integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    newest  bigint;
    horizon bigint;
    bound   bigint;
    removed bigint;
BEGIN
    -- One agent at a time is enough.
    PERFORM 1 FROM feed_state FOR NO KEY UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    SELECT position INTO newest FROM steps WHERE entry_count > 0 ORDER BY position DESC OFFSET p_keep LIMIT 1;
    IF newest IS NULL THEN
        RETURN 0;
    END IF;
    horizon := feed_horizon_of_writers();
    -- Oldest first and never past one that is too young: what is gone is gone from the beginning.
    SELECT max(position), count(*) INTO bound, removed
      FROM (SELECT position, bool_and(committed_at < p_before) OVER (ORDER BY position, step_id) AS old
              FROM (SELECT position, step_id, committed_at FROM steps WHERE position < least(newest, horizon)
                     ORDER BY position, step_id LIMIT p_limit) oldest) s
     WHERE s.old;
    IF removed = 0 THEN
        RETURN 0;
    END IF;
    DELETE FROM steps WHERE position <= bound;
    GET DIAGNOSTICS removed = ROW_COUNT;
    UPDATE feed_state SET trimmed = greatest(trimmed, bound);
    RETURN removed;
END
$$;

-- Called once at every start: positions never go back, whatever happened to the server's transaction ids.
CREATE FUNCTION settle_feed() RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    reached bigint;
BEGIN
    SELECT greatest((SELECT max(position) FROM steps), (SELECT max(last_position) FROM partitions), trimmed)
      INTO reached FROM feed_state;
    -- pg_current_xact_id is beyond every id that ever committed here, so is its range of positions.
    UPDATE feed_state SET base = reached - (pg_current_xact_id()::text::bigint << 16) + (1 << 16)
     WHERE base + (pg_current_xact_id()::text::bigint << 16) + (1 << 16) < reached;
END
$$;
