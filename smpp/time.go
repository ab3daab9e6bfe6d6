package smpp

import (
	"fmt"
	"time"
)

// FormatTime writes t as an absolute time, YYMMDDhhmmsstnn and the sign, with
// the offset of t's zone in quarter hours (3.4 section 7.1.1). Zones that are
// no multiple of a quarter hour are written in UTC.
func FormatTime(t time.Time) string {
	_, offset := t.Zone()
	if offset%900 != 0 || offset <= -100*900 || offset >= 100*900 {
		t, offset = t.UTC(), 0
	}
	sign := byte('+')
	if offset < 0 {
		sign, offset = '-', -offset
	}
	return fmt.Sprintf("%s%d%02d%c", t.Format("060102150405"), t.Nanosecond()/1e8, offset/900, sign)
}

// maxRelative is what days, hours, minutes and seconds can say without months,
// whose length is a matter of opinion.
const maxRelative = 31*24*time.Hour - time.Second

// FormatPeriod writes d as a relative time, in whole seconds and as days at the
// most: 000000100000R would be ten hours (3.4 section 7.1.1). Periods of 31
// days and more must be given as an absolute time.
func FormatPeriod(d time.Duration) (string, error) {
	if d < 0 || d > maxRelative {
		return "", &EncodeError{"relative time", "not within 0 and 31 days"}
	}
	s := int(d / time.Second)
	return fmt.Sprintf("0000%02d%02d%02d%02d000R", s/86400, s/3600%24, s/60%60, s%60), nil
}

// ParseTime reads an absolute or relative time; relative ones count from now.
// An empty string, the SMSC's default, is the zero time.
func ParseTime(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	bad := &DecodeError{Field: "time", Status: StatusInvalidSchedule, Reason: "not YYMMDDhhmmsstnn with + - or R"}
	if len(s) != maxTime {
		return time.Time{}, bad
	}
	for i := range len(s) - 1 {
		if s[i] < '0' || s[i] > '9' {
			return time.Time{}, bad
		}
	}
	two := func(i int) int { return int(s[i]-'0')*10 + int(s[i+1]-'0') }
	if s[15] == 'R' {
		rest := time.Duration(two(6))*time.Hour + time.Duration(two(8))*time.Minute + time.Duration(two(10))*time.Second
		return now.AddDate(two(0), two(2), two(4)).Add(rest), nil
	}
	offset := two(13) * 900
	switch s[15] {
	case '+':
	case '-':
		offset = -offset
	default:
		return time.Time{}, bad
	}
	t, err := time.ParseInLocation("060102150405", s[:12], time.FixedZone("", offset))
	if err != nil {
		return time.Time{}, bad
	}
	// The two digits mean this century; Go would read 69 and above as 19xx.
	if t.Year() < 2000 {
		t = t.AddDate(100, 0, 0)
	}
	return t.Add(time.Duration(s[12]-'0') * 100 * time.Millisecond), nil
}
