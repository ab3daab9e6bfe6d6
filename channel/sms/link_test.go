package sms

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"net"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/smpp"
)

func TestStatusFaults(t *testing.T) {
	vendor := map[uint32]message.FaultKind{0x0400: message.Throttled, 0x0401: message.Unreachable, 0xFF: message.Transient}
	for status, want := range map[smpp.Status]message.Fault{
		smpp.StatusThrottled:          {Kind: message.Throttled, Scope: message.ScopeConnector, RetryAfter: time.Second},
		smpp.StatusQueueFull:          {Kind: message.Throttled, Scope: message.ScopeConnector, RetryAfter: time.Second},
		smpp.StatusSystemError:        {Kind: message.Transient, Doubtful: true},
		smpp.StatusSubmitFailed:       {Kind: message.Transient, Doubtful: true},
		smpp.StatusTemporaryAppError:  {Kind: message.Transient, Doubtful: true},
		smpp.StatusInvalidBindState:   {Kind: message.Transient, Scope: message.ScopeConnector},
		smpp.StatusInvalidDestination: {Kind: message.Unreachable, Scope: message.ScopeRecipient},
		smpp.StatusInvalidSource:      {Kind: message.Misconfigured, Scope: message.ScopeSender},
		smpp.StatusProhibited:         {Kind: message.Misconfigured, Scope: message.ScopeConnector},
		smpp.StatusInvalidSystemType:  {Kind: message.Misconfigured, Scope: message.ScopeConnector},
		smpp.StatusInvalidESMClass:    {Kind: message.Refused},
		0x0400:                        {Kind: message.Throttled, Scope: message.ScopeConnector, RetryAfter: time.Second},
		0x0401:                        {Kind: message.Unreachable, Scope: message.ScopeRecipient},
		smpp.StatusUnknownError:       {Kind: message.Transient}, // the account knows better
		0x0402:                        {Kind: message.Transient, Unmapped: true, Doubtful: true},
	} {
		want.Certain = true
		got := statusFault(status, vendor)
		if diff := cmp.Diff(&want, got, cmpopts.IgnoreFields(message.Fault{}, "Code", "Title")); diff != "" {
			t.Errorf("%v: %s", status, diff)
		}
	}
	for _, info := range smpp.Statuses() {
		if f := statusFault(info.Status, nil); info.Status != smpp.StatusOK && (f.Kind == message.NoFault || f.Unmapped || !f.Certain) {
			t.Errorf("%s: %+v", info.Name, f)
		} else if wanted := info.Action == smpp.ActionRetry && info.Status != smpp.StatusServiceTypeUnavailable; f.Doubtful != wanted {
			t.Errorf("%s: doubtful %v", info.Name, f.Doubtful)
		}
	}
}

func TestBindRefused(t *testing.T) {
	var good atomic.Bool
	srv := serve(t, smpp.ServerConfig{Authenticate: func(*smpp.Session, smpp.Command, *smpp.Bind) smpp.Status {
		if good.Load() {
			return smpp.StatusOK
		}
		return smpp.StatusInvalidPassword
	}})
	c := open(t, config(srv, nil))
	s := run(t, c, 0)
	h := await(t, s.health)
	if h.Up || h.Fault == nil || h.Fault.Kind != message.Misconfigured || h.Fault.Code != "0x0000000E" || strings.Contains(h.Fault.Error(), "secret") {
		t.Errorf("%+v %v", h, h.Fault)
	}
	_, err := c.Send(t.Context(), outbound("x"))
	if f := fault(t, err); !f.Certain || f.Kind != message.Transient || f.Code != "not_ready" {
		t.Errorf("%+v", f)
	}
	if c.Ready() {
		t.Error("ready without a link")
	}
	for _, f := range c.Probe(t.Context()) {
		if f.OK || f.Remedy == "" {
			t.Errorf("%+v", f)
		}
	}
	good.Store(true)
	for h := await(t, s.health); !h.Up; h = await(t, s.health) {
	}
	if findings := c.Probe(t.Context()); !findings[0].OK || !c.Ready() {
		t.Errorf("%+v", findings)
	}
}

