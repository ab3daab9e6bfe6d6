package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A span is a time.Duration that may also be told in days: "90s", "24h", "1d",
// "2d12h".
type span time.Duration

// UnmarshalText reads it; never below zero.
func (s *span) UnmarshalText(b []byte) error {
	text := string(b)
	rest := text
	var total time.Duration
	if days, after, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return fmt.Errorf("%q is not a span of time such as 90s, 24h or 1d", text)
		}
		total, rest = time.Duration(n)*24*time.Hour, after
	}
	if rest != "" {
		d, err := time.ParseDuration(rest)
		if err != nil || d < 0 {
			return fmt.Errorf("%q is not a span of time such as 90s, 24h or 1d", text)
		}
		total += d
	}
	*s = span(total)
	return nil
}

// String gives the form the servers read.
func (s span) String() string { return time.Duration(s).String() }
