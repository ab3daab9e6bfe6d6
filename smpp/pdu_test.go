package smpp

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type vector struct {
	ID       string
	Kind     string
	PDU      string
	Status   uint32 `json:"command_status"`
	Sequence uint32 `json:"sequence_number"`
	Hex      string
	Fields   map[string]any
	TLVs     [][2]any `json:"tlvs"`
	Chunks   []string
	Expect   string
}

func vectors(tb testing.TB, kind string) []vector {
	tb.Helper()
	b, err := os.ReadFile("testdata/smpp_pdu.json")
	if err != nil {
		tb.Fatal(err)
	}
	var all, some []vector
	if err := json.Unmarshal(b, &all); err != nil {
		tb.Fatal(err)
	}
	for _, v := range all {
		if v.Kind == kind {
			some = append(some, v)
		}
	}
	return some
}

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestValidVectors(t *testing.T) {
	all := vectors(t, "valid")
	if len(all) != 80 {
		t.Fatalf("%d vectors, want 80", len(all))
	}
	for _, v := range all {
		t.Run(v.ID, func(t *testing.T) {
			b := unhex(t, v.Hex)
			p, err := Decode(b)
			if err != nil {
				t.Fatal(err)
			}
			if p.Command.String() != v.PDU || uint32(p.Status) != v.Status || p.Sequence != v.Sequence {
				t.Errorf("header %v %v %d", p.Command, p.Status, p.Sequence)
			}
			if _, raw := p.Body.(*Raw); raw {
				v.Fields = nil // submit_multi is carried whole and compared below
			}
			got, tlvs := fieldsOf(p.Body)
			for name, want := range v.Fields {
				if fmt.Sprint(got[name]) != fmt.Sprint(want) {
					t.Errorf("%s = %v, want %v", name, got[name], want)
				}
			}
			if len(tlvs) != len(v.TLVs) {
				t.Fatalf("tlvs %v, want %v", tlvs, v.TLVs)
			}
			for i, want := range v.TLVs {
				checkTLV(t, tlvs, i, want)
			}
			again, err := p.Append(nil)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(again, b) {
				t.Errorf("encoded again\n%x, want\n%x", again, b)
			}
			// A caller's buffer is appended to, never overwritten.
			again, err = p.Append([]byte("kept"))
			if err != nil || !bytes.Equal(again, append([]byte("kept"), b...)) {
				t.Errorf("append to a prefix: %x, %v", again, err)
			}
		})
	}
}

func checkTLV(t *testing.T, tlvs TLVs, i int, want [2]any) {
	t.Helper()
	tags := map[string]Tag{
		"sc_interface_version": TagSCInterfaceVersion, "receipted_message_id": TagReceiptedMessageID,
		"message_state": TagMessageState, "network_error_code": TagNetworkErrorCode,
		"message_payload": TagMessagePayload, "sar_msg_ref_num": TagSARMsgRefNum,
		"sar_total_segments": TagSARTotalSegments, "sar_segment_seqnum": TagSARSegmentSeqnum,
		"user_message_reference": TagUserMessageReference, "ms_availability_status": TagMSAvailabilityStatus,
	}
	name := want[0].(string)
	tag, ok := tags[name]
	if !ok {
		n, err := strconv.ParseUint(name, 0, 16)
		if err != nil {
			t.Fatalf("tag %q", name)
		}
		tag = Tag(n)
	}
	if tlvs[i].Tag != tag {
		t.Fatalf("tlv %d is %v, want %v", i, tlvs[i].Tag, tag)
	}
	switch w := want[1].(type) {
	case float64:
		if n, ok := tlvs.Uint(tag); !ok || n != uint32(w) {
			t.Errorf("tlv %s = %d, want %v", name, n, w)
		}
	case string:
		if tag == TagReceiptedMessageID {
			if s, _ := tlvs.Text(tag); s != w {
				t.Errorf("tlv %s = %q, want %q", name, s, w)
			}
		} else if v, ok := tlvs.Get(tag); !ok || hex.EncodeToString(v) != w {
			t.Errorf("tlv %s = %x, want %s", name, v, w)
		}
	}
}

