package fault

import (
	"strconv"
	"time"
)

// A Recipient is one line of the table of magic recipients. A number is magic
// when it has one of the two forms of Number; its two digits Code choose the
// line. Once means that only every other message to it is hit: the first
// fails, the next (its retry) passes.
type Recipient struct {
	Code     string
	Name     string
	WhatsApp Fault
	SMS      Fault
	Once     bool
	Handset  Trait
	Meaning  string
}

// A Trait is how the handset behind a magic number differs from the default.
type Trait string

// The traits.
const (
	Plain      Trait = ""
	NoWhatsApp Trait = "no_whatsapp" // WhatsApp is not installed
	Offline    Trait = "offline"     // the internet is off: WhatsApp waits
	PhoneOff   Trait = "phone_off"   // the phone is off: SMS and WhatsApp wait
	OptedOut   Trait = "opted_out"   // this person stopped marketing messages
)

// SMPP message_state values used in the table (SMPP 3.4, 5.2.28).
const (
	stateExpired       = 3
	stateDeleted       = 4
	stateUndeliverable = 5
	stateUnknown       = 7
	stateRejected      = 8
)

// The WhatsApp codes are those of the Cloud API's error page and of
// wire facts 2.13; the SMS codes are SMPP 3.4 command_status values for Reject
// and message_state values for Fail.
var magic = []Recipient{
	{
		Code: "10", Name: "throttle_once", WhatsApp: Fault{Kind: Reject, Code: 130429}, SMS: Fault{Kind: Reject, Code: 0x58}, Once: true,
		Meaning: "throttled once (130429, 0x58), the next passes",
	},
	{
		Code: "11", Name: "error_once", WhatsApp: Fault{Kind: ErrorBefore}, SMS: Fault{Kind: ErrorBefore}, Once: true,
		Meaning: "server error before accepting (500, 0x08), the next passes",
	},
	{
		Code: "12", Name: "error_after_accept", WhatsApp: Fault{Kind: ErrorAfter}, SMS: Fault{Kind: ErrorAfter},
		Meaning: "accepted and delivered, yet answered 500 or 0x08",
	},
	{
		Code: "13", Name: "hang_after_accept", WhatsApp: Fault{Kind: Hang}, SMS: Fault{Kind: Hang},
		Meaning: "accepted and delivered, never answered",
	},
	{
		Code: "14", Name: "cut_after_accept", WhatsApp: Fault{Kind: Cut}, SMS: Fault{Kind: Cut},
		Meaning: "accepted and delivered, the connection cut without an answer",
	},
	{
		Code: "15", Name: "receipts_twice", WhatsApp: Fault{Kind: Duplicate}, SMS: Fault{Kind: Duplicate},
		Meaning: "every receipt comes twice",
	},
	{
		Code: "16", Name: "receipts_reordered", WhatsApp: Fault{Kind: Reorder}, SMS: Fault{Kind: Reorder},
		Meaning: "read before delivered before sent; SMS: DELIVRD before ENROUTE",
	},
	{
		Code: "17", Name: "receipt_first", WhatsApp: Fault{Kind: ReceiptFirst}, SMS: Fault{Kind: ReceiptFirst},
		Meaning: "the receipts come before the answer",
	},
	{
		Code: "18", Name: "no_receipt", WhatsApp: Fault{Kind: NoReceipt}, SMS: Fault{Kind: NoReceipt},
		Meaning: "delivered, never a receipt",
	},
	{
		Code: "19", Name: "late", WhatsApp: Fault{Kind: Late}, SMS: Fault{Kind: Late},
		Meaning: "delivered late: after nn seconds in the 999 block, else after 5 s",
	},
	{
		Code: "20", Name: "window_closed", WhatsApp: Fault{Kind: Fail, Code: 131047},
		Meaning: "WhatsApp accepts, then fails with 131047",
	},
	{
		Code: "21", Name: "unreachable", WhatsApp: Fault{Kind: Fail, Code: 131026}, SMS: Fault{Kind: Fail, Code: stateUndeliverable},
		Meaning: "accepted, then 131026 or UNDELIV",
	},
	{
		Code: "22", Name: "template_paused", WhatsApp: Fault{Kind: Reject, Code: 132015},
		Meaning: "WhatsApp refuses with 132015",
	},
	{
		Code: "23", Name: "capped", WhatsApp: Fault{Kind: Fail, Code: 131049},
		Meaning: "WhatsApp accepts, then fails with 131049",
	},
	{
		Code: "24", Name: "opted_out", WhatsApp: Fault{Kind: Fail, Code: 131050}, Handset: OptedOut,
		Meaning: "WhatsApp accepts, then fails with 131050",
	},
	{
		Code: "25", Name: "token", WhatsApp: Fault{Kind: Reject, Code: 190},
		Meaning: "WhatsApp refuses with 401, code 190",
	},
	{
		Code: "26", Name: "pair_limit_once", WhatsApp: Fault{Kind: Reject, Code: 131056}, Once: true,
		Meaning: "WhatsApp refuses with 131056 once, the next passes",
	},
	{
		Code: "27", Name: "error_always", WhatsApp: Fault{Kind: ErrorBefore}, SMS: Fault{Kind: ErrorBefore},
		Meaning: "server error before accepting, always",
	},
	{
		Code: "28", Name: "sent_then_failed", WhatsApp: Fault{Kind: SentThenFail, Code: 131026}, SMS: Fault{Kind: SentThenFail, Code: stateUndeliverable},
		Meaning: "sent (ENROUTE), then failed",
	},
	{
		Code: "29", Name: "garbage_answer", WhatsApp: Fault{Kind: Garbage}, SMS: Fault{Kind: Garbage},
		Meaning: "accepted and delivered; the answer is an empty 200, or a generic_nack",
	},
	{
		Code: "30", Name: "spam_limit", WhatsApp: Fault{Kind: Reject, Code: 131048},
		Meaning: "WhatsApp refuses with 131048",
	},
	{
		Code: "31", Name: "unpaid", WhatsApp: Fault{Kind: Fail, Code: 131042},
		Meaning: "WhatsApp accepts, then fails with 131042",
	},
	{
		Code: "32", Name: "dropped_before_accept", WhatsApp: Fault{Kind: Drop}, SMS: Fault{Kind: Drop}, Once: true,
		Meaning: "the connection is cut before accepting, the next passes",
	},
	{
		Code: "40", Name: "sms_bad_destination", SMS: Fault{Kind: Reject, Code: 0x0B}, Handset: NoWhatsApp,
		Meaning: "SMS refused with 0x0B",
	},
	{
		Code: "41", Name: "sms_throttled", SMS: Fault{Kind: Reject, Code: 0x58}, Handset: NoWhatsApp,
		Meaning: "SMS throttled with 0x58, always",
	},
	{
		Code: "42", Name: "sms_silent", SMS: Fault{Kind: Silent}, Handset: NoWhatsApp,
		Meaning: "SMS not accepted, never answered",
	},
	{
		Code: "43", Name: "sms_undeliverable", SMS: Fault{Kind: Fail, Code: stateUndeliverable}, Handset: NoWhatsApp,
		Meaning: "SMS receipt UNDELIV",
	},
	{
		Code: "44", Name: "sms_expired", SMS: Fault{Kind: Fail, Code: stateExpired}, Handset: NoWhatsApp,
		Meaning: "SMS receipt EXPIRED",
	},
	{
		Code: "45", Name: "sms_rejected", SMS: Fault{Kind: Fail, Code: stateRejected}, Handset: NoWhatsApp,
		Meaning: "SMS receipt REJECTD",
	},
	{
		Code: "46", Name: "sms_deleted", SMS: Fault{Kind: Fail, Code: stateDeleted}, Handset: NoWhatsApp,
		Meaning: "SMS receipt DELETED",
	},
	{
		Code: "47", Name: "sms_unknown", SMS: Fault{Kind: Fail, Code: stateUnknown}, Handset: NoWhatsApp,
		Meaning: "SMS receipt UNKNOWN",
	},
	{
		Code: "48", Name: "sms_link_drop", SMS: Fault{Kind: Drop}, Once: true, Handset: NoWhatsApp,
		Meaning: "the SMPP link drops in mid-window before accepting, the next passes",
	},
	{
		Code: "49", Name: "sms_queue_full_once", SMS: Fault{Kind: Reject, Code: 0x14}, Once: true, Handset: NoWhatsApp,
		Meaning: "SMS refused with 0x14 once, the next passes",
	},
	{Code: "60", Name: "sms_only", Handset: NoWhatsApp, Meaning: "no WhatsApp (131026), SMS works"},
	{Code: "61", Name: "offline", Handset: Offline, Meaning: "internet off: WhatsApp waits, SMS works"},
	{Code: "62", Name: "phone_off", Handset: PhoneOff, Meaning: "phone off: SMS and WhatsApp wait"},
}

