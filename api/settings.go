package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/parley-messaging/parley/auth"
	"github.com/parley-messaging/parley/message"
)

// Settings are the workspace's own choices. The fields are those of
// workspace.Settings, whose parser judges what is written.
type Settings struct {
	DefaultRoute     []SettingsStep      `json:"default_route,omitempty" doc:"Taken for messages that name no route."`
	DefaultRegion    string              `json:"default_region,omitempty" doc:"Reads numbers without a country code: ISO 3166-1 alpha-2." example:"FR"`
	Timezone         string              `json:"timezone,omitempty" doc:"IANA name; left out: UTC." example:"Europe/Paris"`
	Retention        *Retention          `json:"retention,omitempty"`
	TemplateMap      map[string]string   `json:"template_map,omitempty" doc:"By purpose: the template (name or name/language) that stands in for free-form content when the window is closed."`
	TemplateVariants map[string][]string `json:"template_variants,omitempty" doc:"Templates that say the same with another time-to-live, by base name."`
	PriceOverrides   []PriceOverride     `json:"price_overrides,omitempty" doc:"Negotiated prices; the first that fits wins over the rate card."`
	MaxPrice         *Amount             `json:"max_price,omitempty" doc:"The limit for messages that name none."`
}

// SettingsStep is one channel of the default route.
type SettingsStep struct {
	Channel message.Channel  `json:"channel"`
	Sender  message.SenderID `json:"sender,omitzero"`
	Next    *NextIf          `json:"next_if,omitempty"`
}

// Retention says how long things are kept.
type Retention struct {
	Messages Duration `json:"messages,omitempty" doc:"Rows, with deliveries and charges."`
	Content  Duration `json:"content,omitempty" doc:"What was said."`
	Events   Duration `json:"events,omitempty"`
	Webhooks Duration `json:"webhooks,omitempty" doc:"Delivered or dead deliveries."`
}

// PriceOverride is a negotiated price of one attempt or segment.
type PriceOverride struct {
	Channel message.Channel `json:"channel"`
	Country string          `json:"country,omitempty" doc:"ISO 3166-1 alpha-2."`
	Purpose message.Purpose `json:"purpose,omitempty"`
	Price   Amount          `json:"price"`
}

type putSettings struct {
	Body    Settings
	RawBody []byte
}

func (s *Server) settings() {
	handle(s, op{method: http.MethodGet, path: "/v1/settings", id: "getSettings", tag: "Workspace", summary: "Read the settings", scope: auth.ConfigRead},
		func(ctx context.Context, who caller, _ *none) (*Settings, error) {
			c, err := s.o.Workspaces.Config(ctx, who.Workspace)
			if err != nil {
				return nil, err
			}
			return asSettings(c.Settings)
		})
	handle(s, op{method: http.MethodPut, path: "/v1/settings", id: "putSettings", tag: "Workspace", summary: "Replace the settings", scope: auth.ConfigWrite},
		func(ctx context.Context, who caller, in *putSettings) (*Settings, error) {
			stored, err := s.o.Workspaces.SetSettings(ctx, who.Workspace, in.RawBody)
			if err != nil {
				return nil, err
			}
			return asSettings(stored)
		})
}

// asSettings shows what is stored by way of its JSON form, which is the same.
func asSettings(in any) (*Settings, error) {
	b, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	var out Settings
	if err := json.Unmarshal(b, &out); err != nil {
		return nil, err
	}
	return &out, nil
}
