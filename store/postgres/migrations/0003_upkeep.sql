-- Each workspace is purged by its own times, so its rows must be found without
-- passing those of others.
CREATE INDEX messages_age ON messages (workspace, created_at);
CREATE INDEX messages_open ON messages (workspace, created_at) WHERE sealed IS NOT NULL;
DROP INDEX messages_created;
DROP INDEX messages_content;
