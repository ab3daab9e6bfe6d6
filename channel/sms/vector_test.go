package sms

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/smpp"
)

var update = flag.Bool("update", false, "write the wanted parts of the vectors anew")

// noon is the clock of the vectors.
func noon() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }

// An input is the message of an outbound vector.
type input struct {
	To       string               `json:"to"`
	From     string               `json:"from"`
	Purpose  message.Purpose      `json:"purpose"`
	Content  message.Content      `json:"content"`
	Template *message.TemplateUse `json:"template"`
	Body     string               `json:"body"` // registered, of Template
	ValidFor float64              `json:"valid_for_seconds"`
}

func (in *input) outbound() *message.Outbound {
	m := &message.Outbound{
		To: message.Address{Channel: message.Phone, ID: in.To}, From: message.Sender{Channel: message.SMS, Address: in.From},
		Purpose: in.Purpose, Priority: in.Purpose.Priority(), Content: in.Content, Template: in.Template,
		ValidFor: time.Duration(in.ValidFor * float64(time.Second)),
	}
	if m.Template != nil {
		m.Template.Body = in.Body
	}
	return m
}

// vector opens a connector by the config section of an archive.
func vector(t testing.TB, a *txtar.Archive) *Connector {
	t.Helper()
	more := map[string]any{}
	if raw := section(a, "config"); len(raw) > 0 {
		if err := json.Unmarshal(raw, &more); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Open(config(&smsc{host: "smsc.example.net"}, more), channel.Env{Now: noon})
	if err != nil {
		t.Fatal(err)
	}
	c.ref.Store(0)
	return c
}

func section(a *txtar.Archive, name string) []byte {
	for _, f := range a.Files {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

// TestVectors holds testdata: our message and the exact octets it becomes, the
// SMSC's octets and the event they become, content and how it is rendered.
func TestVectors(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d vectors, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			switch {
			case section(a, "message") != nil:
				got = outboundVector(t, a)
			case section(a, "pdu") != nil:
				got = inboundVector(t, a)
			}
			if *update {
				kept := a.Files[:0]
				for _, f := range a.Files {
					if f.Name != "want" {
						kept = append(kept, f)
					}
				}
				a.Files = append(kept, txtar.File{Name: "want", Data: []byte(got)})
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(section(a, "want")), got); diff != "" {
				t.Error(diff)
			}
			if strings.Contains(got, hex.EncodeToString([]byte("secret"))) || strings.Contains(got, "secret") {
				t.Error("a secret is in the output")
			}
		})
	}
}

func outboundVector(t *testing.T, a *txtar.Archive) string {
	var in input
	if err := json.Unmarshal(section(a, "message"), &in); err != nil {
		t.Fatal(err)
	}
	c := vector(t, a)
	var b strings.Builder
	r, err := c.Preview(&in.Content, in.outbound().Template, in.Purpose)
	if err == nil {
		fmt.Fprintf(&b, "preview %s %d %q\n", r.Encoding, r.Segments, r.Text)
		for _, change := range r.Changes {
			fmt.Fprintf(&b, "change %s %s: %s\n", change.Field, change.Level, change.Detail)
		}
		if s := r.Saving; s != nil {
			fmt.Fprintf(&b, "saving %s %d %q: %s\n", s.Encoding, s.Segments, s.Text, s.Detail)
		}
	}
	parts, err := c.encode(in.outbound())
	if err != nil {
		f := fault(t, err)
		if !f.Certain {
			t.Error("an uncertain fault before anything was sent")
		}
		fmt.Fprintf(&b, "fault %v %v %v\n", f.Kind, f.Scope, f)
		return b.String()
	}
	for i := range parts {
		pdu, err := (&smpp.PDU{Command: smpp.SubmitSMCommand, Sequence: uint32(i + 1), Body: &parts[i]}).Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%x\n", pdu)
	}
	return b.String()
}

