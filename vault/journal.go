package vault

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"time"
)

// An Erasure is one line of the erasure journal: which person was erased, so
// that a restored backup can be erased again. It holds opaque ids and keyed
// hashes only.
type Erasure struct {
	Seq       uint64    // from 1; Append sets it
	At        time.Time // UTC
	Workspace [16]byte
	Contact   [16]byte
	Indexes   [][16]byte // blind indexes of the person's identities, all key versions
	Receipt   string     // id of the ErasureReceipt
}

// A JournalHead names a place in a journal: the line and its MAC. The
// application stores the newest one in the database with each erasure. The
// file alone cannot tell that its last lines were cut off; a head can. The
// zero head is before the first line.
type JournalHead struct {
	Seq uint64
	MAC [32]byte
}

// journalLine fixes names and order of members; mac comes last and stands
// outside, see encodeLine.
type journalLine struct {
	V         int       `json:"v"`
	Seq       uint64    `json:"seq"`
	At        time.Time `json:"at"`
	Workspace hexID     `json:"workspace"`
	Contact   hexID     `json:"contact"`
	Indexes   []hexID   `json:"indexes"`
	Receipt   string    `json:"receipt"`
}

type hexID [16]byte

func (id hexID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

func (id *hexID) UnmarshalText(text []byte) error {
	if len(text) != 2*len(id) {
		return ErrFormat
	}
	_, err := hex.Decode(id[:], text)
	return err
}

const (
	journalDomain  = "parley/erasure-journal/v1\n"
	journalMACName = `,"mac":"`
	journalTail    = len(journalMACName) + 2*sha256.Size + len(`"}`)
	// maxJournalLine bounds what a reader keeps in memory: room for 25,000
	// indexes of one person.
	maxJournalLine = 1 << 20
)

// encodeLine gives the line of e after prev, with its line feed:
//
//	{"v":1,"seq":1,"at":"…","workspace":"hex","contact":"hex","indexes":["hex"],"receipt":"…","mac":"hex"}
//
// mac is HMAC-SHA256(journal key, "parley/erasure-journal/v1\n" | mac of the
// line before, 32 zero bytes at first | the line up to `,"mac":`).
func (in *Installation) encodeLine(prev JournalHead, e Erasure) ([]byte, JournalHead, error) {
	line := journalLine{
		V: 1, Seq: prev.Seq + 1, At: e.At.UTC(), Workspace: e.Workspace, Contact: e.Contact,
		Indexes: make([]hexID, 0, len(e.Indexes)), Receipt: e.Receipt,
	}
	for _, index := range e.Indexes {
		line.Indexes = append(line.Indexes, index)
	}
	body, err := json.Marshal(line)
	if err != nil {
		return nil, prev, err
	}
	body = body[:len(body)-1]
	head := JournalHead{Seq: line.Seq, MAC: in.chain(prev, body)}
	body = append(body, journalMACName...)
	body = hex.AppendEncode(body, head.MAC[:])
	body = append(body, '"', '}', '\n')
	if len(body) > maxJournalLine {
		return nil, prev, &JournalError{Line: head.Seq, Problem: "longer than a line may be"}
	}
	return body, head, nil
}

func (in *Installation) chain(prev JournalHead, body []byte) [32]byte {
	h := hmac.New(sha256.New, in.journal()[:])
	h.Write([]byte(journalDomain))
	h.Write(prev.MAC[:])
	h.Write(body)
	return [32]byte(h.Sum(nil))
}

// decodeLine checks line, without its line feed, against the one before.
func (in *Installation) decodeLine(prev JournalHead, line []byte) (Erasure, JournalHead, error) {
	fail := func(problem string, err error) (Erasure, JournalHead, error) {
		return Erasure{}, prev, &JournalError{Line: prev.Seq + 1, Problem: problem, Err: err}
	}
	body := line[:max(0, len(line)-journalTail)]
	tail, ok := bytes.CutPrefix(line[len(body):], []byte(journalMACName))
	if len(body) == 0 || !ok {
		return fail("not a journal line", nil)
	}
	head := JournalHead{Seq: prev.Seq + 1, MAC: in.chain(prev, body)}
	want := append(hex.AppendEncode(nil, head.MAC[:]), '"', '}')
	if !hmac.Equal(want, tail) {
		return fail("altered, or a line before it was removed, or another installation's", nil)
	}
	// From here on the line is our own writing.
	var got journalLine
	if err := json.Unmarshal(append(bytes.Clone(body), '}'), &got); err != nil {
		return fail("does not decode", err)
	}
	if got.V != 1 || got.Seq != head.Seq {
		return fail("written by a newer version", nil)
	}
	e := Erasure{Seq: got.Seq, At: got.At, Workspace: got.Workspace, Contact: got.Contact, Receipt: got.Receipt}
	for _, index := range got.Indexes {
		e.Indexes = append(e.Indexes, index)
	}
	return e, head, nil
}

// ReadJournal reads an erasure journal from its start and calls visit for
// each line as it is verified; an error of visit ends the reading and is
// returned. known is the head the database remembers (zero if none): a journal
// that does not pass through it was cut off or replaced. The head of the last
// good line is returned, also beside an error.
//
// A last line that is torn (no line feed, or zero bytes where a block did not
// reach the disk) is left out: it was never acknowledged. Anything else that
// is wrong is a *JournalError.
//
// After a restore the application erases again everyone after the head in the
// restored database; repeating older ones does no harm.
func ReadJournal(r io.Reader, in *Installation, known JournalHead, visit func(Erasure) error) (JournalHead, error) {
	head, _, err := in.readJournal(r, known, visit)
	return head, err
}

// readJournal also gives the length of the good lines in bytes.
func (in *Installation) readJournal(r io.Reader, known JournalHead, visit func(Erasure) error) (JournalHead, int64, error) {
	var head JournalHead
	var size int64
	br := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := readLine(br)
		if errors.Is(err, io.EOF) {
			break // with or without a torn line
		}
		if err != nil {
			return head, size, &JournalError{Line: head.Seq + 1, Problem: "cannot read", Err: err}
		}
		e, next, err := in.decodeLine(head, line[:len(line)-1])
		if err != nil {
			if _, more := br.Peek(1); errors.Is(more, io.EOF) && bytes.IndexByte(line, 0) >= 0 {
				break
			}
			return head, size, err
		}
		if next.Seq == known.Seq && !hmac.Equal(next.MAC[:], known.MAC[:]) {
			return head, size, &JournalError{Line: next.Seq, Problem: "is not the line that the database remembers"}
		}
		if err := visit(e); err != nil {
			return head, size, err
		}
		head = next
		size += int64(len(line))
	}
	if head.Seq < known.Seq {
		return head, size, &JournalError{Line: head.Seq + 1, Problem: "missing: the database remembers more lines"}
	}
	return head, size, nil
}

var errLongLine = errors.New("longer than a line may be")

// readLine gives one line with its line feed, or io.EOF for a piece without.
func readLine(br *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := br.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxJournalLine {
			return nil, errLongLine
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}
