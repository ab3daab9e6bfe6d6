// Package pgtest runs a private PostgreSQL for tests: a real server of the
// machine's own installation, in a temporary directory, with the durable
// settings Parley insists on, and one database per test.
//
// It is not for production and starts nothing that outlives the test process:
// the server's supervisor stops it when the process's end of a pipe closes.
// Where PostgreSQL is not installed the tests fail and say what to type; they
// are never skipped, because a store that was not tested does not work.
//
// Start with [Run] in TestMain, and [Server.Database] in each test; a test that
// stops and restarts the server has its own from [Start].
package pgtest
