package sms

import (
	"context"
	"testing"

	"github.com/parley-messaging/parley/smpp"
)

// BenchmarkSend measures the whole way of one part to an SMSC on the loopback
// and back, both ends in this process.
func BenchmarkSend(b *testing.B) {
	srv := serve(b, smpp.ServerConfig{SessionConfig: smpp.SessionConfig{
		InboundWindow: 10000, Handler: func(r *smpp.Request) { _ = r.Accept("0a1b2c3d") },
	}})
	c := open(b, config(srv, map[string]any{"window": 200}))
	run(b, c, 1)
	m := outbound("Votre code est 4821. Il est valable dix minutes.")
	b.SetParallelism(128)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := c.Send(context.Background(), m); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sends/s")
}

func BenchmarkEncode(b *testing.B) {
	c := open(b, config(&smsc{host: "h"}, nil))
	m := outbound("Votre code est 4821. Il est valable dix minutes.")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.encode(m); err != nil {
			b.Fatal(err)
		}
	}
}
