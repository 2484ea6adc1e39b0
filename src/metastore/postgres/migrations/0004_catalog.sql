-- What exists. The row of `cluster` is the lock of every change of the catalog.

-- Ends a change of the catalog: readers of the feed wake.
CREATE FUNCTION catalog_changed() RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    UPDATE cluster SET catalog_version = catalog_version + 1;
    INSERT INTO steps (position, committed_at, entry_count, log_starts, high_watermarks, byte_sizes, append_times, body)
    VALUES (take_position(0), now_ms(), 0, '{}', '{}', '{}', '{}', '');
END
$$;

-- outcome: 0 created · 1 created by an earlier try · 2 the name or the identity is taken (by `taken`)
CREATE FUNCTION create_topic(p_topic_id uuid, p_name text, p_partition_count integer, p_replication_factor smallint,
                             p_config_names text[], p_config_values text[], OUT outcome integer, OUT taken text)
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    living_id uuid;
BEGIN
    PERFORM 1 FROM cluster FOR NO KEY UPDATE;
    SELECT topic_id INTO living_id FROM topics WHERE name = p_name;
    IF FOUND THEN
        taken := p_name;
        outcome := CASE WHEN living_id = p_topic_id THEN 1 ELSE 2 END;
        RETURN;
    END IF;
    SELECT name INTO taken FROM topics WHERE topic_id = p_topic_id;
    IF FOUND THEN
        outcome := 2;
        RETURN;
    END IF;
    INSERT INTO topics (topic_id, name, partition_count, replication_factor, created_at)
    VALUES (p_topic_id, p_name, p_partition_count, p_replication_factor, now_ms());
    INSERT INTO partitions (topic_id, partition) SELECT p_topic_id, generate_series(0, p_partition_count - 1);
    INSERT INTO config_entries (resource_kind, resource, name, value)
    SELECT 1, p_topic_id::text, c.name, c.value FROM unnest(p_config_names, p_config_values) c(name, value);
    PERFORM catalog_changed();
    outcome := 0;
END
$$;

-- Takes a topic out of sight at once; drop_extents then clears away what it leaves, in bounded pieces.
CREATE FUNCTION delete_topic(p_topic_id uuid) RETURNS boolean
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    PERFORM 1 FROM cluster FOR NO KEY UPDATE;
    DELETE FROM topics WHERE topic_id = p_topic_id;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM 1 FROM partitions WHERE topic_id = p_topic_id ORDER BY topic_id, partition FOR UPDATE;
    WITH gone AS (DELETE FROM partitions WHERE topic_id = p_topic_id RETURNING partition_id)
    INSERT INTO dropped_partitions SELECT partition_id FROM gone;
    DELETE FROM config_entries WHERE resource_kind = 1 AND resource = p_topic_id::text;
    PERFORM catalog_changed();
    RETURN true;
END
$$;

-- outcome: 0 grown · 1 no such topic · 2 the number would not grow
CREATE FUNCTION grow_topic(p_topic_id uuid, p_partition_count integer, OUT outcome integer, OUT current_count integer)
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    PERFORM 1 FROM cluster FOR NO KEY UPDATE;
    SELECT partition_count INTO current_count FROM topics WHERE topic_id = p_topic_id;
    IF NOT FOUND THEN
        outcome := 1;
        RETURN;
    END IF;
    IF p_partition_count <= current_count THEN
        outcome := 2;
        RETURN;
    END IF;
    UPDATE topics SET partition_count = p_partition_count WHERE topic_id = p_topic_id;
    INSERT INTO partitions (topic_id, partition)
    SELECT p_topic_id, generate_series(current_count, p_partition_count - 1);
    PERFORM catalog_changed();
    outcome := 0;
END
$$;

-- Sets entries to values, or removes them where the value is null; each name at most once. False: no such topic.
CREATE FUNCTION alter_configs(p_resource_kind smallint, p_resource text, p_topic_id uuid, p_names text[],
                              p_values text[])
