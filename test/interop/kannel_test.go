package interop

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/parley-messaging/parley/internal/port"
	"github.com/parley-messaging/parley/sandbox/fault"
	"github.com/parley-messaging/parley/sandbox/smsc"
)

var kannelConf = template.Must(template.New("").Parse(`group = core
admin-port = {{.Admin}}
admin-password = interop
smsbox-port = {{.Box}}
box-allow-ip = 127.0.0.1
dlr-storage = internal
log-file = "{{.Dir}}/bearerbox.log"
log-level = 1

group = smsc
smsc = smpp
smsc-id = sandbox
host = 127.0.0.1
port = {{.SMSC}}
transceiver-mode = true
smsc-username = "{{.User}}"
smsc-password = "{{.Password}}"
system-type = "interop"
enquire-link-interval = 1
msg-id-type = 0x03

group = smsbox
bearerbox-host = 127.0.0.1
bearerbox-port = {{.Box}}
sendsms-port = {{.Send}}
log-file = "{{.Dir}}/smsbox.log"
log-level = 1

group = sendsms-user
username = interop
password = interop
max-messages = 10
concatenation = true

group = sms-service
keyword = default
get-url = "{{.Hook}}/mo?from=%p&to=%P&text=%b&charset=%C&coding=%c"
accepted-smsc = sandbox
concatenation = true
catch-all = true
max-messages = 0
`))

// Kannel, the gateway operators know, binds to our pretend SMSC: texts in both
// alphabets, long ones, receipts good and bad, and texts of people.
func TestKannelToSandbox(t *testing.T) {
	const install = "sudo apt-get install -y --no-install-recommends kannel"
	boxes := [2]string{find(t, "bearerbox", install), find(t, "smsbox", install)}
	s := play(t)
	calls := make(chan url.Values, 100)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		q.Set("path", r.URL.Path)
		calls <- q
	}))
	t.Cleanup(hook.Close)
	dir := t.TempDir()
	admin, box, send := portOf(t, port.For(t)), portOf(t, port.For(t)), portOf(t, port.For(t))
	conf, err := os.Create(filepath.Join(dir, "kannel.conf"))
	if err != nil {
		t.Fatal(err)
	}
	err = kannelConf.Execute(conf, map[string]string{
		"Admin": admin, "Box": box, "Send": send, "SMSC": portOf(t, s.SMPPAddr()), "Dir": dir, "Hook": hook.URL,
		"User": smsc.DefaultSystemID, "Password": smsc.DefaultPassword,
	})
	if err := conf.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for i, path := range boxes {
		cmd := exec.Command(path, "-v", "4", conf.Name())
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		address := net.JoinHostPort("127.0.0.1", [2]string{box, send}[i])
		until(t, dir, "a box that listens", func() bool {
			c, err := net.Dial("tcp", address)
			if err == nil {
				err = c.Close()
			}
			return err == nil
		})
	}
	until(t, dir, "a bind of Kannel's", func() bool { return s.SMSC.Stats().Sessions == 1 })
	submit := func(to, text, coding string) {
		t.Helper()
		q := url.Values{
			"username": {"interop"}, "password": {"interop"}, "from": {"36111"}, "to": {to}, "text": {text}, "charset": {"UTF-8"}, "coding": {coding},
			"dlr-mask": {"19"}, "dlr-url": {hook.URL + "/dlr?status=%d&to=" + to + "&id=%F"},
		}
		resp, err := http.Get("http://127.0.0.1:" + send + "/cgi-bin/sendsms?" + q.Encode())
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusAccepted {
			t.Fatalf("Kannel answered %d %s %v", resp.StatusCode, body, err)
		}
	}
	// receipt gives the status of the next final receipt: 1 delivered, 2 not,
	// 16 refused by the SMSC.
	receipt := func(to, want string) {
		t.Helper()
		q := next(t, calls)
		if q.Get("path") != "/dlr" || q.Get("to") != to || q.Get("status") != want {
			t.Errorf("Kannel tells %v; want status %s for %s", q, want, to)
		}
	}
	for to, m := range map[string][2]string{
		"33611111111": {"Votre carte {12,50 €} est à Orléans", "0"},
		"33622222222": {"Привет 😀", "2"},
		"33633333333": {strings.Repeat("Bonjour {à} tous. ", 30), "0"},
		"33644444444": {strings.Repeat("Где моя карта? 😀 ", 20), "2"},
	} {
		submit(to, m[0], m[1])
		receipt(to, "1")
		until(t, dir, "the text on the phone", func() bool { return len(s.Handsets.Inbox(to)) > 0 })
		if in := s.Handsets.Inbox(to); in[0].Text != m[0] || in[0].From != "36111" {
			t.Errorf("the phone shows %+v\nwant %q", in, m[0])
		}
	}
	for _, m := range []struct{ name, status string }{{"sms_undeliverable", "2"}, {"sms_bad_destination", "16"}} {
		to := magic(t, m.name)
		submit(to, "x", "0")
		receipt(to, m.status)
	}
	for _, text := range []string{"STOP", "où est ma carte ?", "👍 да", strings.Repeat("длинный текст 😀 ", 20)} {
		if _, err := s.SMSC.Write(smsc.Inbound{From: person, To: "36111", Text: text}); err != nil {
			t.Fatal(err)
		}
		q := next(t, calls)
		if got := decode(t, q.Get("text"), q.Get("charset")); q.Get("path") != "/mo" || got != text || q.Get("from") != "+"+person || q.Get("to") != "36111" {
			t.Errorf("%q came to Kannel as %v", text, q)
		}
	}
	until(t, dir, "end of what waits", func() bool { return s.SMSC.Stats().Waiting == 0 })
	if st := s.SMSC.Stats(); st.Lost != 0 || st.Retries != 0 || st.Sessions != 1 {
		t.Errorf("%+v", st)
	}
}

// decode reads the octets that Kannel hands on, in the character set it names.
func decode(t *testing.T, octets, charset string) string {
	t.Helper()
	switch charset {
	case "UTF-8":
		return octets
	case "UTF-16BE":
		units := make([]uint16, 0, len(octets)/2)
		for i := 0; i+1 < len(octets); i += 2 {
			units = append(units, uint16(octets[i])<<8|uint16(octets[i+1]))
		}
		return utf16String(units)
	}
	t.Fatalf("Kannel names the character set %q", charset)
	return ""
}

func magic(t *testing.T, name string) string {
	t.Helper()
	for _, m := range fault.Magic() {
		if m.Name == name {
			return fault.Number(m.Code, 0)
		}
	}
	t.Fatalf("no magic recipient %s", name)
	return ""
}

// until asks again and again; other programs give no signal to wait for.
func until(t *testing.T, dir, what string, done func() bool) {
	t.Helper()
	limit := time.After(patient)
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !done() {
		select {
		case <-ticker.C:
		case <-limit:
			log, err := os.ReadFile(filepath.Join(dir, "bearerbox.log"))
			t.Fatalf("no %s; bearerbox says (%v):\n%s", what, err, log[max(0, len(log)-2000):])
		}
	}
}
