package rig

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-messaging/parley/internal/port"
)

// What the sandbox knows from the start.
const (
	phoneNumberID = "106540352242922"
	waba          = "102290129340398"
	ShortCode     = "38123" // the SMS sender of every world
)

// A World is a sandbox that lives as long as its test, a database, and the
// nodes that come and go between them.
type World struct {
	T        testing.TB
	Bin      string
	Dir      string
	Database string // URL; "" = SQLite in Dir
	Control  *Client
	Sandbox  *Process

	wa, smpp, control string
}

// NewWorld starts a sandbox. database is the URL nodes get; "" = SQLite.
func NewWorld(t testing.TB, bin, database string) *World {
	t.Helper()
	w := &World{T: t, Bin: bin, Dir: t.TempDir(), Database: database, wa: port.For(t), smpp: port.For(t), control: port.For(t)}
	w.Control = &Client{Base: "http://" + w.control, HTTP: &http.Client{Timeout: 30 * time.Second}}
	w.Sandbox = Launch(t, w.log("sandbox"), nil, bin, "sandbox", "--whatsapp", w.wa, "--smpp", w.smpp, "--control", w.control,
		"--account", "parley:sandbox:"+ShortCode, "--account", "second:sandbox:38124", "--account", "third:sandbox:38125", "--throughput", "0", "--read-after", "50ms", "--log-level", "warn")
	t.Cleanup(func() {
		if t.Failed() {
			w.ShowLogs(t)
		}
	})
	Eventually(t, "the sandbox answers", 20*time.Second, func() bool { return !w.Sandbox.Alive() || w.Control.up("/stats") })
	if !w.Sandbox.Alive() {
		t.Fatal("the sandbox does not start")
	}
	return w
}

func (w *World) log(name string) string { return filepath.Join(w.Dir, name+".log") }

// ShowLogs prints the ends of all logs.
func (w *World) ShowLogs(t testing.TB) {
	files, _ := filepath.Glob(filepath.Join(w.Dir, "*.log"))
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		t.Logf("the end of %s:\n%s", filepath.Base(f), raw[max(0, len(raw)-4000):])
	}
}

func (c *Client) up(path string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err := c.Call(ctx, "GET", path, nil, nil)
	return err == nil
}

// A Node is one server: its addresses stay over all its lives.
type Node struct {
	*Process
	W     *World
	Name  string
	API   *Client // its key is filled in by Seed
	Admin *Client
	Args  []string // of every start
	addr  string
	admin string
	now   atomic.Pointer[Process]
}

// Node prepares a node that does not run yet. name is the name of its lease;
// "" lets the program choose.
func (w *World) Node(name string, args ...string) *Node {
	n := &Node{W: w, Name: name, Args: args, addr: port.For(w.T), admin: port.For(w.T)}
	// A connection dies with its server: keeping some would only make clients
	// try dead ones first.
	h := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 16, DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext}}
	n.API = &Client{Base: "http://" + n.addr, HTTP: h}
	n.Admin = &Client{Base: "http://" + n.admin, HTTP: h}
	return n
}

// Start begins a life of the node without waiting for it. env arms crash
// points.
func (n *Node) Start(env ...string) {
	n.W.T.Helper()
	n.Process = Launch(n.W.T, n.W.log("node"+n.Name), env, n.Line()...)
	n.now.Store(n.Process)
}

// Running reports whether a life of the node goes on. Unlike the other methods
// it may be called beside the goroutine that starts and kills the node.
func (n *Node) Running() bool {
	p := n.now.Load()
	return p != nil && p.Alive()
}

// Line is the command line of the node.
func (n *Node) Line() []string {
	line := []string{
		n.W.Bin, "serve", "--listen", n.addr, "--admin-listen", n.admin, "--webhook-allow", "127.0.0.0/8",
		"--data-dir", filepath.Join(n.W.Dir, "data"), "--log-level", "info", "--log-format", "json",
	}
	if n.W.Database != "" {
		line = append(line, "--database-url", n.W.Database)
	}
	if n.Name != "" {
		line = append(line, "--node", n.Name)
	}
	return append(line, n.Args...)
}

// Up waits until the node answers, or has died; it reports which.
func (n *Node) Up(within time.Duration) bool {
	n.W.T.Helper()
	Eventually(n.W.T, "the node answers", within, func() bool { return !n.Alive() || n.API.up("/healthz") })
	return n.Alive()
}

// A Brand is a workspace with senders, connectors and templates.
type Brand struct {
	Key, Workspace         string
	SMPP, WhatsApp         string // connectors
	SMSSender, WhatsAppEnd string // senders
	Template               string
	SMS                    []string // every sender of SMS, of which More makes some
}

var keyLine = regexp.MustCompile(`PARLEY_API_KEY=(\S+)`)

// FirstKey starts the node for the first time, takes the key it prints and
// stops it again.
func (n *Node) FirstKey() string {
	t := n.W.T
	t.Helper()
	n.Start()
	if !n.Up(60 * time.Second) {
		t.Fatal("the first start failed")
	}
	var m []string
	// The key is printed right after the node listens.
	Eventually(t, "a first key", 20*time.Second, func() bool {
		m = keyLine.FindStringSubmatch(n.Output())
		return m != nil
	})
	was := n.API.Key
	n.API.Key = m[1]
	Eventually(t, "the key is in force", 20*time.Second, func() bool { // it is shown before it is stored
		status, err := n.API.Call(context.Background(), "GET", "/v1/me", nil, nil)
		return err == nil && status == 200
	})
	n.API.Key = was
	n.Terminate(t, 30*time.Second)
	return m[1]
}

