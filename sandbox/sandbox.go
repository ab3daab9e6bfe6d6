// Package sandbox plays the providers: Meta's WhatsApp Cloud API and an
// operator's SMSC, over real sockets and in their own formats, with people
// behind them who read and answer.
//
// An adapter must not be able to tell it from the real thing. It shares no
// code with the platform except the package smpp. It is not a mock: it keeps
// time, waits, loses and repeats as providers do, orders faults by number and
// is deterministic with a seed.
//
// Start with New; the people are in the package handset, the providers in
// whatsapp and smsc, the HTTP interface for tests and for the demo in control.
//
// # Magic recipients
//
// A message to one of these numbers is played with a fault. The two digits CC
// choose the line; the number is 9990000CCnn (nn is free, belongs to no
// country) or, for number libraries that want a real one, 1AAA55501CC with the
// area code AAA 307, 406, 808 or 907 (numbers kept for fiction). "Once" means
// that every other message to the number is hit: a retry passes. The same
// table is data: [Magic].
//
//	10 throttle_once          130429 / 0x58 once
//	11 error_once             500 / 0x08 before accepting, once
//	12 error_after_accept     accepted and delivered, answered 500 / 0x08
//	13 hang_after_accept      accepted and delivered, never answered
//	14 cut_after_accept       accepted and delivered, the connection cut
//	15 receipts_twice         every receipt comes twice
//	16 receipts_reordered     read, delivered, sent; SMS: DELIVRD, ENROUTE
//	17 receipt_first          the receipts come before the answer
//	18 no_receipt             delivered, never a receipt
//	19 late                   delivered after nn seconds (5 s in the second form)
//	20 window_closed          WhatsApp: accepted, then 131047
//	21 unreachable            accepted, then 131026 / UNDELIV
//	22 template_paused        WhatsApp: 132015
//	23 capped                 WhatsApp: accepted, then 131049
//	24 opted_out              WhatsApp: accepted, then 131050
//	25 token                  WhatsApp: 401, code 190
//	26 pair_limit_once        WhatsApp: 131056 once
//	27 error_always           500 / 0x08 before accepting, always
//	28 sent_then_failed       sent, then 131026; ENROUTE, then UNDELIV
//	29 garbage_answer         accepted and delivered; empty 200 / generic_nack
//	30 spam_limit             WhatsApp: 131048
//	31 unpaid                 WhatsApp: accepted, then 131042
//	32 dropped_before_accept  the connection cut before accepting, once
//	40 sms_bad_destination    SMS: 0x0B            (40 to 49 and 60 have no
//	41 sms_throttled          SMS: 0x58, always     WhatsApp: there 131026)
//	42 sms_silent             SMS: not accepted, never answered
//	43 sms_undeliverable      SMS: UNDELIV
//	44 sms_expired            SMS: EXPIRED
//	45 sms_rejected           SMS: REJECTD
//	46 sms_deleted            SMS: DELETED
//	47 sms_unknown            SMS: UNKNOWN
//	48 sms_link_drop          SMS: the link drops before accepting, once
//	49 sms_queue_full_once    SMS: 0x14 once
//	60 sms_only               no WhatsApp, SMS works
//	61 offline                internet off: WhatsApp waits, SMS works
//	62 phone_off              phone off: both wait
package sandbox

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/parley-messaging/parley/sandbox/clock"
	"github.com/parley-messaging/parley/sandbox/control"
	"github.com/parley-messaging/parley/sandbox/fault"
	"github.com/parley-messaging/parley/sandbox/handset"
	"github.com/parley-messaging/parley/sandbox/journal"
	"github.com/parley-messaging/parley/sandbox/smsc"
	"github.com/parley-messaging/parley/sandbox/whatsapp"
)