// fieldsOf names the fields of a body as the vectors do.
func fieldsOf(body Body) (map[string]any, TLVs) {
	address := func(f map[string]any, prefix, name string, a Address) {
		f[prefix+"_ton"], f[prefix+"_npi"], f[name] = a.TON, a.NPI, a.Addr
	}
	f := map[string]any{}
	switch m := body.(type) {
	case *Bind:
		f["system_id"], f["password"], f["system_type"] = m.SystemID, m.Password, m.SystemType
		f["interface_version"], f["addr_ton"], f["addr_npi"], f["address_range"] = m.InterfaceVersion, m.AddrTON, m.AddrNPI, m.AddressRange
	case *BindResp:
		f["system_id"] = m.SystemID
		return f, m.TLVs
	case *Outbind:
		f["system_id"], f["password"] = m.SystemID, m.Password
	case *DeliverSM:
		return fieldsOf((*SubmitSM)(m))
	case *SubmitSM:
		f["service_type"] = m.ServiceType
		address(f, "source_addr", "source_addr", m.Source)
		address(f, "dest_addr", "destination_addr", m.Destination)
		f["esm_class"], f["protocol_id"], f["priority_flag"] = m.ESMClass, m.ProtocolID, m.Priority
		f["schedule_delivery_time"], f["validity_period"] = m.ScheduleTime, m.ValidityPeriod
		f["registered_delivery"], f["replace_if_present_flag"] = m.RegisteredDelivery, m.ReplaceIfPresent
		f["data_coding"], f["sm_default_msg_id"] = m.DataCoding, m.DefaultMessageID
		f["sm_length"], f["short_message_hex"] = len(m.ShortMessage), hex.EncodeToString(m.ShortMessage)
		return f, m.TLVs
	case *DataSM:
		f["service_type"] = m.ServiceType
		address(f, "source_addr", "source_addr", m.Source)
		address(f, "dest_addr", "destination_addr", m.Destination)
		f["esm_class"], f["registered_delivery"], f["data_coding"] = m.ESMClass, m.RegisteredDelivery, m.DataCoding
		return f, m.TLVs
	case *MessageResp:
		f["message_id"] = m.MessageID
		return f, m.TLVs
	case *QuerySM:
		f["message_id"] = m.MessageID
		address(f, "source_addr", "source_addr", m.Source)
	case *QueryResp:
		f["message_id"], f["final_date"], f["message_state"], f["error_code"] = m.MessageID, m.FinalDate, uint8(m.State), m.ErrorCode
	case *CancelSM:
		f["service_type"], f["message_id"] = m.ServiceType, m.MessageID
		address(f, "source_addr", "source_addr", m.Source)
		address(f, "dest_addr", "destination_addr", m.Destination)
	case *ReplaceSM:
		f["message_id"] = m.MessageID
		address(f, "source_addr", "source_addr", m.Source)
		f["schedule_delivery_time"], f["validity_period"] = m.ScheduleTime, m.ValidityPeriod
		f["registered_delivery"], f["sm_default_msg_id"] = m.RegisteredDelivery, m.DefaultMessageID
		f["sm_length"], f["short_message_hex"] = len(m.ShortMessage), hex.EncodeToString(m.ShortMessage)
		return f, m.TLVs
	case *Alert:
		f["source_addr"], f["esme_addr"] = m.Source.Addr, m.ESME.Addr
		return f, m.TLVs
	}
	return f, nil
}

func TestMalformedVectors(t *testing.T) {
	want := map[string]Status{
		"bad-len-15": StatusInvalidCommandLength, "bad-len-huge": StatusInvalidCommandLength,
		"bad-no-nul": StatusInvalidSource, "bad-src-too-long": StatusInvalidSource,
		"bad-sm-length-over": StatusInvalidMessageLength, "bad-tlv-truncated": StatusInvalidTLVStream,
		"bad-tlv-overrun": StatusInvalidTLVStream, "bad-tlv-wrong-size": StatusInvalidTLVLength,
		"bad-sm-and-payload": StatusInvalidMessageLength, "bad-bind-sysid-too-long": StatusInvalidSystemID,
		// Legal as far as the codec goes; the session reacts.
		"bad-cmd-unknown": StatusOK, "bad-resp-unknown-seq": StatusOK, "bad-udh-overrun": StatusOK,
	}
	all := vectors(t, "malformed")
	if len(all) != len(want) {
		t.Fatalf("%d vectors, want %d", len(all), len(want))
	}
	for _, v := range all {
		t.Run(v.ID, func(t *testing.T) {
			_, err := Decode(unhex(t, v.Hex))
			var bad *DecodeError
			errors.As(err, &bad)
			status := StatusOK
			if bad != nil {
				status = bad.Status
			}
			if status != want[v.ID] {
				t.Errorf("status %v (%v), want %v", status, err, want[v.ID])
			}
		})
	}
}

