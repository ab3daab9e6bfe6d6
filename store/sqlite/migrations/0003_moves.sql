-- What is written late, many at once; until then it stands in runs, in the order
-- of commits. moves.go and entries.go hold their forms.

-- Deliveries that changed lately: most have ended before their rows in
-- deliveries and refs are written.
CREATE TABLE moves (
    n   INTEGER PRIMARY KEY, -- clear
    run BLOB NOT NULL        -- hash: as deliveries and refs
) STRICT;

-- Entries of idempotency and contact_messages, whose order is not that of time:
-- each alone would change a page of its own.
CREATE TABLE entries (
    n   INTEGER PRIMARY KEY, -- clear
    run BLOB NOT NULL        -- hash: as idempotency
) STRICT;

-- The messages of a contact, in place of an index.
CREATE TABLE contact_messages (
    contact INTEGER NOT NULL, -- clear: contacts.n
    message BLOB NOT NULL,    -- clear
    PRIMARY KEY (contact, message)
) STRICT, WITHOUT ROWID;
INSERT INTO contact_messages (contact, message) SELECT contact, id FROM messages ORDER BY contact, id;
DROP INDEX messages_contact;
