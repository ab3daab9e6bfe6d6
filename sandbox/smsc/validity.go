package smsc

import (
	"strconv"
	"time"
)

// parseTime reads the two SMPP time formats (3.4, section 7.1.1); ok is false
// for anything else.
func parseTime(s string, now time.Time) (at time.Time, ok bool) {
	if len(s) != 16 {
		return time.Time{}, false
	}
	var f [6]int // YY MM DD hh mm ss
	for i := range f {
		n, err := strconv.Atoi(s[2*i : 2*i+2])
		if err != nil || n < 0 {
			return time.Time{}, false
		}
		f[i] = n
	}
	if s[15] == 'R' {
		return now.AddDate(f[0], f[1], f[2]).Add(time.Duration(f[3])*time.Hour + time.Duration(f[4])*time.Minute + time.Duration(f[5])*time.Second), true
	}
	quarters, err := strconv.Atoi(s[13:15])
	if err != nil || quarters > 48 {
		return time.Time{}, false
	}
	offset := time.Duration(quarters) * 15 * time.Minute
	switch s[15] {
	case '+':
	case '-':
		offset = -offset
	default:
		return time.Time{}, false
	}
	return time.Date(2000+f[0], time.Month(f[1]), f[2], f[3], f[4], f[5], 0, time.UTC).Add(-offset), true
}