func TestReconnects(t *testing.T) {
	srv := serve(t, smpp.ServerConfig{})
	c := open(t, config(srv, map[string]any{"binds": 2, "bind": "transmitter+receiver"}))
	s := run(t, c, 4)
	modes := map[smpp.Command]int{}
	for _, session := range srv.Sessions() {
		modes[session.Mode()]++
		if session.Mode() == smpp.BindTransmitter {
			session.Cut()
		}
	}
	if diff := cmp.Diff(map[smpp.Command]int{smpp.BindTransmitter: 2, smpp.BindReceiver: 2}, modes); diff != "" {
		t.Error(diff)
	}
	least := channel.Health{Links: 4}
	for h := await(t, s.health); h.Links < 4; h = await(t, s.health) {
		if h.Links < least.Links {
			least = h
		}
	}
	if least.Links > 3 || !least.Up || least.Detail == "" {
		t.Errorf("%+v", least)
	}
	out := send(c, outbound("x"))
	await(t, srv.reqs).Accept("1")
	if a := await(t, out); a.err != nil {
		t.Error(a.err)
	}
}

func TestOnePersonOneLink(t *testing.T) {
	srv := serve(t, smpp.ServerConfig{})
	c := open(t, config(srv, map[string]any{"binds": 4}))
	run(t, c, 4)
	links := map[*smpp.Session]int{}
	for i := range 12 {
		m := outbound("x")
		m.To.ID = "+4917012345" + string(rune('0'+i/3)) + "7"
		out := send(c, m)
		r := await(t, srv.reqs)
		if i%3 == 0 {
			links[r.Session]++
		} else if links[r.Session] == 0 {
			t.Error("one person over two links")
		}
		r.Accept("1")
		await(t, out)
	}
	if len(links) < 2 {
		t.Error("every person over one link")
	}
}

func TestSomePartsTaken(t *testing.T) {
	srv := serve(t, smpp.ServerConfig{})
	c := open(t, config(srv, nil))
	run(t, c, 1)
	for _, test := range []struct {
		status  []smpp.Status
		kind    message.FaultKind
		certain bool
		parts   []string
	}{
		{[]smpp.Status{0, smpp.StatusThrottled, 0}, message.Throttled, false, []string{"id0", "id2"}},
		{[]smpp.Status{smpp.StatusThrottled, smpp.StatusThrottled, smpp.StatusThrottled}, message.Throttled, true, nil},
		{[]smpp.Status{smpp.StatusInvalidDestination, smpp.StatusInvalidDestination, smpp.StatusInvalidDestination}, message.Unreachable, true, nil},
	} {
		out := send(c, outbound(words(60)))
		for i, status := range test.status {
			r := await(t, srv.reqs)
			if status != 0 {
				r.Refuse(status)
				continue
			}
			r.Accept("id" + string(rune('0'+i)))
		}
		got := await(t, out)
		f := fault(t, got.err)
		if f.Kind != test.kind || f.Certain != test.certain {
			t.Errorf("%v: %+v", test.status, f)
		}
		if diff := cmp.Diff(test.parts, got.accepted.Parts); diff != "" {
			t.Error(diff)
		}
	}
}

