package smpp

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
)

// A Receipt is what an SMSC says about a message submitted before (3.4 appendix
// B and section 5.3.2). Everything is as the SMSC wrote it: codes in Err belong
// to the operator, dates are its local time, and the id may be spelled
// otherwise than in the submit's response (see [IDSpellings]).
type Receipt struct {
	ID         string
	Sub        string // messages submitted, usually "001"
	Dlvrd      string // messages delivered
	SubmitDate string // see [ParseReceiptDate]
	DoneDate   string
	Stat       string // DELIVRD, UNDELIV ..., in capitals
	Err        string
	Text       string // the beginning of the message
	// State is message_state, or else what Stat stands for; [StateUnset] if
	// neither is known.
	State MessageState
	// NetworkError is the TLV network_error_code: type and code. Type 3 is GSM.
	NetworkError    [3]byte
	HasNetworkError bool
}

var stats = [...]struct {
	state MessageState
	stat  string
}{
	{StateDelivered, "DELIVRD"},
	{StateUndeliverable, "UNDELIV"},
	{StateExpired, "EXPIRED"},
	{StateDeleted, "DELETED"},
	{StateRejected, "REJECTD"},
	{StateEnroute, "ENROUTE"},
	{StateAccepted, "ACCEPTD"},
	{StateUnknown, "UNKNOWN"},
	{StateScheduled, "SCHEDLD"},
	{StateSkipped, "SKIPPED"},
	// Longer spellings that SMSCs use.
	{StateDelivered, "DELIVERED"},
	{StateUndeliverable, "UNDELIVERABLE"},
	{StateUndeliverable, "UNDELIVERED"},
	{StateRejected, "REJECTED"},
	{StateAccepted, "ACCEPTED"},
	{StateScheduled, "SCHEDULED"},
}

// Stat returns the seven letters a receipt's text has for s, empty for unknown
// values.
func (s MessageState) Stat() string {
	for _, k := range stats {
		if k.state == s {
			return k.stat
		}
	}
	return ""
}

// receiptKeys are the keys of the text; the first spelling is the one written.
var receiptKeys = [...]struct {
	field int
	key   string
}{
	{keyID, "id"},
	{keySub, "sub"},
	{keyDlvrd, "dlvrd"},
	{keySubmit, "submit date"},
	{keySubmit, "submit_date"},
	{keySubmit, "submitdate"},
	{keyDone, "done date"},
	{keyDone, "done_date"},
	{keyDone, "donedate"},
	{keyStat, "stat"},
	{keyErr, "err"},
	{keyText, "text"},
}

const (
	keyID = iota
	keySub
	keyDlvrd
	keySubmit
	keyDone
	keyStat
	keyErr
	keyText
	keyCount
)

// ParseReceipt reads the text of a receipt. It takes keys in any case and
// order, with some missing, and extra spaces. It is not ok if there is neither
// an id nor a stat.
func ParseReceipt(text string) (r Receipt, ok bool) {
	var values [keyCount]string
	var seen [keyCount]bool
	field, from := -1, 0
	settle := func(to int) {
		if field >= 0 {
			values[field] = strings.Trim(text[from:to], " \t\r\n\x00")
		}
	}
	for i := 0; i < len(text); {
		if i > 0 && !isSpace(text[i-1]) && i != from {
			i++
			continue
		}
		f, n := keyAt(text[i:])
		// The first of each key counts. The message itself may hold anything
		// that looks like a key, so it ends only for what is still wanted.
		wanted := n > 0 && !seen[f] && (field != keyText || f == keyID || f == keyStat)
		if !wanted {
			i++
			continue
		}
		settle(i)
		seen[f] = true
		field, from = f, i+n
		i = from
	}
	settle(len(text))
	r = Receipt{
		ID: word(values[keyID]), Sub: word(values[keySub]), Dlvrd: word(values[keyDlvrd]),
		SubmitDate: values[keySubmit], DoneDate: values[keyDone],
		Stat: strings.ToUpper(word(values[keyStat])), Err: word(values[keyErr]), Text: values[keyText],
		State: StateUnset,
	}
	for _, k := range stats {
		if k.stat == r.Stat {
			r.State = k.state
			break
		}
	}
	return r, r.ID != "" || r.Stat != ""
}

func isSpace(c byte) bool {
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ',' || c == ';'
}

// keyAt returns the key s begins with and its length with colon, or 0.
func keyAt(s string) (field, length int) {
	if s == "" {
		return 0, 0
	}
	for _, k := range receiptKeys {
		if len(s) <= len(k.key) || s[0]|0x20 != k.key[0] || !strings.EqualFold(s[:len(k.key)], k.key) {
			continue
		}
		n := len(k.key)
		for n < len(s) && s[n] == ' ' {
			n++
		}
		if n < len(s) && s[n] == ':' {
			return k.field, n + 1
		}
	}
	return 0, 0
}

