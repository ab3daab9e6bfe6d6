package graph

import "strings"

// An Error is Meta's error envelope, or one entry of a webhook's errors.
type Error struct {
	Code    int
	Subcode int
	Title   string // message without its "(#code) ", or the title
	Details string // may quote what was sent: personal
	Trace   string // fbtrace_id, for Meta's support
	Passing bool   // is_transient
}

// ParseError reads an error answer; ok is false when the body is none.
func ParseError(body []byte) (e Error, ok bool) {
	d := NewDecoder(body)
	if d.Object() {
		for d.Next() {
			if string(d.Key()) == "error" {
				e, ok = ReadError(&d)
			}
		}
	}
	return e, ok && d.End() == nil
}

// ReadError reads one error object; ok is false when there is no code.
func ReadError(d *Decoder) (e Error, ok bool) {
	if !d.Object() {
		return e, false
	}
	var message string
	for d.Next() {
		switch string(d.Key()) {
		case "code":
			text := d.Text()
			n := NewDecoder([]byte(text))
			e.Code = int(n.Int())
			ok = text != "" && text[0] >= '0' && text[0] <= '9'
		case "error_subcode":
			e.Subcode = int(d.Int())
		case "title":
			e.Title = d.Text()
		case "message":
			message = d.Text()
		case "is_transient":
			e.Passing = d.Bool()
		case "fbtrace_id":
			e.Trace = d.Text()
		case "error_data":
			if d.Object() {
				for d.Next() {
					if string(d.Key()) == "details" {
						e.Details = d.Text()
					}
				}
			}
		}
	}
	if e.Title == "" {
		if strings.HasPrefix(message, "(#") {
			if _, rest, found := strings.Cut(message, ") "); found {
				message = rest
			}
		}
		e.Title = message
	}
	return e, ok
}
