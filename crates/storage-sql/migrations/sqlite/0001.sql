-- Version 1. Long keys are written once and stand for numbers elsewhere: a namespace, a run, a history branch and a queue
-- have one each, given in the order of their appearance, so that what is young lies together at the end of each table.
-- Every checksum is over the row's key (with the long key that a number stands for) and its value.

-- What belongs to the database as a whole. `generation` rises whenever a shard changes its owner.
CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE shard (shard INTEGER PRIMARY KEY, epoch INTEGER NOT NULL) STRICT;

CREATE TABLE namespace_number (number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE) STRICT;

CREATE TABLE run (
    number INTEGER PRIMARY KEY,
    -- A hash of namespace, kind and id: a short key. The long one is compared when the row is read.
    entity INTEGER NOT NULL,
    run_id BLOB NOT NULL,
    namespace INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    id TEXT NOT NULL,
    open INTEGER NOT NULL,
    alarm INTEGER,
    checksum INTEGER NOT NULL,
    core BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX run_by_entity ON run (entity, run_id);
CREATE INDEX run_by_alarm ON run (alarm) WHERE alarm IS NOT NULL;

CREATE TABLE run_row (
    run INTEGER NOT NULL,
    part INTEGER NOT NULL,
    key BLOB NOT NULL,
    checksum INTEGER NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (run, part, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE branch (id BLOB PRIMARY KEY, number INTEGER NOT NULL) STRICT, WITHOUT ROWID;

-- `place` is the branch's number in the upper 38 bits, the first event id in the lower 25: no second index, and the
-- events of a run lie together.
CREATE TABLE history (place INTEGER PRIMARY KEY, checksum INTEGER NOT NULL, batches BLOB NOT NULL) STRICT;

CREATE TABLE queue (
    number INTEGER PRIMARY KEY,
    namespace INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    name TEXT NOT NULL,
    tasks INTEGER NOT NULL,
    UNIQUE (namespace, kind, name)
) STRICT;

CREATE TABLE task (
    queue INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    position INTEGER NOT NULL,
    run_id BLOB NOT NULL,
    checksum INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (queue, priority, position, run_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE message (
    run_id BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (run_id, sequence)
) STRICT, WITHOUT ROWID;

-- Columns are named as the query language expects them. `run` is the number in the table `run`.
CREATE TABLE visibility (
    run INTEGER PRIMARY KEY,
    namespace_id INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    status INTEGER NOT NULL,
    start_time INTEGER NOT NULL,
    execution_time INTEGER NOT NULL,
    close_time INTEGER,
    run_id BLOB NOT NULL,
    workflow_id TEXT NOT NULL,
    workflow_type TEXT NOT NULL,
    task_queue TEXT NOT NULL,
    history_length INTEGER,
    history_size_bytes INTEGER,
    state_transition_count INTEGER,
    execution_duration INTEGER,
    root_workflow_id TEXT NOT NULL,
    root_run_id TEXT NOT NULL,
    parent_workflow_id TEXT,
    parent_run_id TEXT,
    division TEXT,
    checksum INTEGER NOT NULL,
    memo BLOB NOT NULL,
    search_attributes BLOB NOT NULL
) STRICT;
CREATE INDEX visibility_by_order ON visibility
    (namespace_id, kind, coalesce(close_time, 9223372036854775807) DESC, start_time DESC);
CREATE INDEX visibility_by_status ON visibility
    (namespace_id, kind, status, coalesce(close_time, 9223372036854775807) DESC, start_time DESC);
CREATE INDEX visibility_by_type ON visibility
    (namespace_id, kind, workflow_type, coalesce(close_time, 9223372036854775807) DESC, start_time DESC);
CREATE INDEX visibility_by_workflow_id ON visibility (namespace_id, workflow_id);
CREATE INDEX visibility_by_run_id ON visibility (run_id);

CREATE TABLE search_attribute (
    run INTEGER NOT NULL,
    name TEXT NOT NULL,
    value ANY NOT NULL,
    namespace_id INTEGER NOT NULL,
    PRIMARY KEY (run, name, value)
) STRICT, WITHOUT ROWID;
CREATE INDEX search_attribute_by_value ON search_attribute (namespace_id, name, value, run);

-- How many runs without a division have a status.
CREATE TABLE counter (
    namespace INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    status INTEGER NOT NULL,
    runs INTEGER NOT NULL,
    PRIMARY KEY (namespace, kind, status)
) STRICT, WITHOUT ROWID;

CREATE TABLE namespace (
    id BLOB PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    encoded BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE config (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;

-- What the planner would find out about a large database. Written once instead of measured, so that a query has the same
-- plan everywhere and at any size: the numbers are rows in all, then rows with the same first column, first two, and so on.
ANALYZE;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('run', 'run_by_entity', '1000000 2 1'),
    ('run', 'run_by_alarm', '10000 1'),
    ('visibility', 'visibility_by_order', '1000000 500000 250000 1000 1'),
    ('visibility', 'visibility_by_status', '1000000 500000 250000 50000 500 1'),
    ('visibility', 'visibility_by_type', '1000000 500000 250000 25000 400 1'),
    ('visibility', 'visibility_by_workflow_id', '1000000 500000 2'),
    ('visibility', 'visibility_by_run_id', '1000000 1'),
    ('search_attribute', 'search_attribute', '1000000 4 2 1'),
    ('search_attribute', 'search_attribute_by_value', '1000000 500000 50000 50 1');
-- Makes this connection know it too.
ANALYZE sqlite_schema;
