package sqlite

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

// Classes gives the class of every column that is not Clear, by table, and the
// list of tables that hold clear columns only as empty maps. A test compares it
// with the schema and its comments.
func Classes() map[string]map[string]Class {
	return map[string]map[string]Class{
		"names": {}, "meta": {}, "epochs": {}, "workspaces": {}, "settings": {}, "senders": {}, "templates": {},
		"cursors": {}, "charges": {}, "leases": {}, "webhooks": {}, "webhook_runs": {}, "deliveries": {}, "events": {},
		"keys":             {"bytes": ByBrand},
		"api_keys":         {"hash": Hash},
		"connectors":       {"sealed": ByBrand},
		"endpoints":        {"sealed": ByBrand},
		"contacts":         {"key": ByContact, "profile": ByContact},
		"identities":       {"identity": Hash, "sealed": ByContact},
		"owners":           {"identity": Hash},
		"windows":          {"identity": Hash},
		"suppressions":     {"identity": Hash},
		"reach":            {"identity": Hash},
		"messages":         {"identity": Hash, "sealed": ByContact},
		"event_halves":     {"sealed": ByContact},
		"idempotency":      {"key": Hash},
		"answers":          {"key": Hash, "body": Hash, "answer": ByDay},
		"refs":             {"key": Hash},
		"moves":            {"run": Hash},
		"entries":          {"run": Hash},
		"contact_messages": {},
		"parked":           {"keys": Hash, "inferred": Hash, "sealed": ByDay},
		"parked_keys":      {"key": Hash},
		"callbacks":        {"sealed": ByDay},
		"dedup":            {"key": Hash},
		"media":            {"sealed": ByContact}, // ByBrand where it has no contact
		"media_chunks":     {"sealed": ByContact},
		"media_copies":     {"sealed": ByContact},
		"links":            {"key": Hash},
	}
}

// Survivors lists the hash columns that Erase leaves alone, with the reason.
// All others are emptied for the contact erased.
func Survivors() map[string]string {
	return map[string]string{
		"suppressions.identity": "a person who said no is not written to after erasure either",
		"api_keys.hash":         "of a client's key, not of a person",
		"idempotency.key":       "of a client's key, not of a person; purged after a day",
		"answers.key":           "as idempotency",
		"answers.body":          "keyed hash of a request; purged after a day",
		"refs.key":              "of a provider's id; leaves with the last receipt",
		"moves.run":             "as refs; goes into it within moments",
		"entries.run":           "as idempotency; goes into it soon, and of a contact erased at once",
		"parked.keys":           "of a provider's id; leaves when matched or expired",
		"parked.inferred":       "of addresses; leaves when matched or expired",
		"parked_keys.key":       "as parked",
		"dedup.key":             "of a provider's event id; purged after a week",
	}
}
