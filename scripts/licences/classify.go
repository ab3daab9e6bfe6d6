package main

import "strings"

// marks are phrases that each licence has and no other; all must be in a text,
// and none of not.
var marks = []struct {
	name string
	all  []string
	not  []string
}{
	{"Apache-2.0", []string{"apache license", "version 2.0", "grant of patent license"}, nil},
	{"MIT", []string{"permission is hereby granted, free of charge", "the software is provided \"as is\", without warranty of any kind"}, nil},
	{"BSD-3-Clause", []string{"redistribution and use in source and binary forms", "contributors may be used to endorse or promote"}, nil},
	{"BSD-2-Clause", []string{"redistribution and use in source and binary forms", "redistributions in binary form must reproduce"}, []string{"endorse or promote"}},
	{"ISC", []string{"permission to use, copy, modify, and/or distribute this software for any purpose"}, nil},
	{"ISC", []string{"permission to use, copy, modify, and distribute this software for any purpose"}, nil},
	{"MPL-2.0", []string{"mozilla public license version 2.0"}, nil},
	{"Unlicense", []string{"this is free and unencumbered software released into the public domain"}, nil},
	{"CC0-1.0", []string{"cc0 1.0 universal"}, nil},
	{"Zlib", []string{"this software is provided 'as-is', without any express or implied warranty", "altered source versions must be plainly marked"}, nil},
	{"public-domain", []string{"dedicated to the public domain"}, nil},
	{"GPL", []string{"gnu general public license"}, []string{"mozilla public license"}},
	{"LGPL", []string{"gnu lesser general public license"}, []string{"mozilla public license"}},
	{"AGPL", []string{"gnu affero general public license"}, []string{"mozilla public license"}},
	{"BUSL", []string{"business source license"}, nil},
	{"SSPL", []string{"server side public license"}, nil},
	{"Commons-Clause", []string{"commons clause"}, nil},
}

// classify names every licence a text holds, in the order of marks.
func classify(text string) []string {
	text = strings.NewReplacer("“", "\"", "”", "\"", "‘", "'", "’", "'", "``", "\"", "''", "\"").Replace(strings.ToLower(text))
	// Comment signs and line breaks are no part of a licence.
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return r == ' ' || r == '\t' || r == '\n' || r == '\r' || r == '*' || r == '#' || r == '>'
	}), " ")
	var found []string
	for _, m := range marks {
		if holds(text, m.all, m.not) && (len(found) == 0 || found[len(found)-1] != m.name) {
			found = append(found, m.name)
		}
	}
	return found
}

func holds(text string, all, not []string) bool {
	for _, phrase := range all {
		if !strings.Contains(text, phrase) {
			return false
		}
	}
	for _, phrase := range not {
		if strings.Contains(text, phrase) {
			return false
		}
	}
	return true
}
