package sms

import (
	"encoding/json"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/channel/channeltest"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/smpp"
	"github.com/parley-messaging/parley/smpp/gsm"
)

const person = "491701234567"

func TestSuite(t *testing.T) {
	with := func(key string, value any) json.RawMessage {
		return config(&smsc{host: "smsc.example.net", port: 2775}, map[string]any{key: value})
	}
	channeltest.Run(t, channeltest.Harness{
		Type: Type, Start: startTwin, Nobody: nobody, Secrets: []string{"secret"},
		To:   message.Address{Channel: message.Phone, ID: "+" + person},
		From: message.Sender{Channel: message.SMS, Address: "ACME"},
		Bad: map[string]json.RawMessage{
			"config":                   json.RawMessage(`["secret"]`),
			"host":                     with("host", "smpp://secret@x"),
			"port":                     with("port", 70000),
			"system_id":                with("system_id", "sixteen letters!"),
			"password":                 with("password", "secretsecret"),
			"system_type":              with("system_type", "more than twelve"),
			"service_type":             with("service_type", "toolong"),
			"country_code":             with("country_code", "+33"),
			"bind":                     with("bind", "outbind"),
			"binds":                    with("binds", -1),
			"window":                   with("window", 1_000_000),
			"throughput":               with("throughput", -1),
			"short_code_ton":           with("short_code_ton", 9),
			"alphabet":                 with("alphabet", "utf8"),
			"national_tables":          with("national_tables", []int{14}),
			"long":                     with("long", "udh"),
			"max_parts":                with("max_parts", 256),
			"stop_mention":             with("stop_mention", strings.Repeat("x", 61)),
			"priority":                 with("priority", "high"),
			"receipts":                 with("receipts", "all"),
			"receipt_parts":            with("receipt_parts", "none"),
			"receipt_id":               with("receipt_id", "dec"),
			"inbound_parts":            with("inbound_parts", "drop"),
			"errors":                   with("errors", map[string]string{"011": "secret"}),
			"statuses":                 with("statuses", map[string]string{"secret": "refused"}),
			"enquire_link_seconds":     with("enquire_link_seconds", -1),
			"response_timeout_seconds": with("response_timeout_seconds", 1e9),
			"reconnect_max_seconds":    with("reconnect_max_seconds", 0.001),
			"tls.ca":                   with("tls", map[string]string{"ca": "secret"}),
			"tls.certificate":          with("tls", map[string]string{"key": "secret"}),
			"tls.skip":                 with("tls", map[string]bool{"skip": true}),
			"passwort":                 with("passwort", "secret"),
		},
	})
}

// nobody gives an address where nobody listens: one that was just given up.
func nobody(t *testing.T) json.RawMessage {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return config(&smsc{host: "127.0.0.1", port: l.Addr().(*net.TCPAddr).Port}, nil)
}

func startTwin(t *testing.T) *channeltest.Twin {
	var order atomic.Value
	order.Store(channeltest.Accept)
	var taken atomic.Int64
	statuses := map[channeltest.Order]smpp.Status{
		channeltest.Refuse: smpp.StatusInvalidMessageLength, channeltest.Throttle: smpp.StatusThrottled,
		channeltest.Unauthorized: smpp.StatusServiceTypeDenied, channeltest.Busy: smpp.StatusSystemError,
	}
	srv := serve(t, smpp.ServerConfig{SessionConfig: smpp.SessionConfig{Handler: func(r *smpp.Request) {
		o := order.Load().(channeltest.Order)
		if status, refused := statuses[o]; refused {
			_ = r.Refuse(status)
			return
		}
		if o == channeltest.Drop {
			r.Drop()
			r.Session.Cut()
			return
		}
		id := hexID(taken.Add(1))
		switch o {
		case channeltest.Accept:
			_ = r.Accept(id)
		case channeltest.Hang:
			r.Drop()
		case channeltest.Cut:
			r.Drop()
			r.Session.Cut()
		case channeltest.Broken:
			nack, err := (&smpp.PDU{Command: smpp.GenericNack, Status: smpp.StatusSystemError, Sequence: r.Sequence}).Append(nil)
			if err == nil {
				_ = r.Session.WriteRaw(nack)
			}
			r.Drop()
		}
	}}})
	var acknowledged atomic.Int64
	say := func(d *smpp.DeliverSM) {
		answer := offer(t, srv, d)
		go func() {
			if status := <-answer; status == smpp.StatusOK {
				acknowledged.Add(1)
			}
		}()
	}
	return &channeltest.Twin{
		Acknowledged: func() int { return int(acknowledged.Load()) },
		Config:       config(srv, nil),
		Order:        func(o channeltest.Order) bool { order.Store(o); return true },
		Taken:        func() int { return int(taken.Load()) },
		Receipts: func(id, _ string, list ...message.ReceiptStatus) []channel.Callback {
			for _, status := range list {
				state := smpp.StateDelivered
				if status == message.ReceiptFailed {
					state = smpp.StateUndeliverable
				}
				offer(t, srv, &smpp.DeliverSM{
					Source: smpp.Address{TON: 1, NPI: 1, Addr: person}, Destination: smpp.Address{TON: 5, Addr: "ACME"},
					ESMClass: smpp.ESMReceipt, ShortMessage: smpp.Receipt{ID: id, State: state}.AppendText(nil),
				})
			}
			return nil
		},
		Say: func(text string) []channel.Callback {
			say(&smpp.DeliverSM{
				Source: smpp.Address{TON: 1, NPI: 1, Addr: person}, Destination: smpp.Address{TON: 3, Addr: "36111"},
				DataCoding: 8, ShortMessage: gsm.AppendUTF16(nil, text),
			})
			return nil
		},
	}
}

func hexID(n int64) string {
	const digits = "0123456789abcdef"
	var b [8]byte
	for i := range b {
		b[7-i] = digits[n>>(4*i)&15]
	}
	return string(b[:])
}
