package isolation

import (
	"encoding/json"
	"net/url"
)

// A try is one call that must not work, or must show nothing.
type try struct {
	path  map[string]string
	query url.Values
	body  map[string]any
	raw   string                             // a file, in place of body
	judge func(status int, body []byte) bool // nil = refused
}

// refused: there is no such thing for this caller.
func refused(status int, _ []byte) bool { return status == 404 || status == 403 }

// unprocessable: the body names what does not exist for this caller.
func unprocessable(status int, _ []byte) bool { return status == 404 || status == 403 || status == 422 }

// harmless: it works, and shows nothing of strangers (which is judged always).
func harmless(status int, _ []byte) bool { return status >= 200 && status < 300 }

// empty: a list with nothing in it, or no such thing.
func empty(status int, body []byte) bool {
	var page struct{ Data []json.RawMessage }
	return refused(status, body) || status == 422 || status == 200 && json.Unmarshal(body, &page) == nil && len(page.Data) == 0
}

// noneTaken: a batch answers item by item.
func noneTaken(status int, body []byte) bool {
	var b struct{ Accepted, Refused int }
	return unprocessable(status, body) || status == 202 && json.Unmarshal(body, &b) == nil && b.Accepted == 0 && b.Refused > 0
}

// noneReplayed: nothing of the list was sent again.
func noneReplayed(status int, body []byte) bool {
	var b struct{ Replayed, Count int }
	return unprocessable(status, body) || status >= 200 && status < 300 && json.Unmarshal(body, &b) == nil && b.Replayed == 0 && b.Count == 0
}

// A recipe says how a stranger would abuse an operation.
type recipe func(mine, theirs *tenant) []try

// byID is an operation on one thing, named by path.
func byID(of func(*tenant) string, body map[string]any) recipe {
	return func(_, theirs *tenant) []try {
		return []try{{path: map[string]string{"id": of(theirs)}, body: body}}
	}
}

// ownOnly is an operation without ids: it must show only what is the caller's.
func ownOnly(body map[string]any) recipe {
	return func(_, _ *tenant) []try { return []try{{body: body, judge: harmless}} }
}

func contact(x *tenant) string   { return x.contact }
func message(x *tenant) string   { return x.message }
func connector(x *tenant) string { return x.connector }
func sender(x *tenant) string    { return x.sender }
func template(x *tenant) string  { return x.template }
func webhook(x *tenant) string   { return x.webhook }
func media(x *tenant) string     { return x.media }
func apiKey(x *tenant) string    { return x.apiKey }

// sends are all places of a message where another's id may stand.
func sends(mine, theirs *tenant, judge func(int, []byte) bool) []try {
	base := func(change map[string]any) map[string]any {
		m := map[string]any{"to": mine.phone, "purpose": "utility", "content": map[string]any{"text": "x"}, "route": []any{map[string]any{"channel": "sms"}}}
		for k, v := range change {
			m[k] = v
		}
		return m
	}
	return []try{
		{body: base(map[string]any{"to": map[string]any{"contact": theirs.contact}}), judge: judge},
		{body: base(map[string]any{"route": []any{map[string]any{"channel": "sms", "sender": theirs.sender}}}), judge: judge},
		{body: base(map[string]any{"content": map[string]any{"text": "x", "media": []any{map[string]any{"type": "document", "id": theirs.media}}}}), judge: judge},
		{body: base(map[string]any{"to": map[string]any{"channel": "phone", "id": mine.phone, "sender": theirs.sender}}), judge: judge},
		{body: base(map[string]any{"reply_to": theirs.message}), judge: judge},
	}
}