RETURNS boolean
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    removed bigint;
    changed bigint;
BEGIN
    PERFORM 1 FROM cluster FOR NO KEY UPDATE;
    IF p_topic_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM topics WHERE topic_id = p_topic_id) THEN
        RETURN false;
    END IF;
    DELETE FROM config_entries e USING unnest(p_names, p_values) c(name, value)
     WHERE c.value IS NULL AND e.resource_kind = p_resource_kind AND e.resource = p_resource AND e.name = c.name;
    GET DIAGNOSTICS removed = ROW_COUNT;
    INSERT INTO config_entries AS e (resource_kind, resource, name, value)
    SELECT p_resource_kind, p_resource, c.name, c.value FROM unnest(p_names, p_values) c(name, value)
     WHERE c.value IS NOT NULL
        ON CONFLICT (resource_kind, resource, name) DO UPDATE SET value = excluded.value
     WHERE e.value <> excluded.value;
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF removed + changed > 0 THEN
        PERFORM catalog_changed();
    END IF;
    RETURN true;
END
$$;

-- Registers a node under a fresh epoch, or answers epoch 0 and who holds the id (`holder`).
CREATE FUNCTION register_node(p_wanted integer, p_incarnation uuid, p_host text, p_port integer, p_rack text,
                              p_session_ms bigint, OUT given_id integer, OUT given_epoch bigint,
                              OUT given_expiry bigint, OUT holder text)
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    former nodes%ROWTYPE;
    now    bigint;
BEGIN
    -- Registrations come one at a time, or two would find the same id free. The table's own number makes the
    -- advisory lock this schema's.
    PERFORM pg_advisory_xact_lock('nodes'::regclass::oid::bigint);
    now := now_ms();
    given_id := p_wanted;
    IF given_id IS NULL THEN
        SELECT node_id INTO given_id FROM nodes WHERE incarnation = p_incarnation AND registered
         ORDER BY node_id LIMIT 1;
    END IF;
    IF given_id IS NULL THEN
        -- The smallest id, from 1, that no living node holds: 1, or one beyond a living node's.
        SELECT min(c.id) INTO given_id
          FROM (SELECT 1 AS id UNION ALL SELECT node_id + 1 FROM nodes WHERE node_id BETWEEN 0 AND 2147483646) c
         WHERE NOT EXISTS (SELECT 1 FROM nodes n WHERE n.node_id = c.id AND n.registered AND n.expires_at > now);
    END IF;
    -- The lock waits for commits under the former epoch.
    SELECT * INTO former FROM nodes WHERE node_id = given_id FOR UPDATE;
    IF former.registered AND former.expires_at > now AND former.incarnation <> p_incarnation THEN
        given_epoch := 0;
        holder := former.host || ':' || former.port;
        RETURN;
    END IF;
    given_epoch := coalesce(former.node_epoch, 0) + 1;
    given_expiry := now + p_session_ms;
    INSERT INTO nodes AS n (node_id, node_epoch, incarnation, host, port, rack, draining, session_ms, expires_at,
                            registered)
    VALUES (given_id, given_epoch, p_incarnation, p_host, p_port, p_rack, false, p_session_ms, given_expiry, true)
        ON CONFLICT (node_id) DO UPDATE
       SET node_epoch = excluded.node_epoch, incarnation = excluded.incarnation, host = excluded.host,
           port = excluded.port, rack = excluded.rack, draining = false, session_ms = excluded.session_ms,
           expires_at = excluded.expires_at, registered = true;
END
$$;

CREATE FUNCTION deregister_node(p_node_id integer, p_node_epoch bigint) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    PERFORM 1 FROM nodes WHERE node_id = p_node_id AND node_epoch = p_node_epoch AND registered FOR UPDATE;
    IF FOUND THEN
        UPDATE nodes SET registered = false WHERE node_id = p_node_id;
    END IF;
END
$$;
