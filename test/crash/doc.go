// Package crash kills the real program with SIGKILL, at named points and at
// random, on both stores, and compares three journals afterwards: what clients
// were told, the events of the log, and what the sandbox's handsets received.
// It also takes nodes and databases away from each other.
//
// It tests no power cut: test/durability watches the system calls for that.
// Start with TestKills. CRASH_KILLS says how many kills it makes per store.
package crash
