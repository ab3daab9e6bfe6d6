package whatsapp

import (
	"github.com/parley-messaging/parley/channel/internal/graph"
	"github.com/parley-messaging/parley/message"
)

func readLocation(d *graph.Decoder) *message.Location {
	l := &message.Location{}
	if !d.Object() {
		return l
	}
	for d.Next() {
		switch string(d.Key()) {
		case "latitude":
			l.Latitude = d.Float()
		case "longitude":
			l.Longitude = d.Float()
		case "name":
			l.Name = d.Text()
		case "address":
			l.Address = d.Text()
		}
	}
	return l
}

func readCard(d *graph.Decoder) (c message.Card) {
	if !d.Object() {
		return c
	}
	for d.Next() {
		switch string(d.Key()) {
		case "name":
			if d.Object() {
				for d.Next() {
					switch string(d.Key()) {
					case "formatted_name":
						c.Name = d.Text()
					case "first_name":
						c.First = d.Text()
					case "last_name":
						c.Last = d.Text()
					}
				}
			}
		case "org":
			c.Company = textField(d, "company")
		case "birthday":
			c.Birthday = d.Text()
		case "phones":
			c.Phones = readValues(d, "phone")
		case "emails":
			c.Emails = readValues(d, "email")
		case "urls":
			c.URLs = readValues(d, "url")
		case "addresses":
			c.Addresses = readValues(d, "street")
		}
	}
	return c
}

func readValues(d *graph.Decoder, name string) (values []message.CardValue) {
	if !d.Array() {
		return nil
	}
	for d.Item() {
		if !d.Object() {
			continue
		}
		var v message.CardValue
		for d.Next() {
			switch key := string(d.Key()); key {
			case name:
				v.Value = d.Text()
			case "type":
				v.Type = d.Text()
			case "wa_id":
				v.WaID = d.Text()
			}
		}
		values = append(values, v)
	}
	return values
}