// Options configures a Sandbox. The zero Options listens on free ports of
// 127.0.0.1 with default accounts, instant handsets and no journal file.
type Options struct {
	// Seed makes latencies and ids repeat, together with the same Now.
	Seed uint64
	// Now is the time; it is required. Sandbox.Advance adds to it for the
	// sandbox alone. A demo whose own clock can jump gives that clock here and
	// its own push as AdvanceAll, which must make Now jump and then call
	// Clock.Wake; Advance and the control API then use it.
	Now        func() time.Time
	AdvanceAll func(d time.Duration) time.Time
	Log        *slog.Logger // nil means none

	// Addresses to listen on; empty means 127.0.0.1:0. A listener, when given,
	// is used instead, may be in memory, and belongs to the Sandbox.
	WhatsAppAddr, SMPPAddr, ControlAddr             string
	WhatsAppListener, SMPPListener, ControlListener net.Listener
	SMPPTLS                                         *tls.Config // speaks TLS to the SMSC's customers

	// Callback is where WhatsApp webhooks go. It is verified by the
	// hub.challenge handshake, again and again until it succeeds or
	// SetCallback was called; webhooks wait until then.
	Callback string

	WhatsApp whatsapp.Options
	SMSC     smsc.Options
	Handsets handset.Options // Seed is overwritten

	JournalSize int    // entries kept in memory; 0 means 50,000
	JournalFile string // when set, every entry is appended as a JSON line
}

// A Sandbox is all pretend providers with their people. Its parts may be used
// directly by tests in the same process.
type Sandbox struct {
	Clock    *clock.Clock
	Handsets *handset.Fleet
	Faults   *fault.Book
	Journal  *journal.Journal
	WhatsApp *whatsapp.Server
	SMSC     *smsc.Server

	opts    Options
	log     *slog.Logger
	file    *os.File
	web     []*http.Server
	addrs   [3]net.Addr
	life    context.Context
	end     context.CancelFunc
	work    sync.WaitGroup
	stop    sync.Once
	stopErr error
	pointed chan struct{} // closed by the first successful SetCallback
	once    sync.Once
}

// Magic returns the table of magic recipients.
func Magic() []fault.Recipient { return fault.Magic() }

// New prepares a Sandbox that listens to nothing yet. Stop must be called,
// also when Start is not.
func New(o Options) (*Sandbox, error) {
	if o.Now == nil {
		return nil, errors.New("sandbox: Options.Now is required")
	}
	s := &Sandbox{opts: o, log: o.Log, Faults: &fault.Book{}, pointed: make(chan struct{})}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	size := o.JournalSize
	if size == 0 {
		size = 50_000
	}
	if o.JournalFile != "" {
		var err error
		if s.file, err = os.OpenFile(o.JournalFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
			return nil, fmt.Errorf("sandbox: journal: %w", err)
		}
		s.Journal = journal.New(size, s.file)
	} else {
		s.Journal = journal.New(size, nil)
	}
	s.life, s.end = context.WithCancel(context.Background())
	s.Clock = clock.New(o.Now)
	o.Handsets.Seed = o.Seed
	s.Handsets = handset.New(s.Clock, o.Handsets)
	var err error
	s.WhatsApp, err = whatsapp.New(o.WhatsApp, whatsapp.Parts{Clock: s.Clock, Fleet: s.Handsets, Faults: s.Faults, Journal: s.Journal, Log: s.log, Seed: o.Seed})
	if err != nil {
		s.end()
		s.Clock.Stop()
		return nil, errors.Join(err, s.closeFile())
	}
	s.SMSC = smsc.New(o.SMSC, smsc.Parts{Clock: s.Clock, Fleet: s.Handsets, Faults: s.Faults, Journal: s.Journal, Log: s.log, Seed: o.Seed + 1})
	return s, nil
}