var recipes = map[string]recipe{
	"getMe":         ownOnly(nil),
	"listAPIKeys":   ownOnly(nil),
	"createAPIKey":  ownOnly(map[string]any{"name": "mine", "scopes": []string{"messages:read"}}),
	"revokeAPIKey":  byID(apiKey, nil),
	"listChannels":  ownOnly(nil),
	"getSettings":   ownOnly(nil),
	"getUsage":      ownOnly(nil),
	"listWebhooks":  ownOnly(nil),
	"createWebhook": ownOnly(map[string]any{"url": "https://mine.example/hook"}),
	"getWebhook":    byID(webhook, nil),
	"updateWebhook": byID(webhook, map[string]any{"url": "https://stolen.example/hook"}),
	"deleteWebhook": byID(webhook, nil),

	"listWebhookDeliveries": byID(webhook, nil),
	"rotateWebhookSecret":   byID(webhook, map[string]any{}),
	"replayWebhook": func(mine, theirs *tenant) []try {
		return []try{
			{path: map[string]string{"id": theirs.webhook}, body: map[string]any{"from": "2026-01-01T00:00:00Z"}},
			{path: map[string]string{"id": theirs.webhook}, body: map[string]any{"ids": []string{theirs.event}}, judge: unprocessable},
			{path: map[string]string{"id": mine.webhook}, body: map[string]any{"ids": []string{theirs.event}}, judge: noneReplayed},
		}
	},

	"listConnectors":   ownOnly(nil),
	"createConnector":  ownOnly(map[string]any{"kind": "smpp", "name": "mine", "config": map[string]any{"host": "127.0.0.1", "port": 1, "system_id": "x", "password": "y"}}),
	"getConnector":     byID(connector, nil),
	"updateConnector":  byID(connector, map[string]any{"name": "stolen"}),
	"deleteConnector":  byID(connector, nil),
	"pauseConnector":   byID(connector, nil),
	"syncTemplates":    byID(connector, nil),
	"resumeConnector":  byID(connector, nil),
	"listSenders":      ownOnly(nil),
	"getSender":        byID(sender, nil),
	"deleteSender":     byID(sender, nil),
	"createSender":     func(_, theirs *tenant) []try { return []try{{body: senderOn(theirs.connector), judge: unprocessable}} },
	"deleteTemplate":   byID(template, nil),
	"getContact":       byID(contact, nil),
	"updateContact":    byID(contact, map[string]any{"name": "stolen"}),
	"eraseContact":     byID(contact, nil),
	"exportContact":    byID(contact, nil),
	"addIdentity":      byID(contact, map[string]any{"channel": "phone", "address": "+33612121212"}),
	"listSuppressions": byID(contact, nil),
	"addSuppression":   byID(contact, map[string]any{"scope": "marketing", "reason": "stolen"}),
	"getMedia":         byID(media, nil),
	"downloadMedia":    byID(media, nil),
	"deleteMedia":      byID(media, nil),
	"uploadMedia": func(_, theirs *tenant) []try {
		return []try{{query: url.Values{"contact": {theirs.contact}}, raw: "%PDF-1.4 stolen", judge: unprocessable}}
	},
	"getMessage":    byID(message, nil),
	"cancelMessage": byID(message, nil),

	"markMessageRead": byID(message, map[string]any{"typing": true}),

	"updateSender": func(mine, theirs *tenant) []try {
		return []try{
			{path: map[string]string{"id": theirs.sender}, body: senderOn(mine.connector)},
			{path: map[string]string{"id": mine.sender}, body: senderOn(theirs.connector), judge: unprocessable},
		}
	},
	"listTemplates": func(_, theirs *tenant) []try {
		return []try{{judge: harmless}, {query: url.Values{"sender": {theirs.sender}}, judge: empty}}
	},
	"putTemplate": func(_, theirs *tenant) []try {
		return []try{{body: map[string]any{"sender": theirs.sender, "name": "greeting", "language": "en", "category": "marketing", "state": "paused", "body": "stolen"}, judge: unprocessable}}
	},
	"putSettings": func(_, theirs *tenant) []try {
		return []try{
			{body: map[string]any{"default_route": []any{map[string]any{"channel": "sms", "sender": theirs.sender}}}, judge: unprocessable},
			{body: map[string]any{"default_region": "FR"}, judge: harmless},
		}
	},

	"listContacts": func(_, theirs *tenant) []try {
		return []try{{judge: harmless}, {query: url.Values{"phone": {theirs.phone}}, judge: empty}, {query: url.Values{"after": {theirs.contact}}, judge: func(s int, b []byte) bool { return harmless(s, b) || unprocessable(s, b) }}}
	},
	"createContact": func(_, theirs *tenant) []try {
		// The same person may be known to both; neither learns of the other.
		return []try{{body: map[string]any{"identities": []any{map[string]any{"channel": "phone", "address": theirs.sparePhone()}}}, judge: func(status int, _ []byte) bool { return status == 201 }}}
	},
	"removeIdentity": func(mine, theirs *tenant) []try {
		return []try{
			{path: map[string]string{"id": theirs.contact, "identity": theirs.identity}},
			{path: map[string]string{"id": mine.contact, "identity": theirs.identity}},
		}
	},
	"removeSuppression": func(_, theirs *tenant) []try {
		return []try{{path: map[string]string{"id": theirs.spareContact, "scope": "channel:sms"}}}
	},
	"listConversations": func(_, theirs *tenant) []try {
		return []try{{judge: harmless}, {query: url.Values{"after": {theirs.contact}}, judge: func(s int, b []byte) bool { return harmless(s, b) || unprocessable(s, b) }}}
	},
	"getConversation": func(_, theirs *tenant) []try {
		return []try{{path: map[string]string{"contact": theirs.contact}}}
	},
	"listWindows": func(_, theirs *tenant) []try {
		return []try{{query: url.Values{"contact": {theirs.contact}}, judge: empty}}
	},
	"listEvents": func(_, theirs *tenant) []try {
		return []try{{query: url.Values{"limit": {"200"}}, judge: harmless}, {query: url.Values{"after": {theirs.event}}, judge: func(s int, b []byte) bool { return harmless(s, b) || s >= 400 && s < 500 }}}
	},
	"streamEvents": func(_, _ *tenant) []try {
		return []try{{judge: harmless}}
	},
	"listMessages": func(_, theirs *tenant) []try {
		return []try{
			{judge: harmless},
			{query: url.Values{"contact": {theirs.contact}}, judge: empty},
			{query: url.Values{"phone": {theirs.phone}}, judge: empty},
			{query: url.Values{"after": {theirs.message}}, judge: func(s int, b []byte) bool { return harmless(s, b) || unprocessable(s, b) }},
		}
	},
	"sendMessage":    func(mine, theirs *tenant) []try { return sends(mine, theirs, unprocessable) },
	"previewMessage": func(mine, theirs *tenant) []try { return sends(mine, theirs, unprocessable) },
	"sendBatch": func(mine, theirs *tenant) []try {
		list := sends(mine, theirs, noneTaken)
		for _, s := range list[:4] { // the last stands in no batch
			s.body["messages"] = []any{map[string]any{"to": s.body["to"]}}
			delete(s.body, "to")
		}
		return list[:4]
	},
}

func senderOn(connector string) map[string]any {
	return map[string]any{"channel": "sms", "address": "stolen", "connectors": []string{connector}}
}
