-- Times are Unix microseconds, UTC (0 = the zero time); ids and keyed hashes
-- are 16 bytes. Keys lead with the workspace so that tables can be partitioned.
-- There are no foreign keys: the engine's writes name rows they have just
-- locked, and Books counts orphans.

CREATE TABLE workspaces (
    id         bytea  PRIMARY KEY,
    name       text   NOT NULL,
    created_at bigint NOT NULL
);

-- Configuration by workspace; separate, so that it may come before the
-- workspace. Guards lock this row.
CREATE TABLE configurations (
    workspace bytea  PRIMARY KEY,
    version   bigint NOT NULL,
    settings  bytea
) WITH (fillfactor = 50);

CREATE TABLE workspace_keys (
    workspace  bytea   NOT NULL,
    kind       text    NOT NULL,
    version    integer NOT NULL,
    master     text    NOT NULL,
    wrapped    bytea   NOT NULL,
    created_at bigint  NOT NULL,
    PRIMARY KEY (workspace, kind, version)
);

CREATE TABLE api_keys (
    workspace  bytea  NOT NULL,
    id         bytea  NOT NULL,
    name       text   NOT NULL,
    hash       bytea  NOT NULL UNIQUE,
    hint       text   NOT NULL,
    scopes     text[] NOT NULL,
    created_at bigint NOT NULL,
    revoked_at bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (workspace, id)
);

CREATE TABLE senders (
    workspace  bytea   NOT NULL,
    id         bytea   NOT NULL,
    channel    text    NOT NULL,
    address    text    NOT NULL,
    display    text    NOT NULL,
    connectors bytea[] NOT NULL,
    settings   bytea,
    created_at bigint  NOT NULL,
    PRIMARY KEY (workspace, id)
);

CREATE TABLE connectors (
    workspace     bytea   NOT NULL,
    id            bytea   NOT NULL,
    kind          text    NOT NULL,
    name          text    NOT NULL,
    sealed        bytea,
    key_version   integer NOT NULL,
    paused        boolean NOT NULL,
    health        text    NOT NULL,
    health_code   text    NOT NULL,
    health_reason text    NOT NULL,
    health_at     bigint  NOT NULL,
    created_at    bigint  NOT NULL,
    PRIMARY KEY (workspace, id)
);

CREATE TABLE templates (
    workspace  bytea   NOT NULL,
    id         bytea   NOT NULL,
    sender     bytea   NOT NULL,
    provider   text    NOT NULL,
    name       text    NOT NULL,
    language   text    NOT NULL,
    category   text    NOT NULL,
    state      text    NOT NULL,
    ttl        bigint  NOT NULL,
    body       text    NOT NULL,
    named      boolean NOT NULL,
    components bytea,
    reason     text    NOT NULL,
    updated_at bigint  NOT NULL,
    PRIMARY KEY (workspace, id),
    UNIQUE (workspace, sender, name, language)
);

CREATE TABLE contacts (
    workspace   bytea   NOT NULL,
    id          bytea   NOT NULL,
    version     bigint  NOT NULL,
    key         bytea,
    key_version integer NOT NULL,
    profile     bytea,
    created_at  bigint  NOT NULL,
    erased_at   bigint  NOT NULL DEFAULT 0,
    PRIMARY KEY (workspace, id)
) WITH (fillfactor = 85);

CREATE INDEX contacts_key ON contacts (workspace, key_version) WHERE key IS NOT NULL;

CREATE TABLE identities (
    workspace  bytea  NOT NULL,
    idx        bytea  NOT NULL,
    contact    bytea  NOT NULL,
    channel    text   NOT NULL,
    sealed     bytea,
    created_at bigint NOT NULL,
    PRIMARY KEY (workspace, idx)
);
CREATE INDEX identities_contact ON identities (contact); -- as messages_contact

CREATE TABLE windows (
    workspace bytea  NOT NULL,
    contact   bytea  NOT NULL,
    identity  bytea  NOT NULL,
    sender    bytea  NOT NULL,
    kind      text   NOT NULL,
    opened_by bytea  NOT NULL,
    opened_at bigint NOT NULL,
    closes_at bigint NOT NULL,
    PRIMARY KEY (workspace, contact, identity, sender, kind)
) WITH (fillfactor = 85);

CREATE TABLE suppressions (
    workspace bytea  NOT NULL,
    idx       bytea  NOT NULL,
    scope     text   NOT NULL,
    reason    text   NOT NULL,
    at        bigint NOT NULL,
    PRIMARY KEY (workspace, idx, scope)
);

CREATE TABLE reaches (
    workspace bytea  NOT NULL,
    idx       bytea  NOT NULL,
    channel   text   NOT NULL,
    code      text   NOT NULL,
    until     bigint NOT NULL,
    PRIMARY KEY (workspace, idx, channel)
);

