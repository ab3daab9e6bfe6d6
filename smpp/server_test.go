package smpp

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// wire is a peer that knows nothing but octets.
type wire struct {
	tb   testing.TB
	conn net.Conn
	r    *Reader
}

func rawDial(tb testing.TB, addr string) *wire {
	tb.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		tb.Fatal(err)
	}
	return &wire{tb, conn, NewReader(conn, 0)}
}

func (w *wire) send(hexes ...string) {
	w.tb.Helper()
	for _, h := range hexes {
		if _, err := w.conn.Write(unhex(w.tb, h)); err != nil {
			w.tb.Fatal(err)
		}
	}
}

func (w *wire) next() PDU {
	w.tb.Helper()
	b, err := w.r.Next()
	if err != nil {
		w.tb.Fatal(err)
	}
	p, err := Decode(bytes.Clone(b))
	if err != nil {
		w.tb.Fatal(err)
	}
	return p
}

func (w *wire) expect(c Command, s Status, seq uint32) {
	w.tb.Helper()
	if p := w.next(); p.Command != c || p.Status != s || p.Sequence != seq {
		w.tb.Fatalf("%v %v %d, want %v %v %d", p.Command, p.Status, p.Sequence, c, s, seq)
	}
}

func (w *wire) expectEnd() {
	w.tb.Helper()
	if b, err := w.r.Next(); !errors.Is(err, io.EOF) {
		w.tb.Fatalf("%x, %v, want the end", b, err)
	}
}

const (
	bindTRX      = "0000002300000009000000000000000165736d65303100736563726574000034000000"
	bindRX       = "0000002300000001000000000000000165736d65303100736563726574000034000000"
	enquireSeq77 = "0000001000000015000000000000004d"
	submitSeq10  = "0000003600000004000000000000000a00050041434d45000101343931373031323334353637000000000000010000000548656c6c6f"
)

func accepting() ServerConfig {
	return ServerConfig{SystemID: "SMSC1", SessionConfig: SessionConfig{Handler: func(r *Request) { r.Accept("1") }}}
}

func TestServerReactsToMalformedVectors(t *testing.T) {
	_, addr := smsc(t, accepting())
	want := map[string]PDU{
		"bad-len-15":              {Command: GenericNack, Status: StatusInvalidCommandLength},
		"bad-len-huge":            {Command: GenericNack, Status: StatusInvalidCommandLength},
		"bad-cmd-unknown":         {Command: GenericNack, Status: StatusInvalidCommandID, Sequence: 9},
		"bad-no-nul":              {Command: SubmitSMResp, Status: StatusInvalidSource, Sequence: 0x46},
		"bad-src-too-long":        {Command: SubmitSMResp, Status: StatusInvalidSource, Sequence: 0x46},
		"bad-sm-length-over":      {Command: SubmitSMResp, Status: StatusInvalidMessageLength, Sequence: 0x46},
		"bad-tlv-truncated":       {Command: SubmitSMResp, Status: StatusInvalidTLVStream, Sequence: 0x46},
		"bad-tlv-overrun":         {Command: SubmitSMResp, Status: StatusInvalidTLVStream, Sequence: 0x46},
		"bad-tlv-wrong-size":      {Command: SubmitSMResp, Status: StatusInvalidTLVLength, Sequence: 0x46},
		"bad-sm-and-payload":      {Command: SubmitSMResp, Status: StatusInvalidMessageLength, Sequence: 0x46},
		"bad-udh-overrun":         {Command: SubmitSMResp, Sequence: 0x46}, // opaque to an SMSC
		"bad-bind-sysid-too-long": {Command: BindTransceiverResp, Status: StatusInvalidSystemID, Sequence: 1},
	}
	for _, v := range vectors(t, "malformed") {
		t.Run(v.ID, func(t *testing.T) {
			w := rawDial(t, addr)
			if v.ID == "bad-bind-sysid-too-long" {
				w.send(v.Hex)
				w.expect(BindTransceiverResp, StatusInvalidSystemID, 1)
				w.expectEnd()
				return
			}
			w.send(bindTRX)
			w.expect(BindTransceiverResp, StatusOK, 1)
			w.send(v.Hex)
			if p, ok := want[v.ID]; ok { // the response to nothing gets no reaction
				w.expect(p.Command, p.Status, p.Sequence)
			}
			if want[v.ID].Status == StatusInvalidCommandLength {
				w.expectEnd()
				return
			}
			w.send(enquireSeq77)
			w.expect(EnquireLinkResp, StatusOK, 77)
		})
	}
}

