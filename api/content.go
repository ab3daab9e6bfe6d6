package api

import (
	"math"
	"strconv"

	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/message"
)

// content checks the limits of content whatever channel it goes to.
func (c *check) content(field path, m *message.Content) {
	c.length(field.dot("text"), m.Text, maxText)
	if m.Header != "" || m.Footer != "" {
		c.length(field.dot("header"), m.Header, maxTitle)
		c.length(field.dot("footer"), m.Footer, maxTitle)
	}
	c.count(field.dot("media"), len(m.Media), maxMedia)
	c.count(field.dot("actions"), len(m.Actions), maxActions)
	if c.fault != nil {
		return
	}
	for i := range m.Media {
		c.media(field.dot("media").in(i), &m.Media[i])
	}
	for i := range m.Actions {
		c.action(field.dot("actions").in(i), &m.Actions[i])
	}
	if m.List != nil {
		c.list(field.dot("list"), m.List)
	}
	if m.Location != nil {
		c.location(field.dot("location"), m.Location)
	}
	c.cards(field.dot("contacts"), m.Cards)
	if r := m.Reaction; r != nil {
		if r.Message.IsZero() {
			c.invalid(field.dot("reaction").dot("message"), "is missing", "name the message reacted to")
		}
		c.length(field.dot("reaction").dot("emoji"), r.Emoji, 16)
	}
	if m.Request != "" && m.Request != "location" {
		c.bad(engine.CodeContent, field.dot("request"), "is nothing that can be asked for", `only "location" can be`)
	}
}

func (c *check) media(field path, m *message.Media) {
	switch m.Type {
	case message.Image, message.Video, message.Audio, message.Voice, message.Document, message.Sticker:
	default:
		c.bad(engine.CodeContent, field.dot("type"), "is missing or not a kind of media", "give one of image, video, audio, voice, document, sticker")
	}
	sources := 0
	for _, given := range [...]bool{m.URL != "", !m.ID.IsZero(), m.Provider != ""} {
		if given {
			sources++
		}
	}
	if sources != 1 {
		c.invalid(field, "needs exactly one of url, id and provider_id", "say where the file is")
	}
	if m.URL != "" {
		c.link(field.dot("url"), m.URL)
	}
	c.length(field.dot("provider_id"), m.Provider, maxAddress)
	c.length(field.dot("mime_type"), m.MIME, 128)
	c.length(field.dot("sha256"), m.SHA256, 128)
	c.length(field.dot("filename"), m.Filename, 255)
	c.length(field.dot("caption"), m.Caption, maxValue)
	if m.Size < 0 {
		c.invalid(field.dot("size"), "is below zero", "give the size in bytes or leave it out")
	}
}

func (c *check) action(field path, a *message.Action) {
	if a.Title == "" {
		c.invalid(field.dot("title"), "is missing", "say what stands on the button")
	}
	c.length(field.dot("title"), a.Title, maxLabel)
	c.length(field.dot("payload"), a.Payload, maxPayload)
	switch a.Type {
	case message.Reply:
	case message.URL:
		// A shared link may hold placeholders until a batch fills them.
		c.length(field.dot("url"), a.URL, maxURL)
		if a.URL == "" {
			c.invalid(field.dot("url"), "is missing", "give the address the button opens")
		}
	case message.Dial:
		c.length(field.dot("phone"), a.Phone, 32)
		if a.Phone == "" {
			c.invalid(field.dot("phone"), "is missing", "give the number the button calls")
		}
	default:
		c.bad(engine.CodeContent, field.dot("type"), "is missing or not a kind of button", "give one of reply, url, dial")
	}
}

func (c *check) list(field path, l *message.List) {
	c.length(field.dot("button"), l.Button, maxLabel)
	c.count(field.dot("sections"), len(l.Sections), maxRows)
	rows := 0
	for i := range l.Sections {
		s, at := &l.Sections[i], field.dot("sections").in(i)
		c.length(at.dot("title"), s.Title, maxLabel)
		if rows += len(s.Rows); rows > maxRows {
			c.bad(engine.CodeTooLong, field, "has more than "+strconv.Itoa(maxRows)+" rows", "leave some out")
			return
		}
		for j := range s.Rows {
			r, at := &s.Rows[j], at.dot("rows").in(j)
			if r.Title == "" {
				c.invalid(at.dot("title"), "is missing", "say what stands in the row")
			}
			c.length(at.dot("title"), r.Title, maxLabel)
			c.length(at.dot("description"), r.Description, maxTitle)
			c.length(at.dot("payload"), r.Payload, maxPayload)
		}
	}
	if rows == 0 {
		c.bad(engine.CodeEmpty, field, "has no rows", "give at least one row")
	}
}

func (c *check) location(field path, l *message.Location) {
	if math.Abs(l.Latitude) > 90 {
		c.invalid(field.dot("latitude"), "is not between -90 and 90", "give degrees of WGS 84")
	}
	if math.Abs(l.Longitude) > 180 {
		c.invalid(field.dot("longitude"), "is not between -180 and 180", "give degrees of WGS 84")
	}
	c.length(field.dot("name"), l.Name, maxTitle)
	c.length(field.dot("address"), l.Address, maxTitle)
}

func (c *check) cards(field path, cards []message.Card) {
	c.count(field, len(cards), maxCards)
	if c.fault != nil {
		return
	}
	for i := range cards {
		card, at := &cards[i], field.in(i)
		if card.Name == "" {
			c.invalid(at.dot("name"), "is missing", "give the name to show")
		}
		for _, s := range [...]string{card.Name, card.First, card.Last, card.Company, card.Birthday} {
			c.length(at, s, maxLabel)
		}
		for _, values := range [...][]message.CardValue{card.Phones, card.Emails, card.URLs, card.Addresses} {
			c.count(at, len(values), maxCards)
			for _, v := range values {
				c.length(at, v.Value, maxTitle)
				c.length(at, v.Type, maxLabel)
				c.length(at, v.WaID, maxLabel)
			}
		}
	}
}
