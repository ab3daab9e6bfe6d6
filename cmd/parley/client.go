package main

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/parley-messaging/parley/app"
	parley "github.com/parley-messaging/parley/sdk/go"
)

// serverFlags say which server to talk to, and as whom.
type serverFlags struct {
	URL    string     `name:"url" help:"Base URL of the server." default:"http://127.0.0.1:8080" env:"PARLEY_URL"`
	APIKey app.Secret `name:"api-key" help:"API key; better given in the environment than here." env:"PARLEY_API_KEY"`
}

// tries is how often a call is repeated that someone waits for at a terminal.
const tries = 2

// client gives a client of the API: the Go SDK, as everybody's. It fails when
// no key was given.
func (f *serverFlags) client(more ...parley.Option) (*parley.Client, error) {
	if f.APIKey == "" {
		return nil, errors.New("an API key is needed: set PARLEY_API_KEY (parley demo and a first parley serve print one; parley keys api create makes one)")
	}
	options := append([]parley.Option{parley.WithUserAgent("parley-cli/" + version), parley.WithRetries(tries)}, more...)
	return parley.New(f.URL, string(f.APIKey), options...), nil
}

// said tells an error of the API or of the way to it in words for a terminal.
func said(err error) string {
	var e *parley.Error
	if !errors.As(err, &e) {
		if errors.Is(err, syscall.ECONNREFUSED) {
			return err.Error() + ": start it (parley demo, parley serve) or give another address"
		}
		return err.Error()
	}
	var b strings.Builder
	if e.Title == "" {
		fmt.Fprintf(&b, "the server answered %d", e.Status)
	}
	b.WriteString(e.Title)
	if e.Detail != "" {
		b.WriteString(": ")
		if e.Field != "" {
			b.WriteString(e.Field + " ")
		}
		b.WriteString(e.Detail)
	}
	if e.Remedy != "" {
		b.WriteString("; " + e.Remedy)
	}
	if e.Code != "" {
		b.WriteString(" (" + e.Code + ")")
	}
	return b.String()
}
