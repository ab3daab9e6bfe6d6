// Package postgres keeps Parley's data in PostgreSQL 14 or newer: the store of
// installations with many nodes. It is the twin of package sqlite and passes
// the same suite, storetest. It holds SQL and no policy.
//
// # How writes go
//
// The hot writes (Accept, Apply, Receive, Keep, Finish, Match) of all callers
// wait in one bounded queue. A few writers, each with its own connection, take
// what waits and commit it together: one round trip locks and reads what the
// decisions need, Go decides each item's verdict, and a second round trip
// writes arrays through unnest and commits. A group that needs no reading has
// only the second. Nothing in a group waits for anything but the database. A
// second writer begins only when much waits or the first is held up: large
// groups are what makes a message cheap.
//
// A group hopes first: it inserts keys and people without looking whether they
// are there, and changes deliveries with a statement that fails unless it finds
// every row at its version. Only a group that failed is run again carefully,
// reading and locking first.
//
// Rows are locked in one order (workspaces, leases, contacts, then deliveries,
// each sorted by key), so writers do not deadlock with each other; should one
// happen anyway, or two nodes insert the same new key at once, the group was
// rolled back as a whole and is run again. A group that fails because of bad
// data is cut in halves until the bad call stands alone.
//
// # Packs
//
// Events and the webhook deliveries that arrived stand many to a row, packed by
// pack.go: a row of their own with its entries in indexes cost ten times what
// they hold. Only webhook deliveries that are pending or dead have rows.
//
// # Plans
//
// Prepared statements keep the plan of their first days: made when a table was
// empty they would scan it when it is large. Connections of ours therefore run
// with enable_seqscan off and generic plans, and every statement that looks up
// an array joins it LATERAL with OFFSET 0, which leaves one plan: a nested loop
// over the array with an index look-up for each element. The writers' own
// connections have every other way to join switched off as well, so that their
// updates and deletes may join plainly. Nothing depends on statistics.
//
// # The log
//
// An event's place is (epoch, xid, seq): the transaction that wrote it and the
// order within, which counts the packs by 65,536. Read gives only events of transactions older than every one
// still running (pg_snapshot_xmin), so that none can commit behind a reader.
// Transaction numbers start again in a new cluster, and go back after a restore
// to an earlier moment: the epoch is raised then. Events of older epochs are all
// readable and come before those of the new one, so cursors of before continue.
// Open raises the epoch by itself when the cluster's identifier or timeline has
// changed, where it may read them; [Store.Epoch] does it by hand.
//
// NOTIFY only shortens waiting. It is sent by one connection outside of the
// writers' transactions, because PostgreSQL lets transactions that notify
// commit one at a time.
//
// Start with [Open], then group.go (the queue) and write.go (one group).
package postgres
