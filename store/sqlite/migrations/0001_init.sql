-- Every column says after its dash what it is:
--   clear   not about a person
--   hash    keyed hash (HMAC) of something personal or secret
--   sealed  ciphertext
-- classes.go holds the same list, and a test compares it with the schema.
-- Times are Unix microseconds, 0 = none. Numbers "of names" stand for ids and
-- words that repeat in millions of rows.

-- Ids of workspaces, connectors, senders and endpoints, and stable words.
CREATE TABLE names (
    n    INTEGER PRIMARY KEY, -- clear
    name BLOB NOT NULL UNIQUE -- clear: 16 bytes of an id, or a word
) STRICT;

-- Single values: 'seq' is the highest event number ever purged.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,   -- clear
    value INTEGER NOT NULL    -- clear
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('seq', 0), ('ping', 0);

-- The log's epochs and the last event number before each began.
CREATE TABLE epochs (
    epoch INTEGER PRIMARY KEY, -- clear
    after INTEGER NOT NULL     -- clear
) STRICT;
INSERT INTO epochs VALUES (1, 0);

CREATE TABLE workspaces (
    n          INTEGER PRIMARY KEY, -- clear: of names
    id         BLOB NOT NULL UNIQUE, -- clear
    name       TEXT NOT NULL,    -- clear: the brand's
    created_at INTEGER NOT NULL  -- clear
) STRICT;

-- Configuration by workspace; separate, so that it may come before the workspace.
CREATE TABLE settings (
    workspace INTEGER PRIMARY KEY, -- clear: of names
    version   INTEGER NOT NULL,  -- clear: raised by each write of configuration
    settings  TEXT NOT NULL      -- clear
) STRICT;

