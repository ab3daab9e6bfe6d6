package sms

import (
	"encoding/binary"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/smpp"
)

func pdu(length, command, status, sequence uint32, body string) string {
	b := make([]byte, 0, 16+len(body))
	for _, v := range []uint32{length, command, status, sequence} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return string(append(b, body...))
}

func whole(command, status, sequence uint32, body string) string {
	return pdu(uint32(16+len(body)), command, status, sequence, body)
}

// An SMSC that talks nonsense hurts nobody: the link is answered or given up
// and comes back, no text appears, and the next real one arrives.
func TestHostileSMSC(t *testing.T) {
	const good = "\x00\x01\x0133612345678\x00\x03\x0036111\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x04STOP"
	for name, junk := range map[string]string{
		"text":                    "HTTP/1.1 400 Bad Request\r\n\r\n",
		"zeros":                   string(make([]byte, 64)),
		"length below a header":   pdu(3, 5, 0, 9, ""),
		"length of 4 GB":          pdu(0xFFFFFFFF, 5, 0, 9, good),
		"length above the limit":  pdu(1<<20, 5, 0, 9, good),
		"length that says less":   pdu(30, 5, 0, 9, good),
		"unknown command":         whole(0x00AB, 0, 9, "abc"),
		"unknown response":        whole(0x800000AB, 0, 9, "abc"),
		"an answer nobody asked":  whole(0x80000004, 0, 999, "id\x00"),
		"a header alone":          whole(5, 0, 9, ""),
		"strings without end":     whole(5, 0, 9, "\x00\x01\x01333333333333333333333333333333333333"),
		"sm_length that lies":     whole(5, 0, 9, good[:len(good)-5]+"\xFFSTOP"),
		"TLV that lies":           whole(5, 0, 9, good+"\x04\x24\xFF\xFFab"),
		"our own request":         whole(4, 0, 9, good),
		"a second bind":           whole(9, 0, 9, "a\x00b\x00\x00\x34\x00\x00\x00"),
		"an outbind":              whole(0x0B, 0, 9, "a\x00b\x00"),
		"a nack of nothing":       whole(0x80000000, 3, 0, ""),
		"header longer than text": whole(5, 0, 9, good[:23]+"\x40"+good[24:len(good)-5]+"\x04\xFF\x00\x03\x01"),
	} {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var calls atomic.Int32
			served := make(chan struct{})
			go func() {
				defer close(served)
				for {
					conn, err := ln.Accept()
					if err != nil {
						return
					}
					text := whole(5, 0, 77, good)
					if calls.Add(1) == 1 {
						text = junk + text
					}
					speak(conn, text)
				}
			}()
			t.Cleanup(func() {
				_ = ln.Close()
				<-served
			})
			c := open(t, config(&smsc{host: "127.0.0.1", port: ln.Addr().(*net.TCPAddr).Port}, map[string]any{
				"reconnect_min_seconds": 0.01, "reconnect_max_seconds": 0.02, "response_timeout_seconds": 0.2, "enquire_link_seconds": 0.1, "bind_timeout_seconds": 1,
			}))
			s := run(t, c, 0)
			limit := time.After(10 * time.Second)
			for {
				select {
				case e := <-s.events:
					in, ok := e.(*message.Inbound)
					switch {
					case ok && in.Content.Text == "STOP" && in.From.ID == "+33612345678":
						return
					case name == "header longer than text" && ok && in.Type == message.InUnsupported && in.Content.Text == "":
						// kept as octets, never shown
					default:
						t.Fatalf("%+v", e)
					}
				case <-limit:
					t.Fatalf("no real text after the junk; %d links", calls.Load())
				}
			}
		})
	}
}

// speak binds whoever comes, says text, and answers enquire_link until the
// other side leaves or answers with nonsense for a second.
func speak(conn net.Conn, text string) {
	defer func() { _ = conn.Close() }()
	head := make([]byte, 16)
	for {
		if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			return
		}
		if _, err := io.ReadFull(conn, head); err != nil {
			return
		}
		length, command, sequence := binary.BigEndian.Uint32(head), binary.BigEndian.Uint32(head[4:]), binary.BigEndian.Uint32(head[12:])
		if length < 16 || length > 1000 {
			return
		}
		if _, err := io.CopyN(io.Discard, conn, int64(length-16)); err != nil {
			return
		}
		answer := ""
		switch smpp.Command(command) {
		case smpp.BindTransceiver:
			answer = whole(command|0x80000000, 0, sequence, "junk\x00") + text
		case 0x15, 0x06: // enquire_link, unbind
			answer = whole(command|0x80000000, 0, sequence, "")
		}
		if _, err := io.WriteString(conn, answer); err != nil {
			return
		}
	}
}
