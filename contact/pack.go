package contact

import (
	"encoding/binary"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// A packed person is what the cache holds: one piece of bytes without pointers,
// sealed and wrapped as it is stored, so that a hundred thousand people cost
// little memory and, in an arena, the garbage collector nothing. It never changes.
//
// Form: workspace 16, contact 16, uvarint version, uvarint n, n blind indexes of
// 16; then wrapped key, key version, time made, profile, the rest of the
// identities, windows, suppressions and reach. Texts have their length before
// them, times are Unix microseconds.
type packed []byte

func (p *Person) pack() packed {
	w := packer{make([]byte, 0, 192)}
	w.id(p.Workspace)
	w.id(p.ID)
	w.int(p.Version)
	w.int(int64(len(p.Identities)))
	for i := range p.Identities {
		w.id(p.Identities[i].Index)
	}
	w.bytes(p.wrapped)
	w.int(int64(p.KeyVersion))
	w.time(p.CreatedAt)
	w.bytes(p.Profile)
	for i := range p.Identities {
		one := &p.Identities[i]
		w.text(string(one.Channel))
		w.bytes(one.Sealed)
		w.time(one.CreatedAt)
	}
	w.int(int64(len(p.Windows)))
	for i := range p.Windows {
		one := &p.Windows[i]
		w.id(one.Identity)
		w.id(one.Sender)
		w.text(one.Kind)
		w.id(one.OpenedBy)
		w.time(one.OpenedAt)
		w.time(one.ClosesAt)
	}
	w.int(int64(len(p.Suppressed)))
	for i := range p.Suppressed {
		one := &p.Suppressed[i]
		w.id(one.Index)
		w.text(one.Scope)
		w.text(one.Reason)
		w.time(one.At)
	}
	w.int(int64(len(p.Reach)))
	for i := range p.Reach {
		one := &p.Reach[i]
		w.id(one.Index)
		w.text(string(one.Channel))
		w.text(one.Code)
		w.time(one.Until)
	}
	return w.b
}

func (b packed) workspace() (ws message.WorkspaceID) { copy(ws[:], b); return ws }
func (b packed) contact() (id message.ContactID)     { copy(id[:], b[16:]); return id }
func (b packed) version() int64                      { r := unpacker{b[32:]}; return r.int() }

// indexes gives the blind indexes, one behind the other.
func (b packed) indexes() [][16]byte {
	r := unpacker{b[32:]}
	r.int()
	out := make([][16]byte, r.int())
	for i := range out {
		out[i] = r.id()
	}
	return out
}

// has reports whether an index is the person's.
func (b packed) has(index [16]byte) bool {
	r := unpacker{b[32:]}
	r.int()
	for range r.int() {
		if r.id() == index {
			return true
		}
	}
	return false
}

// unpack makes a person, whose sealed parts lie in b, without the key opened.
func (b packed) unpack() *Person {
	p := new(Person)
	p.Workspace, p.ID = b.workspace(), b.contact()
	r := unpacker{b[32:]}
	p.Version = r.int()
	p.Identities = make([]store.Identity, r.int())
	for i := range p.Identities {
		p.Identities[i].Index = r.id()
	}
	p.wrapped = r.bytes()
	p.KeyVersion = int32(r.int())
	p.CreatedAt = r.time()
	p.Profile = r.bytes()
	for i := range p.Identities {
		one := &p.Identities[i]
		one.Channel, one.Sealed, one.CreatedAt = r.channel(), r.bytes(), r.time()
	}
	if n := r.int(); n > 0 {
		p.Windows = make([]store.Window, n)
	}
	for i := range p.Windows {
		p.Windows[i] = store.Window{Identity: r.id(), Sender: r.id(), Kind: r.text(), OpenedBy: r.id(), OpenedAt: r.time(), ClosesAt: r.time()}
	}
	if n := r.int(); n > 0 {
		p.Suppressed = make([]store.Suppression, n)
	}
	for i := range p.Suppressed {
		p.Suppressed[i] = store.Suppression{Workspace: p.Workspace, Index: r.id(), Scope: r.text(), Reason: r.text(), At: r.time()}
	}
	if n := r.int(); n > 0 {
		p.Reach = make([]store.Reach, n)
	}
	for i := range p.Reach {
		p.Reach[i] = store.Reach{Index: r.id(), Channel: r.channel(), Code: r.text(), Until: r.time()}
	}
	return p
}

type packer struct{ b []byte }

func (w *packer) id(v [16]byte)  { w.b = append(w.b, v[:]...) }
func (w *packer) int(v int64)    { w.b = binary.AppendUvarint(w.b, uint64(v)) }
func (w *packer) text(s string)  { w.int(int64(len(s))); w.b = append(w.b, s...) }
func (w *packer) bytes(s []byte) { w.int(int64(len(s))); w.b = append(w.b, s...) }

func (w *packer) time(t time.Time) {
	if t.IsZero() {
		w.int(0)
	} else {
		w.int(t.UnixMicro())
	}
}

// An unpacker reads what a packer of this process wrote.
type unpacker struct{ b []byte }

func (r *unpacker) id() (v [16]byte) {
	copy(v[:], r.b)
	r.b = r.b[16:]
	return v
}

func (r *unpacker) int() int64 {
	v, n := binary.Uvarint(r.b)
	r.b = r.b[n:]
	return int64(v)
}

// bytes gives a part of what is read; nothing is nil.
func (r *unpacker) bytes() []byte {
	n := r.int()
	if n == 0 {
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *unpacker) text() string { return string(r.bytes()) }

func (r *unpacker) channel() message.Channel {
	switch s := r.bytes(); string(s) {
	case string(message.Phone):
		return message.Phone
	case string(message.SMS):
		return message.SMS
	case string(message.WhatsApp):
		return message.WhatsApp
	default:
		return message.Channel(s)
	}
}

func (r *unpacker) time() time.Time {
	if v := r.int(); v != 0 {
		return time.UnixMicro(v).UTC()
	}
	return time.Time{}
}
