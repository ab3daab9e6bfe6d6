package api

import (
	"strings"

	"github.com/parley-messaging/parley/api/internal/strict"
	"github.com/parley-messaging/parley/engine"
)

// An unoffered is something that other messaging APIs take and this one does
// not: asked for by their name of it, it is refused with what to do instead.
type unoffered struct {
	names          []string // small letters alone
	detail, remedy string
}

// unofferedKinds gathers what the public references of Infobip, Sinch, Vonage,
// Bird, Plivo, Clickatell and Kannel call it. Read in November 2026.
var unofferedKinds = []unoffered{
	{
		[]string{"flash", "flashmessage", "flashsms", "isflash", "mclass", "messageclass", "class"},
		"asks for a flash SMS: none is sent, because phones show it once and keep nothing, and many operators refuse it",
		"leave it out: the text goes as an ordinary SMS",
	},
	{
		[]string{"binary", "udh", "userdataheader", "typedetails", "datacoding", "dcs", "esmclass", "pid", "protocolid", "coding", "bodyhex"},
		"asks for a binary SMS: only text is sent, and headers and coding are made here",
		"put what is to be said into content.text; a file goes into content.media and becomes a link on SMS",
	},
	{
		[]string{"unicode", "encoding", "charset", "smartencoded", "smartencoding", "autodetectencoding", "transliteration"},
		"is no field of this request: the alphabet follows from the text",
		"leave it out; content.transliterate says whether near characters of the GSM alphabet may save parts, and the preview shows what they would save",
	},
	{
		[]string{"type", "messagetype"},
		"is no field of this request: what content holds says what kind of message it is",
		"leave it out; flash and binary SMS are not sent",
	},
}

// asked turns a fault of decoding a message into a problem, with an answer of
// its own for what other APIs offer.
func asked(err error) *Problem {
	f, ok := err.(*strict.Fault)
	if !ok || f.Class != strict.Unknown {
		return problemOf(err)
	}
	name := f.Path[strings.LastIndexByte(f.Path, '.')+1:]
	name = strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(name))
	for _, u := range unofferedKinds {
		for _, n := range u.names {
			if n == name {
				return problem(engine.CodeContent, f.Path, u.detail, u.remedy)
			}
		}
	}
	return problemOf(err)
}
