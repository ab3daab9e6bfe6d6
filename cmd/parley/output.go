package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// onTerminal reports whether people read f.
func onTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// printJSON writes v to stdout, indented.
func printJSON(v any) error {
	e := json.NewEncoder(os.Stdout)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// A palette paints words, or leaves them as they are.
type palette bool

// colours says whether stdout is to be painted: on a terminal, unless NO_COLOR
// is set (no-color.org).
func colours() palette {
	_, no := lookupEnv("NO_COLOR")
	return palette(onTerminal(os.Stdout) && !no)
}

func (p palette) paint(code, s string) string {
	if !p || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p palette) good(s string) string { return p.paint("32", s) }
func (p palette) bad(s string) string  { return p.paint("31", s) }
func (p palette) warn(s string) string { return p.paint("33", s) }
func (p palette) dim(s string) string  { return p.paint("2", s) }
func (p palette) bold(s string) string { return p.paint("1", s) }

// state paints the word of a state of a message or step.
func (p palette) state(s string) string {
	switch s {
	case "delivered", "read":
		return p.good(s)
	case "failed", "expired", "unknown", "unconfirmed":
		return p.bad(s)
	case "skipped", "held", "superseded", "cancelled", "revoked":
		return p.warn(s)
	}
	return p.bold(s)
}

// table writes rows in columns.
func table(w io.Writer, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, row := range rows {
		if _, err := fmt.Fprintln(t, strings.Join(row, "\t")); err != nil {
			return err
		}
	}
	return t.Flush()
}

// progress gives a bar of total steps, or one that only shows life for -1; it
// is seen only where stderr is a terminal.
func progress(total int, what string) *progressbar.ProgressBar {
	return progressbar.NewOptions(total,
		progressbar.OptionSetDescription(what),
		progressbar.OptionSetWriter(os.Stderr),
		progressbar.OptionSetVisibility(onTerminal(os.Stderr)),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionShowCount(),
		progressbar.OptionClearOnFinish(),
	)
}

// plural gives "1 message", "2 messages", "2 entries", "2 keys".
func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if stem, ok := strings.CutSuffix(noun, "y"); ok && stem != "" && !strings.ContainsRune("aeiou", rune(stem[len(stem)-1])) {
		return fmt.Sprintf("%d %sies", n, stem)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// money shows millionths of a currency unit.
func money(micros int64, currency string) string {
	sign := ""
	if micros < 0 {
		sign, micros = "-", -micros
	}
	s := fmt.Sprintf("%s%d.%06d", sign, micros/1e6, micros%1e6)
	for strings.HasSuffix(s, "0") && !strings.HasSuffix(s[:len(s)-2], ".") {
		s = s[:len(s)-1]
	}
	return s + " " + currency
}
