-- Files in sealed chunks, and the links that open them. sealed is under the
-- contact's key; where contact is NULL the file is the brand's own, and under
-- the workspace's key.

CREATE TABLE media (
    workspace  bytea    NOT NULL,
    id         bytea    NOT NULL,
    contact    bytea,
    message    bytea,
    connector  bytea,
    type       text     NOT NULL,
    mime       text     NOT NULL,
    size       bigint   NOT NULL,
    state      smallint NOT NULL,
    tries      integer  NOT NULL,
    next_at    bigint   NOT NULL,
    created_at bigint   NOT NULL,
    expires_at bigint   NOT NULL,
    sealed     bytea,
    PRIMARY KEY (workspace, id)
);
CREATE INDEX media_contact ON media (workspace, contact, id);
CREATE INDEX media_waiting ON media (next_at) WHERE state = 2;
CREATE INDEX media_expires ON media (expires_at) WHERE expires_at > 0;

-- Ciphertext does not shrink: EXTERNAL spares the attempt.
CREATE TABLE media_chunks (
    workspace bytea   NOT NULL,
    media     bytea   NOT NULL,
    n         integer NOT NULL,
    sealed    bytea,
    PRIMARY KEY (workspace, media, n)
);
ALTER TABLE media_chunks ALTER COLUMN sealed SET STORAGE EXTERNAL;

CREATE TABLE media_copies (
    workspace  bytea  NOT NULL,
    media      bytea  NOT NULL,
    connector  bytea  NOT NULL,
    expires_at bigint NOT NULL,
    sealed     bytea,
    PRIMARY KEY (workspace, media, connector)
);

CREATE TABLE links (
    key        bytea  PRIMARY KEY,
    workspace  bytea  NOT NULL,
    contact    bytea,
    message    bytea,
    media      bytea  NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    opened_at  bigint NOT NULL,
    opens      bigint NOT NULL
);
CREATE INDEX links_contact ON links (workspace, contact);
CREATE INDEX links_expires ON links (expires_at);
