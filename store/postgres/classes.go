package postgres

// A Class says what a column holds about people (law 8).
type Class string

// The classes. There is none for something personal in the clear: no column
// may hold it.
const (
	Clear     Class = "clear"     // not about a person
	Hash      Class = "hash"      // keyed hash of something personal or secret
	ByContact Class = "contact"   // sealed under a contact's key, or that key wrapped: gone with Erase
	ByDay     Class = "day"       // sealed under a daily key: gone when the day's key is destroyed
	ByBrand   Class = "workspace" // sealed under the workspace's key: the brand's own secrets
)

// Classes gives the class of every column that is not Clear, by table; tables
// that hold clear columns only have empty maps. A test compares it with the
// schema.
func Classes() map[string]map[string]Class {
	return map[string]map[string]Class{
		"parley_schema": {}, "probe": {}, "epochs": {}, "workspaces": {}, "configurations": {}, "senders": {}, "templates": {},
		"cursors": {}, "charges": {}, "leases": {}, "deliveries": {}, "webhooks": {}, "webhook_packs": {},
		"workspace_keys": {"wrapped": ByBrand},
		"api_keys":       {"hash": Hash},
		"connectors":     {"sealed": ByBrand},
		"endpoints":      {"sealed": ByBrand},
		"contacts":       {"key": ByContact, "profile": ByContact},
		"identities":     {"idx": Hash, "sealed": ByContact},
		"windows":        {"identity": Hash},
		"suppressions":   {"idx": Hash},
		"reaches":        {"idx": Hash},
		"messages":       {"identity": Hash, "sealed": ByContact},
		"events":         {"sealed": ByContact},
		"idempotency":    {"key": Hash, "body": Hash, "answer": ByDay},
		"refs":           {"key": Hash},
		"parked":         {"keys": Hash, "inferred": Hash, "sealed": ByDay},
		"parked_keys":    {"key": Hash},
		"callbacks":      {"sealed": ByDay},
		"dedup":          {"key": Hash},
		"media":          {"sealed": ByContact}, // ByBrand where it has no contact
		"media_chunks":   {"sealed": ByContact},
		"media_copies":   {"sealed": ByContact},
		"links":          {"key": Hash},
	}
}

// Survivors lists the hash columns that Erase leaves alone, with the reason.
// All others are emptied for the contact erased.
func Survivors() map[string]string {
	return map[string]string{
		"suppressions.idx": "a person who said no is not written to after erasure either",
		"api_keys.hash":    "of a client's key, not of a person",
		"idempotency.key":  "of a client's key, not of a person; purged after a day",
		"idempotency.body": "keyed hash of a request; purged after a day",
		"refs.key":         "of a provider's id; leaves with the last receipt",
		"parked.keys":      "of a provider's id; leaves when matched or expired",
		"parked.inferred":  "of addresses; leaves when matched or expired",
		"parked_keys.key":  "as parked",
		"dedup.key":        "of a provider's event id; purged after a week",
	}
}
