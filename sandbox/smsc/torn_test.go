package smsc_test

import (
	"testing"

	"github.com/parley-messaging/parley/sandbox/smsc"
	"github.com/parley-messaging/parley/smpp"
)

// Some gateways (Kannel 1.4.5 is one) split between the halves of a surrogate
// pair, or an escape from its character. A phone joins the octets first.
func TestTornCharacters(t *testing.T) {
	for _, test := range []struct {
		coding uint8
		parts  []string
		want   string
	}{
		{8, []string{"\x00a\xd8\x3d", "\xde\x00\x00b"}, "a😀b"},
		{0, []string{"a\x1b", "eb"}, "a€b"},
	} {
		f := newFixture(t, smsc.Options{})
		e := f.bind(smpp.BindTransceiver, ok)
		for i := len(test.parts) - 1; i >= 0; i-- {
			m := submit("33612345678", "\x05\x00\x03\x09"+string(rune(len(test.parts)))+string(rune(i+1))+test.parts[i])
			m.ESMClass, m.DataCoding, m.RegisteredDelivery = smpp.ESMUDHI, test.coding, 0
			if _, err := e.SubmitWait(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		f.server.Settle()
		if in := f.fleet.Inbox("33612345678"); len(in) != 1 || in[0].Text != test.want {
			t.Errorf("the phone shows %+v, want %q", in, test.want)
		}
	}
}