// An answer that comes too late settles what was held for unknown.
func TestLateAnswers(t *testing.T) {
	srv := serve(t, smpp.ServerConfig{})
	c := open(t, config(srv, map[string]any{"response_timeout_seconds": 0.05}))
	s := run(t, c, 1)
	out := send(c, outbound("x"))
	r := await(t, srv.reqs)
	f := fault(t, await(t, out).err)
	if f.Certain || f.Code != "timeout" || f.Kind != message.Transient {
		t.Errorf("%+v", f)
	}
	r.Accept("late")
	want := &message.Receipt{ID: "late", Echo: "echo-1", Status: message.ReceiptSent}
	if diff := cmp.Diff(message.Event(want), await(t, s.events)); diff != "" {
		t.Error(diff)
	}

	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() {
		_, err := c.Send(ctx, outbound("y"))
		stopped <- err
	}()
	r = await(t, srv.reqs)
	cancel()
	if f := fault(t, await(t, stopped)); f.Certain || f.Code != "stopped" || !errors.Is(f, context.Canceled) {
		t.Errorf("%+v", f)
	}
	r.Refuse(smpp.StatusInvalidDestination)
	got := await(t, s.events).(*message.Receipt)
	if got.Status != message.ReceiptFailed || got.Fault.Kind != message.Unreachable || got.Echo != "echo-1" {
		t.Errorf("%+v", got)
	}
}

func TestWrongStateRebinds(t *testing.T) {
	srv := serve(t, smpp.ServerConfig{})
	c := open(t, config(srv, nil))
	run(t, c, 1)
	first := await(t, srv.news)
	out := send(c, outbound("x"))
	await(t, srv.reqs).Refuse(smpp.StatusInvalidBindState)
	if f := fault(t, await(t, out).err); !f.Certain || f.Kind != message.Transient {
		t.Errorf("%+v", f)
	}
	if second := await(t, srv.news); second == first {
		t.Error("the same session")
	}
}

func TestReceiptParts(t *testing.T) {
	for setting, want := range map[string][]string{"all": {"1", "2", "3"}, "first": {"1"}, "last": {"3"}} {
		srv := serve(t, smpp.ServerConfig{})
		c := open(t, config(srv, map[string]any{"receipt_parts": setting}))
		run(t, c, 1)
		out := send(c, outbound(words(60)))
		for i := range 3 {
			await(t, srv.reqs).Accept(string(rune('1' + i)))
		}
		if diff := cmp.Diff(want, await(t, out).accepted.Parts); diff != "" {
			t.Errorf("%s: %s", setting, diff)
		}
	}
}

func TestTLS(t *testing.T) {
	web := httptest.NewUnstartedServer(nil)
	web.StartTLS()
	defer web.Close()
	srv := serve(t, smpp.ServerConfig{})
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: web.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	defer func() {
		_ = ln.Close()
		<-served
	}()
	srv.port = ln.Addr().(*net.TCPAddr).Port
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}))
	t.Run("trusted", func(t *testing.T) {
		c := open(t, config(srv, map[string]any{"tls": map[string]string{"ca": ca}}))
		run(t, c, 1)
		if f := c.Probe(t.Context()); !f[0].OK || !f[1].OK {
			t.Errorf("%+v", f)
		}
	})
	t.Run("not trusted", func(t *testing.T) {
		c := open(t, config(srv, map[string]any{"tls": map[string]string{}}))
		s := run(t, c, 0)
		if h := await(t, s.health); h.Up || h.Fault == nil || h.Fault.Kind != message.Misconfigured || h.Fault.Code != "tls" {
			t.Errorf("%+v", h)
		}
	})
}

func TestThroughputCountsParts(t *testing.T) {
	srv := serve(t, smpp.ServerConfig{SessionConfig: smpp.SessionConfig{Handler: func(r *smpp.Request) { r.Accept("1") }}})
	c := open(t, config(srv, map[string]any{"throughput": 100}))
	run(t, c, 1)
	begin := time.Now()
	for range 6 {
		if _, err := c.Send(t.Context(), outbound(words(60))); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(begin); took < 70*time.Millisecond {
		t.Errorf("18 parts at 100 a second, 10 at once, took %v", took)
	}
	if l := c.Limits(); l.PerSecond != 100 || l.Concurrent != 10 {
		t.Errorf("%+v", l)
	}
}