// Start listens and returns once everything accepts connections. It may be
// called once; when it fails, Stop cleans up.
func (s *Sandbox) Start() error {
	o := &s.opts
	listeners := [3]net.Listener{o.WhatsAppListener, o.SMPPListener, o.ControlListener}
	for i, addr := range [3]string{o.WhatsAppAddr, o.SMPPAddr, o.ControlAddr} {
		if listeners[i] == nil {
			if addr == "" {
				addr = "127.0.0.1:0"
			}
			ln, err := net.Listen("tcp", addr)
			if err != nil {
				for _, open := range listeners[:i] {
					err = errors.Join(err, open.Close())
				}
				return fmt.Errorf("sandbox: listen: %w", err)
			}
			listeners[i] = ln
		}
		s.addrs[i] = listeners[i].Addr()
	}
	s.serveHTTP(listeners[0], s.WhatsApp)
	links := listeners[1]
	if o.SMPPTLS != nil {
		links = tls.NewListener(links, o.SMPPTLS)
	}
	s.work.Go(func() {
		if err := s.SMSC.Serve(links); err != nil {
			s.log.Error("smsc stopped serving", "error", err)
		}
	})
	s.serveHTTP(listeners[2], control.Handler(control.Parts{
		Clock: s.Clock, Fleet: s.Handsets, Faults: s.Faults, Journal: s.Journal,
		WhatsApp: s.WhatsApp, SMSC: s.SMSC, SetCallback: s.SetCallback, Advance: s.Advance, Settle: s.Settle, Reset: s.Reset,
	}))
	if o.Callback != "" {
		s.work.Go(func() { s.keepAsking(o.Callback) })
	}
	s.work.Go(s.keepFlushing)
	return nil
}

func (s *Sandbox) serveHTTP(ln net.Listener, h http.Handler) {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 30 * time.Second, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)}
	s.web = append(s.web, server)
	s.work.Go(func() {
		if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("sandbox stopped serving", "error", err)
		}
	})
}

// keepAsking tries the callback's handshake until it succeeds.
func (s *Sandbox) keepAsking(callback string) {
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	for {
		ctx, cancel := context.WithTimeout(s.life, 5*time.Second)
		err := s.SetCallback(ctx, callback, "")
		cancel()
		if err == nil {
			return
		}
		select {
		case <-ticker.C:
		case <-s.pointed:
			return
		case <-s.life.Done():
			return
		}
	}
}

// keepFlushing brings the journal to its file twice a second.
func (s *Sandbox) keepFlushing() {
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := s.Journal.Flush(); err != nil {
				s.log.Error("journal cannot be written", "error", err)
				return
			}
		case <-s.life.Done():
			return
		}
	}
}

// SetCallback verifies a URL by Meta's handshake and sends webhooks there from
// then on; an empty verifyToken means the configured one.
func (s *Sandbox) SetCallback(ctx context.Context, url, verifyToken string) error {
	if err := s.WhatsApp.SetCallback(ctx, url, verifyToken); err != nil {
		return err
	}
	s.once.Do(func() { close(s.pointed) })
	return nil
}

// WhatsAppURL is the base of the Graph calls, without a version.
func (s *Sandbox) WhatsAppURL() string { return "http://" + s.addrs[0].String() }

// SMPPAddr is host and port of the SMSC.
func (s *Sandbox) SMPPAddr() string { return s.addrs[1].String() }

// ControlURL is the base of the control API.
func (s *Sandbox) ControlURL() string { return "http://" + s.addrs[2].String() }

// Settle returns when every message that was answered has started on its way,
// so that inboxes of instant handsets and the journal show it.
func (s *Sandbox) Settle() {
	s.WhatsApp.Settle()
	s.SMSC.Settle()
}

// Advance pushes the sandbox's clock forward and returns when what falls due
// on the way has happened.
func (s *Sandbox) Advance(d time.Duration) time.Time {
	s.Settle()
	if s.opts.AdvanceAll != nil {
		return s.opts.AdvanceAll(d)
	}
	return s.Clock.Advance(d)
}

// Reset forgets handsets, orders, the journal's memory, waiting webhooks and
// counters. Templates, accounts, the callback and the time stay.
func (s *Sandbox) Reset() {
	s.Clock.Clear()
	s.Faults.Clear()
	s.Handsets.Reset()
	s.WhatsApp.Reset()
	s.SMSC.Reset()
	s.Journal.Reset()
}

// Stop ends everything and returns when it has ended; the journal's file is
// complete then. It is harmless twice.
func (s *Sandbox) Stop(ctx context.Context) error {
	s.stop.Do(func() {
		s.end()
		s.WhatsApp.Close()
		errs := []error{s.SMSC.Close(ctx)}
		for _, w := range s.web {
			errs = append(errs, w.Close())
		}
		s.work.Wait()
		s.Clock.Stop()
		errs = append(errs, s.Journal.Flush(), s.closeFile())
		s.stopErr = errors.Join(errs...)
	})
	return s.stopErr
}

func (s *Sandbox) closeFile() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}
