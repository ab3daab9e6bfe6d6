package journal_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-messaging/parley/sandbox/journal"
)

func TestCursorAndBound(t *testing.T) {
	var file bytes.Buffer
	j := journal.New(4, &file)
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for i := range 6 {
		j.Add(journal.Entry{Channel: "sms", Text: strings.Repeat("x", i), Fate: "accepted", Time: at})
	}
	j.Fate(6, "delivered", at)
	j.Fate(1, "delivered", at)
	entries, next, lost := j.After(0, 3, nil)
	if len(entries) != 3 || entries[0].Seq != 3 || next != 5 || lost != 2 {
		t.Errorf("got %d entries, next %d, lost %d", len(entries), next, lost)
	}
	entries, next, lost = j.After(next, 3, func(e *journal.Entry) bool { return e.Fate == "delivered" })
	if len(entries) != 1 || next != 6 || lost != 0 || entries[0].Hash != journal.Hash("xxxxx") {
		t.Errorf("got %+v, next %d, lost %d", entries, next, lost)
	}
	if err := j.Flush(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(file.String(), "\n"); n != 8 {
		t.Errorf("%d lines in the file", n)
	}
	j.Reset()
	if entries, next, _ := j.After(0, 10, nil); len(entries) != 0 || next != 6 {
		t.Errorf("after reset: %+v, next %d", entries, next)
	}
	j.Add(journal.Entry{Fate: "accepted"})
	entries, _, _ = j.After(6, 10, nil)
	if diff := cmp.Diff([]journal.Entry{{Seq: 7, Fate: "accepted"}}, entries); diff != "" {
		t.Error(diff)
	}
}
