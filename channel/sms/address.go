package sms

import (
	"strings"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/smpp"
)

// Types of number and numbering plans (SMPP 3.4 sections 5.2.5 and 5.2.6).
const (
	tonUnknown       = 0
	tonInternational = 1
	tonNational      = 2
	tonAlphanumeric  = 5
	npiUnknown       = 0
	npiE164          = 1
)

// shortCode is the most digits of a sender that is no full number.
const shortCode = 8

// checkSender holds an address against the three kinds there are: a number, a
// short code, a name.
func checkSender(address string) (problem, remedy string) {
	var s settings
	digits := strings.TrimPrefix(address, "+")
	if _, err := s.sender(address); err == nil && strings.TrimSpace(address) == address {
		return "", ""
	}
	if numeric(digits) {
		return "is no number and no short code: it has more than 15 digits", "give a number with its country code, or a short code of at most eight digits"
	}
	return "is longer than 11 characters, or not plain ASCII, or has spaces around it", "give a name of at most 11 plain characters, a number, or a short code"
}

// sender gives the source address of a submit, its kinds taken from its shape:
// a name, a short code, or a number.
func (s *settings) sender(address string) (smpp.Address, error) {
	bad := func(title string) (smpp.Address, error) {
		return smpp.Address{}, &message.Fault{Kind: message.Misconfigured, Scope: message.ScopeSender, Certain: true, Code: "sender", Title: title}
	}
	digits, plus := strings.CutPrefix(address, "+")
	switch {
	case address == "":
		return bad("the sender has no address")
	case numeric(digits) && !plus && len(digits) <= shortCode:
		return smpp.Address{TON: s.shortCodeTON, NPI: npiUnknown, Addr: digits}, nil
	case numeric(digits) && len(digits) <= 15:
		return smpp.Address{TON: tonInternational, NPI: npiE164, Addr: digits}, nil
	case !plain(address, 11):
		return bad("a sender name has at most 11 plain characters")
	}
	return smpp.Address{TON: tonAlphanumeric, NPI: npiUnknown, Addr: address}, nil
}

// recipient gives the destination address of a submit.
func (s *settings) recipient(to message.Address) (smpp.Address, error) {
	digits, plus := strings.CutPrefix(to.ID, "+")
	if to.Channel != message.Phone || !numeric(digits) || len(digits) > 15 || len(digits) < 3 {
		return smpp.Address{}, &message.Fault{Kind: message.Refused, Scope: message.ScopeRecipient, Certain: true, Code: "recipient", Title: "the address is not a phone number"}
	}
	if !plus && len(digits) <= shortCode {
		return smpp.Address{TON: s.shortCodeTON, NPI: npiUnknown, Addr: digits}, nil
	}
	return smpp.Address{TON: tonInternational, NPI: npiE164, Addr: digits}, nil
}

// person reads the address of a phone as E.164 with its plus. What cannot be a
// full number, such as a short code or a name, stays as it came.
func (s *settings) person(a smpp.Address) message.Address {
	return message.Address{Channel: message.Phone, ID: s.number(a)}
}

func (s *settings) number(a smpp.Address) string {
	text := clean(strings.TrimSpace(a.Addr))
	digits, plus := strings.CutPrefix(text, "+")
	if !numeric(digits) || a.TON == tonAlphanumeric {
		return text
	}
	if !plus && strings.HasPrefix(digits, "00") && len(digits) > 9 {
		digits, plus = digits[2:], true
	}
	switch {
	case plus, a.TON == tonInternational && len(digits) > shortCode-2:
		return "+" + digits
	case len(digits) <= shortCode-2:
		return digits
	case a.TON == tonNational || digits[0] == '0':
		if s.CountryCode == "" {
			return digits
		}
		return "+" + s.CountryCode + strings.TrimLeft(digits, "0")
	case a.TON == tonUnknown && len(digits) > shortCode:
		return "+" + digits
	}
	return digits
}

// own reads the brand's end as senders are written: numbers with their plus,
// short codes and names as they are.
func (s *settings) own(a smpp.Address) string {
	if digits := strings.TrimPrefix(a.Addr, "+"); numeric(digits) && len(digits) <= shortCode {
		return digits
	}
	return s.number(a)
}
