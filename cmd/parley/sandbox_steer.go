package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/parley-messaging/parley/sandbox/control"
	"github.com/parley-messaging/parley/sandbox/handset"
	"github.com/parley-messaging/parley/sandbox/journal"
)

type sandboxHandset struct {
	sandboxFlags
	Number    string  `arg:"" help:"The phone's number."`
	Internet  string  `help:"on or off: off cuts WhatsApp, SMS still works." enum:",on,off" default:""`
	Phone     string  `help:"on or off: off cuts everything." enum:",on,off" default:""`
	WhatsApp  string  `name:"whatsapp" help:"on or off: whether WhatsApp is installed." enum:",on,off" default:""`
	AutoRead  string  `help:"on or off: whether the person reads what arrives." enum:",on,off" default:""`
	ReadAfter *span   `help:"How long the person takes to read."`
	OptedOut  string  `help:"on or off: whether the person stopped marketing on WhatsApp." enum:",on,off" default:""`
	Latency   *string `help:"instant, drawn, or a duration such as 3s."`
	Name      *string `help:"The person's name on WhatsApp."`
}

func (c *sandboxHandset) change() (set handset.Change, any bool) {
	flag := func(s string) *bool {
		if s == "" {
			return nil
		}
		on := s == "on"
		any = true
		return &on
	}
	set = handset.Change{
		Name: c.Name, Latency: c.Latency, WhatsApp: flag(c.WhatsApp), Internet: flag(c.Internet), Phone: flag(c.Phone),
		AutoRead: flag(c.AutoRead), OptedOut: flag(c.OptedOut),
	}
	if c.ReadAfter != nil {
		d := handset.Duration(*c.ReadAfter)
		set.ReadAfter = &d
	}
	return set, any || c.Name != nil || c.Latency != nil || c.ReadAfter != nil
}

// Run shows a handset and its inbox, or changes it.
func (c *sandboxHandset) Run(ctx context.Context) error {
	cl := c.inner()
	path := "/handsets/" + url.PathEscape(c.Number)
	out := struct {
		control.State
		Inbox  []handset.Item `json:"inbox"`
		Typing []string       `json:"typing"` // the brand's ends that show they are typing
	}{}
	set, changed := c.change()
	var err error
	if changed {
		err = cl.call(ctx, "PUT", path, set, &out.State)
	} else {
		err = cl.call(ctx, "GET", path, nil, &out.State)
	}
	if err != nil {
		return err
	}
	var inbox struct {
		Items  []handset.Item `json:"items"`
		Typing []string       `json:"typing"`
	}
	if err := cl.call(ctx, "GET", path+"/inbox", nil, &inbox); err != nil {
		return err
	}
	out.Inbox, out.Typing = inbox.Items, inbox.Typing
	if c.JSON {
		return printJSON(out)
	}
	p := colours()
	onOff := func(b bool) string {
		if b {
			return p.good("on")
		}
		return p.bad("off")
	}
	fmt.Printf("+%s %s\n  phone %s   internet %s   WhatsApp %s   latency %s   reads %s", out.Number, p.bold(out.Name),
		onOff(out.Phone), onOff(out.Internet), onOff(out.WhatsApp), out.Latency, onOff(out.AutoRead))
	if out.AutoRead {
		fmt.Printf(" after %s", time.Duration(out.ReadAfter))
	}
	if out.OptedOut {
		fmt.Print("   " + p.warn("wants no marketing"))
	}
	fmt.Println()
	if out.Waiting > 0 {
		fmt.Printf("  %s waiting for it to be reachable\n", plural(int64(out.Waiting), "message"))
	}
	if changed {
		return nil
	}
	if len(out.Inbox) == 0 {
		fmt.Println("  nothing received yet")
	}
	for _, m := range out.Inbox {
		who, seen := "from "+m.From, ""
		if m.Outgoing {
			who = "to " + m.From
			if m.Seen {
				seen = p.good(" ✓ seen")
			}
		} else if m.Read {
			seen = p.good(" ✓ read")
		}
		fmt.Printf("\n  %s  %s %s%s\n    %s\n", p.dim(m.At.Local().Format(time.DateTime)), p.bold(string(m.Channel)), who, seen, m.Text)
	}
	for _, from := range out.Typing {
		fmt.Printf("\n  %s is typing …\n", from)
	}
	return nil
}

