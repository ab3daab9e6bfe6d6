package api

import (
	"bytes"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/message"
)

// appendAccepted appends what encoding/json would write for an Accepted, in a
// fraction of the time: it is on the hot path. A test compares the two.
func appendAccepted(b []byte, a *engine.Answer) []byte {
	b = append(b, `{"id":"`...)
	b = a.ID.Append(b)
	b = append(b, `","contact":"`...)
	b = a.Contact.Append(b)
	b = append(b, `","state":"`...)
	b = append(b, a.State.String()...)
	b = append(b, `","plan":[`...)
	for i := range a.Plan {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendPlanStep(b, &a.Plan[i])
	}
	b = append(b, `],"warnings":[`...)
	for i := range a.Warnings {
		if i > 0 {
			b = append(b, ',')
		}
		w := &a.Warnings[i]
		b = appendWarning(b, w.Code, w.Step, w.Detail)
	}
	worst, expected := a.Totals()
	b = appendMoney(append(b, `],"worst_case":`...), worst)
	b = appendMoney(append(b, `,"expected":`...), expected)
	return append(b, "}\n"...)
}

// appendBatch is appendAccepted for a BatchAnswer.
func appendBatch(b []byte, a *BatchAnswer) []byte {
	b = strconv.AppendInt(append(b, `{"accepted":`...), int64(a.Accepted), 10)
	b = strconv.AppendInt(append(b, `,"refused":`...), int64(a.Refused), 10)
	b = append(b, `,"data":[`...)
	for i := range a.Data {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendVerdict(b, &a.Data[i])
	}
	return append(b, "]}\n"...)
}

func appendVerdict(b []byte, v *BatchVerdict) []byte {
	b = strconv.AppendInt(append(b, `{"index":`...), int64(v.Index), 10)
	if !v.ID.IsZero() {
		b = append(v.ID.Append(append(b, `,"id":"`...)), '"')
	}
	if !v.Contact.IsZero() {
		b = append(v.Contact.Append(append(b, `,"contact":"`...)), '"')
	}
	b = appendField(b, `,"state":`, v.State)
	for i := range v.Warnings {
		if i == 0 {
			b = append(b, `,"warnings":[`...)
		} else {
			b = append(b, ',')
		}
		w, step := &v.Warnings[i], -1
		if w.Step != nil {
			step = *w.Step
		}
		b = appendWarning(b, w.Code, step, w.Detail)
	}
	if len(v.Warnings) > 0 {
		b = append(b, ']')
	}
	if v.Error != nil {
		b = append(b, `,"error":`...)
		if text, err := encode(v.Error); err == nil { // texts and numbers: there is nothing to fail
			b = append(b, bytes.TrimSuffix(text, []byte{'\n'})...)
		}
	}
	return append(b, '}')
}

// appendWarning appends a Warning; below 0 the step is left out.
func appendWarning(b []byte, code string, step int, detail string) []byte {
	b = appendText(append(b, `{"code":`...), code)
	if step >= 0 {
		b = strconv.AppendInt(append(b, `,"step":`...), int64(step), 10)
	}
	b = appendText(append(b, `,"detail":`...), detail)
	return append(b, '}')
}

func appendMoney(b []byte, m message.Money) []byte {
	if m.Currency == "" {
		return append(b, "null"...)
	}
	b = appendMicros(append(b, `{"amount":"`...), m.Micros)
	b = appendText(append(b, `","currency":`...), m.Currency)
	return append(b, '}')
}

