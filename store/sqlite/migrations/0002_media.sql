-- Files and the links that open them. The comments are as in 0001.

-- sealed is under the contact's key; where contact is NULL the file is the
-- brand's own, and under the workspace's key.
CREATE TABLE media (
    workspace  INTEGER NOT NULL, -- clear: of names
    id         BLOB NOT NULL,    -- clear
    contact    BLOB,             -- clear: contacts.id
    message    BLOB,             -- clear: the one it came with
    connector  INTEGER NOT NULL, -- clear: of names
    type       TEXT NOT NULL,    -- clear: image, document …
    mime       TEXT NOT NULL,    -- clear
    size       INTEGER NOT NULL, -- clear: bytes
    state      INTEGER NOT NULL, -- clear
    tries      INTEGER NOT NULL, -- clear
    next_at    INTEGER NOT NULL, -- clear
    created_at INTEGER NOT NULL, -- clear
    expires_at INTEGER NOT NULL, -- clear
    sealed     BLOB,             -- sealed: name, fingerprint, the provider's id
    PRIMARY KEY (workspace, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX media_contact ON media (workspace, contact, id);
CREATE INDEX media_waiting ON media (next_at) WHERE state = 2;
CREATE INDEX media_expires ON media (expires_at) WHERE expires_at > 0;

-- With a rowid: rows of 64 KiB do not belong into a tree of keys.
CREATE TABLE media_chunks (
    workspace INTEGER NOT NULL, -- clear: of names
    media     BLOB NOT NULL,    -- clear
    n         INTEGER NOT NULL, -- clear: place, from 0
    sealed    BLOB,             -- sealed: as media
    PRIMARY KEY (workspace, media, n)
) STRICT;

CREATE TABLE media_copies (
    workspace  INTEGER NOT NULL, -- clear: of names
    media      BLOB NOT NULL,    -- clear
    connector  INTEGER NOT NULL, -- clear: of names
    expires_at INTEGER NOT NULL, -- clear
    sealed     BLOB,             -- sealed: the provider's id
    PRIMARY KEY (workspace, media, connector)
) STRICT, WITHOUT ROWID;

CREATE TABLE links (
    key        BLOB PRIMARY KEY, -- hash: of the token
    workspace  INTEGER NOT NULL, -- clear: of names
    contact    BLOB,             -- clear: contacts.id
    message    BLOB,             -- clear
    media      BLOB NOT NULL,    -- clear
    created_at INTEGER NOT NULL, -- clear
    expires_at INTEGER NOT NULL, -- clear
    opened_at  INTEGER NOT NULL, -- clear
    opens      INTEGER NOT NULL  -- clear
) STRICT, WITHOUT ROWID;
CREATE INDEX links_contact ON links (workspace, contact);
CREATE INDEX links_expires ON links (expires_at);
