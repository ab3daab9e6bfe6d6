package durability

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parley-messaging/parley/internal/pgtest"
	"github.com/parley-messaging/parley/smpp"
	"github.com/parley-messaging/parley/store/postgres"
	"github.com/parley-messaging/parley/test/internal/rig"
)

// data gives the bytes that a read or write moved, and which socket or file it
// was about. strace writes a C string.
func (c *call) data() (file string, b []byte) {
	file, rest, _ := strings.Cut(c.args, ", \"")
	end := strings.LastIndexByte(rest, '"')
	if end < 0 {
		return file, nil
	}
	for s := rest[:end]; s != ""; {
		if s[0] != '\\' || len(s) == 1 {
			b, s = append(b, s[0]), s[1:]
			continue
		}
		if i := strings.IndexByte(`ntrvf"\`, s[1]); i >= 0 {
			b, s = append(b, "\n\t\r\v\f\"\\"[i]), s[2:]
			continue
		}
		n := 1
		for n < 4 && n < len(s) && s[n] >= '0' && s[n] <= '7' {
			n++
		}
		v, _ := strconv.ParseUint(s[1:n], 8, 8)
		b, s = append(b, byte(v)), s[n:]
	}
	return file, b
}

// A pdu is one that passed a socket, and the call that moved its last octet.
type pdu struct {
	command, status, sequence uint32
	by                        *call
}

// pdus reads the SMPP that the calls of one name moved on each socket to or
// from an address.
func pdus(calls []*call, name string, sockets map[string]bool) map[string][]pdu {
	streams, found := map[string][]byte{}, map[string][]pdu{}
	for _, c := range calls {
		file, b := c.data()
		if c.name != name || c.failed || !sockets[file] {
			continue
		}
		s := append(streams[file], b...)
		for len(s) >= 16 {
			n := int(binary.BigEndian.Uint32(s))
			if n < 16 || n > len(s) {
				break
			}
			found[file] = append(found[file], pdu{binary.BigEndian.Uint32(s[4:]), binary.BigEndian.Uint32(s[8:]), binary.BigEndian.Uint32(s[12:]), c})
			s = s[n:]
		}
		streams[file] = s
	}
	return found
}

// binds gives the sockets on which a bind was sent.
func binds(calls []*call) map[string]bool {
	sockets := map[string]bool{}
	for _, c := range calls {
		if file, b := c.data(); c.name == "write" && len(b) >= 16 {
			switch smpp.Command(binary.BigEndian.Uint32(b[4:])) {
			case smpp.BindTransceiver, smpp.BindReceiver, smpp.BindTransmitter:
				sockets[file] = true
			}
		}
	}
	return sockets
}

// An exchange is what was read on a socket until something was written on it,
// and the first of what was written.
type exchange struct {
	request, answer string
	asked, answered *call // the last read, the first write
}

// exchanges reads the HTTP that passed each socket. A request may come in
// several reads: net/http waits for the next one with a read of a single octet,
// which is there in time when a client is quick after an answer.
func exchanges(calls []*call) []exchange {
	// A read counts when it ended (it may have waited), a write when it began.
	when := func(c *call) float64 {
		if c.name == "read" {
			return c.ended
		}
		return c.began
	}
	calls = slices.DeleteFunc(slices.Clone(calls), func(c *call) bool {
		return c.failed || c.ended == 0 || c.name != "read" && c.name != "write"
	})
	slices.SortStableFunc(calls, func(a, b *call) int { return cmp.Compare(when(a), when(b)) })
	open := map[string]*exchange{}
	var list []exchange
	for _, c := range calls {
		file, b := c.data()
		switch ex := open[file]; {
		case c.name == "read" && ex == nil:
			open[file] = &exchange{request: string(b), asked: c}
		case c.name == "read":
			ex.request, ex.asked = ex.request+string(b), c
		case ex != nil:
			ex.answer, ex.answered = string(b), c
			list = append(list, *ex)
			delete(open, file)
		}
	}
	return list
}

// TestExchanges: requests in one read and in two, on two sockets, a read that
// waits while the answer before leaves.
func TestExchanges(t *testing.T) {
	list := exchanges([]*call{
		{began: 1, ended: 1.1, name: "read", args: `8<socket:[1]>, "POST /a", 4096`},
		{began: 1, ended: 1.2, name: "read", args: `9<socket:[2]>, "POST /b", 4096`},
		{began: 1.3, ended: 2.2, name: "read", args: `9<socket:[2]>, "P", 1`},
		{began: 2, ended: 2.1, name: "write", args: `8<socket:[1]>, "200 a", 5`},
		{began: 2, ended: 2.1, name: "write", args: `9<socket:[2]>, "200 b", 5`},
		{began: 3, ended: 3.1, name: "read", args: `9<socket:[2]>, "OST /c", 4096`},
		{began: 4, ended: 4.1, name: "write", args: `9<socket:[2]>, "200 c", 5`},
		{began: 5, ended: 5.1, name: "write", args: `9<socket:[2]>, "more of c", 9`},
		{began: 5, ended: 5.1, name: "read", args: `8<socket:[1]>, "POST /never answered", 4096`},
	})
	var got []string
	for _, ex := range list {
		got = append(got, ex.request+" "+ex.answer)
	}
	if want := []string{"POST /a 200 a", "POST /b 200 b", "POST /c 200 c"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestProvidersHearAfterTheFlush: what providers bring by callback (messages,
// receipts) and over SMPP (the same) is flushed before they hear that we have
// it: 200, and deliver_sm_resp with status 0.
func TestProvidersHearAfterTheFlush(t *testing.T) {
	w := rig.NewWorld(t, program, "")
	n := w.Node("one")
	key := n.FirstKey()
	n.Start()
	n.Up(30 * time.Second)
	n.Seed(key, "", nil)
	n.Terminate(t, 30*time.Second)
	trace := watch(t, n)

	const people = 5
	for i := range people {
		for _, body := range []map[string]any{
			{"channel": "whatsapp", "text": fmt.Sprintf("by callback %d", i)},
			{"channel": "sms", "to": rig.ShortCode, "text": fmt.Sprintf("by deliver_sm %d", i)},
		} {
			w.Control.Must(t, "POST", fmt.Sprintf("/handsets/3370000000%d/reply", i), body, nil)
		}
	}
	for i := range people {
		n.API.Must(t, "POST", "/v1/messages", map[string]any{
			"to": fmt.Sprintf("+3362000010%d", i), "purpose": "utility", "content": map[string]any{"text": "receipts, please"}, "route": []any{map[string]any{"channel": "sms"}},
		}, nil)
	}
	type list struct{ Data []struct{ State string } }
	rig.Eventually(t, "everything arrived", 60*time.Second, func() bool {
		var in, out list
		n.API.Must(t, "GET", "/v1/messages?direction=inbound&limit=50", nil, &in)
		n.API.Must(t, "GET", "/v1/messages?direction=outbound&limit=50", nil, &out)
		delivered := 0
		for _, m := range out.Data {
			if m.State == "delivered" {
				delivered++
			}
		}
		return len(in.Data) == 2*people && delivered == people
	})
	stop(t, n)

	calls := read(t, trace)
	callbacks := 0
	for _, ex := range exchanges(calls) {
		if !strings.HasPrefix(ex.request, "POST /callbacks/") || !strings.HasPrefix(ex.answer, "HTTP/1.1 200 ") {
			continue
		}
		callbacks++
		if why := flushed(calls, sqliteLog, ex.asked, ex.answered); why != nil {
			t.Errorf("a callback: %v", why)
		}
	}
	if callbacks < people {
		t.Errorf("%d callbacks are in the trace, of %d at least", callbacks, people)
	}

	sockets := binds(calls)
	came, answered := pdus(calls, "read", sockets), pdus(calls, "write", sockets)
	delivers := 0
	for socket, list := range came {
		for _, in := range list {
			if smpp.Command(in.command) != smpp.DeliverSMCommand {
				continue
			}
			for _, out := range answered[socket] {
				if smpp.Command(out.command) != smpp.DeliverSMResp || out.sequence != in.sequence || out.status != 0 {
					continue
				}
				delivers++
				if why := flushed(calls, sqliteLog, in.by, out.by); why != nil {
					t.Errorf("a deliver_sm: %v", why)
				}
			}
		}
	}
	if delivers < 2*people {
		t.Errorf("%d deliver_sm and their answers are in the trace, of %d at least", delivers, 2*people)
	}
}

// TestFlushBeforeAnswerOnPostgres: between the coming of each request and the
// leaving of its 202, some process of the server has written its WAL and
// flushed it.
func TestFlushBeforeAnswerOnPostgres(t *testing.T) {
	pg := pgtest.Start(t, func(ctx context.Context, url string) error {
		_, _, err := postgres.Migrate(ctx, url)
		return err
	})
	database := pg.Database(t)
	w := rig.NewWorld(t, program, database)
	n := w.Node("one")
	key := n.FirstKey()
	n.Start()
	n.Up(30 * time.Second)
	n.Seed(key, "", nil)
	n.Terminate(t, 30*time.Second)
	pg.Stop(false)
	beneath := filepath.Join(pg.Dir(), "trace")
	pg.Under(tracer(t), "-D", "-f", "-ttt", "-T", "-y", "-s", "0", "-o", beneath, "-e", "trace=pwrite64,pwritev,write,fsync,fdatasync")
	if err := pg.Launch(); err != nil {
		t.Fatal(err)
	}
	trace := watch(t, n)
	ask(t, n)
	stop(t, n)
	pg.Stop(false)

	above := read(t, trace)
	asked, answered := requestsOf(above)
	if len(answered) != requests || len(asked) != requests {
		t.Fatalf("%d requests and %d answers are in the trace, of %d", len(asked), len(answered), requests)
	}
	calls := read(t, beneath)
	for name, answer := range answered {
		if why := flushed(calls, postgresLog, asked[name], answer); why != nil {
			t.Errorf("%s: %v", name, why)
		}
	}
}