func TestServerFramingVectors(t *testing.T) {
	_, addr := smsc(t, accepting())
	for _, v := range vectors(t, "framing") {
		t.Run(v.ID, func(t *testing.T) {
			w := rawDial(t, addr)
			w.send(bindTRX)
			w.expect(BindTransceiverResp, StatusOK, 1)
			w.send(v.Chunks...)
			switch v.ID {
			case "frame-two-in-one":
				w.expect(EnquireLinkResp, StatusOK, 1)
				w.expect(EnquireLinkResp, StatusOK, 2)
			case "frame-byte-by-byte":
				w.expect(EnquireLinkResp, StatusOK, 1)
			case "frame-split-in-header":
				w.expect(SubmitSMResp, StatusOK, 10)
			default:
				t.Fatal("unknown vector")
			}
		})
	}
}

func TestServerStates(t *testing.T) {
	_, addr := smsc(t, accepting())
	w := rawDial(t, addr)
	w.send(submitSeq10)
	w.expect(SubmitSMResp, StatusInvalidBindState, 10)
	w.send(bindRX)
	w.expect(BindReceiverResp, StatusOK, 1)
	w.send(submitSeq10)
	w.expect(SubmitSMResp, StatusInvalidBindState, 10)
	w.send(bindTRX)
	w.expect(BindTransceiverResp, StatusAlreadyBound, 1)
	w.send("00000010000000060000000000000065")
	w.expect(UnbindResp, StatusOK, 0x65)
	w.expectEnd()
}

func TestBindResponseForms(t *testing.T) {
	_, addr := smsc(t, ServerConfig{SystemID: "SMSC1", Authenticate: func(_ *Session, _ Command, b *Bind) Status {
		if b.SystemID == "bad" {
			return StatusInvalidSystemID
		}
		return StatusOK
	}})
	for name, c := range map[string]struct{ bind, want string }{
		"3.4":     {bindTRX, "0000001b800000090000000000000001534d534331000210000134"},
		"3.3":     {"0000002300000009000000000000000165736d65303100736563726574000033000000", "00000016800000090000000000000001534d53433100"},
		"refused": {"0000001a000000090000000000000001626164000000340000" + "00", "00000011800000090000000f0000000100"},
	} {
		t.Run(name, func(t *testing.T) {
			w := rawDial(t, addr)
			w.send(c.bind)
			b, err := w.r.Next()
			if err != nil || hex.EncodeToString(b) != c.want {
				t.Errorf("%x, %v, want %s", b, err, c.want)
			}
		})
	}
}

func TestInboundWindowIsABound(t *testing.T) {
	reqs := make(chan *Request, 3)
	_, addr := smsc(t, ServerConfig{SessionConfig: SessionConfig{InboundWindow: 1, Handler: func(r *Request) { reqs <- r }}})
	w := rawDial(t, addr)
	w.send(bindTRX)
	w.expect(BindTransceiverResp, StatusOK, 1)
	w.send(submitSeq10, submitSeq10)
	w.expect(SubmitSMResp, StatusThrottled, 10)
	w.send(enquireSeq77)
	w.expect(EnquireLinkResp, StatusOK, 77)
	if err := await(t, reqs).Accept("1"); err != nil {
		t.Fatal(err)
	}
	w.expect(SubmitSMResp, StatusOK, 10)
	w.send(submitSeq10)
	await(t, reqs).Drop()
	w.send(submitSeq10)
	await(t, reqs).Accept("2")
	w.expect(SubmitSMResp, StatusOK, 10)
}

func TestWriteRaw(t *testing.T) {
	srv, addr := smsc(t, accepting())
	w := rawDial(t, addr)
	w.send(bindTRX)
	w.expect(BindTransceiverResp, StatusOK, 1)
	if err := srv.Sessions()[0].WriteRaw(unhex(t, enquireSeq77)); err != nil {
		t.Fatal(err)
	}
	w.expect(EnquireLink, StatusOK, 77)
}
