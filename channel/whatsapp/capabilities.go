package whatsapp

import (
	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/message"
)

// source of the limits below.
const source = "developers.facebook.com, Cloud API messages reference, November 2026"

const mediaSource = "developers.facebook.com, Cloud API media reference, November 2026"

// Capabilities gives what WhatsApp shows (wire 2.3, 2.4). Where Meta's guide
// and its specification disagree, the smaller limit is taken.
func Capabilities() channel.Capabilities {
	above := []message.MediaType{message.Image, message.Video, message.Document}
	return channel.Capabilities{
		Text: channel.Ability{Level: channel.Full, Max: 4096, Source: source},
		Header: channel.Ability{
			Level: channel.Full, Max: 60, Bare: channel.Partial, Source: source,
			Note: "only above buttons and lists; else it becomes the first line",
		},
		Footer: channel.Ability{
			Level: channel.Full, Max: 60, Bare: channel.Partial, Source: source,
			Note: "only below buttons and lists; else it becomes the last line",
		},
		Media: map[message.MediaType]channel.MediaAbility{
			message.Image:    {Level: channel.Full, Bytes: 5 << 20, MIME: []string{"image/jpeg", "image/png"}, Caption: 1024, Note: "8 bit, RGB or RGBA", Source: mediaSource},
			message.Video:    {Level: channel.Full, Bytes: 16 << 20, MIME: []string{"video/mp4", "video/3gpp"}, Caption: 1024, Note: "H.264 with AAC", Source: mediaSource},
			message.Audio:    {Level: channel.Full, Bytes: 16 << 20, MIME: []string{"audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg"}, Note: "ogg: opus, mono", Source: mediaSource},
			message.Voice:    {Level: channel.Full, Bytes: 16 << 20, MIME: []string{"audio/ogg"}, Note: "opus, mono", Source: mediaSource},
			message.Document: {Level: channel.Full, Bytes: 100 << 20, Caption: 1024, Note: "any type; text, PDF and Office files are listed", Source: mediaSource},
			message.Sticker:  {Level: channel.Full, Bytes: 500 << 10, MIME: []string{"image/webp"}, Note: "static ones 100 KB", Source: mediaSource},
		},
		MediaMax:  1,
		Series:    11, // ours: ten attachments and a text
		Replies:   channel.Ability{Level: channel.Full, Max: 3, Title: 20, Text: 1024, Payload: 256, Media: above, Source: source},
		Links:     channel.Ability{Level: channel.Full, Max: 1, Title: 20, Text: 1024, Media: above, Source: source, Note: "one, alone"},
		Dial:      channel.Ability{Level: channel.Partial, Source: source, Note: "only in templates"},
		List:      channel.Ability{Level: channel.Full, Max: 10, Title: 24, Detail: 72, Text: 1024, Payload: 200, Source: source, Note: "10 rows in all sections together; button 20 characters; the guide allows 4,096 characters of text"},
		Location:  channel.Ability{Level: channel.Full, Source: source},
		Cards:     channel.Ability{Level: channel.Full, Max: 5, Source: source, Note: "the guide allows 257"},
		Reaction:  channel.Ability{Level: channel.Full, Source: source},
		ReplyTo:   channel.Ability{Level: channel.Full, Source: source},
		Request:   channel.Ability{Level: channel.Full, Text: 1024, Source: source},
		Templates: channel.Ability{Level: channel.Full, Max: maxTemplateBody, Source: source, Note: "every kind of header and button, offers that end, carousels of 2 to 10 cards, products"},
		Marks:     channel.Full,
	}
}

// Render shows content as WhatsApp will show it. With a template, the text is
// the filled template; the content is not sent. It fails with *channel.Misfit
// for a use that does not fit what is registered.
func Render(c *message.Content, t *message.TemplateUse) (channel.Rendering, error) {
	if t == nil {
		return channel.Fit(c, Capabilities(), channel.FitOptions{}), nil
	}
	registered := shapeOf(t.Components)
	if err := checkTemplate(t, &registered); err != nil {
		return channel.Rendering{Segments: 1}, err
	}
	return renderTemplate(t, &registered)
}
