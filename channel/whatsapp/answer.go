package whatsapp

import (
	"github.com/parley-messaging/parley/channel/internal/graph"
	"github.com/parley-messaging/parley/message"
)

// decodeAnswer reads the 200 of a send. Without a message id the message may
// have been taken or not: the fault is uncertain.
func decodeAnswer(body []byte) (message.Accepted, error) {
	var a message.Accepted
	var id, input string
	d := graph.NewDecoder(body)
	if d.Object() {
		for d.Next() {
			switch string(d.Key()) {
			case "messages":
				if d.Array() {
					for d.Item() {
						readAnswered(&d, &id, &a)
					}
				}
			case "contacts":
				if d.Array() {
					for d.Item() {
						if d.Object() {
							for d.Next() {
								switch string(d.Key()) {
								case "wa_id":
									a.WaID = d.Text()
								case "input":
									input = d.Text()
								}
							}
						}
					}
				}
			}
		}
	}
	if id == "" {
		return message.Accepted{}, &message.Fault{Kind: message.Transient, Scope: message.ScopeMessage, Code: "answer", Title: "accepted without a message id", Cause: d.End()}
	}
	a.Parts = []string{id}
	if a.WaID == input {
		a.WaID = "" // only told when it differs
	}
	return a, nil
}

func readAnswered(d *graph.Decoder, id *string, a *message.Accepted) {
	if !d.Object() {
		return
	}
	for d.Next() {
		switch string(d.Key()) {
		case "id":
			*id = d.Text()
		case "message_status":
			a.Detail = d.Text()
			// Pacing holds a template back; a paused one fails later by callback.
			a.Held = a.Detail == "held_for_quality_assessment" || a.Detail == "paused"
		}
	}
}
