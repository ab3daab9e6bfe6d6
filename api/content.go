package api

import (
	"math"
	"strconv"

	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/message"
)

// content checks the limits of content whatever channel it goes to.
func (c *check) content(field string, m *message.Content) {
	c.length(field+".text", m.Text, maxText)
	if m.Header != "" || m.Footer != "" {
		c.length(field+".header", m.Header, maxTitle)
		c.length(field+".footer", m.Footer, maxTitle)
	}
	c.count(field+".media", len(m.Media), maxMedia)
	c.count(field+".actions", len(m.Actions), maxActions)
	if c.fault != nil {
		return
	}
	for i := range m.Media {
		c.media(field+".media["+strconv.Itoa(i)+"]", &m.Media[i])
	}
	for i := range m.Actions {
		c.action(field+".actions["+strconv.Itoa(i)+"]", &m.Actions[i])
	}
	if m.List != nil {
		c.list(field+".list", m.List)
	}
	if m.Location != nil {
		c.location(field+".location", m.Location)
	}
	c.cards(field+".contacts", m.Cards)
	if r := m.Reaction; r != nil {
		if r.Message.IsZero() {
			c.invalid(field+".reaction.message", "is missing", "name the message reacted to")
		}
		c.length(field+".reaction.emoji", r.Emoji, 16)
	}
	if m.Request != "" && m.Request != "location" {
		c.bad(engine.CodeContent, field+".request", "is nothing that can be asked for", `only "location" can be`)
	}
}

func (c *check) media(field string, m *message.Media) {
	switch m.Type {
	case message.Image, message.Video, message.Audio, message.Voice, message.Document, message.Sticker:
	default:
		c.bad(engine.CodeContent, field+".type", "is missing or not a kind of media", "give one of image, video, audio, voice, document, sticker")
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
		c.link(field+".url", m.URL)
	}
	c.length(field+".provider_id", m.Provider, maxAddress)
	c.length(field+".mime_type", m.MIME, 128)
	c.length(field+".sha256", m.SHA256, 128)
	c.length(field+".filename", m.Filename, 255)
	c.length(field+".caption", m.Caption, maxValue)
	if m.Size < 0 {
		c.invalid(field+".size", "is below zero", "give the size in bytes or leave it out")
	}
}

func (c *check) action(field string, a *message.Action) {
	if a.Title == "" {
		c.invalid(field+".title", "is missing", "say what stands on the button")
	}
	c.length(field+".title", a.Title, maxLabel)
	c.length(field+".payload", a.Payload, maxPayload)
	switch a.Type {
	case message.Reply:
	case message.URL:
		// A shared link may hold placeholders until a batch fills them.
		c.length(field+".url", a.URL, maxURL)
		if a.URL == "" {
			c.invalid(field+".url", "is missing", "give the address the button opens")
		}
	case message.Dial:
		c.length(field+".phone", a.Phone, 32)
		if a.Phone == "" {
			c.invalid(field+".phone", "is missing", "give the number the button calls")
		}
	default:
		c.bad(engine.CodeContent, field+".type", "is missing or not a kind of button", "give one of reply, url, dial")
	}
}

func (c *check) list(field string, l *message.List) {
	c.length(field+".button", l.Button, maxLabel)
	c.count(field+".sections", len(l.Sections), maxRows)
	rows := 0
	for i := range l.Sections {
		s, at := &l.Sections[i], field+".sections["+strconv.Itoa(i)+"]"
		c.length(at+".title", s.Title, maxLabel)
		if rows += len(s.Rows); rows > maxRows {
			c.bad(engine.CodeTooLong, field, "has more than "+strconv.Itoa(maxRows)+" rows", "leave some out")
			return
		}
		for j := range s.Rows {
			r, at := &s.Rows[j], at+".rows["+strconv.Itoa(j)+"]"
			if r.Title == "" {
				c.invalid(at+".title", "is missing", "say what stands in the row")
			}
			c.length(at+".title", r.Title, maxLabel)
			c.length(at+".description", r.Description, maxTitle)
			c.length(at+".payload", r.Payload, maxPayload)
		}
	}
	if rows == 0 {
		c.bad(engine.CodeEmpty, field, "has no rows", "give at least one row")
	}
}

func (c *check) location(field string, l *message.Location) {
	if math.Abs(l.Latitude) > 90 {
		c.invalid(field+".latitude", "is not between -90 and 90", "give degrees of WGS 84")
	}
	if math.Abs(l.Longitude) > 180 {
		c.invalid(field+".longitude", "is not between -180 and 180", "give degrees of WGS 84")
	}
	c.length(field+".name", l.Name, maxTitle)
	c.length(field+".address", l.Address, maxTitle)
}

func (c *check) cards(field string, cards []message.Card) {
	c.count(field, len(cards), maxCards)
	if c.fault != nil {
		return
	}
	for i := range cards {
		card, at := &cards[i], field+"["+strconv.Itoa(i)+"]"
		if card.Name == "" {
			c.invalid(at+".name", "is missing", "give the name to show")
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