CREATE TABLE messages (
    workspace   bytea    NOT NULL,
    id          bytea    NOT NULL,
    contact     bytea    NOT NULL,
    direction   smallint NOT NULL,
    purpose     text     NOT NULL,
    channel     text     NOT NULL,
    sender      bytea    NOT NULL,
    identity    bytea,
    created_at  bigint   NOT NULL,
    provider_at bigint   NOT NULL,
    sealed      bytea,
    PRIMARY KEY (workspace, id)
);
-- Without the workspace: an index that begins with it could be taken for look-ups
-- by workspace and id, and is, while the planner knows nothing of the table.
CREATE INDEX messages_contact ON messages (contact, id);

-- lane (the priority while it waits in a lane) and due say what a delivery waits
-- for; they are NULL once it does not, so that their indexes hold only work. The
-- index by id is not unique: the row is written with its message, whose id is,
-- and every change of a row would look its older versions through for nothing.
CREATE TABLE deliveries (
    workspace bytea    NOT NULL,
    id        bytea    NOT NULL,
    contact   bytea    NOT NULL,
    version   integer  NOT NULL,
    state     smallint NOT NULL,
    connector bytea    NOT NULL,
    lane      smallint,
    sending   boolean  NOT NULL,
    due       bigint,
    track     bytea    NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX deliveries_id ON deliveries (workspace, id);
CREATE INDEX deliveries_lane ON deliveries (connector, lane, id) WHERE lane IS NOT NULL;
CREATE INDEX deliveries_due ON deliveries (connector, due) WHERE due IS NOT NULL;

CREATE TABLE idempotency (
    workspace  bytea   NOT NULL,
    key        bytea   NOT NULL,
    body       bytea   NOT NULL,
    message    bytea   NOT NULL,
    answer     bytea,
    day        integer NOT NULL,
    created_at bigint  NOT NULL,
    expires_at bigint  NOT NULL,
    PRIMARY KEY (workspace, key)
);
CREATE INDEX idempotency_expires ON idempotency (expires_at);

CREATE TABLE refs (
    connector  bytea    NOT NULL,
    key        bytea    NOT NULL,
    workspace  bytea    NOT NULL,
    message    bytea    NOT NULL,
    step       smallint NOT NULL,
    attempt    integer  NOT NULL,
    part       smallint NOT NULL,
    inferred   boolean  NOT NULL,
    at         bigint   NOT NULL,
    expires_at bigint   NOT NULL
);
-- The key first: it is random, so that most comparisons end with it. There is no
-- index by time: the table holds open receipts only, and a purge reads it through.
CREATE UNIQUE INDEX refs_key ON refs (key, connector, message, step, attempt, part);

CREATE TABLE parked (
    id         bytea   PRIMARY KEY,
    workspace  bytea   NOT NULL,
    connector  bytea   NOT NULL,
    keys       bytea[] NOT NULL,
    inferred   bytea,
    at         bigint  NOT NULL,
    expires_at bigint  NOT NULL,
    day        integer NOT NULL,
    sealed     bytea
);
CREATE INDEX parked_expires ON parked (expires_at);

CREATE TABLE parked_keys (
    connector bytea   NOT NULL,
    key       bytea   NOT NULL,
    inferred  boolean NOT NULL,
    parked    bytea   NOT NULL
);
CREATE INDEX parked_keys_key ON parked_keys (connector, key);
CREATE INDEX parked_keys_parked ON parked_keys (parked);

-- due: not before (0 = at once); NULL = set aside.
CREATE TABLE callbacks (
    id        bytea   PRIMARY KEY,
    workspace bytea   NOT NULL,
    connector bytea   NOT NULL,
    at        bigint  NOT NULL,
    due       bigint,
    day       integer NOT NULL,
    sealed    bytea,
    tries     integer NOT NULL DEFAULT 0,
    why       text    NOT NULL DEFAULT ''
);
CREATE INDEX callbacks_open ON callbacks (at, id) WHERE due IS NOT NULL;
CREATE INDEX callbacks_aside ON callbacks (at) WHERE due IS NULL;

CREATE TABLE dedup (
    workspace bytea  NOT NULL,
    key       bytea  NOT NULL,
    forget_at bigint NOT NULL,
    PRIMARY KEY (workspace, key)
);
CREATE INDEX dedup_forget ON dedup (forget_at);

-- One row. cluster and timeline tell a restore: Open raises the epoch.
CREATE TABLE epochs (
    id       smallint PRIMARY KEY CHECK (id = 1),
    epoch    bigint   NOT NULL,
    cluster  bigint   NOT NULL DEFAULT 0,
    timeline bigint   NOT NULL DEFAULT 0
);
INSERT INTO epochs (id, epoch) VALUES (1, 1);

-- A row is a pack of events of one workspace, in the order of the log: event i
-- has the number seq + i, the last one seq + 65535. An event with a sealed half
-- stands alone, with its contact, so that erasing finds it. at is the time of
-- the latest. CACHE: the sequence orders the packs of one transaction, which one
-- session writes; between transactions xid decides.
CREATE SEQUENCE events_seq INCREMENT 65536 MINVALUE 65536 CACHE 200;
CREATE TABLE events (
    epoch     bigint  NOT NULL,
    xid       xid8    NOT NULL DEFAULT pg_current_xact_id(),
    seq       bigint  NOT NULL DEFAULT nextval('events_seq'),
    at        bigint  NOT NULL,
    n         integer NOT NULL,
    workspace bytea   NOT NULL,
    contact   bytea,
    data      bytea   NOT NULL,
    sealed    bytea,
    PRIMARY KEY (epoch, xid, seq)
) WITH (toast_tuple_target = 4080);
ALTER TABLE events ALTER data SET STORAGE EXTERNAL, ALTER sealed SET STORAGE EXTERNAL;
ALTER SEQUENCE events_seq OWNED BY events.seq;
CREATE INDEX events_workspace ON events (workspace, epoch, xid, seq);
CREATE INDEX events_contact ON events (workspace, contact) WHERE sealed IS NOT NULL;

CREATE TABLE cursors (
    reader text   PRIMARY KEY,
    epoch  bigint NOT NULL,
    xid    xid8   NOT NULL,
    seq    bigint NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE endpoints (
    workspace  bytea   NOT NULL,
    id         bytea   NOT NULL,
    url        text    NOT NULL,
    sealed     bytea,
    types      text[]  NOT NULL,
    batch      integer NOT NULL,
    disabled   text    NOT NULL,
    failing_at bigint  NOT NULL,
    created_at bigint  NOT NULL,
    PRIMARY KEY (workspace, id)
);

-- Deliveries that are pending or dead; epoch, xid and seq are the place of the
-- event in the log. One goes only when no earlier one of the same message (NULL =
-- of none) is pending. A lease is an owner and until; no index holds them, so that
-- to lease a row is a HOT update.
CREATE TABLE webhooks (
    endpoint   bytea   NOT NULL,
    id         bytea   NOT NULL,
    workspace  bytea   NOT NULL,
    message    bytea,
    epoch      bigint  NOT NULL,
    xid        xid8    NOT NULL,
    seq        bigint  NOT NULL,
    next_at    bigint  NOT NULL,
    until      bigint  NOT NULL DEFAULT 0,
    event_at   bigint  NOT NULL,
    created_at bigint  NOT NULL,
    last_at    bigint  NOT NULL,
    tries      integer NOT NULL,
    status     integer NOT NULL,
    dead       boolean NOT NULL,
    owner      text    NOT NULL DEFAULT '',
    error      text    NOT NULL,
    PRIMARY KEY (endpoint, id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX webhooks_due ON webhooks (endpoint, next_at, epoch, xid, seq) WHERE NOT dead;
CREATE INDEX webhooks_pending ON webhooks (endpoint, message, epoch, xid, seq) WHERE NOT dead AND message IS NOT NULL;
CREATE INDEX webhooks_age ON webhooks (workspace, created_at) WHERE dead;

-- Deliveries that arrived, many to a row; first and last are the least and the
-- greatest of their ids, at the latest of their times.
CREATE TABLE webhook_packs (
    workspace bytea   NOT NULL,
    endpoint  bytea   NOT NULL,
    last      bytea   NOT NULL,
    first     bytea   NOT NULL,
    at        bigint  NOT NULL,
    n         integer NOT NULL,
    data      bytea   NOT NULL,
    PRIMARY KEY (workspace, endpoint, last)
) WITH (toast_tuple_target = 4080);
ALTER TABLE webhook_packs ALTER data SET STORAGE EXTERNAL;
CREATE INDEX webhook_packs_age ON webhook_packs (workspace, at);

CREATE TABLE charges (
    workspace bytea    NOT NULL,
    message   bytea    NOT NULL,
    step      smallint NOT NULL,
    attempt   integer  NOT NULL,
    channel   text     NOT NULL,
    purpose   text     NOT NULL,
    country   text     NOT NULL,
    micros    bigint   NOT NULL,
    currency  text     NOT NULL,
    source    text     NOT NULL,
    rule      text     NOT NULL,
    at        bigint   NOT NULL,
    PRIMARY KEY (workspace, message, step, attempt)
);
CREATE INDEX charges_at ON charges (workspace, at);

CREATE TABLE leases (
    connector  bytea  PRIMARY KEY,
    owner      text   NOT NULL,
    token      bigint NOT NULL,
    expires_at bigint NOT NULL
) WITH (fillfactor = 50);

-- One row that Ping writes.
CREATE TABLE probe (
    id smallint PRIMARY KEY CHECK (id = 1),
    at bigint   NOT NULL
) WITH (fillfactor = 10);
INSERT INTO probe VALUES (1, 0);
