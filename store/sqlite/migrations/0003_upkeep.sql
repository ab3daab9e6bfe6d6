-- What an owner of a connector that died left half done is found by the step
-- being worked on: the message may be sent by an earlier step already.
ALTER TABLE deliveries ADD COLUMN sending INTEGER NOT NULL DEFAULT 0; -- clear: an attempt of the current step has no answer
UPDATE deliveries SET sending = 1 WHERE state = 3;
DROP INDEX deliveries_sending;
CREATE INDEX deliveries_sending ON deliveries (connector, id) WHERE sending = 1;
