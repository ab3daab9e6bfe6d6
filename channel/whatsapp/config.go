package whatsapp

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/parley-messaging/parley/channel"
)

// DefaultVersion is the Graph API version used when none is configured. The
// wire here was read against v23.0 to v25.0 (November 2026).
const DefaultVersion = "v24.0"

const defaultBase = "https://graph.facebook.com"

// A Config is the configuration of one Cloud API account: one token, usually
// one number.
type Config struct {
	BaseURL       string         `json:"base_url"`
	Version       string         `json:"version"`
	PhoneNumberID string         `json:"phone_number_id"`
	WABAID        string         `json:"waba_id"`
	Token         channel.Secret `json:"token"`
	AppSecret     channel.Secret `json:"app_secret"`
	VerifyToken   channel.Secret `json:"verify_token"`
	// Portfolio is the business portfolio that business-scoped user ids belong
	// to: the Scope of their addresses.
	Portfolio string `json:"portfolio"`
	// Throughput is the number's messages a second; 0 = 80, Meta's standard.
	Throughput float64 `json:"throughput"`
	// MarketingMessages sends marketing templates through the Marketing
	// Messages API, the only one that honours their time-to-live.
	MarketingMessages bool `json:"marketing_messages"`
	// Encryption seals the bodies of sends when present. It is an [Encryption].
	Encryption json.RawMessage `json:"encryption"`
}

// example is the configuration to start from.
const example = `{
  "//": "App dashboard > WhatsApp > API setup. Use a system user's token: a temporary one ends after a day.",
  "phone_number_id": "106540352242922",
  "waba_id": "102290129340398",
  "token": "EAAG...",
  "//app_secret": "App dashboard > App settings > Basic; proves that callbacks come from Meta",
  "app_secret": "...",
  "//verify_token": "any word of yours; give Meta the same one when you register the callback",
  "verify_token": "...",
  "portfolio": "506914307656634",
  "throughput": 80
}`

// parse reads and validates a configuration, with defaults filled in. It fails
// with *channel.ConfigError.
func parse(raw json.RawMessage) (Config, error) {
	var c Config
	if err := channel.DecodeConfig(raw, &c); err != nil {
		return c, err
	}
	if c.BaseURL == "" {
		c.BaseURL = defaultBase
	}
	c.BaseURL = strings.TrimRight(c.BaseURL, "/")
	if c.Version == "" {
		c.Version = DefaultVersion
	}
	if err := c.check(); err != nil {
		return c, err
	}
	_, err := c.ring()
	return c, err
}

func (c *Config) check() error {
	wrong := func(field, problem, remedy string) error {
		return &channel.ConfigError{Field: field, Problem: problem, Remedy: remedy}
	}
	u, err := url.Parse(c.BaseURL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return wrong("base_url", "is not a plain http(s) address", "leave it out for "+defaultBase+", or give the sandbox's address")
	}
	if !version(c.Version) {
		return wrong("version", "is not a Graph API version", "write it like "+DefaultVersion)
	}
	switch {
	case !digits(c.PhoneNumberID):
		return wrong("phone_number_id", "is missing or not a number", "copy the Phone number ID from WhatsApp > API setup (it is not the phone number)")
	case c.WABAID != "" && !digits(c.WABAID):
		return wrong("waba_id", "is not a number", "copy the WhatsApp Business Account ID from WhatsApp > API setup")
	case c.Token == "":
		return wrong("token", "is missing", "create a system user token with whatsapp_business_messaging and whatsapp_business_management")
	case !headerSafe(c.Token.Reveal()):
		return wrong("token", "contains spaces or characters no token has", "copy it again, without quotes or line breaks")
	case c.AppSecret == "":
		return wrong("app_secret", "is missing", "copy it from App settings > Basic; without it callbacks cannot be trusted")
	case c.VerifyToken == "":
		return wrong("verify_token", "is missing", "choose any word and give Meta the same one with the callback address")
	case c.Throughput < 0:
		return wrong("throughput", "is negative", "give messages a second, or 0 for Meta's standard of 80")
	}
	return nil
}

func version(s string) bool {
	major, minor, ok := strings.Cut(strings.TrimPrefix(s, "v"), ".")
	return ok && strings.HasPrefix(s, "v") && digits(major) && digits(minor)
}

func headerSafe(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// digits reports whether s is made of decimal digits, and of at least one.
func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
