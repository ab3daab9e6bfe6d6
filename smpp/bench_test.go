package smpp

import (
	"context"
	"fmt"
	"sync"
	"testing"
)

func BenchmarkEncodeSubmit(b *testing.B) {
	p := PDU{Command: SubmitSMCommand, Sequence: 1, Body: hello()}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf, _ = p.Append(buf[:0])
	}
}

func BenchmarkDecodeSubmit(b *testing.B) {
	p := PDU{Command: SubmitSMCommand, Sequence: 1, Body: hello()}
	buf, err := p.Append(nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(buf); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSubmit is the cost of a submit with its response on both sides
// together, over the loopback.
func BenchmarkSubmit(b *testing.B) {
	for _, window := range []int{10, 100, 1000} {
		b.Run(fmt.Sprint("window ", window), func(b *testing.B) {
			_, addr := smsc(b, ServerConfig{SessionConfig: SessionConfig{Handler: func(r *Request) { r.Accept("0194f3a26c1e7d34") }}})
			c := dial(b, addr, ClientConfig{SessionConfig: SessionConfig{Window: window}})
			m := hello()
			var wg sync.WaitGroup
			done := func(_ Response, err error) {
				if err != nil {
					b.Error(err)
				}
				wg.Done()
			}
			b.ReportAllocs()
			for b.Loop() {
				wg.Add(1)
				if err := c.Submit(context.Background(), m, done); err != nil {
					b.Fatal(err)
				}
			}
			wg.Wait()
		})
	}
}
