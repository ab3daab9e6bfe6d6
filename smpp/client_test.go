package smpp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"testing"
	"time"
)

// scripted is an SMSC that is nothing but octets.
func scripted(t *testing.T, play func(w *wire)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	played := make(chan struct{})
	go func() {
		defer close(played)
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		play(&wire{t, conn, NewReader(conn, 0)})
	}()
	t.Cleanup(func() {
		ln.Close()
		<-played
	})
	return ln.Addr().String()
}

func TestClientAgainstOctets(t *testing.T) {
	seen := make(chan *Request, 1)
	ready := make(chan struct{})
	addr := scripted(t, func(w *wire) {
		p := w.next()
		if b, ok := p.Body.(*Bind); !ok || b.InterfaceVersion != Version34 || b.SystemID != "esme01" {
			t.Errorf("%+v", p)
		}
		// Bind response and first message in one segment; a 5.0 SMSC.
		w.send("0000001b800000090000000000000001534d534331000210000150" + "0000003500000005000000000000000800010134393137303132333435363700030032303230000000000000000000000453544f50")
		w.expect(DeliverSMResp, StatusOK, 8)
		// A request only an ESME may make, and an unknown one.
		w.send("0000003600000004000000000000000a00050041434d45000101343931373031323334353637000000000000010000000548656c6c6f", "00000010000000990000000000000009")
		w.expect(SubmitSMResp, StatusInvalidBindState, 10)
		w.expect(GenericNack, StatusInvalidCommandID, 9)
		close(ready)
		// Three submits: answered with 5.0's congestion_state, with a nack, with a bare header.
		for range 3 {
			if p := w.next(); p.Command != SubmitSMCommand {
				t.Errorf("%+v", p)
			}
		}
		w.send("00000018800000040000000000000002" + "6100" + "0428000155" + "00")
		w.send("00000010800000000000000300000003", "00000010800000040000005800000004")
		if p := w.next(); p.Command == UnbindCommand {
			w.send("00000010800000060000000000000005")
		}
		w.expectEnd()
	})
	s, err := Dial(t.Context(), ClientConfig{Addr: addr, Bind: Bind{SystemID: "esme01"}, SessionConfig: SessionConfig{
		Handler: func(r *Request) { seen <- r },
	}})
	if err != nil {
		t.Fatal(err)
	}
	if s.PeerVersion() != Version50 {
		t.Errorf("version %x", s.PeerVersion())
	}
	req := await(t, seen)
	if m, ok := req.Body.(*DeliverSM); !ok || string(m.Text()) != "STOP" {
		t.Errorf("%+v", req.PDU)
	}
	req.Accept("")
	await(t, ready)
	answers := make(chan result, 3)
	for range 3 {
		if err := s.Submit(t.Context(), hello(), into(answers)); err != nil {
			t.Fatal(err)
		}
	}
	a := await(t, answers)
	if n, _ := a.r.TLVs.Uint(TagCongestionState); a.r.MessageID != "a" || n != 85 {
		t.Errorf("%+v", a)
	}
	if a := await(t, answers); a.r.Command != GenericNack || a.r.Err() == nil {
		t.Errorf("%+v", a)
	}
	var refused *StatusError
	if a := await(t, answers); !errors.As(a.r.Err(), &refused) || refused.Status != StatusThrottled {
		t.Errorf("%+v", a)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestOperations(t *testing.T) {
	_, addr := smsc(t, ServerConfig{SessionConfig: SessionConfig{Handler: func(r *Request) {
		switch m := r.Body.(type) {
		case *QuerySM:
			r.Respond(StatusOK, &QueryResp{MessageID: m.MessageID, State: StateDelivered})
		case *ReplaceSM:
			r.Accept("")
		default:
			r.Refuse(StatusCancelFailed)
		}
	}}})
	c := dial(t, addr, ClientConfig{Mode: BindTransmitter})
	q, err := c.Query(t.Context(), &QuerySM{MessageID: "7"})
	if err != nil || q.MessageID != "7" || q.State != StateDelivered {
		t.Errorf("%+v, %v", q, err)
	}
	if err := c.Replace(t.Context(), &ReplaceSM{MessageID: "7"}); err != nil {
		t.Error(err)
	}
	var refused *StatusError
	if err := c.Cancel(t.Context(), &CancelSM{MessageID: "7"}); !errors.As(err, &refused) || refused.Status != StatusCancelFailed {
		t.Error(err)
	}
	var bad *EncodeError
	if err := c.Submit(t.Context(), &SubmitSM{ShortMessage: make([]byte, 300)}, nil); !errors.As(err, &bad) {
		t.Error(err)
	}
	if _, err := c.Query(t.Context(), &QuerySM{MessageID: "8"}); err != nil {
		t.Errorf("after a request that could not be encoded: %v", err)
	}
}

func TestTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"smsc.example"},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	if err != nil {
		t.Fatal(err)
	}
	cfg := accepting()
	cfg.Authenticate = func(*Session, Command, *Bind) Status { return StatusOK }
	srv := NewServer(cfg)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	s, err := Dial(t.Context(), ClientConfig{Addr: ln.Addr().String(), TLS: &tls.Config{RootCAs: roots, ServerName: "smsc.example"}})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := s.SubmitWait(t.Context(), hello()); err != nil || r.MessageID != "1" {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := Dial(t.Context(), ClientConfig{Addr: ln.Addr().String(), TLS: &tls.Config{ServerName: "smsc.example"}}); err == nil {
		t.Error("an unknown certificate was trusted")
	}
	if err := srv.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := await(t, served); err != nil {
		t.Error(err)
	}
	await(t, s.Done())
}
