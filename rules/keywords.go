package rules

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// An Action is what a keyword asks for.
type Action string

// The actions. None means the message is no keyword.
const (
	None  Action = ""
	Stop  Action = "stop"
	Help  Action = "help"
	Start Action = "start"
)

// A Keyword is a whole message that is an order by law or custom.
type Keyword struct {
	Action   Action
	Word     string // as in our list, folded: "OPTOUT"
	Language string // the list it came from; "core" holds everywhere
	Pending  bool   // counts only where we have just asked for confirmation ("YES")
}

type keywordSet struct {
	Language string   `yaml:"language"`
	Stop     []string `yaml:"stop"`
	Help     []string `yaml:"help"`
	Start    []string `yaml:"start"`
	Pending  []string `yaml:"pending"`
	words    map[string]Keyword
	Origin   `yaml:",inline"`
}

func (s *Set) loadKeywords() error {
	var file struct {
		Keywords []keywordSet        `yaml:"keywords"`
		Speaks   map[string][]string `yaml:"speaks"`
	}
	if err := decode("keywords.yaml", &file); err != nil {
		return err
	}
	for i := range file.Keywords {
		k := &file.Keywords[i]
		if err := k.check("keywords " + k.Language); err != nil {
			return err
		}
		k.words = map[string]Keyword{}
		add := func(words []string, a Action, pending bool) {
			for _, w := range words {
				folded := FoldKeyword(w)
				if _, taken := k.words[folded]; !taken {
					k.words[folded] = Keyword{Action: a, Word: folded, Language: k.Language, Pending: pending}
				}
			}
		}
		add(k.Stop, Stop, false)
		add(k.Help, Help, false)
		add(k.Start, Start, false)
		add(k.Pending, Start, true)
	}
	s.keywords = group(file.Keywords, func(k keywordSet) string { return k.Language })
	s.speaks = file.Speaks
	return nil
}

// Match finds out whether a whole message is a keyword: of the core list, of
// language (BCP 47, may be empty) or of a language heard in country (ISO 3166,
// may be empty). With neither known every list counts: to overhear a STOP is
// worse than to obey one too many.
func (v View) Match(text, language, country string) Keyword {
	if v.set == nil || len(text) > maxKeyword*4 {
		return Keyword{}
	}
	var buf [maxKeyword]byte
	word := fold(buf[:0], text)
	if len(word) == 0 {
		return Keyword{}
	}
	if k := v.match(word, "core"); k.Action != None {
		return k
	}
	language = primary(language)
	known := v.set.speaks[country]
	if language == "" && len(known) == 0 {
		var best Keyword
		for l := range v.set.keywords {
			if k := v.match(word, l); k.Action != None && (best.Action == None || k.Language < best.Language) {
				best = k
			}
		}
		return best
	}
	if k := v.match(word, language); k.Action != None {
		return k
	}
	for _, l := range known {
		if k := v.match(word, l); k.Action != None {
			return k
		}
	}
	return Keyword{}
}

func (v View) match(word []byte, language string) Keyword {
	list := v.set.keywords[language]
	for i := len(list) - 1; i >= 0; i-- {
		if !list[i].From.After(v.at) {
			return list[i].words[string(word)]
		}
	}
	return Keyword{}
}

// primary is the language of a BCP 47 tag or a provider's locale: "pt_BR" → "pt".
func primary(tag string) string {
	if i := strings.IndexAny(tag, "-_"); i >= 0 {
		tag = tag[:i]
	}
	return strings.ToLower(tag)
}

// maxKeyword is the longest folded keyword in bytes; longer messages are talk.
const maxKeyword = 64

// FoldKeyword brings text into the form keywords are compared in: upper case,
// without accents, punctuation and symbols, single spaces inside and none
// around. Text too long for any keyword becomes empty. Folding twice changes
// nothing.
func FoldKeyword(text string) string {
	var buf [maxKeyword]byte
	return string(fold(buf[:0], text))
}

func fold(out []byte, text string) []byte {
	space := false
	for _, r := range text {
		if 0xFF01 <= r && r <= 0xFF5E { // full-width forms of ASCII
			r -= 0xFEE0
		}
		switch {
		case unicode.IsSpace(r):
			space = len(out) > 0
			continue
		case r == utf8.RuneError || unicode.Is(unicode.Lm, r) || !unicode.IsLetter(r) && !unicode.IsDigit(r):
			continue
		}
		plain := unaccent(unicode.ToUpper(r))
		if len(out)+len(plain)+utf8.UTFMax+1 > maxKeyword {
			return nil
		}
		if space {
			out, space = append(out, ' '), false
		}
		if plain != "" {
			out = append(out, plain...)
		} else {
			out = utf8.AppendRune(out, unicode.ToUpper(r))
		}
	}
	return out
}

// unaccent gives the plain form of an upper-case letter, empty if it has none.
// It covers the letters of European languages, and hamza over alef, since the
// standard library decomposes nothing.
func unaccent(r rune) string {
	if r < 0xC0 {
		return ""
	}
	switch r {
	case 'Æ', 'Ǽ':
		return "AE"
	case 'Œ':
		return "OE"
	case 'ß', 'ẞ':
		return "SS"
	case 'Þ':
		return "TH"
	case 'أ', 'إ', 'آ', 'ٱ':
		return "ا"
	}
	for _, f := range folds {
		if strings.ContainsRune(f[1:], r) {
			return f[:1]
		}
	}
	return ""
}

// folds lists, after each plain letter, its accented forms.
var folds = [...]string{
	"AÀÁÂÃÄÅĀĂĄǍẠẢẤẦẨẪẬẮẰẲẴẶ", "CÇĆĈĊČ", "DĎĐÐ", "EÈÉÊËĒĔĖĘĚẸẺẼẾỀỂỄỆ", "GĜĞĠĢ", "HĤĦ", "IÌÍÎÏĨĪĬĮİỈỊ",
	"JĴ", "KĶ", "LĹĻĽĿŁ", "NÑŃŅŇ", "OÒÓÔÕÖØŌŎŐƠỌỎỐỒỔỖỘỚỜỞỠỢ", "RŔŖŘ", "SŚŜŞŠȘ", "TŢŤŦȚ", "UÙÚÛÜŨŪŬŮŰŲƯỤỦỨỪỬỮỰ",
	"WŴ", "YÝŶŸỲỴỶỸ", "ZŹŻŽ",
}
