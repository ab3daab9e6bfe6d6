package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/parley-messaging/parley/message"
)

// Senders keeps a workspace's configuration: senders, connector accounts,
// templates and the default route. Every write raises the configuration's
// version (Guard.Config).
type Senders interface {
	// Configuration reads all of it at one version.
	Configuration(ctx context.Context, ws message.WorkspaceID) (*Configuration, error)
	// ConfigVersions reads the version of each workspace, to see what changed.
	ConfigVersions(ctx context.Context) (map[message.WorkspaceID]int64, error)

	// PutSender and PutConnector create or replace by id; PutTemplate by
	// sender, name and language.
	PutSender(ctx context.Context, s *Sender, events []Event) error
	DeleteSender(ctx context.Context, ws message.WorkspaceID, id message.SenderID) error
	PutConnector(ctx context.Context, c *Connector, events []Event) error
	DeleteConnector(ctx context.Context, ws message.WorkspaceID, id message.ConnectorID) error
	// SetHealth changes a connector's health alone.
	SetHealth(ctx context.Context, ws message.WorkspaceID, id message.ConnectorID, h Health, events []Event) error
	PutTemplate(ctx context.Context, t *Template, events []Event) error
	DeleteTemplate(ctx context.Context, ws message.WorkspaceID, id message.TemplateID) error
	SetSettings(ctx context.Context, ws message.WorkspaceID, settings json.RawMessage) error
}

// A Configuration is what decisions are made with, as of one version.
type Configuration struct {
	Workspace  message.WorkspaceID
	Version    int64
	Settings   json.RawMessage
	Senders    []*Sender
	Connectors []*Connector
	Templates  []*Template
}

// A Sender is the brand's own end on a channel.
type Sender struct {
	ID         message.SenderID
	Workspace  message.WorkspaceID
	Channel    message.Channel
	Address    string                // phone number id, short code …
	Display    string                // what people see
	Connectors []message.ConnectorID // tried in order
	Settings   json.RawMessage
	CreatedAt  time.Time
}

// A Connector is an account at a provider.
type Connector struct {
	ID         message.ConnectorID
	Workspace  message.WorkspaceID
	Kind       string // channel.Type.Kind
	Name       string
	Sealed     []byte // configuration with credentials, under the workspace's key
	KeyVersion int32
	Paused     bool // by an operator
	Health     Health
	CreatedAt  time.Time
}

// Health is how a connector account fares.
type Health struct {
	State  string // "ok" or "misconfigured"
	Code   string
	Reason string
	At     time.Time
}

// A Template is a registered template of a sender.
type Template struct {
	ID         message.TemplateID
	Workspace  message.WorkspaceID
	Sender     message.SenderID
	Provider   string
	Name       string
	Language   string
	Category   message.Purpose
	State      message.TemplateState
	TTL        time.Duration // 0 = the provider's default
	Body       string
	Named      bool
	Components json.RawMessage
	Reason     string
	UpdatedAt  time.Time
}