// Magic returns the table of magic recipients.
func Magic() []Recipient { return append([]Recipient{}, magic...) }

const (
	blockPrefix   = "9990000" // + code + nn
	fictionMiddle = "55501"   // 1 + area code + this + code
	defaultLate   = 5 * time.Second
	numberLength  = 11
)

// Number returns the magic number of a code in the 999 block, which belongs to
// no country: 9990000, the code, and two free digits n (00 to 99).
func Number(code string, n int) string {
	digits := strconv.Itoa(n % 100)
	if len(digits) == 1 {
		digits = "0" + digits
	}
	return blockPrefix + code + digits
}

// ValidNumber returns the magic number of a code that phone number libraries
// accept: one kept for fiction in North America, 1 AAA 555 01CC. Only the area
// codes 307, 406, 808 and 907 are magic; area picks one of the four.
func ValidNumber(code string, area int) string {
	areas := [...]string{"307", "406", "808", "907"}
	return "1" + areas[area%len(areas)] + fictionMiddle + code
}

// Lookup returns the line of a magic number, given as digits.
func Lookup(to string) (Recipient, bool) {
	if len(to) != numberLength {
		return Recipient{}, false
	}
	var code string
	switch {
	case to[0] == '9' && to[:7] == blockPrefix:
		code = to[7:9]
	case to[0] == '1' && to[4:9] == fictionMiddle:
		switch to[1:4] {
		case "307", "406", "808", "907":
			code = to[9:]
		}
	}
	if code == "" {
		return Recipient{}, false
	}
	for i := range magic {
		if magic[i].Code == code {
			return magic[i], true
		}
	}
	return Recipient{}, false
}

func (r Recipient) fault(ch Channel) Fault {
	if ch == SMS {
		return r.SMS
	}
	return r.WhatsApp
}

// seconds reads the two free digits of a number of the 999 block.
func seconds(to string) time.Duration {
	if to[0] == '1' {
		return defaultLate
	}
	n, err := strconv.Atoi(to[9:])
	if err != nil {
		return defaultLate
	}
	return time.Duration(n) * time.Second
}
