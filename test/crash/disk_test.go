package crash

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parley-messaging/parley/internal/pgtest"
	"github.com/parley-messaging/parley/test/internal/rig"
)

// says asks the node for something that must be made durable and gives how it
// is answered.
func (y *trial) says(path string, header map[string]string, body string, out any) (status int, retryAfter string) {
	y.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "POST", y.n.API.Base+path, bytes.NewReader([]byte(body)))
	if err != nil {
		y.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for name, value := range header {
		req.Header.Set(name, value)
	}
	res, err := y.n.API.HTTP.Do(req)
	if err != nil {
		y.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		y.t.Fatal(err)
	}
	if out != nil && res.StatusCode < 300 {
		if err := json.Unmarshal(raw, out); err != nil {
			y.t.Fatal(err)
		}
	}
	return res.StatusCode, res.Header.Get("Retry-After")
}

type smsStats struct {
	SMS struct{ Retries, Lost, Reports int64 } `json:"sms"`
}

// tellsClients checks that while messages cannot be stored a client is told to
// come again.
func (y *trial) tellsClients() {
	y.t.Helper()
	// What still finds room is acknowledged and kept like everything else.
	var status int
	var after string
	rig.Eventually(y.t, "a client is refused", 20*time.Second, func() bool {
		to, made := y.l.fresh(), struct{ ID string }{}
		status, after = y.says("/v1/messages", map[string]string{"Authorization": "Bearer " + y.n.API.Key},
			`{"to": "+`+to+`", "purpose": "utility", "content": {"text": "message for `+to+`"}, "route": [{"channel": "sms"}]}`, &made)
		if status == http.StatusAccepted {
			y.l.keep(promise{made.ID, to, "sms", "utility", 1})
		}
		return status != http.StatusAccepted
	})
	if status != http.StatusServiceUnavailable || after == "" {
		y.t.Errorf("a client is told %d, Retry-After %q", status, after)
	}
}

// tellsEverybody checks that while nothing can be stored a client, a provider
// and an SMSC are each told to come again. before is how
// often the SMSC had been refused when that began.
func (y *trial) tellsEverybody(before int64) {
	y.t.Helper()
	y.tellsClients()
	var status int
	var after string
	body := `{"object": "whatsapp_business_account", "entry": []}`
	mac := hmac.New(sha256.New, []byte("sandbox-secret"))
	mac.Write([]byte(body))
	rig.Eventually(y.t, "a provider is refused", 20*time.Second, func() bool {
		status, after = y.says("/callbacks/"+y.l.brand.WhatsApp, map[string]string{"X-Hub-Signature-256": "sha256=" + hex.EncodeToString(mac.Sum(nil))}, body, nil)
		return status != http.StatusOK
	})
	if status != http.StatusServiceUnavailable || after == "" {
		y.t.Errorf("a provider is told %d, Retry-After %q", status, after)
	}
	rig.Eventually(y.t, "the SMSC is refused and keeps what it has", 20*time.Second, func() bool { return y.smsc().SMS.Retries > before })
}

func (y *trial) smsc() (s smsStats) {
	y.t.Helper()
	y.w.Control.Must(y.t, "GET", "/stats", nil, &s)
	return s
}

// linked waits until the SMSC brings things and is answered. It gives how many
// times it was refused so far: a node that cannot write lets go of its links
// when their lease has run out, so it is refused in the first seconds only.
func (y *trial) linked() (retries int64) {
	y.t.Helper()
	reports := y.smsc().SMS.Reports
	rig.Eventually(y.t, "the SMSC is answered", 30*time.Second, func() bool { return y.smsc().SMS.Reports > reports })
	return y.smsc().SMS.Retries
}

// nothingGivenUp checks that no refusal made the SMSC give something up.
func (y *trial) nothingGivenUp() {
	y.t.Helper()
	if s := y.smsc(); s.SMS.Lost > 0 {
		y.t.Errorf("the SMSC gave up %d deliver_sm", s.SMS.Lost)
	}
}

// TestDiskFull: the database's files cannot grow any more, twice, under load.
// Everybody is told to come again, nothing acknowledged is lost, and the node
// goes on by itself when there is room.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	t.Run("limit", func(t *testing.T) {
		t.Parallel()
		y := newTrial(t, "")
		// No write of the process may go beyond a file's first page: not even the
		// room its log has already can be used. What it says is lost meanwhile.
		full(y, func() { y.limit("4096:unlimited") }, func() { y.limit("unlimited") }, y.tellsEverybody)
	})
	t.Run("filesystem", func(t *testing.T) {
		t.Parallel()
		w := rig.NewWorld(t, program, "")
		data := filepath.Join(w.Dir, "data")
		if err := os.Mkdir(data, 0o700); err != nil {
			t.Fatal(err)
		}
		if !mountSmall(t, data, "size=64m,mode=700") {
			return // the other half needs no rights
		}
		y := trialIn(t, w)
		// The database's log is written over in place after each checkpoint, so
		// some writes pass now and then: only that it is noticed is certain.
		full(y, func() { fill(t, data) }, func() { free(t, data) }, func(int64) {})
	})
}

