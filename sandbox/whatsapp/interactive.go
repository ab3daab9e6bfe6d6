package whatsapp

import (
	"fmt"
	"slices"
	"strings"
)

// readInteractive checks an interactive message (wire facts, section 2.3).
func readInteractive(v *value, c *content) *refusal {
	kind, action := v.text("type"), v.get("action")
	if kind == "" {
		return refuse(131008, "The parameter interactive['type'] is required.")
	}
	if action.kind != isObject {
		return refuse(131008, "The parameter interactive['action'] is required.")
	}
	limit := maxBody
	if kind == "list" {
		limit = maxListBody
	}
	c.text = v.get("body").text("text")
	needsBody := slices.Contains([]string{"button", "list", "cta_url", "flow", "location_request_message"}, kind)
	if needsBody && c.text == "" {
		return refuse(131008, "The parameter interactive['body']['text'] is required.")
	}
	if err := atMost("interactive['body']['text']", c.text, limit); err != nil {
		return err
	}
	if err := atMost("interactive['footer']['text']", v.get("footer").text("text"), maxFooter); err != nil {
		return err
	}
	if err := readHeader(kind, v.get("header")); err != nil {
		return err
	}
	switch kind {
	case "button":
		return readButtons(action, c)
	case "list":
		return readList(action, c)
	case "cta_url":
		return readURLButton(action, c)
	case "flow":
		return readFlow(action)
	case "location_request_message":
		if action.text("name") != "send_location" {
			return refuse(131009, "interactive['action']['name'] must be send_location.")
		}
		return nil
	case "product", "product_list", "catalog_message", "carousel", "address_message", "order_details",
		"order_status", "call_permission_request", "voice_call", "request_contact_info":
		return nil
	}
	return refuse(131009, "interactive['type'] "+kind+" is not valid.")
}

func readHeader(interactive string, h *value) *refusal {
	if h.kind == absent {
		return nil
	}
	switch kind := h.text("type"); kind {
	case "text":
		return needText("interactive['header']['text']", h, "text", maxHeaderText)
	case "image", "video", "document":
		if interactive == "list" {
			return refuse(131009, "interactive['header']['type'] of a list must be text.")
		}
		return checkMedia(kind, h.get(kind))
	}
	return refuse(131009, "interactive['header']['type'] is not valid.")
}

func readButtons(action *value, c *content) *refusal {
	buttons := action.get("buttons")
	if buttons.kind != isArray || len(buttons.vals) == 0 || len(buttons.vals) > 3 {
		return refuse(131009, "Invalid buttons count. Min allowed buttons: 1, Max allowed buttons: 3")
	}
	var ids, titles []string
	for i := range buttons.vals {
		b := &buttons.vals[i]
		reply := b.get("reply")
		if b.text("type") != "reply" {
			return refuse(131009, fmt.Sprintf("interactive['action']['buttons'][%d]['type'] must be reply.", i))
		}
		if err := needText(fmt.Sprintf("buttons[%d]['reply']['id']", i), reply, "id", 256); err != nil {
			return err
		}
		if err := needText(fmt.Sprintf("buttons[%d]['reply']['title']", i), reply, "title", 20); err != nil {
			return err
		}
		if slices.Contains(ids, reply.text("id")) || slices.Contains(titles, reply.text("title")) {
			return refuse(131009, "Duplicated button ids or titles are not allowed.")
		}
		ids, titles = append(ids, reply.text("id")), append(titles, reply.text("title"))
	}
	c.text += "\n[" + strings.Join(titles, "] [") + "]"
	return nil
}

func readList(action *value, c *content) *refusal {
	if err := needText("interactive['action']['button']", action, "button", 20); err != nil {
		return err
	}
	sections := action.get("sections")
	if sections.kind != isArray || len(sections.vals) == 0 || len(sections.vals) > 10 {
		return refuse(131009, "Invalid sections count. Min allowed sections: 1, Max allowed sections: 10")
	}
	var ids, titles []string
	for i := range sections.vals {
		section := &sections.vals[i]
		if len(sections.vals) > 1 && section.text("title") == "" {
			return refuse(131009, fmt.Sprintf("Section title is required for section %d.", i))
		}
		if err := atMost("section title", section.text("title"), 24); err != nil {
			return err
		}
		rows := section.get("rows")
		if rows.kind != isArray || len(rows.vals) == 0 {
			return refuse(131009, "Section rows must not be empty.")
		}
		for k := range rows.vals {
			row := &rows.vals[k]
			for _, field := range []struct {
				key   string
				limit int
			}{{"id", 200}, {"title", 24}} {
				if err := needText(fmt.Sprintf("rows[%d]['%s']", k, field.key), row, field.key, field.limit); err != nil {
					return err
				}
			}
			if err := atMost("row description", row.text("description"), 72); err != nil {
				return err
			}
			if slices.Contains(ids, row.text("id")) {
				return refuse(131009, "Duplicated row ids are not allowed.")
			}
			ids, titles = append(ids, row.text("id")), append(titles, row.text("title"))
		}
	}
	if len(ids) > 10 {
		return refuse(131009, "Total row count exceed max allowed count: 10")
	}
	c.text += "\n- " + strings.Join(titles, "\n- ")
	return nil
}

func readURLButton(action *value, c *content) *refusal {
	parameters := action.get("parameters")
	if action.text("name") != "cta_url" {
		return refuse(131009, "interactive['action']['name'] must be cta_url.")
	}
	if err := needText("parameters['display_text']", parameters, "display_text", 20); err != nil {
		return err
	}
	if err := needText("parameters['url']", parameters, "url", 2000); err != nil {
		return err
	}
	c.text += "\n[" + parameters.text("display_text") + "] " + parameters.text("url")
	return nil
}

func readFlow(action *value) *refusal {
	parameters := action.get("parameters")
	if action.text("name") != "flow" {
		return refuse(131009, "interactive['action']['name'] must be flow.")
	}
	if parameters.has("flow_id") == parameters.has("flow_name") {
		return refuse(131009, "Either flow_id or flow_name is required.")
	}
	return needText("parameters['flow_cta']", parameters, "flow_cta", 30)
}