func inboundVector(t *testing.T, a *txtar.Archive) string {
	c := vector(t, a)
	var b strings.Builder
	for line := range bytes.Lines(section(a, "pdu")) {
		raw, err := hex.DecodeString(strings.TrimSpace(string(line)))
		if err != nil {
			t.Fatal(err)
		}
		switch e := read(t, c, raw).(type) {
		case *message.Receipt:
			fmt.Fprintf(&b, "receipt %v\nid %q %q\nto %s %s\nfrom %q\ntext %q\n", e.Status, e.ID, e.Alt, e.To.Channel, e.To.ID, e.From, e.Text)
			if f := e.Fault; f != nil {
				fmt.Fprintf(&b, "fault %v %v certain=%v unmapped=%v %q %q\n", f.Kind, f.Scope, f.Certain, f.Unmapped, f.Code, f.Title)
			}
		case *message.Inbound:
			fmt.Fprintf(&b, "inbound %s\nid %q\nfrom %s %s\nto %q\nat %v\ntext %q\nraw %s\n", e.Type, e.ID, e.From.Channel, e.From.ID, e.To, e.At, e.Content.Text, e.Raw)
		default:
			t.Errorf("no event: %x", raw)
		}
	}
	return b.String()
}

// read gives what one PDU says, without a session.
func read(tb testing.TB, c *Connector, raw []byte) message.Event {
	pdu, err := smpp.Decode(raw)
	if err != nil {
		return nil
	}
	d, ok := pdu.Body.(*smpp.DeliverSM)
	if !ok {
		return nil
	}
	if r, ok := d.Receipt(); ok {
		return c.receipt(d, &r)
	}
	p := dissect(d)
	pieces := []piece{p}
	if p.total > 1 {
		pieces = make([]piece, p.total)
		pieces[p.number-1] = p
	}
	return c.inbound(d, c.twins.find(d, &bind{}).id, pieces, false)
}

// Whatever an SMSC sends becomes text that stores take, and never a panic.
func FuzzDeliver(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for line := range bytes.Lines(section(a, "pdu")) {
			if raw, err := hex.DecodeString(strings.TrimSpace(string(line))); err == nil {
				f.Add(raw)
			}
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c := vector(t, &txtar.Archive{})
		good := func(texts ...string) {
			for _, s := range texts {
				if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
					t.Errorf("%q", s)
				}
			}
		}
		switch e := read(t, c, raw).(type) {
		case *message.Receipt:
			good(append(e.Alt, e.ID, e.Text, e.To.ID, e.From)...)
			if e.Status == 0 {
				t.Error("no status")
			}
			if e.Fault != nil {
				good(e.Fault.Code, e.Fault.Title)
			}
		case *message.Inbound:
			good(e.ID, e.Content.Text, e.From.ID, e.To)
			if e.ID == "" || e.Raw != nil && !json.Valid(e.Raw) {
				t.Errorf("%+v", e)
			}
		}
	})
}

// The priority flag follows the purpose; the validity period is whole seconds,
// relative while that can say it and absolute beyond.
func TestPriorityAndValidity(t *testing.T) {
	c := open(t, config(&smsc{host: "h"}, nil))
	plain := open(t, config(&smsc{host: "h"}, map[string]any{"priority": "none"}))
	for purpose, want := range map[message.Purpose]uint8{message.Authentication: 3, message.Service: 2, message.Utility: 1, message.Marketing: 0} {
		m := outbound("x")
		m.Purpose, m.Priority = purpose, purpose.Priority()
		for c, want := range map[*Connector]uint8{c: want, plain: 0} {
			parts, err := c.encode(m)
			if err != nil || parts[0].Priority != want {
				t.Errorf("%s: %d, want %d (%v)", purpose, parts[0].Priority, want, err)
			}
		}
	}
	for d, want := range map[time.Duration]string{
		0: "", -time.Second: "", time.Millisecond: "000000000001000R", 90 * time.Second: "000000000130000R",
		48 * time.Hour: "000002000000000R", 30 * 24 * time.Hour: "000030000000000R", 45 * 24 * time.Hour: "270106120000000+",
	} {
		got := validity(d, noon)
		if got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
		if at, err := smpp.ParseTime(got, noon()); got != "" && (err != nil || at.Sub(noon()).Round(time.Second) != max(d, time.Second).Round(time.Second)) {
			t.Errorf("%v reads %v, %v", d, at, err)
		}
	}
}
