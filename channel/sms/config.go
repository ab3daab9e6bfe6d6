package sms

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/message"
)

// A Config is the configuration of one SMPP account: what the operator of the
// SMSC writes into its interface agreement.
type Config struct {
	Host string `json:"host"`
	Port int    `json:"port"` // 0 = 2775, or 3550 with TLS
	// TLS is spoken from the first octet when present. It is a [TLS].
	TLS        json.RawMessage `json:"tls"`
	SystemID   string          `json:"system_id"`
	Password   channel.Secret  `json:"password"`
	SystemType string          `json:"system_type"`
	// Bind is "transceiver" (default) or "transmitter+receiver".
	Bind  string `json:"bind"`
	Binds int    `json:"binds"` // links, or pairs of links; 0 = 1
	// Window is how many submits may wait for their answer on one link; 0 = 10.
	Window int `json:"window"`
	// Throughput is the most parts a second through this account; 0 = no limit.
	Throughput float64 `json:"throughput"`

	// ShortCodeTON is sent with senders of at most eight digits: 3 (default), 0 or 6.
	ShortCodeTON *int `json:"short_code_ton"`
	// CountryCode is put before national numbers of persons ("33"); "" = kept as they come.
	CountryCode string `json:"country_code"`
	ServiceType string `json:"service_type"`

	// Alphabet is what data_coding 0 means here: "gsm7" (default) or "latin1".
	Alphabet string `json:"alphabet"`
	// Tables are national language tables the SMSC agreed to, by their number
	// in 3GPP 23.038 (1 Turkish, 2 Spanish, 3 Portuguese …).
	Tables []int `json:"national_tables"`
	// Transliterate replaces characters that would make a text UCS-2 by near
	// ones of the GSM alphabet where each has one and the text takes fewer parts
	// so. A message may say otherwise (content.transliterate).
	Transliterate bool `json:"transliterate"`
	// Long says how long texts go: "udh8" (default), "udh16", "sar" or "payload".
	Long string `json:"long"`
	// Parts is the most parts a text may take; 0 = 10.
	Parts int `json:"max_parts"`
	// StopMention is put under marketing texts that do not hold it yet, such as
	// "STOP 36111"; "" = none.
	StopMention string `json:"stop_mention"`
	// Priority is "purpose" (default: authentication 3, service 2, utility 1,
	// marketing 0) or "none".
	Priority string `json:"priority"`

	// Receipts is "final" (default), "failure" or "none".
	Receipts string `json:"receipts"`
	// ReceiptParts says which parts of a long text ask for a receipt: "all"
	// (default), "first" or "last".
	ReceiptParts string `json:"receipt_parts"`
	// ReceiptID says how receipts spell ids: "auto" (default), "same",
	// "hex_resp_dec_receipt" or "dec_resp_hex_receipt".
	ReceiptID string `json:"receipt_id"`
	// Reference sends user_message_reference with texts of one part. An SMSC
	// that puts it into receipts thereby settles texts whose answer was lost.
	Reference bool `json:"reference"`
	// InboundParts is "hold" (default: a part of a long inbound text is answered
	// once the whole is stored) or "answer" (at once, for SMSCs that send one
	// message at a time; a crash then loses a text whose parts were not all here).
	// With "hold" such an SMSC makes several texts that grow of a long one.
	InboundParts string `json:"inbound_parts"`
	// Errors maps err values of failed receipts, such as "011", and Statuses
	// maps command statuses, such as "0x0400", to fault kinds.
	Errors   map[string]string `json:"errors"`
	Statuses map[string]string `json:"statuses"`

	// Times in seconds; 0 = the default.
	EnquireLink     float64 `json:"enquire_link_seconds"`     // 30
	ResponseTimeout float64 `json:"response_timeout_seconds"` // 30
	BindTimeout     float64 `json:"bind_timeout_seconds"`     // 15
	ReconnectMin    float64 `json:"reconnect_min_seconds"`    // 0.5
	ReconnectMax    float64 `json:"reconnect_max_seconds"`    // 60
	PartsWait       float64 `json:"parts_wait_seconds"`       // 5; 300 with "answer"
}

// TLS is how a link is secured. The empty object is right for an SMSC with a
// public certificate.
type TLS struct {
	ServerName  string         `json:"server_name"` // default: the host
	CA          string         `json:"ca"`          // PEM; default: the system's
	Certificate string         `json:"certificate"` // PEM of ours, if the SMSC wants one
	Key         channel.Secret `json:"key"`         // PEM of its private key
}

