package app_test

import (
	"errors"
	"testing"

	"github.com/parley-messaging/parley/app"
)

// TestBadOptions: each names its flag and a remedy.
func TestBadOptions(t *testing.T) {
	for _, c := range []struct {
		flag string
		bad  func(*app.Options)
	}{
		{"", func(*app.Options) {}},
		{"", func(o *app.Options) { o.Intake = 1024 }},
		{"listen", func(o *app.Options) { o.Listen = "8080" }},
		{"admin-listen", func(o *app.Options) { o.AdminListen = "no" }},
		{"database-url", func(o *app.Options) { o.DatabaseURL = "mysql://x" }},
		{"public", func(o *app.Options) { o.Public = "parley.example" }},
		{"webhook-allow", func(o *app.Options) { o.WebhookAllow = []string{"10.0.0.1"} }},
		{"intake", func(o *app.Options) { o.Intake = -1 }},
	} {
		o := app.Options{Listen: "127.0.0.1:0", AdminListen: "none", DataDir: t.TempDir()}.WithDefaults()
		c.bad(&o)
		err := o.Validate()
		var bad *app.OptionError
		switch {
		case c.flag == "" && err != nil:
			t.Errorf("good options are refused: %v", err)
		case c.flag != "" && (!errors.As(err, &bad) || bad.Option != c.flag || bad.Remedy == ""):
			t.Errorf("%s: %v", c.flag, err)
		}
	}
}
