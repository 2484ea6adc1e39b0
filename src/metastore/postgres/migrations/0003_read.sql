-- Searches by time. Neither needs an index of its own: append_time and running_max_timestamp never fall along a
-- partition's offsets, so that a binary search over the primary key finds the place in a few dozen look-ups.

-- The last offset of the first extent whose append time (or running maximum) is at or after p_wanted.
CREATE FUNCTION first_extent_reaching(p_partition_id bigint, p_wanted bigint, p_by_append_time boolean)
RETURNS bigint
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    low    bigint;
    high   bigint;
    middle bigint;
    probe  record;
    answer bigint;
BEGIN
    SELECT log_start_offset, high_watermark - 1 INTO low, high FROM partitions WHERE partition_id = p_partition_id;
    WHILE low <= high LOOP
        middle := low + (high - low) / 2;
        SELECT last_offset, CASE WHEN p_by_append_time THEN append_time ELSE running_max_timestamp END AS reached
          INTO probe
          FROM extents
         WHERE partition_id = p_partition_id AND last_offset >= middle
         ORDER BY last_offset LIMIT 1;
        IF NOT FOUND THEN
            high := middle - 1;
        ELSIF probe.reached >= p_wanted THEN
            answer := probe.last_offset;
            high := middle - 1;
        ELSE
            low := probe.last_offset + 1;
        END IF;
    END LOOP;
    RETURN answer;
END
$$;

-- The last offset of the extent that a time query means, or null. Extents without a timestamp (−1) never answer.
CREATE FUNCTION find_by_time(p_topic_id uuid, p_partition integer, p_latest boolean, p_wanted bigint,
                             p_by_append_time boolean, OUT found_partition_id bigint, OUT found_last_offset bigint)
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    wanted bigint := p_wanted;
    start  bigint;
BEGIN
    SELECT partition_id INTO found_partition_id FROM partitions
     WHERE topic_id = p_topic_id AND partition = p_partition;
    IF p_latest THEN
        SELECT CASE WHEN p_by_append_time THEN append_time ELSE running_max_timestamp END INTO wanted FROM extents
         WHERE partition_id = found_partition_id ORDER BY last_offset DESC LIMIT 1;
    END IF;
    start := first_extent_reaching(found_partition_id, wanted, p_by_append_time);
    -- The running maximum may stem from an extent that retention has removed: go on to one that has it itself.
    SELECT last_offset INTO found_last_offset FROM extents
     WHERE partition_id = found_partition_id AND last_offset >= start
       AND CASE WHEN p_by_append_time THEN append_time ELSE max_timestamp END >= wanted
       AND CASE WHEN p_by_append_time THEN append_time ELSE max_timestamp END <> -1
     ORDER BY last_offset LIMIT 1;
    IF p_latest AND found_last_offset IS NULL THEN
        SELECT last_offset INTO found_last_offset FROM extents
         WHERE partition_id = found_partition_id
           AND CASE WHEN p_by_append_time THEN append_time ELSE max_timestamp END <> -1
         ORDER BY CASE WHEN p_by_append_time THEN append_time ELSE max_timestamp END DESC, last_offset LIMIT 1;
    END IF;
END
$$;
