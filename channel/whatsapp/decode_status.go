package whatsapp

import (
	"time"

	"github.com/parley-messaging/parley/channel/internal/graph"
	"github.com/parley-messaging/parley/message"
)

// A status is one entry of statuses[]: most of the traffic that comes in.
type status struct {
	id, echo  string
	state     message.ReceiptStatus // 0 = no news for us
	at        time.Time
	recipient string
	user      string
	group     bool
	priced    bool
	price     message.ProviderPrice
	errors    []graph.Error
}

func readStatus(d *graph.Decoder) (s status) {
	if !d.Object() {
		return s
	}
	for d.Next() {
		switch string(d.Key()) {
		case "id":
			s.id = d.Text()
		case "status":
			s.state = stateOf(d.Bytes())
		case "timestamp":
			s.at = instant(d.Int())
		case "recipient_id":
			s.recipient = d.Text()
		case "recipient_user_id":
			s.user = d.Text()
		case "recipient_type":
			s.group = string(d.Bytes()) == "group"
		case "biz_opaque_callback_data":
			s.echo = d.Text()
		case "pricing":
			s.readPrice(d)
		case "errors":
			s.errors = readErrors(d)
		}
	}
	return s
}

// stateOf maps Meta's words. A voice message that was played was read;
// "deleted" and "warning" say nothing about delivery.
func stateOf(word []byte) message.ReceiptStatus {
	switch string(word) {
	case "sent":
		return message.ReceiptSent
	case "delivered":
		return message.ReceiptDelivered
	case "read", "played":
		return message.ReceiptRead
	case "failed":
		return message.ReceiptFailed
	}
	return 0
}

func (s *status) readPrice(d *graph.Decoder) {
	if !d.Object() {
		return
	}
	s.priced = true
	for d.Next() {
		switch string(d.Key()) {
		case "billable":
			s.price.Billable = d.Bool()
		case "pricing_model":
			s.price.Model = word(d.Bytes())
		case "category":
			s.price.Category = word(d.Bytes())
		case "type":
			s.price.Type = word(d.Bytes())
		}
	}
}

// word gives a text of a small known set without making it again.
func word(b []byte) string {
	for _, w := range [...]string{
		"PMP", "CBP", "marketing", "utility", "authentication", "service", "regular",
		"free_customer_service", "free_entry_point", "authentication-international",
		"marketing_lite", "referral_conversion",
	} {
		if string(b) == w {
			return w
		}
	}
	return string(b)
}

// settled is a receipt with the price that often comes with it, made as one.
type settled struct {
	receipt message.Receipt
	price   message.ProviderPrice
}

func (r *reader) status(s *status, number string) {
	if s.state == 0 || s.id == "" {
		return
	}
	both := &settled{receipt: message.Receipt{ID: s.id, Echo: s.echo, Status: s.state, At: s.at, From: number}}
	out := &both.receipt
	if s.priced {
		both.price = s.price
		out.Price = &both.price
	}
	switch {
	case s.group:
		out.To = message.Address{Channel: message.WhatsApp, ID: s.recipient}
	default:
		if to := phoneDigits(s.recipient); to != "" {
			out.To = message.Address{Channel: message.Phone, ID: "+" + to}
		} else if to, _, ok := r.addresses(s.recipient, s.user); ok {
			out.To = to
		}
	}
	if s.state == message.ReceiptFailed {
		out.Fault = failure(s.errors)
	}
	r.events = append(r.events, out)
}

// failure gives the fault of a failed message: the first error of a known
// code, else the first.
func failure(errors []graph.Error) *message.Fault {
	for _, e := range errors {
		if f := faultFrom(e, 0); !f.Unmapped {
			return f
		}
	}
	if len(errors) > 0 {
		return faultFrom(errors[0], 0)
	}
	return &message.Fault{Kind: message.Refused, Certain: true, Unmapped: true, Title: "failed without a reason"}
}
