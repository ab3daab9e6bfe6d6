// Package journal keeps what the pretend providers received, so that an audit
// can compare the bytes that arrived with what a platform says it sent.
//
// Memory holds the last entries only; a file, when one is given, holds all of
// them as JSON lines: an entry when it arrives, and a short line
// {"seq":..,"fate":..,"at":..} each time its fate changes. Start with Journal.
package journal

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"sync"
	"time"
)

// An Entry is one request a provider received, or one message a person wrote.
type Entry struct {
	Seq       uint64    `json:"seq"`           // 1, 2, 3 ... without holes
	Time      time.Time `json:"time"`          // when it arrived
	Channel   string    `json:"channel"`       // whatsapp or sms
	Direction string    `json:"direction"`     // mt: to a person; mo: from a person
	ID        string    `json:"id,omitempty"`  // the provider's id; empty when refused
	Ref       string    `json:"ref,omitempty"` // biz_opaque_callback_data, or user_message_reference in decimal
	From      string    `json:"from,omitempty"`
	To        string    `json:"to,omitempty"`
	Type      string    `json:"type,omitempty"`
	Text      string    `json:"text,omitempty"` // at most TextLimit octets, for people
	Hash      string    `json:"hash,omitempty"` // SHA-256 of the whole text, first 16 octets in hex
	Part      int       `json:"part,omitempty"` // of a long SMS, from 1
	Parts     int       `json:"parts,omitempty"`
	Fault     string    `json:"fault,omitempty"` // the fault that was played
	Fate      string    `json:"fate"`            // accepted, refused:CODE, dropped, sent, delivered, read, failed:CODE, expired
}

// TextLimit is how many octets of a text an Entry keeps.
const TextLimit = 320

// A Journal is safe for many goroutines.
type Journal struct {
	mu    sync.Mutex
	ring  []Entry
	next  uint64 // the seq of the next entry; the first is 1
	floor uint64 // entries below it were forgotten by Reset
	out   *bufio.Writer
	err   error
}

// New returns a Journal that keeps size entries in memory (at least one) and
// writes all of them to out when it is not nil.
func New(size int, out io.Writer) *Journal {
	j := &Journal{ring: make([]Entry, 0, max(size, 1)), next: 1}
	if out != nil {
		j.out = bufio.NewWriterSize(out, 64<<10)
	}
	return j
}

// Hash returns the content hash of a text as entries carry it.
func Hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}

// Add numbers e, hashes and shortens its text, keeps it and returns its
// number.
func (j *Journal) Add(e Entry) uint64 {
	if e.Text != "" {
		e.Hash = Hash(e.Text)
		if len(e.Text) > TextLimit {
			e.Text = string([]byte(e.Text[:TextLimit])) // a copy: the long one may go
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	e.Seq = j.next
	j.next++
	if len(j.ring) < cap(j.ring) {
		j.ring = append(j.ring, e)
	} else {
		j.ring[(e.Seq-1)%uint64(cap(j.ring))] = e
	}
	if j.out != nil {
		j.write(e)
	}
	return e.Seq
}

type fateLine struct {
	Seq  uint64    `json:"seq"`
	Fate string    `json:"fate"`
	At   time.Time `json:"at"`
}

// Fate records what became of entry seq at a time.
func (j *Journal) Fate(seq uint64, fate string, at time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if e := j.at(seq); e != nil {
		e.Fate = fate
	}
	if j.out != nil {
		j.write(fateLine{Seq: seq, Fate: fate, At: at})
	}
}

// at returns the entry with a number if memory still holds it.
func (j *Journal) at(seq uint64) *Entry {
	if seq == 0 || seq < j.floor || seq >= j.next || seq+uint64(cap(j.ring)) < j.next {
		return nil
	}
	return &j.ring[(seq-1)%uint64(cap(j.ring))]
}

// write must be called with the lock held.
func (j *Journal) write(v any) {
	if j.err != nil {
		return
	}
	line, err := json.Marshal(v)
	if err == nil {
		_, err = j.out.Write(append(line, '\n'))
	}
	j.err = err
}

// After returns up to limit entries with a number above seq that keep accepts
// (nil accepts all), the number to ask with next, and how many between were
// already forgotten.
func (j *Journal) After(seq uint64, limit int, keep func(*Entry) bool) (entries []Entry, next, lost uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	first := max(1, j.floor)
	if j.next > uint64(cap(j.ring))+first {
		first = j.next - uint64(cap(j.ring))
	}
	if seq+1 < first {
		lost = first - seq - 1
		seq = first - 1
	}
	for seq+1 < j.next && len(entries) < limit {
		seq++
		if e := j.at(seq); keep == nil || keep(e) {
			entries = append(entries, *e)
		}
	}
	return entries, seq, lost
}

// Flush writes what is buffered to the file and returns the first error of any
// write.
func (j *Journal) Flush() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.out == nil {
		return nil
	}
	if j.err == nil {
		j.err = j.out.Flush()
	}
	return j.err
}

// Reset empties memory; numbers go on.
func (j *Journal) Reset() {
	j.mu.Lock()
	defer j.mu.Unlock()
	clear(j.ring)
	j.floor = j.next
}
