package gsm

import (
	"bytes"
	"time"
)

// KeepParts is how long parts wait for the others.
const KeepParts = 24 * time.Hour

// maxSets bounds the messages that wait; beyond it the oldest are given up.
const maxSets = 10000

// A PartKey names a message whose parts arrive one by one.
type PartKey struct {
	Source, Destination string
	Reference           uint16
	Total               uint8
}

// Incomplete is what there is of a message given up.
type Incomplete struct {
	Key   PartKey
	Since time.Time
	Parts [][]byte // by number from 0; nil where missing
}

type partSet struct {
	since time.Time
	parts [][]byte
	have  int
}

// A Reassembler puts parts together. It keeps them in memory only; who needs
// them after a restart stores them first and adds them again. The zero value is
// ready. It is not for concurrent use.
type Reassembler struct {
	sets  map[PartKey]*partSet
	given []Incomplete
}

// Add takes one part, whose data it keeps, and returns all parts in order when
// this was the last missing one. Duplicates change nothing. A part that differs
// from one already there belongs to a newer message of the same reference: the
// older is given up. Parts with impossible numbers are complete in themselves.
func (r *Reassembler) Add(key PartKey, number uint8, data []byte, now time.Time) (parts [][]byte, complete bool) {
	if number == 0 || number > key.Total || key.Total == 1 {
		return [][]byte{data}, true
	}
	if data == nil {
		data = []byte{} // nil marks what is missing
	}
	s := r.sets[key]
	if s != nil && (now.Sub(s.since) >= KeepParts || s.parts[number-1] != nil && !bytes.Equal(s.parts[number-1], data)) {
		r.giveUp(key, s)
		s = nil
	}
	if s == nil {
		if r.sets == nil {
			r.sets = map[PartKey]*partSet{}
		}
		if len(r.sets) >= maxSets {
			r.giveUpOldest()
		}
		s = &partSet{since: now, parts: make([][]byte, key.Total)}
		r.sets[key] = s
	}
	if s.parts[number-1] != nil {
		return nil, false
	}
	s.parts[number-1] = data
	if s.have++; s.have < int(key.Total) {
		return nil, false
	}
	delete(r.sets, key)
	return s.parts, true
}

// Forget gives up what has waited for a day, and returns that with all that was
// given up since the last call.
func (r *Reassembler) Forget(now time.Time) []Incomplete {
	for key, s := range r.sets {
		if now.Sub(s.since) >= KeepParts {
			r.giveUp(key, s)
		}
	}
	given := r.given
	r.given = nil
	return given
}

// Waiting returns how many messages wait for parts.
func (r *Reassembler) Waiting() int { return len(r.sets) }

func (r *Reassembler) giveUp(key PartKey, s *partSet) {
	delete(r.sets, key)
	if len(r.given) < maxSets {
		r.given = append(r.given, Incomplete{Key: key, Since: s.since, Parts: s.parts})
	}
}

func (r *Reassembler) giveUpOldest() {
	var oldest PartKey
	var found *partSet
	for key, s := range r.sets {
		if found == nil || s.since.Before(found.since) {
			oldest, found = key, s
		}
	}
	if found != nil {
		r.giveUp(oldest, found)
	}
}
