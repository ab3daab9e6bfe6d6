package control

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parley-messaging/parley/sandbox/fault"
	"github.com/parley-messaging/parley/sandbox/handset"
	"github.com/parley-messaging/parley/sandbox/journal"
)

// FaultOrder asks for a fault for the next messages to a number.
type FaultOrder struct {
	To      string           `json:"to"`                // digits, or "*" for anybody
	Channel string           `json:"channel,omitempty"` // whatsapp, sms, or empty for both
	Fault   string           `json:"fault"`             // a kind such as hang, or a name of the magic table such as throttle_once
	Code    int              `json:"code,omitempty"`    // for reject, fail and sent_then_fail
	After   handset.Duration `json:"after,omitempty"`   // for late
	Times   int              `json:"times,omitempty"`   // how many messages; 0 means until DELETE /faults
}

func (p *Parts) getFaults(*http.Request) (any, error) {
	list := []FaultOrder{}
	for _, o := range p.Faults.Orders() {
		list = append(list, FaultOrder{
			To: o.To, Channel: string(o.Channel), Fault: string(o.Fault.Kind), Code: o.Fault.Code,
			After: handset.Duration(o.Fault.After), Times: o.Times,
		})
	}
	return map[string]any{"faults": list}, nil
}

func (p *Parts) postFault(r *http.Request) (any, error) {
	var o FaultOrder
	if err := decode(r, &o); err != nil {
		return nil, err
	}
	o.To = strings.TrimPrefix(o.To, "+")
	channel := fault.Channel(o.Channel)
	switch {
	case o.To == "":
		return nil, bad("to is a number or *")
	case channel != "" && channel != fault.WhatsApp && channel != fault.SMS:
		return nil, bad("channel is whatsapp or sms")
	case o.Times < 0:
		return nil, bad("times is not negative")
	}
	if slices.Contains(fault.Kinds(), fault.Kind(o.Fault)) {
		f := fault.Fault{Kind: fault.Kind(o.Fault), Code: o.Code, After: time.Duration(o.After)}
		needsCode := f.Kind == fault.Reject || f.Kind == fault.Fail || f.Kind == fault.SentThenFail
		if needsCode && (f.Code <= 0 || channel == "") {
			return nil, bad("this fault needs a channel and a code")
		}
		p.Faults.Place(fault.Order{To: o.To, Channel: channel, Fault: f, Times: o.Times})
		return p.getFaults(r)
	}
	i := slices.IndexFunc(fault.Magic(), func(m fault.Recipient) bool { return m.Name == o.Fault })
	if i < 0 {
		return nil, bad("unknown fault " + o.Fault)
	}
	m := fault.Magic()[i]
	for ch, f := range map[fault.Channel]fault.Fault{fault.WhatsApp: m.WhatsApp, fault.SMS: m.SMS} {
		if f.Kind == fault.None || channel != "" && channel != ch {
			continue
		}
		if f.Kind == fault.Late {
			f.After = time.Duration(o.After)
		}
		p.Faults.Place(fault.Order{To: o.To, Channel: ch, Fault: f, Times: o.Times})
	}
	return p.getFaults(r)
}

func (p *Parts) deleteFaults(r *http.Request) (any, error) {
	p.Faults.Clear()
	return p.getFaults(r)
}

// MagicLine is one line of GET /magic.
type MagicLine struct {
	Code     string `json:"code"`
	Name     string `json:"name"`
	Number   string `json:"number"`       // in the 999 block
	Valid    string `json:"valid_number"` // one that number libraries accept
	WhatsApp string `json:"whatsapp,omitempty"`
	SMS      string `json:"sms,omitempty"`
	Handset  string `json:"handset,omitempty"`
	Once     bool   `json:"once,omitempty"`
	Meaning  string `json:"meaning"`
}

func magic(*http.Request) (any, error) {
	lines := []MagicLine{}
	for _, m := range fault.Magic() {
		lines = append(lines, MagicLine{
			Code: m.Code, Name: m.Name, Number: fault.Number(m.Code, 1), Valid: fault.ValidNumber(m.Code, 0),
			WhatsApp: string(m.WhatsApp.Kind), SMS: string(m.SMS.Kind), Handset: string(m.Handset), Once: m.Once, Meaning: m.Meaning,
		})
	}
	return map[string]any{"magic": lines}, nil
}

