package whatsapp

import "encoding/json"

// DefaultTemplates returns what every Server starts with: an approved template
// of each category, positional and named, of each kind of header and button,
// offers, carousels and products among them, and a paused one.
func DefaultTemplates() []Template {
	t := func(name, language, category, status string, named bool, components string) Template {
		return Template{Name: name, Language: language, Category: category, Status: status, Named: named, Components: json.RawMessage(components)}
	}
	return []Template{
		t("hello_world", "en_US", "UTILITY", approved, false, `[{"type":"HEADER","format":"TEXT","text":"Hello World"},{"type":"BODY","text":"Welcome and congratulations!!"},{"type":"FOOTER","text":"WhatsApp Business Platform sample message"}]`),
		t("order_update", "en_US", "UTILITY", approved, false, `[{"type":"BODY","text":"Hello {{1}}, your order {{2}} is on its way.","example":{"body_text":[["Ada","A-42"]]}}]`),
		t("boarding_pass", "en", "UTILITY", approved, true, `[{"type":"BODY","text":"Your boarding pass for flight {{flight}} is ready.","example":{"body_text_named_params":[{"param_name":"flight","example":"AF1234"}]}},{"type":"BUTTONS","buttons":[{"type":"QUICK_REPLY","text":"Change seat"}]}]`),
		t("boarding_pass", "fr", "UTILITY", approved, true, `[{"type":"BODY","text":"Votre carte d'embarquement du vol {{flight}} est prête.","example":{"body_text_named_params":[{"param_name":"flight","example":"AF1234"}]}},{"type":"BUTTONS","buttons":[{"type":"QUICK_REPLY","text":"Changer de siège"}]}]`),
		t("one_time_code", "en_US", "AUTHENTICATION", approved, false, `[{"type":"BODY","text":"*{{1}}* is your verification code."},{"type":"BUTTONS","buttons":[{"type":"URL","text":"Copy code","url":"https://www.whatsapp.com/otp/code/?otp_type=COPY_CODE&code=otp{{1}}"}]}]`),
		t("spring_offer", "en_US", "MARKETING", approved, false, `[{"type":"HEADER","format":"IMAGE"},{"type":"BODY","text":"Hello {{1}}, spring is here.","example":{"body_text":[["Ada"]]}},{"type":"BUTTONS","buttons":[{"type":"QUICK_REPLY","text":"Stop"},{"type":"URL","text":"Look","url":"https://example.com/{{1}}"}]}]`),
		t("paused_offer", "en_US", "MARKETING", "PAUSED", false, `[{"type":"BODY","text":"This offer rests."}]`),
		t("gate_map", "en_US", "UTILITY", approved, false, `[{"type":"HEADER","format":"LOCATION"},{"type":"BODY","text":"Your flight {{1}} leaves from here.","example":{"body_text":[["AF1234"]]}},{"type":"BUTTONS","buttons":[{"type":"PHONE_NUMBER","text":"Call us","phone_number":"33170000000"}]}]`),
		t("invoice", "en_US", "UTILITY", approved, true, `[{"type":"HEADER","format":"DOCUMENT"},{"type":"BODY","text":"Your invoice {{number}} is attached.","example":{"body_text_named_params":[{"param_name":"number","example":"A-42"}]}}]`),
		t("flight_news", "en_US", "UTILITY", approved, true, `[{"type":"HEADER","format":"TEXT","text":"Flight {{flight}}","example":{"header_text_named_params":[{"param_name":"flight","example":"AF1234"}]}},{"type":"BODY","text":"Boarding begins at {{time}}.","example":{"body_text_named_params":[{"param_name":"time","example":"10:05"}]}},{"type":"BUTTONS","buttons":[{"type":"FLOW","text":"Change seat","flow_id":"1","flow_action":"navigate"},{"type":"VOICE_CALL","text":"Call us"}]}]`),
		t("login_code", "en_US", "AUTHENTICATION", approved, false, `[{"type":"BODY","add_security_recommendation":true},{"type":"FOOTER","code_expiration_minutes":5},{"type":"BUTTONS","buttons":[{"type":"OTP","otp_type":"ONE_TAP","text":"Copy code","autofill_text":"Autofill","supported_apps":[{"package_name":"com.example.app","signature_hash":"K8a/AINcGX7"}]}]}]`),
		t("last_minute", "en_US", "MARKETING", approved, false, `[{"type":"HEADER","format":"VIDEO"},{"type":"LIMITED_TIME_OFFER","limited_time_offer":{"text":"Expiring offer!","has_expiration":true}},{"type":"BODY","text":"Good news, {{1}}! Fly for less.","example":{"body_text":[["Ada"]]}},{"type":"BUTTONS","buttons":[{"type":"COPY_CODE","text":"Copy offer code","example":"CARIBE25"},{"type":"URL","text":"Book now!","url":"https://example.com/offers?code={{1}}"}]}]`),
		t("city_breaks", "en_US", "MARKETING", approved, false, `[{"type":"BODY","text":"Where to next, {{1}}?","example":{"body_text":[["Ada"]]}},{"type":"CAROUSEL","cards":[{"components":[{"type":"HEADER","format":"IMAGE"},{"type":"BODY","text":"Lisbon from {{1}}, all in."},{"type":"BUTTONS","buttons":[{"type":"QUICK_REPLY","text":"More like this"},{"type":"URL","text":"Book","url":"https://example.com/{{1}}"}]}]},{"components":[{"type":"HEADER","format":"IMAGE"},{"type":"BODY","text":"Porto from {{1}}, all in."},{"type":"BUTTONS","buttons":[{"type":"QUICK_REPLY","text":"More like this"},{"type":"URL","text":"Book","url":"https://example.com/{{1}}"}]}]}]}]`),
		t("new_arrivals", "en_US", "MARKETING", approved, false, `[{"type":"BODY","text":"New in the shop, {{1}}!","example":{"body_text":[["Ada"]]}},{"type":"CAROUSEL","cards":[{"components":[{"type":"HEADER","format":"PRODUCT"},{"type":"BUTTONS","buttons":[{"type":"SPM","text":"View"}]}]},{"components":[{"type":"HEADER","format":"PRODUCT"},{"type":"BUTTONS","buttons":[{"type":"SPM","text":"View"}]}]}]}]`),
		t("shop_window", "en_US", "MARKETING", approved, false, `[{"type":"BODY","text":"All we sell, right here."},{"type":"BUTTONS","buttons":[{"type":"CATALOG","text":"View catalog"}]}]`),
		t("forgotten_cart", "en_US", "MARKETING", approved, false, `[{"type":"HEADER","format":"TEXT","text":"Forget something, {{1}}?"},{"type":"BODY","text":"It is still in your cart."},{"type":"BUTTONS","buttons":[{"type":"MPM","text":"View items"}]}]`),
		t("forgotten_item", "en_US", "MARKETING", approved, false, `[{"type":"HEADER","format":"PRODUCT"},{"type":"BODY","text":"Use code {{1}} for this one.","example":{"body_text":[["25OFF"]]}},{"type":"BUTTONS","buttons":[{"type":"SPM","text":"View"}]}]`),
		t("to_pay", "en_IN", "UTILITY", approved, false, `[{"type":"BODY","text":"Your order {{1}} is ready to be paid.","example":{"body_text":[["A-42"]]}},{"type":"BUTTONS","buttons":[{"type":"ORDER_DETAILS","text":"Review and Pay"}]}]`),
	}
}