// Seed gives a running node's brand everything to send with, and points the
// sandbox's callbacks at base ("" = the node). smpp adds to the SMPP
// account's configuration.
func (n *Node) Seed(key, base string, smpp map[string]any) *Brand {
	t, c := n.W.T, n.API
	t.Helper()
	c.Key = key
	b := &Brand{Key: key}
	var made struct {
		ID        string `json:"id"`
		Workspace string `json:"workspace"`
	}
	c.Must(t, "GET", "/v1/me", nil, &made)
	b.Workspace = made.Workspace
	host, port, err := net.SplitHostPort(n.W.smpp)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	account := map[string]any{"host": host, "port": number, "system_id": "parley", "password": "sandbox", "window": 50, "reconnect_max_seconds": 1}
	for k, v := range smpp {
		account[k] = v
	}
	c.Must(t, "POST", "/v1/connectors", map[string]any{"kind": "smpp", "name": "SMSC", "config": account}, &made)
	b.SMPP = made.ID
	c.Must(t, "POST", "/v1/connectors", map[string]any{"kind": "whatsapp_cloud", "name": "WhatsApp", "config": map[string]any{
		"base_url": "http://" + n.W.wa, "phone_number_id": phoneNumberID, "waba_id": waba, "token": "sandbox-token",
		"app_secret": "sandbox-secret", "verify_token": "sandbox-verify", "throughput": 1000,
	}}, &made)
	b.WhatsApp = made.ID
	c.Must(t, "POST", "/v1/senders", map[string]any{"channel": "sms", "address": ShortCode, "connectors": []string{b.SMPP}}, &made)
	b.SMSSender, b.SMS = made.ID, []string{made.ID}
	c.Must(t, "POST", "/v1/senders", map[string]any{"channel": "whatsapp", "address": phoneNumberID, "connectors": []string{b.WhatsApp}}, &made)
	b.WhatsAppEnd = made.ID
	n.W.Control.Must(t, "PUT", "/templates/paused_offer", map[string]any{"language": "en_US", "status": "APPROVED"}, nil)
	for _, tpl := range []map[string]any{
		{"name": "boarding_pass", "language": "en", "category": "utility", "named": true, "body": "Your boarding pass for flight {{flight}} is ready."},
		{"name": "paused_offer", "language": "en_US", "category": "marketing", "body": "This offer rests."},
	} {
		tpl["sender"], tpl["state"] = b.WhatsAppEnd, "approved"
		c.Must(t, "PUT", "/v1/templates", tpl, &made)
		b.Template = made.ID
	}
	if base == "" {
		base = n.API.Base
	}
	// A node opens new accounts with its next look at the configuration.
	Eventually(t, "the callback is verified", 15*time.Second, func() bool {
		_, err := n.W.Control.Call(context.Background(), "PUT", "/callback", map[string]any{"url": base + "/callbacks/" + b.WhatsApp, "verify_token": "sandbox-verify"}, nil)
		return err == nil
	})
	return b
}

// More gives a brand the two other SMPP accounts of every world, each with a
// sender of its own, and gives their connectors.
func (n *Node) More(b *Brand, smpp map[string]any) (connectors []string) {
	t := n.W.T
	t.Helper()
	host, port, err := net.SplitHostPort(n.W.smpp)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	for id, sender := range map[string]string{"second": "38124", "third": "38125"} {
		account := map[string]any{"host": host, "port": number, "system_id": id, "password": "sandbox", "window": 50, "reconnect_max_seconds": 1}
		for k, v := range smpp {
			account[k] = v
		}
		var made struct{ ID string }
		n.API.Must(t, "POST", "/v1/connectors", map[string]any{"kind": "smpp", "name": id, "config": account}, &made)
		connectors = append(connectors, made.ID)
		n.API.Must(t, "POST", "/v1/senders", map[string]any{"channel": "sms", "address": sender, "connectors": []string{made.ID}}, &made)
		b.SMS = append(b.SMS, made.ID)
	}
	return connectors
}

// An Entry is one line of the sandbox's journal.
type Entry struct {
	Seq       uint64
	Channel   string
	Direction string
	ID        string
	Ref       string
	From, To  string
	Text      string
	Part      int
	Fate      string
}

// Journal reads everything the sandbox received and what became of it.
func (w *World) Journal() []Entry {
	w.T.Helper()
	var all []Entry
	for after := uint64(0); ; {
		var page struct {
			Entries []Entry
			Next    uint64
			Lost    uint64
		}
		w.Control.Must(w.T, "GET", "/journal?limit=10000&after="+strconv.FormatUint(after, 10), nil, &page)
		if page.Lost > 0 {
			w.T.Fatalf("the sandbox's journal has lost %d entries", page.Lost)
		}
		all = append(all, page.Entries...)
		if page.Next == after || len(page.Entries) == 0 {
			return all
		}
		after = page.Next
	}
}
