package whatsapp

import (
	"testing"

	"github.com/parley-messaging/parley/message"
)

const oneStatus = `{"object":"whatsapp_business_account","entry":[{"id":"102290129340398","changes":[{"value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550783881","phone_number_id":"106540352242922"},"statuses":[{"id":"wamid.HBgLMTY1MDM4Nzk0MzkVAgARGBI3N0I4QTAwMDAwMDAwMDAwMDAA","status":"delivered","timestamp":"1762084800","recipient_id":"33612345678","biz_opaque_callback_data":"msg_01jbq3c6m0e9x8v7t6s5r4q3p2.0.0","pricing":{"billable":true,"pricing_model":"PMP","type":"regular","category":"utility"}}]},"field":"messages"}]}]}`

func BenchmarkDecodeStatus(b *testing.B) {
	body := []byte(oneStatus)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if events, err := Decode(body, "p"); err != nil || len(events) != 1 {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeText(b *testing.B) {
	m := outbounds()["text"]
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := encode(buf[:0], &m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeTemplate(b *testing.B) {
	m := outbounds()["template named"]
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := encode(buf[:0], &m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeAnswer(b *testing.B) {
	body := []byte(`{"messaging_product":"whatsapp","contacts":[{"input":"33612345678","wa_id":"33612345678"}],"messages":[{"id":"wamid.HBgLMTY1MDM4Nzk0MzkVAgARGBI3N0I4QTAwMDAwMDAwMDAwMDAA"}]}`)
	b.ReportAllocs()
	var a message.Accepted
	for b.Loop() {
		var err error
		if a, err = decodeAnswer(body); err != nil {
			b.Fatal(err)
		}
	}
	_ = a
}
