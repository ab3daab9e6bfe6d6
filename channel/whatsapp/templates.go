package whatsapp

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/channel/internal/graph"
	"github.com/parley-messaging/parley/message"
)

const templateFields = "id,name,status,category,language,components,parameter_format,message_send_ttl_seconds"

// maxPages bounds a listing: 6,000 templates at 100 a page, and some room.
const maxPages = 100

// Templates lists every template of the account, page by page (wire 2.9). A
// cursor that became invalid (131059) starts the listing again, once.
func (w *Connector) Templates(ctx context.Context) ([]channel.RemoteTemplate, error) {
	if w.config.WABAID == "" {
		return nil, &channel.ConfigError{Field: "waba_id", Problem: "is missing", Remedy: "templates belong to the WhatsApp Business Account: copy its id from WhatsApp > API setup"}
	}
	list, err := w.templates(ctx)
	if f, ok := err.(*message.Fault); ok && f.Code == "131059" {
		list, err = w.templates(ctx)
	}
	return list, err
}

func (w *Connector) templates(ctx context.Context) ([]channel.RemoteTemplate, error) {
	var list []channel.RemoteTemplate
	after := ""
	for range maxPages {
		path := "/" + w.config.WABAID + "/message_templates?limit=100&fields=" + url.QueryEscape(templateFields)
		if after != "" {
			path += "&after=" + url.QueryEscape(after)
		}
		reply, err := w.call(ctx, http.MethodGet, path, "", nil)
		if err != nil {
			return nil, err
		}
		page, next, err := readPage(reply.Body)
		if err != nil {
			return nil, err
		}
		list = append(list, page...)
		if next == "" || next == after {
			return list, nil
		}
		after = next
	}
	return list, nil
}

// readPage reads one page and the cursor of the next, "" on the last.
func readPage(body []byte) (page []channel.RemoteTemplate, after string, err error) {
	d := graph.NewDecoder(body)
	cursor, more := "", false
	if d.Object() {
		for d.Next() {
			switch string(d.Key()) {
			case "data":
				if d.Array() {
					for d.Item() {
						page = append(page, readTemplate(&d))
					}
				}
			case "paging":
				if d.Object() {
					for d.Next() {
						switch string(d.Key()) {
						case "cursors":
							cursor = textField(&d, "after")
						case "next":
							more = d.Text() != ""
						}
					}
				}
			}
		}
	}
	if d.End() != nil {
		return nil, "", &message.Fault{Kind: message.Transient, Certain: true, Code: "answer", Title: "the list of templates cannot be read"}
	}
	if !more {
		cursor = ""
	}
	return page, cursor, nil
}

func readTemplate(d *graph.Decoder) (t channel.RemoteTemplate) {
	if !d.Object() {
		return t
	}
	for d.Next() {
		switch string(d.Key()) {
		case "id":
			t.Provider = d.Text()
		case "name":
			t.Name = d.Text()
		case "language":
			t.Language = d.Text()
		case "category":
			t.Category = purposeOf(d.Text())
		case "status":
			t.State = templateState(strings.ToUpper(d.Text()))
		case "parameter_format":
			t.Named = strings.EqualFold(d.Text(), "NAMED")
		case "message_send_ttl_seconds":
			// -1 is 30 days, which is the default too.
			if s := d.Int(); s > 0 {
				t.TTL = time.Duration(s) * time.Second
			}
		case "components":
			t.Components = d.Raw()
		}
	}
	t.Body = bodyOf(t.Components)
	return t
}

// bodyOf finds the text of the BODY component.
func bodyOf(components []byte) (body string) {
	d := graph.NewDecoder(components)
	if !d.Array() {
		return ""
	}
	for d.Item() {
		if !d.Object() {
			continue
		}
		var kind, text string
		for d.Next() {
			switch string(d.Key()) {
			case "type":
				kind = d.Text()
			case "text":
				text = d.Text()
			}
		}
		if strings.EqualFold(kind, "BODY") {
			body = text
		}
	}
	return body
}
