package whatsapp

import (
	"net/http"
	"strconv"
)

// refusal is an error of the Graph API: an answer, or the errors of a failed
// status.
type refusal struct {
	code    int
	details string
	subcode int
}

func refuse(code int, details string) *refusal { return &refusal{code: code, details: details} }

type errorText struct {
	status int // of the HTTP answer
	title  string
}

// errorTexts are the codes the sandbox can send, with the HTTP status and
// title of the Cloud API's error page (wire facts, section 2.13).
var errorTexts = map[int]errorText{
	2:      {http.StatusServiceUnavailable, "Service temporarily unavailable"},
	4:      {http.StatusBadRequest, "Application request limit reached"},
	10:     {http.StatusForbidden, "Application does not have permission for this action"},
	33:     {http.StatusBadRequest, "Parameter value is not valid"},
	100:    {http.StatusBadRequest, "Invalid parameter"},
	190:    {http.StatusUnauthorized, "Invalid OAuth access token - Cannot parse access token"},
	368:    {http.StatusForbidden, "Temporarily blocked for policies violations"},
	80007:  {http.StatusBadRequest, "Rate limit issues"},
	130429: {http.StatusBadRequest, "Rate limit hit"},
	130472: {http.StatusBadRequest, "User's number is part of an experiment"},
	130497: {http.StatusForbidden, "Business account is restricted from messaging users in this country"},
	131000: {http.StatusInternalServerError, "Something went wrong"},
	131005: {http.StatusForbidden, "Access denied"},
	131008: {http.StatusBadRequest, "Required parameter is missing"},
	131009: {http.StatusBadRequest, "Parameter value is not valid"},
	131016: {http.StatusInternalServerError, "Service unavailable"},
	131021: {http.StatusBadRequest, "Recipient cannot be sender"},
	131026: {http.StatusBadRequest, "Message undeliverable"},
	131031: {http.StatusForbidden, "Account has been locked"},
	131037: {http.StatusBadRequest, "Display name approval required"},
	131042: {http.StatusBadRequest, "Business eligibility payment issue"},
	131045: {http.StatusInternalServerError, "Incorrect certificate"},
	131047: {http.StatusBadRequest, "Re-engagement message"},
	131048: {http.StatusBadRequest, "Spam rate limit hit"},
	131049: {http.StatusBadRequest, "This message was not delivered to maintain healthy ecosystem engagement."},
	131050: {http.StatusBadRequest, "Unable to deliver the message. This recipient has chosen to stop receiving marketing messages on WhatsApp from your business"},
	131051: {http.StatusBadRequest, "Unsupported message type"},
	131052: {http.StatusBadRequest, "Media download error"},
	131053: {http.StatusBadRequest, "Media upload error"},
	131055: {http.StatusBadRequest, "Method not allowed"},
	131056: {http.StatusBadRequest, "(Business Account, Consumer Account) pair rate limit hit"},
	131057: {http.StatusInternalServerError, "Account in maintenance mode"},
	131059: {http.StatusBadRequest, "Invalid cursor"},
	131062: {http.StatusBadRequest, "Business-scoped user ids are not supported for this message"},
	131064: {http.StatusBadRequest, "Message limit reached"},
	132000: {http.StatusBadRequest, "Number of parameters does not match the expected number of params"},
	132001: {http.StatusNotFound, "Template name does not exist in the translation"},
	132005: {http.StatusBadRequest, "Translated text too long"},
	132007: {http.StatusBadRequest, "Template format character policy violated"},
	132012: {http.StatusBadRequest, "Parameter format does not match format in the created template"},
	132015: {http.StatusBadRequest, "Template is paused"},
	132016: {http.StatusBadRequest, "Template is disabled"},
	132018: {http.StatusBadRequest, "Template parameter validation failed"},
	133010: {http.StatusBadRequest, "Account not registered"},
	135000: {http.StatusBadRequest, "Generic user error"},
}

func textOf(code int) errorText {
	if t, ok := errorTexts[code]; ok {
		return t
	}
	return errorText{http.StatusBadRequest, "Generic user error"}
}

// appendBody appends the error envelope of an answer.
func (e *refusal) appendBody(b []byte, trace string) []byte {
	t := textOf(e.code)
	message := "(#" + strconv.Itoa(e.code) + ") " + t.title
	if e.code == 190 {
		message = t.title
	}
	b = append(b, `{"error":{`...)
	b = appendMember(b, "message", message)
	b = appendMember(b, "type", "OAuthException")
	b = append(b, `,"code":`...)
	b = strconv.AppendInt(b, int64(e.code), 10)
	if e.subcode != 0 {
		b = append(b, `,"error_subcode":`...)
		b = strconv.AppendInt(b, int64(e.subcode), 10)
	}
	if e.details != "" {
		b = append(b, `,"error_data":{`...)
		b = appendMember(b, "messaging_product", "whatsapp")
		b = appendMember(b, "details", e.details)
		b = append(b, '}')
	}
	b = appendMember(b, "fbtrace_id", trace)
	return append(b, `}}`...)
}

// appendStatus appends one element of the errors of a failed status.
func (e *refusal) appendStatus(b []byte) []byte {
	title := textOf(e.code).title
	details := e.details
	if details == "" {
		details = title
	}
	b = append(b, `{"code":`...)
	b = strconv.AppendInt(b, int64(e.code), 10)
	b = appendMember(b, "title", title)
	b = appendMember(b, "message", title)
	b = append(b, `,"error_data":{`...)
	b = appendMember(b, "details", details)
	b = append(b, '}')
	b = appendMember(b, "href", "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/")
	return append(b, '}')
}

// failureDetails are the details Meta gives with the usual failures.
var failureDetails = map[int]string{
	131026: "Message Undeliverable.",
	131042: "Message failed to send because there were one or more errors related to your payment method.",
	131047: "Message failed to send because more than 24 hours have passed since the customer last replied to this number.",
	131049: "In order to maintain a healthy ecosystem engagement, the message failed to be delivered.",
	131050: "The user has stopped marketing messages from this business.",
	131053: "The media could not be downloaded or is not of a supported type.",
}