type sandboxReply struct {
	sandboxFlags
	Number  string `arg:"" help:"Who writes."`
	Text    string `arg:"" optional:"" help:"What they write."`
	Channel string `help:"whatsapp or sms." enum:"whatsapp,sms" default:"whatsapp"`
	To      string `help:"The brand's phone number id or short code; left out: who wrote to them last."`
	Payload string `help:"They press the button with this payload instead."`
}

// Run makes a person write.
func (c *sandboxReply) Run(ctx context.Context) error {
	if c.Text == "" && c.Payload == "" {
		return fmt.Errorf("say what they write, or which button they press with --payload")
	}
	var out struct {
		ID string `json:"id"`
	}
	in := control.Reply{Channel: c.Channel, To: c.To, Text: c.Text, Payload: c.Payload}
	if c.Payload != "" {
		in.Title = c.Text
	}
	if err := c.inner().call(ctx, "POST", "/handsets/"+url.PathEscape(c.Number)+"/reply", in, &out); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(out)
	}
	fmt.Println("written as", out.ID)
	return nil
}

type sandboxAdvance struct {
	sandboxFlags
	By span `arg:"" help:"How far: 90s, 24h, 1d."`
}

// Run pushes the clock.
func (c *sandboxAdvance) Run(ctx context.Context) error {
	var out struct {
		Now time.Time `json:"now"`
	}
	if err := c.inner().call(ctx, "POST", "/clock/advance", map[string]string{"by": c.By.String()}, &out); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(out)
	}
	fmt.Println("it is now", out.Now.Format(time.RFC3339))
	return nil
}

type sandboxFault struct {
	sandboxFlags
	Number  string `arg:"" optional:"" help:"Whose messages; * is anybody. Left out: list what is ordered."`
	Kind    string `arg:"" optional:"" help:"A name of 'parley sandbox magic', such as throttle_once, or a kind such as hang."`
	Channel string `help:"whatsapp or sms; left out: both." enum:",whatsapp,sms" default:""`
	Times   int    `help:"How many messages; 0 = until --clear." default:"1"`
	Code    int    `help:"The provider's code, for reject, fail and sent_then_fail."`
	After   span   `help:"How late, for late."`
	Clear   bool   `help:"Forget every order."`
}

// Run orders, lists or forgets faults.
func (c *sandboxFault) Run(ctx context.Context) error {
	cl := c.inner()
	var out struct {
		Faults []control.FaultOrder `json:"faults"`
	}
	var err error
	switch {
	case c.Clear:
		err = cl.call(ctx, "DELETE", "/faults", nil, &out)
	case c.Number == "":
		err = cl.call(ctx, "GET", "/faults", nil, &out)
	case c.Kind == "":
		return fmt.Errorf("say which fault; 'parley sandbox magic' lists the names")
	default:
		err = cl.call(ctx, "POST", "/faults", control.FaultOrder{
			To: c.Number, Channel: c.Channel, Fault: c.Kind, Code: c.Code, After: handset.Duration(c.After), Times: c.Times,
		}, &out)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(out)
	}
	if len(out.Faults) == 0 {
		fmt.Println("no faults are ordered")
		return nil
	}
	rows := [][]string{{"TO", "CHANNEL", "FAULT", "CODE", "TIMES"}}
	for _, f := range out.Faults {
		rows = append(rows, []string{f.To, or(f.Channel, "any"), f.Fault, number(f.Code), or(number(f.Times), "until --clear")})
	}
	return table(os.Stdout, rows)
}

type sandboxJournal struct {
	sandboxFlags
	To        string `help:"Only to this number."`
	Channel   string `help:"Only whatsapp or sms." enum:",whatsapp,sms" default:""`
	Direction string `help:"mt: to people; mo: from people." enum:",mt,mo" default:""`
	After     uint64 `help:"Only entries after this number."`
	Limit     int    `help:"How many at most." default:"1000"`
}

// journalPage is what GET /journal answers.
type journalPage struct {
	Entries []journal.Entry `json:"entries"`
	Next    uint64          `json:"next"`
	Lost    uint64          `json:"lost"`
}

