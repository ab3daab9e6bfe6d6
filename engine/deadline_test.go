package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestDeadlineIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, cut := context.WithCancel(t.Context())
		defer cut()
		d := &deadline{parent: parent, after: time.Minute}
		began := time.Now()
		first := d.context()
		<-time.After(deadlineGrain / 2)
		if d.context() != first {
			t.Error("two within a moment do not share")
		}
		<-time.After(deadlineGrain)
		second := d.context()
		if second == first {
			t.Error("shared for longer than the grain")
		}
		<-first.Done()
		if took := time.Since(began); took != time.Minute {
			t.Errorf("ended after %v", took)
		}
		if second.Err() != nil {
			t.Error("the second ended with the first")
		}
		if third := d.context(); third.Err() != nil || third == second {
			t.Error("an old one was given")
		}
		cut()
		<-second.Done()
	})
}
