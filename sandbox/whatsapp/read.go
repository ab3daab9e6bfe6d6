package whatsapp

import (
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"github.com/parley-messaging/parley/sandbox/fault"
)

// typingFor is how long typing is shown, unless the answer comes before (wire
// facts, section 2.3).
const typingFor = 25 * time.Second

// markRead answers a read receipt, with or without typing: the person sees
// blue ticks on all they wrote so far.
func (s *Server) markRead(w http.ResponseWriter, r *http.Request, v *value) {
	id := v.text("message_id")
	switch {
	case v.text("status") != "read":
		s.fail(w, refuse(131009, "status must be read."))
		return
	case id == "":
		s.fail(w, refuse(131008, "The parameter message_id is required."))
		return
	case v.has("typing_indicator") && v.get("typing_indicator").text("type") != "text":
		s.fail(w, refuse(131009, "typing_indicator['type'] must be text."))
		return
	}
	peers := peersOf(id)
	if len(peers) == 0 {
		s.fail(w, refuse(131009, "Message id is not valid."))
		return
	}
	f := s.parts.Faults.Take(fault.WhatsAppRead, peers[0])
	switch f.Kind {
	case fault.Reject:
		s.fail(w, refuse(f.Code, failureDetails[f.Code]))
		return
	case fault.ErrorBefore:
		s.fail(w, refuse(131000, ""))
		return
	case fault.Drop:
		cut(w)
		return
	case fault.Silent:
		s.hold(r)
		cut(w)
		return
	}
	var typing time.Time
	if v.has("typing_indicator") {
		typing = s.parts.Clock.Now().Add(typingFor)
	}
	seen := false
	for _, peer := range peers {
		seen = seen || s.parts.Fleet.See(peer, id, typing)
	}
	switch {
	case !seen:
		s.fail(w, refuse(131009, "Message id is not valid."))
	case f.Kind == fault.ErrorAfter:
		s.fail(w, refuse(131000, ""))
	case f.Kind == fault.Cut:
		cut(w)
	case f.Kind == fault.Hang:
		s.hold(r)
		cut(w)
	default:
		reply(w, http.StatusOK, success)
	}
}

// peersOf reads the numbers a message id of ours may belong to: the canonical
// one in it, and the one it may have been dialled as (see waID).
func peersOf(id string) []string {
	text, ok := strings.CutPrefix(id, "wamid.")
	raw, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(raw) < 3 || len(raw) < 3+int(raw[2]) {
		return nil
	}
	peer := string(raw[3 : 3+int(raw[2])])
	peers := []string{peer}
	switch {
	case strings.HasPrefix(peer, "55") && len(peer) == 12:
		peers = append(peers, peer[:4]+"9"+peer[4:])
	case strings.HasPrefix(peer, "521") && len(peer) == 13:
		peers = append(peers, "52"+peer[3:])
	}
	return peers
}