CREATE TABLE keys (
    workspace  INTEGER NOT NULL, -- clear: of names; 0 = the installation
    kind       TEXT NOT NULL,    -- clear
    version    INTEGER NOT NULL, -- clear
    master     TEXT NOT NULL,    -- clear: id of the master key
    bytes      BLOB NOT NULL,    -- sealed: wrapped
    created_at INTEGER NOT NULL, -- clear
    PRIMARY KEY (workspace, kind, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE api_keys (
    workspace  INTEGER NOT NULL, -- clear: of names
    id         BLOB NOT NULL,    -- clear
    name       TEXT NOT NULL,    -- clear: the client's label
    hash       BLOB NOT NULL UNIQUE, -- hash
    hint       TEXT NOT NULL,    -- clear: last four characters
    scopes     TEXT NOT NULL,    -- clear: JSON
    created_at INTEGER NOT NULL, -- clear
    revoked_at INTEGER NOT NULL, -- clear
    PRIMARY KEY (workspace, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE senders (
    workspace  INTEGER NOT NULL, -- clear: of names
    id         BLOB NOT NULL,    -- clear
    channel    TEXT NOT NULL,    -- clear
    address    TEXT NOT NULL,    -- clear: the brand's own
    display    TEXT NOT NULL,    -- clear: the brand's own
    connectors TEXT NOT NULL,    -- clear: JSON
    settings   TEXT NOT NULL,    -- clear: JSON
    created_at INTEGER NOT NULL, -- clear
    PRIMARY KEY (workspace, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE connectors (
    workspace     INTEGER NOT NULL, -- clear: of names
    id            BLOB NOT NULL,    -- clear
    kind          TEXT NOT NULL,    -- clear
    name          TEXT NOT NULL,    -- clear
    sealed        BLOB,             -- sealed: with credentials
    key_version   INTEGER NOT NULL, -- clear
    paused        INTEGER NOT NULL, -- clear
    health        TEXT NOT NULL,    -- clear: state
    health_code   TEXT NOT NULL,    -- clear
    health_reason TEXT NOT NULL,    -- clear
    health_at     INTEGER NOT NULL, -- clear
    created_at    INTEGER NOT NULL, -- clear
    PRIMARY KEY (workspace, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE templates (
    workspace  INTEGER NOT NULL, -- clear: of names
    sender     BLOB NOT NULL,    -- clear
    name       TEXT NOT NULL,    -- clear
    language   TEXT NOT NULL,    -- clear
    id         BLOB NOT NULL,    -- clear
    provider   TEXT NOT NULL,    -- clear: the provider's id of it
    category   TEXT NOT NULL,    -- clear
    state      TEXT NOT NULL,    -- clear
    ttl        INTEGER NOT NULL, -- clear: nanoseconds
    body       TEXT NOT NULL,    -- clear: the brand's registered text
    named      INTEGER NOT NULL, -- clear
    components TEXT NOT NULL,    -- clear: JSON
    reason     TEXT NOT NULL,    -- clear
    updated_at INTEGER NOT NULL, -- clear
    PRIMARY KEY (workspace, sender, name, language)
) STRICT, WITHOUT ROWID;

-- A contact's number n keeps the index of its messages compact.
CREATE TABLE contacts (
    n           INTEGER PRIMARY KEY, -- clear
    workspace   INTEGER NOT NULL, -- clear: of names
    id          BLOB NOT NULL,    -- clear
    version     INTEGER NOT NULL, -- clear
    key         BLOB,             -- sealed: wrapped data key; NULL = erased
    key_version INTEGER NOT NULL, -- clear
    created_at  INTEGER NOT NULL, -- clear
    erased_at   INTEGER NOT NULL, -- clear
    profile     BLOB,             -- sealed
    UNIQUE (workspace, id)
) STRICT;
CREATE INDEX contacts_key ON contacts (workspace, key_version) WHERE key IS NOT NULL;

CREATE TABLE identities (
    workspace  INTEGER NOT NULL, -- clear: of names
    identity   BLOB NOT NULL,    -- hash: blind index
    contact    INTEGER NOT NULL, -- clear: contacts.n
    channel    TEXT NOT NULL,    -- clear
    sealed     BLOB,             -- sealed: the address
    created_at INTEGER NOT NULL, -- clear
    PRIMARY KEY (workspace, identity)
) STRICT, WITHOUT ROWID;
CREATE INDEX identities_contact ON identities (contact);

CREATE TABLE windows (
    contact   INTEGER NOT NULL, -- clear: contacts.n
    identity  BLOB NOT NULL,    -- hash
    sender    BLOB NOT NULL,    -- clear
    kind      TEXT NOT NULL,    -- clear
    opened_by BLOB,             -- clear: message
    opened_at INTEGER NOT NULL, -- clear
    closes_at INTEGER NOT NULL, -- clear
    PRIMARY KEY (contact, identity, sender, kind)
) STRICT, WITHOUT ROWID;

-- Suppressions have no contact: they survive its erasure.
CREATE TABLE suppressions (
    workspace INTEGER NOT NULL, -- clear: of names
    identity  BLOB NOT NULL,    -- hash
    scope     TEXT NOT NULL,    -- clear
    reason    TEXT NOT NULL,    -- clear
    at        INTEGER NOT NULL, -- clear
    PRIMARY KEY (workspace, identity, scope)
) STRICT, WITHOUT ROWID;

CREATE TABLE reach (
    workspace INTEGER NOT NULL, -- clear: of names
    identity  BLOB NOT NULL,    -- hash
    channel   TEXT NOT NULL,    -- clear
    code      TEXT NOT NULL,    -- clear: the provider's
    until     INTEGER NOT NULL, -- clear
    PRIMARY KEY (workspace, identity, channel)
) STRICT, WITHOUT ROWID;

-- Append-only but for erasure and purge. Ids sort by time, so both tables grow
-- at their end.
CREATE TABLE messages (
    workspace   INTEGER NOT NULL, -- clear: of names
    id          BLOB NOT NULL,    -- clear
    contact     INTEGER NOT NULL, -- clear: contacts.n
    direction   INTEGER NOT NULL, -- clear
    purpose     INTEGER NOT NULL, -- clear: of names
    channel     INTEGER NOT NULL, -- clear: of names
    sender      INTEGER NOT NULL, -- clear: of names
    created_at  INTEGER NOT NULL, -- clear
    provider_at INTEGER NOT NULL, -- clear
    identity    BLOB,             -- hash; NULL when erased
    sealed      BLOB,             -- sealed
    PRIMARY KEY (workspace, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX messages_contact ON messages (contact, id);

CREATE TABLE deliveries (
    workspace INTEGER NOT NULL, -- clear: of names
    id        BLOB NOT NULL,    -- clear: message
    state     INTEGER NOT NULL, -- clear
    version   INTEGER NOT NULL, -- clear
    connector INTEGER NOT NULL, -- clear: of names
    priority  INTEGER NOT NULL, -- clear
    ready     INTEGER NOT NULL, -- clear
    sending   INTEGER NOT NULL, -- clear: an attempt of the current step has no answer
    due_at    INTEGER NOT NULL, -- clear
    track     BLOB NOT NULL,    -- clear: message.Delivery; provider ids in it are sealed
    PRIMARY KEY (workspace, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_ready ON deliveries (connector, priority, id) WHERE ready = 1;
-- What an owner of a connector that died left half done is found by the step
-- being worked on: the message may be sent by an earlier step already.
CREATE INDEX deliveries_sending ON deliveries (connector, id) WHERE sending = 1;
CREATE INDEX deliveries_due ON deliveries (due_at) WHERE due_at > 0;

-- Keys are random: every new one changes a page somewhere. Their rows are small,
-- and the answers stand apart, one behind the other.
CREATE TABLE idempotency (
    workspace INTEGER NOT NULL, -- clear: of names
    key       BLOB NOT NULL,    -- hash
    answer    INTEGER NOT NULL, -- clear: answers.n
    PRIMARY KEY (workspace, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE answers (
    n          INTEGER PRIMARY KEY, -- clear
    workspace  INTEGER NOT NULL, -- clear: of names
    key        BLOB NOT NULL,    -- hash: as in idempotency
    body       BLOB NOT NULL,    -- hash
    message    BLOB NOT NULL,    -- clear
    day        INTEGER NOT NULL, -- clear
    expires_at INTEGER NOT NULL, -- clear
    answer     BLOB              -- sealed: daily key
) STRICT;

-- Open receipts only: a row leaves with its last receipt or its horizon.
CREATE TABLE refs (
    connector  INTEGER NOT NULL, -- clear: of names
    key        BLOB NOT NULL,    -- hash
    workspace  INTEGER NOT NULL, -- clear: of names
    message    BLOB NOT NULL,    -- clear
    step       INTEGER NOT NULL, -- clear
    attempt    INTEGER NOT NULL, -- clear
    part       INTEGER NOT NULL, -- clear
    inferred   INTEGER NOT NULL, -- clear
    at         INTEGER NOT NULL, -- clear
    expires_at INTEGER NOT NULL, -- clear
    PRIMARY KEY (connector, key, message, step, attempt, part)
) STRICT, WITHOUT ROWID;

CREATE TABLE parked (
    id         BLOB PRIMARY KEY, -- clear
    workspace  INTEGER NOT NULL, -- clear: of names
    connector  INTEGER NOT NULL, -- clear: of names
    keys       BLOB NOT NULL,    -- hash: 16 bytes each
    inferred   BLOB,             -- hash
    at         INTEGER NOT NULL, -- clear
    expires_at INTEGER NOT NULL, -- clear
    day        INTEGER NOT NULL, -- clear
    sealed     BLOB              -- sealed: daily key
) STRICT, WITHOUT ROWID;

CREATE TABLE parked_keys (
    connector INTEGER NOT NULL, -- clear: of names
    key       BLOB NOT NULL,    -- hash
    inferred  INTEGER NOT NULL, -- clear
    parked    BLOB NOT NULL,    -- clear
    PRIMARY KEY (connector, key, inferred, parked)
) STRICT, WITHOUT ROWID;

CREATE TABLE callbacks (
    id        BLOB PRIMARY KEY, -- clear
    workspace INTEGER NOT NULL, -- clear: of names
    connector INTEGER NOT NULL, -- clear: of names
    at        INTEGER NOT NULL, -- clear
    day       INTEGER NOT NULL, -- clear
    tries     INTEGER NOT NULL, -- clear
    until     INTEGER NOT NULL, -- clear: not before; -1 = set aside
    why       TEXT NOT NULL,    -- clear
    sealed    BLOB              -- sealed: daily key
) STRICT, WITHOUT ROWID;

CREATE TABLE dedup (
    workspace INTEGER NOT NULL, -- clear: of names
    key       BLOB NOT NULL,    -- hash
    forget_at INTEGER NOT NULL, -- clear
    PRIMARY KEY (workspace, key)
) STRICT, WITHOUT ROWID;

-- The log, in runs: the events of one workspace in one commit, at most 128. The
-- one writer numbers them, so that the order of numbers is that of commits.
-- run.go holds the form.
CREATE TABLE events (
    first     INTEGER PRIMARY KEY, -- clear: number of the first event
    last      INTEGER NOT NULL, -- clear: number of the last event
    workspace INTEGER NOT NULL, -- clear: of names
    n         INTEGER NOT NULL, -- clear: how many
    since     INTEGER NOT NULL, -- clear: times in the run count from here
    until     INTEGER NOT NULL, -- clear: the latest
    run       BLOB NOT NULL     -- clear: ids, types, times and JSON with nothing personal
) STRICT;
CREATE INDEX events_workspace ON events (workspace);

-- The personal halves of events.
CREATE TABLE event_halves (
    seq       INTEGER PRIMARY KEY, -- clear
    workspace INTEGER NOT NULL, -- clear: of names
    contact   BLOB,             -- clear: contacts.id
    sealed    BLOB              -- sealed
) STRICT;
CREATE INDEX event_halves_contact ON event_halves (contact);

CREATE TABLE cursors (
    reader TEXT PRIMARY KEY,  -- clear
    cursor TEXT NOT NULL      -- clear
) STRICT, WITHOUT ROWID;

CREATE TABLE endpoints (
    workspace  INTEGER NOT NULL, -- clear: of names
    id         BLOB NOT NULL,    -- clear
    url        TEXT NOT NULL,    -- clear: the customer's system
    sealed     BLOB,             -- sealed: signing secrets
    types      TEXT NOT NULL,    -- clear: JSON
    batch      INTEGER NOT NULL, -- clear
    disabled   TEXT NOT NULL,    -- clear
    failing_at INTEGER NOT NULL, -- clear
    created_at INTEGER NOT NULL, -- clear
    PRIMARY KEY (workspace, id)
) STRICT, WITHOUT ROWID;

-- head = 1: no earlier delivery of the same message is pending, so only heads
-- stand in the index that claims look at.
CREATE TABLE webhooks (
    endpoint   INTEGER NOT NULL, -- clear: of names
    seq        INTEGER NOT NULL, -- clear: number of the event
    id         BLOB NOT NULL,    -- clear
    workspace  INTEGER NOT NULL, -- clear: of names
    message    BLOB,             -- clear
    state      INTEGER NOT NULL, -- clear: 0 pending, 1 delivered, 2 dead
    head       INTEGER NOT NULL, -- clear
    tries      INTEGER NOT NULL, -- clear
    next_at    INTEGER NOT NULL, -- clear: also the end of a lease
    owner      TEXT NOT NULL,    -- clear
    event_at   INTEGER NOT NULL, -- clear
    created_at INTEGER NOT NULL, -- clear
    last_at    INTEGER NOT NULL, -- clear
    status     INTEGER NOT NULL, -- clear
    error      TEXT NOT NULL,    -- clear: never personal
    PRIMARY KEY (endpoint, seq)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX webhooks_id ON webhooks (endpoint, id);
CREATE INDEX webhooks_due ON webhooks (endpoint, next_at, seq) WHERE state = 0 AND head = 1;
CREATE INDEX webhooks_pending ON webhooks (endpoint, message, seq) WHERE state = 0 AND message IS NOT NULL;

-- Deliveries that were taken at the first try, before their rows were written:
-- nearly all. Those of one write stand in one row; webhook_run.go holds the
-- form. One that is replayed leaves its run for a row of webhooks.
CREATE TABLE webhook_runs (
    endpoint  INTEGER NOT NULL, -- clear: of names
    first     INTEGER NOT NULL, -- clear: number of the first event
    last      INTEGER NOT NULL, -- clear: number of the last event
    workspace INTEGER NOT NULL, -- clear: of names
    n         INTEGER NOT NULL, -- clear: how many
    oldest    BLOB NOT NULL,    -- clear: least delivery id
    newest    BLOB NOT NULL,    -- clear: greatest delivery id
    since     INTEGER NOT NULL, -- clear: earliest event
    until     INTEGER NOT NULL, -- clear: latest event
    tried_at  INTEGER NOT NULL, -- clear: of the latest try
    run       BLOB NOT NULL,    -- clear: ids, times and statuses
    PRIMARY KEY (endpoint, first)
) STRICT, WITHOUT ROWID;
CREATE INDEX webhook_runs_newest ON webhook_runs (endpoint, newest);

CREATE TABLE charges (
    workspace INTEGER NOT NULL, -- clear: of names
    message   BLOB NOT NULL,    -- clear
    step      INTEGER NOT NULL, -- clear
    attempt   INTEGER NOT NULL, -- clear
    channel   TEXT NOT NULL,    -- clear
    purpose   TEXT NOT NULL,    -- clear
    country   TEXT NOT NULL,    -- clear
    micros    INTEGER NOT NULL, -- clear
    currency  TEXT NOT NULL,    -- clear
    source    TEXT NOT NULL,    -- clear: "estimate" or "provider"
    rule      TEXT NOT NULL,    -- clear
    at        INTEGER NOT NULL, -- clear
    PRIMARY KEY (workspace, message, step, attempt)
) STRICT, WITHOUT ROWID;

CREATE TABLE leases (
    connector  INTEGER PRIMARY KEY, -- clear: of names
    owner      TEXT NOT NULL,    -- clear
    token      INTEGER NOT NULL, -- clear
    expires_at INTEGER NOT NULL  -- clear
) STRICT;