func appendPlanStep(b []byte, p *engine.PlanStep) []byte {
	b = append(b, `{"step":`...)
	b = strconv.AppendInt(b, int64(p.Step), 10)
	b = append(b, `,"channel":`...)
	b = appendText(b, string(p.Channel))
	if !p.Sender.IsZero() {
		b = append(b, `,"sender":"`...)
		b = p.Sender.Append(b)
		b = append(b, '"')
	}
	b = appendField(b, `,"mode":`, string(p.Mode))
	b = appendField(b, `,"template":`, p.Template)
	if p.Skipped {
		b = append(b, `,"skipped":true`...)
	}
	b = append(b, `,"reason":`...)
	b = appendText(b, p.Reason)
	b = appendField(b, `,"detail":`, p.Detail)
	b = appendSpan(b, `,"wait":"`, p.Wait)
	b = appendField(b, `,"trigger":`, p.Trigger)
	b = appendSpan(b, `,"valid_for":"`, p.ValidFor)
	if p.LateRisk {
		b = append(b, `,"late_risk":true`...)
	}
	if p.Segments != 0 {
		b = append(b, `,"segments":`...)
		b = strconv.AppendInt(b, int64(p.Segments), 10)
	}
	b = appendField(b, `,"encoding":`, p.Encoding)
	if p.Estimate.Currency == "" {
		b = append(b, `,"estimate":null`...)
	} else {
		b = append(b, `,"estimate":{"amount":"`...)
		b = appendMicros(b, p.Estimate.Micros)
		b = append(b, `","currency":`...)
		b = appendText(b, p.Estimate.Currency)
		b = append(b, '}')
	}
	b = appendField(b, `,"rule":`, p.Rule)
	if p.Free {
		b = append(b, `,"free":true`...)
	}
	return append(b, '}')
}

func appendField(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	return appendText(append(b, name...), value)
}

func appendSpan(b []byte, name string, d time.Duration) []byte {
	if d == 0 {
		return b
	}
	return append(appendDuration(append(b, name...), d), '"')
}

// appendText appends a JSON string.
func appendText(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= 0x20 && c != '"' && c != '\\' {
				i++
				continue
			}
			b = append(b, s[from:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			case '\r':
				b = append(b, '\\', 'r')
			case '\t':
				b = append(b, '\\', 't')
			case '\b':
				b = append(b, '\\', 'b')
			case '\f':
				b = append(b, '\\', 'f')
			default:
				b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
			i++
			from = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			b = append(append(b, s[from:i]...), `\ufffd`...)
			i++
			from = i
			continue
		}
		if r == '\u2028' || r == '\u2029' {
			b = append(append(b, s[from:i]...), '\\', 'u', '2', '0', '2', hex[r&15])
			i += size
			from = i
			continue
		}
		i += size
	}
	b = append(b, s[from:]...)
	return append(b, '"')
}

// planSteps shows a plan with everything a preview has.
func planSteps(plan []engine.PlanStep) []PlanStep {
	out := make([]PlanStep, len(plan))
	for i := range plan {
		p := &plan[i]
		out[i] = PlanStep{
			Step: p.Step, Channel: p.Channel, Sender: p.Sender, Mode: p.Mode, Template: p.Template, Skipped: p.Skipped,
			Reason: p.Reason, Detail: p.Detail, Wait: Duration(p.Wait), Trigger: p.Trigger, ValidFor: Duration(p.ValidFor),
			LateRisk: p.LateRisk, Segments: p.Segments, Encoding: p.Encoding, Estimate: amount(p.Estimate), Rule: p.Rule, Free: p.Free,
		}
		if r := p.Rendered; r != nil {
			shown := &Rendered{Text: r.Text, Content: r.Content, Encoding: r.Encoding, Segments: r.Segments, Changes: make([]Change, len(r.Changes))}
			for j, c := range r.Changes {
				shown.Changes[j] = Change{c.Field, string(c.Level), c.Detail}
			}
			for _, c := range r.Choices {
				shown.Choices = append(shown.Choices, Choice{c.Key, c.Title, c.Payload})
			}
			if r.Saving != nil {
				shown.Saving = &Saving{r.Saving.Text, r.Saving.Encoding, r.Saving.Segments, r.Saving.Detail}
			}
			out[i].Rendered = shown
		}
	}
	return out
}

func warnings(in []engine.Warning) []Warning {
	out := make([]Warning, len(in))
	for i, w := range in {
		out[i] = Warning{Code: w.Code, Detail: w.Detail}
		if w.Step >= 0 {
			step := w.Step
			out[i].Step = &step
		}
	}
	return out
}

// accepted is the slow twin of appendAccepted, for the test that compares them.
func accepted(a *engine.Answer) Accepted {
	worst, expected := a.Totals()
	return Accepted{
		ID: a.ID, Contact: a.Contact, State: a.State, Plan: planSteps(a.Plan), Warnings: warnings(a.Warnings),
		WorstCase: amount(worst), Expected: amount(expected),
	}
}
