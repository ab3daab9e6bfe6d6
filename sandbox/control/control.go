// Package control is the HTTP interface to the sandbox for tests, the demo and
// the console: look at handsets, make people answer, order faults, push the
// clock, read the journal.
//
// Everything is JSON; errors are {"error":"..."}. It has no authentication and
// belongs on a port that only testers reach. Start with Handler, whose comment
// lists the routes.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parley-messaging/parley/sandbox/clock"
	"github.com/parley-messaging/parley/sandbox/fault"
	"github.com/parley-messaging/parley/sandbox/handset"
	"github.com/parley-messaging/parley/sandbox/journal"
	"github.com/parley-messaging/parley/sandbox/smsc"
	"github.com/parley-messaging/parley/sandbox/whatsapp"
)

// Parts are what the interface controls.
type Parts struct {
	Clock       *clock.Clock
	Fleet       *handset.Fleet
	Faults      *fault.Book
	Journal     *journal.Journal
	WhatsApp    *whatsapp.Server
	SMSC        *smsc.Server
	SetCallback func(ctx context.Context, url, verifyToken string) error
	Advance     func(time.Duration) time.Time
	Settle      func()
	Reset       func()
}

// Handler returns the interface. Numbers are digits, a leading plus is
// tolerated.
//
//	GET  /handsets?limit=100            the configured ones and up to limit others
//	GET  /handsets/{n}                  settings, how many messages wait
//	PUT  /handsets/{n}                  name, whatsapp, internet, phone, latency,
//	                                    auto_read, read_after, opted_out, hide_number
//	GET  /handsets/{n}/inbox            what it received and wrote
//	POST /handsets/{n}/reply            see Reply -> {"id"}
//	POST /handsets/{n}/read             {"id"} or {} for all -> {"read": count}
//	GET  /journal?after=&limit=&channel=&direction=&to=   {"entries","next","lost"}
//	GET  /faults · POST /faults · DELETE /faults          orders, see FaultOrder
//	GET  /magic                         the table of magic recipients
//	GET  /clock · POST /clock/advance   {"by":"24h"} -> {"now"}
//	GET  /stats
//	POST /reset
//	GET  /templates?waba= · PUT /templates/{name}         {"language","status","waba"}
//	PUT  /callback                      {"url","verify_token"}
//	PUT  /token                         {"token"}: replaces the access token
//	POST /smsc/drop · POST /smsc/unbind {"system_id"} -> {"links": count}
func Handler(p Parts) http.Handler {
	mux := http.NewServeMux()
	for pattern, f := range map[string]func(*http.Request) (any, error){
		"GET /handsets":             p.handsets,
		"GET /handsets/{n}":         p.getHandset,
		"PUT /handsets/{n}":         p.putHandset,
		"GET /handsets/{n}/inbox":   p.inbox,
		"POST /handsets/{n}/reply":  p.reply,
		"POST /handsets/{n}/read":   p.read,
		"GET /journal":              p.journal,
		"GET /faults":               p.getFaults,
		"POST /faults":              p.postFault,
		"DELETE /faults":            p.deleteFaults,
		"GET /magic":                magic,
		"GET /clock":                p.now,
		"POST /clock/advance":       p.advance,
		"GET /stats":                p.stats,
		"POST /reset":               p.reset,
		"GET /templates":            p.templates,
		"PUT /templates/{template}": p.putTemplate,
		"PUT /callback":             p.callback,
		"PUT /token":                p.token,
		"POST /smsc/drop":           p.drop,
		"POST /smsc/unbind":         p.unbind,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			p.Settle() // who was answered before asks about what followed
			answer(w, r, f)
		})
	}
	return mux
}

// problem is an error with its HTTP status.
type problem struct {
	status int
	text   string
}

func (e *problem) Error() string { return e.text }

func bad(text string) error { return &problem{http.StatusBadRequest, text} }

func answer(w http.ResponseWriter, r *http.Request, f func(*http.Request) (any, error)) {
	v, err := f(r)
	status := http.StatusOK
	if err != nil {
		status = http.StatusUnprocessableEntity
		var p *problem
		switch {
		case errors.As(err, &p):
			status = p.status
		case errors.Is(err, whatsapp.ErrOffline), errors.Is(err, smsc.ErrOff):
			status = http.StatusConflict
		}
		v = map[string]string{"error": err.Error()}
	}
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, `{"error":"internal"}`, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the caller is gone: nothing to tell
}

// decode reads a JSON body strictly; an empty body leaves v as it is.
func decode(r *http.Request, v any) error {
	if r.ContentLength == 0 {
		return nil
	}
	d := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 16<<20))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return bad("body: " + err.Error())
	}
	return nil
}