func (p *Parts) journal(r *http.Request) (any, error) {
	q := r.URL.Query()
	after, err := strconv.ParseUint("0"+q.Get("after"), 10, 64)
	if err != nil {
		return nil, bad("after is not a number")
	}
	limit, err := count(r, "limit", 1000)
	if err != nil {
		return nil, err
	}
	to := strings.TrimPrefix(q.Get("to"), "+")
	entries, next, lost := p.Journal.After(after, min(limit, 10_000), func(e *journal.Entry) bool {
		return (q.Get("channel") == "" || e.Channel == q.Get("channel")) &&
			(q.Get("direction") == "" || e.Direction == q.Get("direction")) && (to == "" || e.To == to)
	})
	if entries == nil {
		entries = []journal.Entry{}
	}
	return map[string]any{"entries": entries, "next": next, "lost": lost}, nil
}

func (p *Parts) now(*http.Request) (any, error) {
	return map[string]time.Time{"now": p.Clock.Now()}, nil
}

func (p *Parts) advance(r *http.Request) (any, error) {
	var body struct {
		By handset.Duration `json:"by"`
	}
	if err := decode(r, &body); err != nil {
		return nil, err
	}
	if body.By <= 0 {
		return nil, bad("by is a positive duration such as 24h")
	}
	return map[string]time.Time{"now": p.Advance(time.Duration(body.By))}, nil
}

func (p *Parts) stats(*http.Request) (any, error) {
	return map[string]any{"whatsapp": p.WhatsApp.Stats(), "sms": p.SMSC.Stats(), "timers": p.Clock.Pending()}, nil
}

func (p *Parts) reset(r *http.Request) (any, error) {
	p.Reset()
	return p.stats(r)
}

func (p *Parts) templates(r *http.Request) (any, error) {
	return map[string]any{"templates": p.WhatsApp.Templates(r.URL.Query().Get("waba"))}, nil
}

func (p *Parts) putTemplate(r *http.Request) (any, error) {
	var body struct {
		WABA     string `json:"waba"`
		Language string `json:"language"`
		Status   string `json:"status"`
	}
	if err := decode(r, &body); err != nil {
		return nil, err
	}
	if body.Language == "" || body.Status == "" {
		return nil, bad("language and status are required")
	}
	if err := p.WhatsApp.SetTemplateStatus(body.WABA, r.PathValue("template"), body.Language, strings.ToUpper(body.Status)); err != nil {
		return nil, &problem{http.StatusNotFound, err.Error()}
	}
	return p.templates(r)
}

func (p *Parts) callback(r *http.Request) (any, error) {
	var body struct {
		URL    string `json:"url"`
		Verify string `json:"verify_token"`
	}
	if err := decode(r, &body); err != nil {
		return nil, err
	}
	if err := p.SetCallback(r.Context(), body.URL, body.Verify); err != nil {
		return nil, &problem{http.StatusBadGateway, err.Error()}
	}
	return map[string]string{"url": body.URL}, nil
}

func (p *Parts) token(r *http.Request) (any, error) {
	var body struct {
		Token string `json:"token"`
	}
	if err := decode(r, &body); err != nil {
		return nil, err
	}
	if body.Token == "" {
		return nil, bad("token is required")
	}
	p.WhatsApp.SetToken(body.Token)
	return map[string]bool{"ok": true}, nil
}

func systemID(r *http.Request) (string, error) {
	var body struct {
		SystemID string `json:"system_id"`
	}
	err := decode(r, &body)
	return body.SystemID, err
}

func (p *Parts) drop(r *http.Request) (any, error) {
	id, err := systemID(r)
	if err != nil {
		return nil, err
	}
	return map[string]int{"links": p.SMSC.DropLinks(id)}, nil
}

func (p *Parts) unbind(r *http.Request) (any, error) {
	id, err := systemID(r)
	if err != nil {
		return nil, err
	}
	return map[string]int{"links": p.SMSC.Unbind(r.Context(), id)}, nil
}
