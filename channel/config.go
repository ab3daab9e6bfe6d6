package channel

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"reflect"
	"strings"
)

// A Secret is a configuration value that must never be shown: every way of
// printing, logging or encoding it gives three stars. Reveal is the one way to
// the value.
type Secret string

// Reveal gives the value itself, to be used on the wire only.
func (s Secret) Reveal() string { return string(s) }

// String gives three stars, or "" when there is no secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "***"
}

// GoString hides the value from %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the value from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes the value itself.
func (s *Secret) UnmarshalText(b []byte) error {
	*s = Secret(b)
	return nil
}

// LogValue hides the value from loggers.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// A ConfigError says what is wrong with one field of a connector's
// configuration and what to do. It never holds the value.
type ConfigError struct {
	Field   string
	Problem string
	Remedy  string
}

// Error implements error.
func (e *ConfigError) Error() string { return e.Field + ": " + e.Problem + "; " + e.Remedy }

// DecodeConfig reads a connector's configuration into the struct that into
// points to. Keys that begin with "//" are comments; any other key the struct
// does not know is refused, since a misspelt key would be silently lost. It
// fails with *ConfigError and never repeats a value.
func DecodeConfig(raw json.RawMessage, into any) error {
	if len(bytes.TrimSpace(raw)) == 0 {
		raw = json.RawMessage("{}")
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(raw, &keys); err != nil {
		return &ConfigError{Field: "config", Problem: "is not a JSON object", Remedy: "give the connector's settings as one JSON object"}
	}
	known := fieldNames(reflect.TypeOf(into).Elem())
	for key := range keys {
		if strings.HasPrefix(key, "//") || known[key] {
			continue
		}
		return &ConfigError{Field: key, Problem: "is not a setting of this connector", Remedy: "correct its spelling or remove it"}
	}
	if err := json.Unmarshal(raw, into); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) && wrong.Field != "" {
			return &ConfigError{Field: wrong.Field, Problem: "has the wrong type", Remedy: "give a value of type " + wrong.Type.String()}
		}
		return &ConfigError{Field: "config", Problem: "cannot be read", Remedy: "compare it with the example of this connector"}
	}
	return nil
}

func fieldNames(t reflect.Type) map[string]bool {
	names := make(map[string]bool, t.NumField())
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name != "" && name != "-" {
			names[name] = true
		}
	}
	return names
}
