package sqlite

import (
	"encoding/binary"
	"errors"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// A row of moves is a byte for the form and then, in the order in which they
// happened: deliveries as they became, refs that were opened, refs that were
// closed. Numbers are varints, ids and keys 16 bytes.
const movesForm = 1

const (
	kindMove  = 'd' // workspace, id, state, version, connector, priority, flags, due, length, track
	kindOpen  = 'o' // connector, key, workspace, message, step, attempt, part, at, expires
	kindClose = 'c' // connector, key, message
)

const (
	flagReady   = 1
	flagSending = 2
)

var errMoves = errors.New("a row of moves cannot be read")

func (m *move) append(b []byte) []byte {
	b = append(b, kindMove)
	b = binary.AppendVarint(b, m.key.workspace)
	b = append(b, m.key.id[:]...)
	for _, v := range [...]int64{m.state, m.version, m.connector, m.priority} {
		b = binary.AppendVarint(b, v)
	}
	var flags byte
	if m.place.ready {
		flags |= flagReady
	}
	if m.place.sending {
		flags |= flagSending
	}
	b = append(b, flags)
	b = binary.AppendVarint(b, m.place.due)
	b = binary.AppendVarint(b, int64(len(m.track)))
	return append(b, m.track...)
}

func (r *lateRef) append(b []byte) []byte {
	b = append(b, kindOpen)
	b = binary.AppendVarint(b, r.connector)
	b = append(b, r.Key[:]...)
	b = binary.AppendVarint(b, r.workspace)
	b = append(b, r.Message[:]...)
	for _, v := range [...]int64{int64(r.Step), int64(r.Attempt), int64(r.Part), micros(r.At), micros(r.Expires)} {
		b = binary.AppendVarint(b, v)
	}
	return b
}

func appendClose(b []byte, connector int64, key message.RefKey, id message.MessageID) []byte {
	b = append(b, kindClose)
	b = binary.AppendVarint(b, connector)
	b = append(b, key[:]...)
	return append(b, id[:]...)
}

// replay takes a row of moves in again. The newest of each delivery stays.
func (l *moves) replay(b []byte, n *names) error {
	r := runReader{b: b}
	if r.byte() != movesForm {
		return errMoves
	}
	for len(r.b) > 0 && !r.bad {
		switch r.byte() {
		case kindMove:
			m := new(move)
			m.key.workspace = r.varint()
			m.key.id = r.id()
			m.state, m.version, m.connector, m.priority = r.varint(), r.varint(), r.varint(), r.varint()
			flags := r.byte()
			m.place = rowPlace{connector: m.connector, ready: flags&flagReady != 0, sending: flags&flagSending != 0, due: r.varint()}
			m.track = r.take(r.varint())
			if old := l.of[m.key]; !r.bad && (old == nil || old.version < m.version) {
				l.of[m.key] = m
			}
		case kindOpen:
			ref := &lateRef{read: true}
			ref.connector = r.varint()
			ref.Key = r.id()
			ref.workspace = r.varint()
			ref.OpenRef = store.OpenRef{
				RefName: store.RefName{Connector: n.id(ref.connector), Key: ref.Key}, Workspace: n.id(ref.workspace),
				Message: r.id(), Step: uint8(r.varint()), Attempt: uint16(r.varint()), Part: uint8(r.varint()), At: fromMicros(r.varint()), Expires: fromMicros(r.varint()),
			}
			if !r.bad {
				l.keepRef(ref)
			}
		case kindClose:
			connector, key, id := r.varint(), message.RefKey(r.id()), message.MessageID(r.id())
			l.dropRef(refKey{connector, key}, func(r *lateRef) bool { return r.Message == id })
		default:
			return errMoves
		}
	}
	if r.bad {
		return errMoves
	}
	return nil
}
