-- The tables of the metastore. Times are milliseconds since the Unix epoch, by this database's clock.
-- Hot tables leave room in their pages (fillfactor), so that updates stay in the page and touch no index,
-- and are vacuumed early, so that dead rows never pile up.

CREATE FUNCTION now_ms() RETURNS bigint
LANGUAGE sql VOLATILE PARALLEL SAFE
AS $$ SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint $$;

-- ------------------------------------------------------------------ what exists

CREATE TABLE cluster (
    singleton       boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    cluster_id      uuid,
    catalog_version bigint  NOT NULL DEFAULT 1
) WITH (fillfactor = 50);
INSERT INTO cluster DEFAULT VALUES;

CREATE TABLE producer_ids (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    next_id   bigint  NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
INSERT INTO producer_ids DEFAULT VALUES;

CREATE TABLE topics (
    topic_id           uuid     PRIMARY KEY,
    name               text     COLLATE "C" NOT NULL UNIQUE,
    partition_count    integer  NOT NULL CHECK (partition_count > 0),
    replication_factor smallint NOT NULL,
    created_at         bigint   NOT NULL
);

-- resource_kind: 1 topic (its id), 2 broker (its id, '' for all), 3 group (its id).
CREATE TABLE config_entries (
    resource_kind smallint NOT NULL,
    resource      text     COLLATE "C" NOT NULL,
    name          text     COLLATE "C" NOT NULL,
    value         text     NOT NULL,
    PRIMARY KEY (resource_kind, resource, name)
);

CREATE TABLE nodes (
    node_id     integer PRIMARY KEY,
    node_epoch  bigint  NOT NULL,
    incarnation uuid    NOT NULL,
    host        text    NOT NULL,
    port        integer NOT NULL,
    rack        text,
    draining    boolean NOT NULL DEFAULT false,
    session_ms  bigint  NOT NULL,
    expires_at  bigint  NOT NULL,
    -- A registration that was ended keeps its row, so that the id's epochs never repeat.
    registered  boolean NOT NULL DEFAULT true
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 100);

-- ------------------------------------------------------------------ which offsets lie where

-- One row per partition; its lock is the partition's sequencer. partition_id is short, because every extent and
-- every producer repeats it, and is never used again.
CREATE TABLE partitions (
    partition_id     bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic_id         uuid    NOT NULL,
    partition        integer NOT NULL,
    log_start_offset bigint  NOT NULL DEFAULT 0,
    high_watermark   bigint  NOT NULL DEFAULT 0,
    byte_size        bigint  NOT NULL DEFAULT 0,
    append_time      bigint  NOT NULL DEFAULT -1,
    max_timestamp    bigint  NOT NULL DEFAULT -1,
    -- The feed position of the last step that touched the partition.
    last_position    bigint  NOT NULL DEFAULT 0,
    UNIQUE (topic_id, partition),
    CHECK (0 <= log_start_offset AND log_start_offset <= high_watermark)
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200,
        autovacuum_vacuum_cost_delay = 0);

-- Partitions of deleted topics whose extents and producers are still to be removed, a bounded piece at a time.
CREATE TABLE dropped_partitions (
    partition_id bigint PRIMARY KEY
);

CREATE TABLE objects (
    object_id       bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key             text    COLLATE "C" NOT NULL UNIQUE,
    byte_size       bigint  NOT NULL,
    -- A tombstone makes a later commit of the key impossible.
    tombstoned      boolean NOT NULL,
    extent_count    integer NOT NULL CHECK (extent_count >= 0),
    -- Since when no extent refers to the object.
    dereferenced_at bigint
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX objects_dereferenced ON objects (dereferenced_at, key) WHERE dereferenced_at IS NOT NULL;

-- running_max_timestamp is the largest max_timestamp up to and including the extent: it never falls from one
-- extent to the next, so a search by time needs no index of its own.
CREATE TABLE extents (
    partition_id          bigint  NOT NULL,
    last_offset           bigint  NOT NULL,
    base_offset           bigint  NOT NULL,
    object_id             bigint  NOT NULL,
    position              bigint  NOT NULL,
    length                bigint  NOT NULL,
    crc                   bigint  NOT NULL,
    max_timestamp         bigint  NOT NULL,
    running_max_timestamp bigint  NOT NULL,
    append_time           bigint  NOT NULL,
    PRIMARY KEY (partition_id, last_offset)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.1,
        autovacuum_analyze_scale_factor = 0.05);

-- What a partition remembers of an idempotent producer. batches holds one element per commit, the last five:
-- the partition's high watermark before it (8 bytes), its append time (8 bytes), then per batch the first and
-- the last sequence (4 bytes each) and its distance from that high watermark (8 bytes), all big-endian.
CREATE TABLE producers (
    partition_id   bigint   NOT NULL,
    producer_id    bigint   NOT NULL,
    producer_epoch smallint NOT NULL,
    next_sequence  integer  NOT NULL,
    -- Records written in this epoch.
    record_count   bigint   NOT NULL,
    last_write     bigint   NOT NULL,
    batches        bytea[]  NOT NULL,
    PRIMARY KEY (partition_id, producer_id)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500,
        autovacuum_vacuum_cost_delay = 0);

-- ------------------------------------------------------------------ the feed, which also keeps the receipts

-- base shifts positions so that they never go back when a dump is restored into a server whose transaction ids
-- are lower. trimmed: everything up to this position may have been removed.
CREATE TABLE feed_state (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    base      bigint  NOT NULL DEFAULT 0,
    trimmed   bigint  NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
INSERT INTO feed_state DEFAULT VALUES;

-- One row per step, not per partition: what only the database knows (the arrays) beside what the agent knew
-- before it asked (body, the agent's own encoding).
CREATE TABLE steps (
    position        bigint   NOT NULL,
    step_id         bigint   GENERATED ALWAYS AS IDENTITY,
    object_key      text     COLLATE "C",
    committed_at    bigint   NOT NULL,
    entry_count     integer  NOT NULL,
    log_starts      bigint[] NOT NULL,
    high_watermarks bigint[] NOT NULL,
    byte_sizes      bigint[] NOT NULL,
    append_times    bigint[] NOT NULL,
    body            bytea    NOT NULL,
    PRIMARY KEY (position, step_id)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.5);
CREATE INDEX steps_object_key ON steps (object_key) WHERE object_key IS NOT NULL;
-- Compressing costs more time inside the commit than the bytes are worth: rows live for an hour.
ALTER TABLE steps ALTER COLUMN log_starts SET STORAGE EXTERNAL, ALTER COLUMN high_watermarks SET STORAGE EXTERNAL,
    ALTER COLUMN byte_sizes SET STORAGE EXTERNAL, ALTER COLUMN append_times SET STORAGE EXTERNAL,
    ALTER COLUMN body SET STORAGE EXTERNAL;

-- ------------------------------------------------------------------ the coordinators' documents

-- Names are bytes: they may hold any text, and are ordered by their bytes. A deleted document keeps its row
-- without a body, so that versions of one key never repeat.
CREATE TABLE documents (
    kind    text   COLLATE "C" NOT NULL,
    name    bytea  NOT NULL,
    version bigint NOT NULL,
    body    bytea,
    PRIMARY KEY (kind, name)
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200,
        autovacuum_vacuum_cost_delay = 0);