func word(s string) string {
	for i := range len(s) {
		if isSpace(s[i]) {
			return s[:i]
		}
	}
	return s
}

// AppendText puts the usual text of a receipt behind dst. Missing numbers are
// written as SMSCs do; missing dates stay empty.
func (r Receipt) AppendText(dst []byte) []byte {
	stat := r.Stat
	if stat == "" {
		stat = r.State.Stat()
	}
	or := func(v, otherwise string) string {
		if v == "" {
			return otherwise
		}
		return v
	}
	delivered := "000"
	if stat == "DELIVRD" {
		delivered = "001"
	}
	return fmt.Appendf(dst, "id:%s sub:%s dlvrd:%s submit date:%s done date:%s stat:%s err:%s text:%s",
		r.ID, or(r.Sub, "001"), or(r.Dlvrd, delivered), r.SubmitDate, r.DoneDate, stat, or(r.Err, "000"), r.Text)
}

// Receipt reads the receipt a deliver_sm carries, and reports whether it is
// one: by esm_class, and for SMSCs that forget that, by the TLV
// receipted_message_id beside a state: alone it may be a text of a person that
// the SMSC numbers. TLVs win over text. An intermediate notification is a
// receipt whose state is not final, whatever it says (3.4 section 5.2.17): see
// [ESMIntermediate].
func (m *DeliverSM) Receipt() (Receipt, bool) {
	return receiptOf(m.ESMClass, m.DataCoding, m.Text(), m.TLVs)
}

// Receipt is [DeliverSM.Receipt] for the receipts that come in data_sm.
func (m *DataSM) Receipt() (Receipt, bool) {
	text, _ := m.TLVs.Get(TagMessagePayload)
	return receiptOf(m.ESMClass, m.DataCoding, text, m.TLVs)
}

func receiptOf(class, coding uint8, text []byte, tlvs TLVs) (Receipt, bool) {
	id, named := tlvs.Text(TagReceiptedMessageID)
	kind := class & ESMTypeMask
	if kind != ESMReceipt && kind != ESMIntermediate && !named {
		return Receipt{}, false
	}
	r, ok := ParseReceipt(plain(text, coding))
	if kind != ESMReceipt && kind != ESMIntermediate {
		if _, said := tlvs.Uint(TagMessageState); !said && r.State == StateUnset {
			return Receipt{}, false
		}
	}
	if named && id != "" {
		r.ID, ok = id, true
	}
	if state, said := tlvs.Uint(TagMessageState); said && MessageState(state) <= StateSkipped {
		r.State = MessageState(state)
		ok = ok || r.ID != ""
	}
	if v, said := tlvs.Get(TagNetworkErrorCode); said && len(v) == 3 {
		r.NetworkError, r.HasNetworkError = [3]byte(v), true
	}
	return r, ok
}

// plain makes a string of receipt text, which is ASCII in practice, also when
// it came as UCS-2.
func plain(text []byte, coding uint8) string {
	if coding != 8 || len(text)%2 != 0 {
		return string(text)
	}
	units := make([]uint16, len(text)/2)
	for i := range units {
		units[i] = uint16(text[2*i])<<8 | uint16(text[2*i+1])
	}
	return string(utf16.Decode(units))
}

// ParseReceiptDate reads YYMMDDhhmm or YYMMDDhhmmss in the SMSC's zone, which
// only the operator knows.
func ParseReceiptDate(date string, zone *time.Location) (time.Time, error) {
	switch len(date) {
	case 10:
		return time.ParseInLocation("0601021504", date, zone)
	case 12:
		return time.ParseInLocation("060102150405", date, zone)
	case 14:
		return time.ParseInLocation("20060102150405", date, zone)
	}
	return time.Time{}, fmt.Errorf("smpp: receipt date of %d characters", len(date))
}

// ReceiptDate writes t, in its own zone, as receipts do.
func ReceiptDate(t time.Time) string { return t.Format("0601021504") }

// IDSpellings returns the forms under which the same message id may come back:
// as it is, in lower case without leading zeros, and the number it may be read
// as, in decimal and hex. SMSCs answer in one and report in another (seen live:
// 945568d and 155539085). The first is always id itself.
func IDSpellings(id string) []string {
	forms := []string{id}
	add := func(s string) {
		for _, f := range forms {
			if f == s {
				return
			}
		}
		if s != "" {
			forms = append(forms, s)
		}
	}
	lower := strings.ToLower(id)
	add(lower)
	trimmed := strings.TrimLeft(lower, "0")
	add(trimmed)
	if n, err := strconv.ParseUint(trimmed, 16, 64); err == nil {
		add(strconv.FormatUint(n, 10))
	}
	if n, err := strconv.ParseUint(trimmed, 10, 64); err == nil {
		add(strconv.FormatUint(n, 16))
	}
	return forms
}