// example is the configuration to start from.
const example = `{
  "//": "The SMSC's operator gives these with the account. SMPP passwords have at most 8 characters.",
  "host": "smsc.example.net",
  "port": 3550,
  "//tls": "leave it out only inside a tunnel: the password travels in the clear",
  "tls": {},
  "system_id": "acme",
  "password": "p4ssw0rd",
  "system_type": "",
  "bind": "transceiver",
  "binds": 2,
  "window": 50,
  "throughput": 100,
  "//alphabet": "what data_coding 0 means at this SMSC: gsm7 or latin1",
  "alphabet": "gsm7",
  "//long": "udh8, udh16, sar or payload",
  "long": "udh8",
  "//receipt_id": "how receipts spell ids: auto, same, hex_resp_dec_receipt or dec_resp_hex_receipt",
  "receipt_id": "auto",
  "country_code": "33",
  "stop_mention": "STOP 36111"
}`

// settings is a Config made ready for use.
type settings struct {
	Config
	addr         string
	tls          *tls.Config
	shortCodeTON uint8
	errors       map[string]message.FaultKind
	statuses     map[uint32]message.FaultKind

	enquire, response, bindWait, backoffMin, backoffMax, partsWait time.Duration
}

func wrong(field, problem, remedy string) error {
	return &channel.ConfigError{Field: field, Problem: problem, Remedy: remedy}
}

// parse reads and validates a configuration, with defaults filled in. It fails
// with *channel.ConfigError.
func parse(raw json.RawMessage) (*settings, error) {
	s := &settings{}
	if err := channel.DecodeConfig(raw, &s.Config); err != nil {
		return nil, err
	}
	for _, step := range []func() error{s.account, s.words, s.sending, s.faultTables, s.times} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *settings) account() error {
	if s.Host == "" || strings.ContainsAny(s.Host, " /:") && net.ParseIP(s.Host) == nil {
		return wrong("host", "is missing or not a host name", "give the SMSC's name or address alone, such as smsc.example.net; the port has its own key")
	}
	if len(s.TLS) > 0 && string(s.TLS) != "null" {
		if err := s.secure(); err != nil {
			return err
		}
	}
	if s.Port == 0 {
		s.Port = 2775
		if s.tls != nil {
			s.Port = 3550
		}
	}
	if s.Port < 1 || s.Port > 65535 {
		return wrong("port", "is not a port", "give 1 to 65535; 2775 is usual, 3550 with TLS")
	}
	s.addr = net.JoinHostPort(s.Host, strconv.Itoa(s.Port))
	switch {
	case s.SystemID == "" || !plain(s.SystemID, 15):
		return wrong("system_id", "is missing, longer than 15 characters or not plain ASCII", "copy it from the SMSC's account sheet")
	case !plain(s.Password.Reveal(), 8):
		return wrong("password", "is longer than 8 characters or not plain ASCII", "SMPP takes 8 at most; ask the SMSC's operator for a fitting one")
	case !plain(s.SystemType, 12):
		return wrong("system_type", "is longer than 12 characters or not plain ASCII", "copy it from the account sheet, or leave it out")
	case !plain(s.ServiceType, 5):
		return wrong("service_type", "is longer than 5 characters or not plain ASCII", "copy it from the account sheet, or leave it out")
	case !numeric(s.CountryCode) && s.CountryCode != "" || len(s.CountryCode) > 3:
		return wrong("country_code", "is not a country calling code", "give one to three digits without plus, such as 33")
	}
	return nil
}

func (s *settings) secure() error {
	var t TLS
	if err := channel.DecodeConfig(s.TLS, &t); err != nil {
		if bad, ok := err.(*channel.ConfigError); ok {
			bad.Field = "tls." + bad.Field
		}
		return err
	}
	name := t.ServerName
	if name == "" {
		name = s.Host
	}
	s.tls = &tls.Config{ServerName: name, MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		s.tls.RootCAs = x509.NewCertPool()
		if !s.tls.RootCAs.AppendCertsFromPEM([]byte(t.CA)) {
			return wrong("tls.ca", "holds no certificate", "give the SMSC's CA in PEM, with its BEGIN and END lines")
		}
	}
	if t.Certificate == "" && t.Key == "" {
		return nil
	}
	pair, err := tls.X509KeyPair([]byte(t.Certificate), []byte(t.Key.Reveal()))
	if err != nil {
		return wrong("tls.certificate", "and tls.key do not fit together or are not PEM", "give both in PEM, made for each other")
	}
	s.tls.Certificates = []tls.Certificate{pair}
	return nil
}

