package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/parley-messaging/parley/channel"
	parley "github.com/parley-messaging/parley/sdk/go"
)

// A row is one line of a file of people.
type row struct {
	line int
	req  *parley.SendRequest
	err  error // it cannot be read or lacks something
}

// A lineItem is one line of a file of JSON lines.
type lineItem struct {
	To         json.RawMessage     `json:"to"`
	Parameters map[string]string   `json:"parameters"`
	Content    *parley.Content     `json:"content"`
	Template   *parley.TemplateUse `json:"template"`
	Metadata   map[string]string   `json:"metadata"`
	Key        string              `json:"idempotency_key"`
}

// rows reads a file line by line and hands on what each asks for. It stops
// when yield gives false. The error is of the file as a whole.
func (c *sendCmd) rows(r io.Reader, yield func(row) bool) error {
	shared, err := c.request()
	if err != nil {
		return err
	}
	in := bufio.NewReader(r)
	if strings.HasSuffix(c.File, ".csv") {
		return c.csvRows(in, shared, yield)
	}
	for line := 1; ; line++ {
		text, err := in.ReadString('\n')
		if t := strings.TrimSpace(text); t != "" {
			one := row{line: line}
			var item lineItem
			d := json.NewDecoder(strings.NewReader(t))
			d.DisallowUnknownFields()
			if bad := d.Decode(&item); bad != nil {
				one.err = fmt.Errorf("it is not as JSON lines are written (%w)", bad)
			} else {
				one.req, one.err = fillLine(shared, &item, c.Key)
			}
			if !yield(one) {
				return nil
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// csvRows reads a CSV file: the heading names the columns. "to" is the person,
// "text" what to say instead of the shared text, "idempotency_key" a key of
// yours; every other column is a parameter.
func (c *sendCmd) csvRows(in *bufio.Reader, shared *parley.SendRequest, yield func(row) bool) error {
	if mark, err := in.Peek(3); err == nil && string(mark) == "\ufeff" {
		_, _ = in.Discard(3) // spreadsheets write it; Peek has seen it
	}
	r := csv.NewReader(in)
	first, err := in.Peek(1024)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		return err
	}
	if heading, _, _ := strings.Cut(string(first), "\n"); strings.Count(heading, ";") > strings.Count(heading, ",") {
		r.Comma = ';'
	}
	heading, err := r.Read()
	if err != nil {
		return fmt.Errorf("%s has no heading: %w", c.File, err)
	}
	for i := range heading {
		heading[i] = strings.TrimSpace(heading[i])
	}
	if !slices.Contains(heading, "to") {
		return fmt.Errorf("%s has no column named to; it has %s", c.File, strings.Join(heading, ", "))
	}
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		line, _ := r.FieldPos(0)
		one := row{line: line}
		var wrong *csv.ParseError
		switch {
		case errors.As(err, &wrong):
			one.line, one.err = wrong.StartLine, wrong.Err
		case err != nil:
			return err
		default:
			item := lineItem{Parameters: map[string]string{}}
			for i, cell := range cells {
				switch heading[i] {
				case "to":
					item.To, _ = json.Marshal(strings.TrimSpace(cell)) // a text always can
				case "text":
					if cell != "" {
						own := parley.Content{Transliterate: c.Plain}
						if shared.Content != nil {
							own = *shared.Content
						}
						own.Text = cell
						item.Content = &own
					}
				case "idempotency_key":
					item.Key = cell
				default:
					item.Parameters[heading[i]] = cell
				}
			}
			one.req, one.err = fillLine(shared, &item, c.Key)
		}
		if !yield(one) {
			return nil
		}
	}
}

// fillLine makes the request of one line from what is shared by all. Its key is
// that of the line, else made from what the line asks for: the same line asked
// for again sends nothing again.
func fillLine(shared *parley.SendRequest, item *lineItem, salt string) (*parley.SendRequest, error) {
	r := *shared
	var phone string
	switch {
	case json.Unmarshal(item.To, &phone) == nil && phone != "":
		r.To = recipient(phone)
	case json.Unmarshal(item.To, &r.To) != nil || r.To == parley.Recipient{}:
		return nil, errors.New("it has no to")
	}
	if item.Content != nil {
		r.Content = item.Content
	}
	if item.Template != nil {
		r.Template = item.Template
	}
	var missing []string
	if r.Content != nil {
		content := *r.Content
		content.Text, missing = channel.Fill(content.Text, item.Parameters)
		r.Content = &content
	}
	if r.Template != nil && len(item.Parameters) > 0 {
		use := *r.Template
		use.Parameters = map[string]string{}
		maps.Copy(use.Parameters, r.Template.Parameters)
		maps.Copy(use.Parameters, item.Parameters)
		r.Template = &use
	}
	if len(item.Metadata) > 0 {
		r.Metadata = map[string]string{}
		maps.Copy(r.Metadata, shared.Metadata)
		maps.Copy(r.Metadata, item.Metadata)
	}
	switch {
	case len(missing) > 0:
		return nil, fmt.Errorf("it has no value for %s", strings.Join(missing, ", "))
	case r.Content == nil && r.Template == nil:
		return nil, errors.New("it says nothing: give a text, a column text, or --template")
	}
	if r.IdempotencyKey = item.Key; item.Key == "" {
		raw, err := json.Marshal(&r)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(append([]byte(salt+"\x00"), raw...))
		r.IdempotencyKey = "cli-" + hex.EncodeToString(sum[:16])
	}
	return &r, nil
}

// A lineVerdict is what became of one line. It names nobody.
type lineVerdict struct {
	Line   int    `json:"line"`
	Key    string `json:"idempotency_key,omitempty"`
	ID     string `json:"id,omitempty"`
	State  string `json:"state,omitempty"`
	Again  bool   `json:"again,omitempty"` // it was accepted before
	Code   string `json:"code,omitempty"`
	Field  string `json:"field,omitempty"`
	Detail string `json:"detail,omitempty"`
	Remedy string `json:"remedy,omitempty"`
}

// accepted reads the results of an earlier run: the lines that need not be
// asked for again, by their keys.
func accepted(path string) (map[string]lineVerdict, error) {
	done := map[string]lineVerdict{}
	if path == "" {
		return done, nil
	}
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return done, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var v lineVerdict
		// The last line may be torn: its message is found again by its key.
		if json.Unmarshal(lines.Bytes(), &v) == nil && v.ID != "" && v.Key != "" {
			done[v.Key] = v
		}
	}
	return done, lines.Err()
}

// count tells how many lines a file has, for the bar; -1 where it cannot.
func (c *sendCmd) count() int {
	f, err := os.Open(filepath.Clean(c.File))
	if err != nil {
		return -1
	}
	defer func() { _ = f.Close() }() // it was only read
	n := 0
	if c.rows(f, func(row) bool { n++; return true }) != nil {
		return -1
	}
	return n
}

// many sends to everybody in a file.
func (c *sendCmd) many(ctx context.Context) error {
	if c.Text == "" { // parley send --file people.csv "Hello {{name}}"
		c.To, c.Text = "", c.To
	}
	if c.To != "" || c.Wait {
		return errors.New("with --file the people stand in the file, and --wait has no meaning: parley tail follows them")
	}
	cl, err := c.client(parley.WithRetries(10))
	if err != nil {
		return err
	}
	f, err := os.Open(filepath.Clean(c.File))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	if c.Preview {
		return c.previewFirst(ctx, cl, f)
	}
	b := &bulk{c: c, cl: cl, p: colours()}
	return b.run(ctx, f)
}

// previewFirst shows what the first good line would become.
func (c *sendCmd) previewFirst(ctx context.Context, cl *parley.Client, f io.Reader) error {
	var first row
	if err := c.rows(f, func(r row) bool { first = r; return r.err != nil }); err != nil {
		return err
	}
	if first.req == nil {
		return fmt.Errorf("%s holds no line that can be sent", c.File)
	}
	if !c.JSON {
		fmt.Printf("line %d of %d:\n", first.line, c.count())
	}
	return c.preview(ctx, cl, first.req)
}
