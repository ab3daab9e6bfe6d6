package rules

import (
	"encoding/binary"
	"regexp"
	"regexp/syntax"
	"slices"

	"github.com/nyaruka/phonenumbers"
)

// A plan is the numbering plan of one calling code, compiled from the
// library's regular expressions into a table that reads one digit per step.
// Numbers are finite, so the table is a tree with shared branches: a state
// knows how deep it is, and its verdict holds for that length alone.
type plan struct {
	regions []string // main region first, as in libphonenumber
	states  []planState
	lengths uint32 // bit n: a national number of n digits exists
	// prefix finds a national prefix that people leave in international
	// numbers ("+44 0…"); nil where the country has none.
	prefix *regexp.Regexp
	starts [10]bool // first digits a prefix may have: spares most numbers the expression
}

type planState struct {
	next [10]uint16 // 0: dead
	verdict
}

type verdict struct {
	kind   PhoneKind
	region uint8
	valid  bool
}

// maxNational is the longest national number in libphonenumber's data.
const maxNational = 17

// kindOrder is libphonenumber's order of trial: the first that fits wins.
func kindOrder(m *phonenumbers.PhoneMetadata) []struct {
	kind PhoneKind
	desc *phonenumbers.PhoneNumberDesc
} {
	return []struct {
		kind PhoneKind
		desc *phonenumbers.PhoneNumberDesc
	}{
		{PhonePremium, m.GetPremiumRate()},
		{PhoneTollFree, m.GetTollFree()},
		{PhoneSharedCost, m.GetSharedCost()},
		{PhoneVoIP, m.GetVoip()},
		{PhonePersonal, m.GetPersonalNumber()},
		{PhonePager, m.GetPager()},
		{PhoneCompany, m.GetUan()},
		{PhoneVoicemail, m.GetVoicemail()},
		{PhoneLandline, m.GetFixedLine()},
		{PhoneMobile, m.GetMobile()},
	}
}

// A pattern is one expression followed through the walk.
type pattern struct {
	region  uint8
	kind    PhoneKind // PhoneUnknown: the region's general pattern
	leading bool      // matches a prefix and then anything: decides the region alone
	lengths uint32    // 0: any
	prog    *syntax.Prog
}

func (p *Phones) compile(code int) *plan {
	out := &plan{}
	var patterns []pattern
	var leads []bool
	for i, region := range phonenumbers.GetRegionCodesForCountryCode(code) {
		m := p.meta[region]
		if region == "001" {
			m = p.world[code]
		}
		if m == nil {
			continue
		}
		out.regions = append(out.regions, region)
		at := uint8(len(out.regions) - 1)
		if i == 0 {
			if prefix := m.GetNationalPrefixForParsing(); prefix != "" {
				out.prefix, _ = regexp.Compile("^(?:" + prefix + ")")
				out.starts = firstDigits(prefix)
			}
		}
		leads = append(leads, m.GetLeadingDigits() != "")
		add := func(k PhoneKind, leading bool, expr string, lengths uint32) {
			if expr == "" || expr == "NA" {
				return
			}
			if prog := compileDigits(expr, leading); prog != nil {
				patterns = append(patterns, pattern{region: at, kind: k, leading: leading, lengths: lengths, prog: prog})
			}
		}
		general := lengthBits(m.GetGeneralDesc().GetPossibleLength())
		out.lengths |= general
		add(PhoneUnknown, false, m.GetGeneralDesc().GetNationalNumberPattern(), general)
		add(PhoneUnknown, true, m.GetLeadingDigits(), 0)
		for _, d := range kindOrder(m) {
			kind := d.kind
			if m.GetSameMobileAndFixedLinePattern() && kind == PhoneMobile {
				continue
			}
			if m.GetSameMobileAndFixedLinePattern() && kind == PhoneLandline {
				kind = PhoneFixedOrMobile
			}
			add(kind, false, d.desc.GetNationalNumberPattern(), lengthBits(d.desc.GetPossibleLength()))
		}
	}
	if len(out.regions) == 0 {
		return nil
	}
	b := planBuilder{patterns: patterns, leads: leads, plan: out, seen: map[string]uint16{}}
	out.states = append(out.states, planState{}) // 0 is dead
	start := b.closure(nil, startThreads(patterns))
	b.state(start, 0)
	return out
}

func lengthBits(lengths []int32) (bits uint32) {
	for _, n := range lengths {
		if n > 0 && n < 32 {
			bits |= 1 << n
		} else {
			bits |= 1 << 31 // "no length": keeps the mask from meaning "any"
		}
	}
	return bits
}

func compileDigits(expr string, open bool) *syntax.Prog {
	if open {
		expr = "(?:" + expr + ")[0-9]*"
	}
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		return nil
	}
	return prog
}

// firstDigits says which digits a non-empty match of expr can start with.
func firstDigits(expr string) (out [10]bool) {
	prog := compileDigits(expr, false)
	if prog == nil {
		return out
	}
	b := planBuilder{patterns: []pattern{{prog: prog}}}
	for _, t := range b.closure(nil, startThreads(b.patterns)) {
		in := &prog.Inst[t.pc]
		for d := range out {
			out[d] = out[d] || in.Op != syntax.InstMatch && in.MatchRune(rune('0'+d))
		}
	}
	return out
}

// A thread is one pattern's place in its program.
type thread struct {
	pattern uint16
	pc      uint16
}

type planBuilder struct {
	patterns []pattern
	leads    []bool // by region: leading digits decide
	plan     *plan
	seen     map[string]uint16
}

