// Package upgrade opens databases that earlier releases left behind: real data
// of each released schema, as SQL, brought forward by the program of today and
// read back through its API.
//
// testdata has a folder for each schema and store: the dump, the master key and
// what the API answered when it was made. Start with TestUpgrade; -make adds a
// folder for the schema of today, which each release that changed it does.
package upgrade
