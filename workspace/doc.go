// Package workspace holds what belongs to a tenant rather than to a person:
// its opened keys, its configuration and its API keys. Everything the hot path
// asks for is answered from memory; [Registry.Refresh] brings in what other
// nodes changed.
//
// It seals credentials and daily data (law 8) and knows no channel, no route
// and no HTTP: a connector's configuration is opaque JSON here.
//
// Start with [Open], then [Config].
package workspace

import (
	"errors"
	"strings"
)

// ErrBadKey is returned by [Registry.Authenticate] for a text that is no API
// key in force: malformed, unknown or revoked. It never says which.
var ErrBadKey = errors.New("not an API key in force")

// An InvalidError says what is wrong with something an operator wanted stored.
// It never repeats a secret.
type InvalidError struct {
	Field   string // JSON path, such as "settings.default_route[1].next_if"
	Problem string
	Remedy  string
}

// Error gives field, problem and remedy in one line.
func (e *InvalidError) Error() string {
	var b strings.Builder
	b.WriteString(e.Field)
	b.WriteString(": ")
	b.WriteString(e.Problem)
	if e.Remedy != "" {
		b.WriteString(" (")
		b.WriteString(e.Remedy)
		b.WriteString(")")
	}
	return b.String()
}