func startThreads(patterns []pattern) []thread {
	out := make([]thread, 0, len(patterns))
	for i := range patterns {
		out = append(out, thread{uint16(i), uint16(patterns[i].prog.Start)})
	}
	return out
}

// closure follows the steps that read nothing and leaves the places that read
// a digit or accept, sorted and single.
func (b *planBuilder) closure(into, from []thread) []thread {
	visited := map[thread]bool{}
	for len(from) > 0 {
		t := from[len(from)-1]
		from = from[:len(from)-1]
		if visited[t] {
			continue
		}
		visited[t] = true
		switch in := b.patterns[t.pattern].prog.Inst[t.pc]; in.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			from = append(from, thread{t.pattern, uint16(in.Out)}, thread{t.pattern, uint16(in.Arg)})
		case syntax.InstCapture, syntax.InstNop, syntax.InstEmptyWidth:
			from = append(from, thread{t.pattern, uint16(in.Out)})
		case syntax.InstFail:
		default:
			into = append(into, t)
		}
	}
	slices.SortFunc(into, func(x, y thread) int {
		return int(x.pattern)<<16 + int(x.pc) - int(y.pattern)<<16 - int(y.pc)
	})
	return into
}

// state makes the state for a set of threads at a depth, with all below it.
func (b *planBuilder) state(threads []thread, depth int) uint16 {
	if len(threads) == 0 {
		return 0
	}
	key := make([]byte, 0, 1+4*len(threads))
	key = append(key, byte(depth))
	for _, t := range threads {
		key = binary.LittleEndian.AppendUint16(key, t.pattern)
		key = binary.LittleEndian.AppendUint16(key, t.pc)
	}
	if at, ok := b.seen[string(key)]; ok {
		return at
	}
	at := uint16(len(b.plan.states))
	b.seen[string(key)] = at
	b.plan.states = append(b.plan.states, planState{verdict: b.verdict(threads, depth)})
	if depth == maxNational {
		return at
	}
	for d := range 10 {
		var moved []thread
		alive := false
		for _, t := range threads {
			in := &b.patterns[t.pattern].prog.Inst[t.pc]
			if in.Op != syntax.InstMatch && in.MatchRune(rune('0'+d)) {
				moved = append(moved, thread{t.pattern, uint16(in.Out)})
				alive = alive || !b.patterns[t.pattern].leading
			}
		}
		if !alive {
			continue
		}
		b.plan.states[at].next[d] = b.state(b.closure(nil, moved), depth+1)
	}
	return at
}

// verdict repeats libphonenumber's choice of region and type for the patterns
// that accept here.
func (b *planBuilder) verdict(threads []thread, depth int) verdict {
	accepted := map[[2]uint8]bool{} // region, kind
	leading := map[uint8]bool{}
	for _, t := range threads {
		p := &b.patterns[t.pattern]
		if p.prog.Inst[t.pc].Op != syntax.InstMatch {
			continue
		}
		if p.leading {
			leading[p.region] = true
		} else if p.lengths == 0 || p.lengths>>depth&1 == 1 {
			accepted[[2]uint8{p.region, uint8(p.kind)}] = true
		}
	}
	for r := range b.leads {
		region := uint8(r)
		kind, ok := kindOf(accepted, region)
		switch {
		case len(b.leads) > 1 && b.leads[r] && leading[region],
			len(b.leads) == 1,
			!b.leads[r] && ok:
			return verdict{kind: kind, region: region, valid: ok}
		}
	}
	return verdict{}
}

func kindOf(accepted map[[2]uint8]bool, region uint8) (PhoneKind, bool) {
	has := func(k PhoneKind) bool { return accepted[[2]uint8{region, uint8(k)}] }
	if !has(PhoneUnknown) {
		return PhoneUnknown, false
	}
	order := [...]PhoneKind{
		PhonePremium, PhoneTollFree, PhoneSharedCost, PhoneVoIP, PhonePersonal,
		PhonePager, PhoneCompany, PhoneVoicemail, PhoneFixedOrMobile, PhoneLandline, PhoneMobile,
	}
	for _, k := range order {
		if has(k) {
			if k == PhoneLandline && has(PhoneMobile) {
				return PhoneFixedOrMobile, true
			}
			return k, true
		}
	}
	return PhoneUnknown, false
}

func (p *plan) walk(digits string) (verdict, bool) {
	at := uint16(1)
	if len(p.states) < 2 {
		return verdict{}, false
	}
	for i := 0; i < len(digits); i++ {
		if at = p.states[at].next[digits[i]-'0']; at == 0 {
			return verdict{}, false
		}
	}
	v := p.states[at].verdict
	return v, v.valid
}

// prefixed reports whether the number starts with what its country dials
// before national numbers, so that the library must decide whether to drop it.
func (p *plan) prefixed(digits string) bool {
	if p.prefix == nil || digits == "" || !p.starts[digits[0]-'0'] {
		return false
	}
	loc := p.prefix.FindStringIndex(digits)
	return loc != nil && loc[1] > 0
}

func (p *plan) lengthReason(n int) PhoneReason {
	lengths := p.lengths &^ (1 << 31)
	switch {
	case n < 32 && lengths>>n&1 == 1:
		return PhoneUnassigned
	case n >= 32 || lengths>>n == 0:
		return PhoneTooLong
	case lengths&(1<<n-1) == 0:
		return PhoneTooShort
	}
	return PhoneWrongLength
}
