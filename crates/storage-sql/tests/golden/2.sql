-- A database of version 2 with one of everything. It never changes.
PRAGMA page_size=4096;
PRAGMA auto_vacuum=INCREMENTAL;
PRAGMA journal_mode=WAL;
PRAGMA application_id=1400136806;
PRAGMA user_version=2;
CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE shard (shard INTEGER PRIMARY KEY, epoch INTEGER NOT NULL) STRICT;
CREATE TABLE namespace_number (number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE) STRICT;
CREATE TABLE run (
    number INTEGER PRIMARY KEY,
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
CREATE TABLE counter (
    namespace INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    workflow_type TEXT NOT NULL,
    status INTEGER NOT NULL,
    runs INTEGER NOT NULL,
    PRIMARY KEY (namespace, kind, workflow_type, status)
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
INSERT INTO meta VALUES ('cluster_id',x'00000000000000000000000000005eed');
INSERT INTO meta VALUES ('generation',4);
INSERT INTO meta VALUES ('state','closed');
INSERT INTO shard VALUES (0,1);
INSERT INTO shard VALUES (1,1);
INSERT INTO shard VALUES (2,1);
INSERT INTO shard VALUES (3,1);
INSERT INTO namespace_number VALUES (1,x'019000000000700080000000000000aa');
INSERT INTO run VALUES (1,-7013336876363019820,x'00000000000170008000000000000000',1,1,'golden',0,NULL,-2054423328,x'636c6f73656420636f7265');
INSERT INTO run VALUES (2,-7013336876363019820,x'00000000000270008000000000000000',1,1,'golden',1,5000,-68696817,x'6f70656e20636f7265');
INSERT INTO run_row VALUES (2,1,x'',1993128342,x'7374617274');
INSERT INTO run_row VALUES (2,4,x'0000000000000005',-280573898,x'6163746976697479');
INSERT INTO branch VALUES (x'00000000000170008000000000000000',1);
INSERT INTO branch VALUES (x'00000000000270008000000000000000',2);
INSERT INTO history VALUES (33554433,35409172,x'02010d020d6576656e7473203120746f20316576656e7473203220746f2033');
INSERT INTO history VALUES (67108867,-460593800,x'01020d6576656e7473203320746f2034');
INSERT INTO queue VALUES (1,1,2,'golden',1);
INSERT INTO task VALUES (1,3,77,x'00000000000170008000000000000000',153260539,x'0a220a10019000000000700080000000000000aa10011a0c61207461736b27732072756e1805');
INSERT INTO message VALUES (x'00000000000270008000000000000000',4,-1715209517,x'0a1c0a10019000000000700080000000000000aa10011a06676f6c64656e12200a10019000000000700080000000000000aa10011a0a746865207461726765741a096d6573736167652034');
INSERT INTO visibility VALUES (1,1,1,2,500,500,900,x'00000000000170008000000000000000','golden','Type','queue',9,1234,5,400,'root','00000000-0001-7000-8000-000000000000','parent','00000000-0009-7000-8000-000000000000',NULL,-1476198026,x'6d656d6f',x'61747472696275746573');
INSERT INTO visibility VALUES (2,1,1,1,1000,1000,NULL,x'00000000000270008000000000000000','golden','Type','queue',NULL,NULL,NULL,NULL,'root','00000000-0001-7000-8000-000000000000',NULL,NULL,NULL,-1039160861,x'6d656d6f',x'61747472696275746573');
INSERT INTO search_attribute VALUES (2,'CustomDouble',0.5,1);
INSERT INTO search_attribute VALUES (2,'CustomInt',7,1);
INSERT INTO search_attribute VALUES (2,'CustomKeyword','red',1);
INSERT INTO counter VALUES (1,1,'Type',1,1);
INSERT INTO counter VALUES (1,1,'Type',2,1);
INSERT INTO namespace VALUES (x'019000000000700080000000000000aa','default',1,1159181353,x'6e');
INSERT INTO config VALUES ('kind','key',1,-641929554,x'76616c7565');