// words checks the settings that are one of a few words and fills in defaults.
func (s *settings) words() error {
	for _, w := range []struct {
		field string
		value *string
		of    []string // the first is the default
	}{
		{"bind", &s.Bind, []string{"transceiver", "transmitter+receiver"}},
		{"alphabet", &s.Alphabet, []string{"gsm7", "latin1"}},
		{"long", &s.Long, []string{"udh8", "udh16", "sar", "payload"}},
		{"priority", &s.Priority, []string{"purpose", "none"}},
		{"receipts", &s.Receipts, []string{"final", "failure", "none"}},
		{"receipt_parts", &s.ReceiptParts, []string{"all", "first", "last"}},
		{"receipt_id", &s.ReceiptID, []string{"auto", "same", "hex_resp_dec_receipt", "dec_resp_hex_receipt"}},
		{"inbound_parts", &s.InboundParts, []string{"hold", "answer"}},
	} {
		if *w.value == "" {
			*w.value = w.of[0]
		}
		known := false
		for _, word := range w.of {
			known = known || *w.value == word
		}
		if !known {
			return wrong(w.field, "is not a word it knows", "give one of "+strings.Join(w.of, ", "))
		}
	}
	return nil
}

func (s *settings) sending() error {
	s.Binds = or(s.Binds, 1)
	s.Window = or(s.Window, 10)
	s.Parts = or(s.Parts, 10)
	s.shortCodeTON = 3
	if s.ShortCodeTON != nil {
		if *s.ShortCodeTON < 0 || *s.ShortCodeTON > 6 {
			return wrong("short_code_ton", "is not a type of number", "give 3, 0 or 6 as the account sheet says")
		}
		s.shortCodeTON = uint8(*s.ShortCodeTON)
	}
	switch {
	case s.Binds < 1 || s.Binds > 64:
		return wrong("binds", "is not between 1 and 64", "give as many links as the account may bind")
	case s.Window < 1 || s.Window > 10_000:
		return wrong("window", "is not between 1 and 10000", "give the window of the account sheet; 10 to 100 is usual")
	case s.Throughput < 0 || s.Throughput > 1e6:
		return wrong("throughput", "is not a rate", "give parts a second, or 0 for no limit of ours")
	case s.Parts < 1 || s.Parts > 255:
		return wrong("max_parts", "is not between 1 and 255", "ten parts are a long text already")
	case len(s.StopMention) > 60:
		return wrong("stop_mention", "is longer than 60 bytes", "keep it as short as STOP 36111: it is paid with every text")
	}
	for _, n := range s.Tables {
		if n < 1 || n > 13 {
			return wrong("national_tables", "holds a number that is no table", "give numbers from 1 (Turkish) to 13 (Urdu)")
		}
	}
	return nil
}

func (s *settings) faultTables() error {
	s.errors = make(map[string]message.FaultKind, len(s.Errors))
	for code, word := range s.Errors {
		kind := kindNamed(word)
		if kind == message.NoFault {
			return wrong("errors", "holds a word that is no fault kind", "give one of "+kindWords())
		}
		s.errors[normalError(code)] = kind
	}
	s.statuses = make(map[uint32]message.FaultKind, len(s.Statuses))
	for code, word := range s.Statuses {
		n, err := strconv.ParseUint(code, 0, 32)
		if err != nil || n == 0 {
			return wrong("statuses", "holds a key that is no command status", "write keys like 0x0400")
		}
		kind := kindNamed(word)
		if kind == message.NoFault {
			return wrong("statuses", "holds a word that is no fault kind", "give one of "+kindWords())
		}
		s.statuses[uint32(n)] = kind
	}
	return nil
}

func (s *settings) times() error {
	for _, t := range []struct {
		field         string
		given         float64
		into          *time.Duration
		preset, limit float64
	}{
		{"enquire_link_seconds", s.EnquireLink, &s.enquire, 30, 3600},
		{"response_timeout_seconds", s.ResponseTimeout, &s.response, 30, 600},
		{"bind_timeout_seconds", s.BindTimeout, &s.bindWait, 15, 600},
		{"reconnect_min_seconds", s.ReconnectMin, &s.backoffMin, 0.5, 600},
		{"reconnect_max_seconds", s.ReconnectMax, &s.backoffMax, 60, 3600},
		{"parts_wait_seconds", s.PartsWait, &s.partsWait, 5, 300},
	} {
		if t.given < 0 || t.given > t.limit {
			return wrong(t.field, "is out of range", "give seconds above 0 and up to "+strconv.FormatFloat(t.limit, 'f', -1, 64)+", or leave it out")
		}
		if t.given == 0 {
			t.given = t.preset
		}
		*t.into = time.Duration(t.given * float64(time.Second))
	}
	if s.InboundParts == "answer" && s.PartsWait == 0 {
		s.partsWait = 5 * time.Minute
	}
	if s.backoffMax < s.backoffMin {
		return wrong("reconnect_max_seconds", "is below reconnect_min_seconds", "give at least that much")
	}
	return nil
}

func or(n, preset int) int {
	if n == 0 {
		return preset
	}
	return n
}

// plain reports whether s is printable ASCII of at most n characters.
func plain(s string, n int) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return len(s) <= n
}

// numeric reports whether s is made of decimal digits, and of at least one.
func numeric(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