func number(r *http.Request) (string, error) {
	n := strings.TrimPrefix(r.PathValue("n"), "+")
	if n == "" || len(n) > 20 || strings.Trim(n, "0123456789") != "" {
		return "", bad("a handset is named by the digits of its number")
	}
	return n, nil
}

func count(r *http.Request, key string, otherwise int) (int, error) {
	text := r.URL.Query().Get(key)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, bad(key + " is not a number")
	}
	return n, nil
}

// State is a handset as GET and PUT return it.
type State struct {
	handset.Settings
	Waiting int `json:"waiting"` // messages that wait for it to be reachable
}

func (p *Parts) state(n string) State { return State{p.Fleet.Get(n), p.Fleet.Waiting(n)} }

func (p *Parts) handsets(r *http.Request) (any, error) {
	limit, err := count(r, "limit", 100)
	if err != nil {
		return nil, err
	}
	list := []State{}
	for _, n := range p.Fleet.Numbers(limit) {
		list = append(list, p.state(n))
	}
	return map[string]any{"handsets": list}, nil
}

func (p *Parts) getHandset(r *http.Request) (any, error) {
	n, err := number(r)
	if err != nil {
		return nil, err
	}
	return p.state(n), nil
}

func (p *Parts) putHandset(r *http.Request) (any, error) {
	n, err := number(r)
	if err != nil {
		return nil, err
	}
	var c handset.Change
	if err := decode(r, &c); err != nil {
		return nil, err
	}
	if _, err := p.Fleet.Put(n, c); err != nil {
		return nil, err
	}
	return p.state(n), nil
}

func (p *Parts) inbox(r *http.Request) (any, error) {
	n, err := number(r)
	if err != nil {
		return nil, err
	}
	items := p.Fleet.Inbox(n)
	typing := []string{}
	for _, it := range items {
		if !slices.Contains(typing, it.From) && p.Fleet.Typing(n, it.From) {
			typing = append(typing, it.From)
		}
	}
	return map[string]any{"items": items, "typing": typing}, nil
}

func (p *Parts) read(r *http.Request) (any, error) {
	n, err := number(r)
	if err != nil {
		return nil, err
	}
	var body struct {
		ID string `json:"id"`
	}
	if err := decode(r, &body); err != nil {
		return nil, err
	}
	return map[string]int{"read": p.Fleet.Read(n, body.ID, p.Clock.Now())}, nil
}

// Reply is what a person is made to write.
type Reply struct {
	Channel string `json:"channel"` // whatsapp (default) or sms
	// To is the phone number id or number of the business, or the short code;
	// empty means who wrote last.
	To          string          `json:"to,omitempty"`
	Type        string          `json:"type,omitempty"` // see whatsapp.Inbound; empty is text or the fitting button reply
	Text        string          `json:"text,omitempty"`
	Payload     string          `json:"payload,omitempty"` // id of the pressed button or chosen row
	Title       string          `json:"title,omitempty"`
	Description string          `json:"description,omitempty"`
	Context     string          `json:"context,omitempty"`  // id of the message answered
	Content     json.RawMessage `json:"content,omitempty"`  // the type's own object, as on Meta's wire
	Referral    json.RawMessage `json:"referral,omitempty"` // the ad that brought the person
	MIME        string          `json:"mime,omitempty"`
	Filename    string          `json:"filename,omitempty"`
	Data        []byte          `json:"data,omitempty"` // base64
	NewNumber   string          `json:"new_number,omitempty"`
	// Skew moves the provider's timestamp: "-2h" plays a message that is told
	// late.
	Skew handset.Duration `json:"skew,omitempty"`
}

func (p *Parts) reply(r *http.Request) (any, error) {
	n, err := number(r)
	if err != nil {
		return nil, err
	}
	var m Reply
	if err := decode(r, &m); err != nil {
		return nil, err
	}
	at := p.Clock.Now().Add(time.Duration(m.Skew))
	var id string
	switch m.Channel {
	case "sms":
		id, err = p.SMSC.Write(smsc.Inbound{From: n, To: m.To, Text: m.Text, At: at})
	case "", "whatsapp":
		id, err = p.WhatsApp.Write(whatsapp.Inbound{
			From: n, To: m.To, Type: m.Type, Text: m.Text, Payload: m.Payload, Title: m.Title,
			Description: m.Description, Context: m.Context, Content: string(m.Content), Referral: string(m.Referral), MIME: m.MIME,
			Filename: m.Filename, Data: m.Data, NewNumber: m.NewNumber, At: at,
		})
	default:
		err = bad("channel is whatsapp or sms")
	}
	if err != nil {
		return nil, err
	}
	return map[string]string{"id": id}, nil
}