func TestReaderFrames(t *testing.T) {
	for _, v := range vectors(t, "framing") {
		t.Run(v.ID, func(t *testing.T) {
			var whole []byte
			var parts [][]byte
			for _, c := range v.Chunks {
				parts = append(parts, unhex(t, c))
				whole = append(whole, parts[len(parts)-1]...)
			}
			r := NewReader(&chunks{parts}, 0)
			var got []byte
			for {
				b, err := r.Next()
				if err != nil {
					break
				}
				if _, err := Decode(b); err != nil {
					t.Fatal(err)
				}
				got = append(got, b...)
			}
			if !bytes.Equal(got, whole) {
				t.Errorf("got %x, want %x", got, whole)
			}
		})
	}
}

// chunks is a stream that arrives as a network would deliver it.
type chunks struct{ left [][]byte }

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.left) == 0 {
		return 0, errors.New("end")
	}
	n := copy(p, c.left[0])
	if c.left[0] = c.left[0][n:]; len(c.left[0]) == 0 {
		c.left = c.left[1:]
	}
	return n, nil
}

func TestReaderRefusesLengthBeforeAllocating(t *testing.T) {
	for _, head := range []string{"7fffffff", "0000000f", "00010001"} {
		allocs := testing.AllocsPerRun(10, func() {
			r := NewReader(strings.NewReader(string(unhex(t, head))+strings.Repeat("x", 16)), 0)
			var bad *FrameError
			if _, err := r.Next(); !errors.As(err, &bad) {
				t.Errorf("%s: %v", head, err)
			}
		})
		if allocs > 10 {
			t.Errorf("%s: %v allocations", head, allocs)
		}
	}
	long := PDU{Command: DataSMCommand, Sequence: 1, Body: &DataSM{TLVs: TLVs{TagMessagePayload.Octets(make([]byte, 60000))}}}
	b, err := long.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := NewReader(bytes.NewReader(append(b, b...)), 0).Next()
	if err != nil || !bytes.Equal(got, b) {
		t.Errorf("long frame: %d octets, %v", len(got), err)
	}
}

func TestStatusTable(t *testing.T) {
	b, err := os.ReadFile("testdata/smpp_status.json")
	if err != nil {
		t.Fatal(err)
	}
	var want []struct{ Code, Name, About, Action, Since string }
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	if len(Statuses()) != len(want) {
		t.Fatalf("%d statuses, want %d", len(Statuses()), len(want))
	}
	for _, w := range want {
		n, _ := strconv.ParseUint(w.Code, 0, 32)
		got, ok := Status(n).Info()
		if diff := cmp.Diff(StatusInfo{Status(n), w.Name, StatusAbout(w.About), StatusAction(w.Action), w.Since}, got); diff != "" || !ok {
			t.Error(diff)
		}
	}
	if s := Status(0x412); s.String() != "0x00000412" {
		t.Error(s)
	}
}

func TestEncodeRefuses(t *testing.T) {
	bodies := map[string]PDU{
		"long name":    {Command: BindTransceiver, Body: &Bind{SystemID: strings.Repeat("a", 16)}},
		"nul":          {Command: BindTransceiver, Body: &Bind{SystemID: "a\x00b"}},
		"long text":    {Command: SubmitSMCommand, Body: &SubmitSM{ShortMessage: make([]byte, 256)}},
		"two texts":    {Command: SubmitSMCommand, Body: &SubmitSM{ShortMessage: []byte("a"), TLVs: TLVs{TagMessagePayload.Octets([]byte("b"))}}},
		"long address": {Command: SubmitSMCommand, Body: &SubmitSM{Source: Address{Addr: strings.Repeat("1", 21)}}},
		"long tlv":     {Command: DataSMCommand, Body: &DataSM{TLVs: TLVs{TagMessagePayload.Octets(make([]byte, 1<<16))}}},
		"wrong body":   {Command: SubmitSMCommand, Body: &Bind{}},
		"no body":      {Command: SubmitSMCommand},
	}
	for name, p := range bodies {
		t.Run(name, func(t *testing.T) {
			got, err := p.Append([]byte("kept"))
			var bad *EncodeError
			if !errors.As(err, &bad) || string(got) != "kept" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}
