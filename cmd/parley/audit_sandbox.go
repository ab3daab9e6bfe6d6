package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/parley-messaging/parley/app"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/sandbox/journal"
	parley "github.com/parley-messaging/parley/sdk/go"
	"github.com/parley-messaging/parley/store"
)

// A sandboxAudit is our books beside the sandbox's journal.
type sandboxAudit struct {
	Messages int      `json:"messages"`
	Entries  int      `json:"entries"`
	Problems []string `json:"problems"`
	Notes    []string `json:"notes,omitempty"`
}

// told is what our books say of one message that was sent.
type told struct {
	id      string
	purpose string
	state   string
	at      time.Time
	erased  bool
	steps   []toldStep
}

type toldStep struct {
	channel string
	state   string
	refs    []string // the provider's ids
	blind   int      // attempts without an id that may have left
}

// slack is how much earlier than the journal's first entry a message may have
// been made that the journal should know.
const slack = 5 * time.Second

// compare holds the books against the journal of a sandbox.
func (c *auditCmd) compare(ctx context.Context, a *app.App) (*sandboxAudit, error) {
	var list []told
	var err error
	whole := a != nil
	if whole {
		list, err = toldByStore(ctx, a)
	} else {
		cl, cerr := (&serverFlags{URL: c.URL, APIKey: c.APIKey}).client()
		if cerr != nil {
			return nil, cerr
		}
		list, err = toldByAPI(ctx, cl)
	}
	if err != nil {
		return nil, err
	}
	entries, lost, err := readJournal(ctx, innerOf(c.Sandbox))
	if err != nil {
		return nil, fmt.Errorf("the sandbox's journal: %w", err)
	}
	return confront(list, entries, lost, whole), nil
}

// confront finds where two stories differ. whole says that list is everything
// that was ever sent to that sandbox.
func confront(list []told, entries []journal.Entry, lost uint64, whole bool) *sandboxAudit {
	out := &sandboxAudit{Messages: len(list), Problems: []string{}}
	byID := make(map[string][]*journal.Entry, len(entries)) // channel and provider id
	byRef := map[string][]*journal.Entry{}                  // message id, where the provider echoes it
	for i := range entries {
		e := &entries[i]
		if e.Direction != "mt" {
			continue
		}
		out.Entries++
		if e.ID != "" {
			byID[e.Channel+" "+e.ID] = append(byID[e.Channel+" "+e.ID], e)
		}
		if echo, ok := message.ParseEcho(e.Ref); ok {
			byRef[echo.Message.String()] = append(byRef[echo.Message.String()], e)
		}
	}
	known := make(map[*journal.Entry]bool, len(entries))
	blind, erased, older := 0, 0, 0
	var first time.Time
	if len(entries) > 0 {
		first = entries[0].Time.Add(-slack)
	}
	for i := range list {
		m := &list[i]
		if m.erased {
			erased++
		}
		arrived := map[string]int{} // by channel
		note := func(e *journal.Entry) {
			if known[e] {
				return
			}
			known[e] = true
			if echo, _ := message.ParseEcho(e.Ref); (e.Fate == "delivered" || e.Fate == "read") && e.Part <= 1 && echo.Part == 0 {
				arrived[e.Channel]++
			}
		}
		for _, s := range m.steps {
			blind += s.blind
			for _, ref := range s.refs {
				for _, e := range byID[s.channel+" "+ref] {
					note(e)
				}
			}
		}
		for _, e := range byRef[m.id] {
			note(e)
		}
		sum := 0
		for channel, n := range arrived {
			sum += n
			if n > 1 {
				say := fmt.Sprintf("%s (%s): received %d times by %s", m.id, m.purpose, n, channel)
				if m.purpose == string(message.Marketing) {
					out.Problems = append(out.Problems, say)
				} else {
					out.Notes = append(out.Notes, say)
				}
			}
		}
		if sum > 1 && len(arrived) > 1 && m.purpose == string(message.Marketing) {
			out.Problems = append(out.Problems, fmt.Sprintf("%s (marketing): received on %d channels", m.id, len(arrived)))
		}
		if sum > 0 || m.erased || m.state != "delivered" && m.state != "read" {
			continue
		}
		if first.IsZero() || m.at.Before(first) {
			older++ // this sandbox was not there yet, or has forgotten
		} else {
			out.Problems = append(out.Problems, fmt.Sprintf("%s is told %s, and no handset received it", m.id, m.state))
		}
	}
	strange := 0
	for i := range entries {
		e := &entries[i]
		if e.Direction == "mt" && !known[e] && e.Part <= 1 && (e.Fate == "delivered" || e.Fate == "read") {
			strange++
		}
	}
	switch {
	case strange == 0:
	case whole && erased == 0 && strange > blind:
		out.Problems = append(out.Problems, fmt.Sprintf("handsets received %s that the books do not know", plural(int64(strange), "message")))
	default:
		out.Notes = append(out.Notes, fmt.Sprintf("handsets received %s that cannot be matched: of other workspaces, of erased people, or of attempts whose answer was lost (%d)", plural(int64(strange), "message"), blind))
	}
	if older > 0 {
		out.Notes = append(out.Notes, fmt.Sprintf("%s older than the journal could not be checked", plural(int64(older), "message")))
	}
	if lost > 0 {
		out.Notes = append(out.Notes, fmt.Sprintf("the sandbox no longer holds its first %s", plural(int64(lost), "entry")))
	}
	return out
}

