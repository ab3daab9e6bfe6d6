package sms

import (
	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/message"
)

// Capabilities gives what SMS can show: text. Everything else becomes lines,
// links and numbered choices.
func Capabilities() channel.Capabilities {
	partial := channel.Ability{Level: channel.Partial, Note: "becomes text"}
	media := channel.MediaAbility{Level: channel.Partial, Note: "becomes a link"}
	return channel.Capabilities{
		Text: channel.Ability{
			Level: channel.Full, Max: 10 * 153,
			Note:   "ten parts of the GSM alphabet; 670 characters where the text needs UCS-2. An account may allow fewer or more parts",
			Source: "3GPP TS 23.038, 23.040",
		},
		Header: partial, Footer: partial,
		Replies: partial, Links: partial, Dial: partial, List: partial,
		Location: partial, Cards: partial, Reaction: partial,
		ReplyTo:   channel.Ability{Level: channel.Dropped, Note: "SMS has no quotes"},
		Request:   channel.Ability{Level: channel.Dropped, Note: "there is no button for it"},
		Templates: channel.Ability{Level: channel.Partial, Note: "the registered body goes as text"},
		Media: map[message.MediaType]channel.MediaAbility{
			message.Image: media, message.Video: media, message.Audio: media,
			message.Voice: media, message.Document: media, message.Sticker: media,
		},
		Marks: channel.Dropped,
	}
}
