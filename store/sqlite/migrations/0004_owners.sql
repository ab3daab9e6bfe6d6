-- Blind indexes are random: the row of each new identity changed a page somewhere,
-- and rows with a sealed address are large. They stand by contact now, one behind
-- the other; whose an index is stands apart, in small rows that are written late.
CREATE TABLE owners (
    workspace INTEGER NOT NULL, -- clear: of names
    identity  BLOB NOT NULL,    -- hash: blind index
    contact   INTEGER NOT NULL, -- clear: contacts.n
    PRIMARY KEY (workspace, identity)
) STRICT, WITHOUT ROWID;
INSERT INTO owners (workspace, identity, contact) SELECT workspace, identity, contact FROM identities;

ALTER TABLE identities RENAME TO identities_before;
CREATE TABLE identities (
    contact    INTEGER NOT NULL, -- clear: contacts.n
    identity   BLOB NOT NULL,    -- hash: blind index
    workspace  INTEGER NOT NULL, -- clear: of names
    channel    TEXT NOT NULL,    -- clear
    sealed     BLOB,             -- sealed: the address
    created_at INTEGER NOT NULL, -- clear
    PRIMARY KEY (contact, identity)
) STRICT, WITHOUT ROWID;
INSERT INTO identities (contact, identity, workspace, channel, sealed, created_at)
    SELECT contact, identity, workspace, channel, sealed, created_at FROM identities_before INDEXED BY identities_contact ORDER BY contact;
DROP TABLE identities_before;
