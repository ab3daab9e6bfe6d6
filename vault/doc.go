// Package vault keeps the keys that seal everything personal, and seals with
// them (law 8 of the house).
//
// The hierarchy, from the top:
//
//	master keys      32 random bytes each, outside the database; the current
//	                 one wraps, previous ones only unwrap            Masters
//	installation     signing key, pepper and journal key, wrapped
//	                 by the master                                   Installation
//	workspace keys   a key-encryption key (KEK) and an index key per
//	                 workspace, versioned, wrapped by the master     Keyring, Workspace
//	contact keys     one per person, wrapped by the KEK; destroying
//	                 the wrapped key is erasing the person           ContactKey, Sealer
//	daily keys       one per workspace and UTC day, wrapped by the
//	                 KEK; purged within 7 days                       Day, WrappedDay
//
// The package does no SQL, reads no clock and logs nothing: wrapped keys go in
// and out as values, and the caller stores them. Wrapped and sealed values and
// the 16-byte indexes are stored for years, so their formats, written at each
// type, are promises with fixed vectors in the tests. It is not a password
// hasher and not a key management service.
//
// Whoever holds the master key and the database can read everything; whoever
// holds only the database can read nothing but sizes, times and which rows
// belong together. Types that hold secrets print as "***" in every fmt verb,
// slog and encoding/json. Zeroing is done where Go allows it (our own copies);
// expanded AES and HMAC states go with the garbage collector.
//
// Start with Workspace in workspace.go, then Sealer in seal.go.
package vault
