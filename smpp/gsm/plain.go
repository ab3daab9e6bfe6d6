package gsm

import (
	"strings"
	"unicode/utf8"
)

// plainForms pairs characters outside the default alphabet with what a reader
// takes for the same.
var plainForms = [...]struct{ chars, plain string }{
	{"‘’‚‛′´`ʼ", "'"},
	{"“”„‟″«»", `"`},
	{"‹", "<"},
	{"›", ">"},
	{"‐‑‒–—―−", "-"},
	{"…", "..."},
	{"•·‣◦", "-"},
	{"\t\u00a0\u2002\u2003\u2009\u202f", " "},
	{"\u200b\u200c\u200e\u200f\u2060\ufeff\u00ad", ""},
	{"™", "TM"},
	{"©", "(c)"},
	{"®", "(R)"},
	{"×", "x"},
	{"÷", "/"},
	{"°", "o"},
	{"½", "1/2"},
	{"¼", "1/4"},
	{"¾", "3/4"},
	{"№", "No"},
	{"áâãāăą", "a"},
	{"ÁÀÂÃĀĂĄ", "A"},
	{"çćĉċč", "c"},
	{"ĆĈĊČ", "C"},
	{"ďđð", "d"},
	{"ĎĐÐ", "D"},
	{"êëēĕėęě", "e"},
	{"ÈÊËĒĔĖĘĚ", "E"},
	{"ĝğġģ", "g"},
	{"ĜĞĠĢ", "G"},
	{"ĥħ", "h"},
	{"ĤĦ", "H"},
	{"íîïĩīĭįı", "i"},
	{"ÍÌÎÏĨĪĬĮİ", "I"},
	{"ĵ", "j"},
	{"Ĵ", "J"},
	{"ķ", "k"},
	{"Ķ", "K"},
	{"ĺļľŀł", "l"},
	{"ĹĻĽĿŁ", "L"},
	{"ńņňŉ", "n"},
	{"ŃŅŇ", "N"},
	{"óôõōŏő", "o"},
	{"ÓÒÔÕŌŎŐ", "O"},
	{"œ", "oe"},
	{"Œ", "OE"},
	{"ŕŗř", "r"},
	{"ŔŖŘ", "R"},
	{"śŝşšș", "s"},
	{"ŚŜŞŠȘ", "S"},
	{"ẞ", "SS"},
	{"ţťŧț", "t"},
	{"ŢŤŦȚ", "T"},
	{"þ", "th"},
	{"Þ", "Th"},
	{"úûũūŭůűų", "u"},
	{"ÚÙÛŨŪŬŮŰŲ", "U"},
	{"ŵ", "w"},
	{"Ŵ", "W"},
	{"ýÿŷ", "y"},
	{"ÝŶŸ", "Y"},
	{"źżž", "z"},
	{"ŹŻŽ", "Z"},
}

func plainForm(r rune) (string, bool) {
	for _, f := range plainForms {
		if strings.ContainsRune(f.chars, r) {
			return f.plain, true
		}
	}
	return "", false
}

// Plain writes a text with characters of the default alphabet: straight quotes
// for curly ones, hyphens for dashes, letters without the accents that are
// missing. ok is false, and the text as it was, when some character has no such
// form.
func Plain(text string) (plain string, ok bool) {
	out := make([]byte, 0, len(text))
	for _, r := range text {
		if n, _ := (Alphabet{}).septets(r); n > 0 {
			out = utf8.AppendRune(out, r)
			continue
		}
		s, ok := plainForm(r)
		if !ok {
			return text, false
		}
		out = append(out, s...)
	}
	return string(out), true
}