// Run prints the journal.
func (c *sandboxJournal) Run(ctx context.Context) error {
	q := url.Values{"after": {strconv.FormatUint(c.After, 10)}, "limit": {strconv.Itoa(c.Limit)}}
	for k, v := range map[string]string{"to": c.To, "channel": c.Channel, "direction": c.Direction} {
		if v != "" {
			q.Set(k, v)
		}
	}
	var out journalPage
	if err := c.inner().call(ctx, "GET", "/journal?"+q.Encode(), nil, &out); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(out)
	}
	if out.Lost > 0 {
		fmt.Fprintln(os.Stderr, plural(int64(out.Lost), "older entry"), "not in memory any more: run the sandbox with --journal to keep all")
	}
	rows := [][]string{{"SEQ", "TIME", "CHANNEL", "WAY", "FROM", "TO", "FATE", "FAULT", "TEXT"}}
	for _, e := range out.Entries {
		rows = append(rows, []string{strconv.FormatUint(e.Seq, 10), e.Time.Local().Format("15:04:05.000"), e.Channel, e.Direction, e.From, e.To, e.Fate, e.Fault, shorten(e.Text, 50)})
	}
	return table(os.Stdout, rows)
}

type sandboxMagic struct{ sandboxFlags }

// Run prints the table of magic recipients.
func (c *sandboxMagic) Run(ctx context.Context) error {
	var out struct {
		Magic []control.MagicLine `json:"magic"`
	}
	if err := c.inner().call(ctx, "GET", "/magic", nil, &out); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(out)
	}
	rows := [][]string{{"NUMBER", "ALSO", "NAME", "WHAT HAPPENS"}}
	for _, m := range out.Magic {
		rows = append(rows, []string{"+" + m.Number, "+" + m.Valid, m.Name, m.Meaning})
	}
	return table(os.Stdout, rows)
}

type sandboxStats struct{ sandboxFlags }

// Run prints the counts.
func (c *sandboxStats) Run(ctx context.Context) error {
	var out struct {
		WhatsApp map[string]int64 `json:"whatsapp"`
		SMS      map[string]int64 `json:"sms"`
		Timers   int64            `json:"timers"`
	}
	if err := c.inner().call(ctx, "GET", "/stats", nil, &out); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(out)
	}
	rows := [][]string{{"", "WHATSAPP", "SMS"}}
	for _, name := range []string{"requests", "submits", "accepted", "refused", "delivered", "read", "failed", "expired", "inbound", "webhook_posts", "webhook_retries", "webhook_waiting", "reports", "retries", "waiting", "sessions"} {
		rows = append(rows, []string{name, count(out.WhatsApp, name), count(out.SMS, name)})
	}
	return table(os.Stdout, rows)
}

type sandboxTemplate struct {
	sandboxFlags
	Name     string `arg:"" help:"Name of the template."`
	Language string `arg:"" help:"Its language."`
	Status   string `arg:"" help:"APPROVED, PENDING, REJECTED, PAUSED or DISABLED." enum:"APPROVED,PENDING,REJECTED,PAUSED,DISABLED,approved,pending,rejected,paused,disabled"`
	WABA     string `name:"waba" help:"The WhatsApp Business Account; left out: the first."`
}

// Run changes the state of a template.
func (c *sandboxTemplate) Run(ctx context.Context) error {
	var out map[string]any
	in := map[string]string{"waba": c.WABA, "language": c.Language, "status": c.Status}
	if err := c.inner().call(ctx, "PUT", "/templates/"+url.PathEscape(c.Name), in, &out); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(out)
	}
	fmt.Printf("%s (%s) is %s now; the server hears of it by webhook\n", c.Name, c.Language, c.Status)
	return nil
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func count(m map[string]int64, name string) string {
	if n, ok := m[name]; ok {
		return strconv.FormatInt(n, 10)
	}
	return ""
}

// shorten cuts a text for one line of a table.
func shorten(s string, most int) string {
	out := []rune{}
	for _, r := range s {
		if r < ' ' {
			r = ' '
		}
		if len(out) == most {
			return string(out) + "…"
		}
		out = append(out, r)
	}
	return string(out)
}