func readJournal(ctx context.Context, cl *inner) (all []journal.Entry, lost uint64, err error) {
	bar := progress(-1, "reading the sandbox's journal")
	defer func() { _ = bar.Finish() }()
	for after := uint64(0); ; {
		var page journalPage
		if err := cl.call(ctx, "GET", "/journal?limit=5000&after="+strconv.FormatUint(after, 10), nil, &page); err != nil {
			return nil, 0, err
		}
		lost += page.Lost
		all = append(all, page.Entries...)
		_ = bar.Add(len(page.Entries)) // a bar that cannot be drawn is no loss
		if len(page.Entries) == 0 || page.Next == after {
			return all, lost, nil
		}
		after = page.Next
	}
}

func toldByStore(ctx context.Context, a *app.App) (out []told, err error) {
	rooms, err := a.Workspaces.List(ctx)
	if err != nil {
		return nil, err
	}
	bar := progress(-1, "reading messages")
	defer func() { _ = bar.Finish() }()
	for _, w := range rooms {
		f := store.Filter{Direction: store.MT, Limit: 500}
		for {
			views, err := a.Engine.List(ctx, w.ID, f)
			if err != nil {
				return nil, err
			}
			for _, v := range views {
				if v.Delivery == nil {
					continue
				}
				m := told{id: v.Message.ID.String(), purpose: string(v.Message.Purpose), state: v.Delivery.State.String(), at: v.Message.CreatedAt, erased: v.Erased}
				for i := range v.Delivery.Steps {
					s := &v.Delivery.Steps[i]
					step := toldStep{channel: string(s.Channel), state: s.State.String()}
					for j := range s.Attempts {
						if n := len(s.Attempts[j].Parts); n == 0 && s.Attempts[j].Outcome != message.Rejected && s.Attempts[j].Outcome != message.NotSent {
							step.blind++
						}
						if i < len(v.Refs) && j < len(v.Refs[i]) {
							step.refs = append(step.refs, v.Refs[i][j]...)
						}
					}
					m.steps = append(m.steps, step)
				}
				out = append(out, m)
				f.Before = v.Message.ID
			}
			_ = bar.Add(len(views)) // a bar that cannot be drawn is no loss
			if len(views) < f.Limit {
				break
			}
		}
	}
	return out, nil
}

func toldByAPI(ctx context.Context, cl *parley.Client) (out []told, err error) {
	bar := progress(-1, "reading messages")
	defer func() { _ = bar.Finish() }()
	all := parley.ListMessages{Direction: "outbound", ListOptions: parley.ListOptions{Limit: 200}}
	for d, err := range cl.Messages.All(ctx, all) {
		if err != nil {
			return nil, err
		}
		m := told{id: d.ID, purpose: string(d.Purpose), state: d.State, at: d.CreatedAt, erased: d.Erased}
		for _, s := range d.Steps {
			step := toldStep{channel: string(s.Channel), state: s.State}
			for _, at := range s.Attempts {
				if len(at.Parts) == 0 && at.Outcome != message.Rejected.String() && at.Outcome != message.NotSent.String() {
					step.blind++
				}
				for _, part := range at.Parts {
					step.refs = append(step.refs, part.ProviderID)
				}
			}
			m.steps = append(m.steps, step)
		}
		out = append(out, m)
		_ = bar.Add(1) // a bar that cannot be drawn is no loss
	}
	return out, nil
}