// mountSmall mounts a small file system for a test; it reports whether it may.
func mountSmall(t *testing.T, at, options string) bool {
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", options, "none", at).CombinedOutput(); err != nil {
		t.Logf("no small file system can be mounted here: %v %s", err, out)
		return false
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", at).CombinedOutput(); err != nil {
			t.Errorf("umount: %v %s", err, out)
		}
	})
	return true
}

// fill leaves no room on a file system; free gives it back.
func fill(t *testing.T, folder string) {
	f, err := os.Create(filepath.Join(folder, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 64<<10)
	for err == nil {
		_, err = f.Write(block)
	}
	if err := f.Close(); err != nil {
		t.Log(err) // it is full
	}
}

func free(t *testing.T, folder string) {
	if err := os.Remove(filepath.Join(folder, "filler")); err != nil {
		t.Fatal(err)
	}
}

// TestDatabaseDiskFull: PostgreSQL's own disk is full. It refuses what needs
// another page, while smaller writes may pass, or goes down, as it does when its
// log cannot be written. Clients hear it, nothing acknowledged is lost, and the
// node goes on when the server does.
func TestDatabaseDiskFull(t *testing.T) {
	t.Parallel()
	folder, err := os.MkdirTemp("", "pgdisk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	if !mountSmall(t, folder, "size=320m,mode=755") {
		return // store/postgres TestExhausted sees the server's refusals
	}
	pg := pgtest.StartIn(t, folder, migrate)
	y := newTrial(t, pg.Database(t))
	y.flows()
	fill(t, folder)
	y.tellsClients()
	y.refuses()
	free(t, folder)
	if !pg.Alive() {
		t.Log("the server went down")
		pg.Stop(true)
		if err := pg.Launch(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("took messages again after %s", y.recovers(60*time.Second))
	y.finish()
	y.nothingGivenUp()
}

func full(y *trial, squeeze, relax func(), tells func(before int64)) {
	y.t.Helper()
	for range 2 {
		y.flows()
		before := y.linked()
		squeeze()
		y.refuses()
		tells(before)
		relax()
		y.t.Logf("took messages again after %s", y.recovers(20*time.Second))
	}
	y.finish()
	y.nothingGivenUp()
}

// limit sets how large a file of the node may grow.
func (y *trial) limit(size string) {
	y.t.Helper()
	if out, err := exec.Command("prlimit", "--pid", strconv.Itoa(y.n.ID()), "--fsize="+size).CombinedOutput(); err != nil {
		y.t.Fatalf("prlimit: %v %s", err, out)
	}
}

// TestDatabaseHasNoConnection: somebody else takes every connection PostgreSQL
// has left and cuts the node's. Clients hear 503; it goes on when there is one.
func TestDatabaseHasNoConnection(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t, migrate)
	pg.Stop(false)
	if err := pg.Launch("max_connections=30", "superuser_reserved_connections=0"); err != nil {
		t.Fatal(err)
	}
	y := newTrial(t, pg.Database(t))
	y.flows()
	before := y.linked()
	free := pg.Occupy(t)
	y.refuses()
	y.tellsEverybody(before)
	free()
	t.Logf("took messages again after %s", y.recovers(20*time.Second))
	y.finish()
	y.nothingGivenUp()
}

// TestSecondProcess: a server on a database that another holds says so and ends.
func TestSecondProcess(t *testing.T) {
	t.Parallel()
	w := rig.NewWorld(t, program, "")
	n := w.Node("one")
	n.Start()
	n.Up(30 * time.Second)
	other := w.Node("two")
	cmd := exec.Command(program, other.Line()[1:]...)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "another process has this database open") {
		t.Errorf("a second server: %v\n%s", err, out)
	}
	n.API.Must(t, "GET", "/readyz", nil, nil)
}

// TestReadOnlyFile: a server on a database it may not write says so and ends.
func TestReadOnlyFile(t *testing.T) {
	t.Parallel()
	w := rig.NewWorld(t, program, "")
	n := w.Node("one")
	_ = n.FirstKey()
	file := filepath.Join(w.Dir, "data", "parley.db")
	if err := os.Chmod(file, 0o400); err != nil {
		t.Fatal(err)
	}
	line := n.Line()
	if os.Getuid() == 0 { // who may otherwise write anything
		line = append([]string{"setpriv", "--bounding-set=-dac_override", "--inh-caps=-all", "--"}, line...)
	}
	out, err := exec.Command(line[0], line[1:]...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "parley.db: permission denied") {
		t.Errorf("a server on a read-only database: %v\n%s", err, out)
	}
}
