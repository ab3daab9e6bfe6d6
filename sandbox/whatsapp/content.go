package whatsapp

import (
	"fmt"
	"strconv"
	"strings"
)

// Limits of the content types, in characters unless said otherwise (wire
// facts, section 2.3).
const (
	maxText       = 4096
	maxCaption    = 1024
	maxOpaque     = 512
	maxBody       = 1024
	maxListBody   = 4096
	maxHeaderText = 60
	maxFooter     = 60
	maxContacts   = 257
)

// content is what a send request carries, checked.
type content struct {
	kind      string // text, image, template ...
	text      string // what the person reads
	mediaID   string
	template  *Template
	reaction  bool
	freeForm  bool // needs an open window
	mediaKind string
}

// readContent checks the content of a send request against the documented
// limits.
func (s *Server) readContent(n *number, v *value) (content, *refusal) {
	kind := v.text("type")
	if kind == "" {
		kind = "text"
		if v.has("interactive") {
			kind = "interactive"
		}
	}
	body := v.get(kind)
	if kind != "contacts" && body.kind != isObject || kind == "contacts" && body.kind != isArray {
		if _, known := contentReaders[kind]; !known && kind != "template" {
			return content{}, refuse(131051, "Message type "+kind+" is not supported.")
		}
		return content{}, refuse(131008, "The parameter "+kind+" is required.")
	}
	c := content{kind: kind, freeForm: kind != "template"}
	if kind == "template" {
		return c, s.readTemplate(n, body, v, &c)
	}
	read, ok := contentReaders[kind]
	if !ok {
		return content{}, refuse(131051, "Message type "+kind+" is not supported.")
	}
	return c, read(body, &c)
}

var contentReaders = map[string]func(*value, *content) *refusal{
	"text":        readText,
	"image":       readMedia,
	"video":       readMedia,
	"audio":       readMedia,
	"document":    readMedia,
	"sticker":     readMedia,
	"location":    readLocation,
	"contacts":    readContacts,
	"reaction":    readReaction,
	"interactive": readInteractive,
}

func readText(v *value, c *content) *refusal {
	c.text = v.text("body")
	if c.text == "" {
		return refuse(131008, "The parameter text['body'] is required.")
	}
	return atMost("text['body']", c.text, maxText)
}

func atMost(what, text string, limit int) *refusal {
	if len(text) <= limit || runes(text) <= limit {
		return nil
	}
	return refuse(100, fmt.Sprintf("Param %s must be at most %d characters long.", what, limit))
}

// needText checks a text that must be there and not be too long.
func needText(what string, v *value, key string, limit int) *refusal {
	text := v.text(key)
	if text == "" {
		return refuse(131008, "The parameter "+what+" is required.")
	}
	return atMost(what, text, limit)
}

func readMedia(v *value, c *content) *refusal {
	c.text = v.text("caption")
	c.mediaID, c.mediaKind = v.text("id"), c.kind
	return checkMedia(c.kind, v)
}

func checkMedia(kind string, v *value) *refusal {
	id, link := v.text("id"), v.text("link")
	switch {
	case id == "" && link == "":
		return refuse(131008, "The parameter "+kind+" needs an id or a link.")
	case id != "" && link != "":
		return refuse(100, "The parameter "+kind+" takes an id or a link, not both.")
	case link != "" && !strings.HasPrefix(link, "http://") && !strings.HasPrefix(link, "https://"):
		return refuse(131009, kind+"['link'] is not a valid URI.")
	case v.has("caption") && (kind == "audio" || kind == "sticker"):
		return refuse(100, "Unexpected key \"caption\" on param \""+kind+"\".")
	case v.has("filename") && kind != "document":
		return refuse(100, "Unexpected key \"filename\" on param \""+kind+"\".")
	}
	return atMost(kind+"['caption']", v.text("caption"), maxCaption)
}

func readLocation(v *value, c *content) *refusal {
	for key, limit := range map[string]float64{"latitude": 90, "longitude": 180} {
		m := v.get(key)
		if m.kind != isNumber && m.kind != isString {
			return refuse(131008, "The parameter location['"+key+"'] is required.")
		}
		f, err := strconv.ParseFloat(m.str, 64)
		if err != nil || f < -limit || f > limit {
			return refuse(131009, "location['"+key+"'] is not a valid coordinate.")
		}
	}
	c.text = strings.TrimSpace(v.text("name") + " " + v.get("latitude").str + "," + v.get("longitude").str)
	return nil
}

func readContacts(v *value, c *content) *refusal {
	if len(v.vals) == 0 || len(v.vals) > maxContacts {
		return refuse(131009, fmt.Sprintf("contacts must hold 1 to %d elements.", maxContacts))
	}
	var names []string
	for i := range v.vals {
		name := v.vals[i].get("name").text("formatted_name")
		if name == "" {
			return refuse(131008, fmt.Sprintf("The parameter contacts[%d]['name']['formatted_name'] is required.", i))
		}
		names = append(names, name)
	}
	c.text = strings.Join(names, ", ")
	return nil
}

func readReaction(v *value, c *content) *refusal {
	if v.text("message_id") == "" {
		return refuse(131008, "The parameter reaction['message_id'] is required.")
	}
	if !v.has("emoji") {
		return refuse(131008, "The parameter reaction['emoji'] is required.")
	}
	c.text, c.reaction = v.text("emoji"), true
	return nil
}
