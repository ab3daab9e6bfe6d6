package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	mit = `Permission is hereby granted, free of charge, to any person obtaining a copy
of this software … THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND`
	bsd = `Redistribution and use in source and binary forms, with or without
modification, are permitted … Redistributions in binary form must reproduce the above`
)

func TestClassify(t *testing.T) {
	ours, err := os.ReadFile(filepath.Join("..", "..", "LICENSE"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"ours":       {string(ours), []string{"Apache-2.0"}},
		"mit":        {mit, []string{"MIT"}},
		"two":        {mit + bsd, []string{"MIT", "BSD-2-Clause"}},
		"bsd2":       {"// " + bsd, []string{"BSD-2-Clause"}},
		"bsd3":       {bsd + " Neither the name of X nor the names of its\n * contributors may be used to endorse or promote products", []string{"BSD-3-Clause"}},
		"isc":        {"Permission to use, copy, modify, and/or distribute this\nsoftware for any purpose", []string{"ISC"}},
		"mpl":        {"Mozilla Public License Version 2.0 … GNU General Public License", []string{"MPL-2.0"}},
		"gpl":        {"GNU GENERAL PUBLIC LICENSE\nVersion 3", []string{"GPL"}},
		"agpl":       {"GNU AFFERO GENERAL PUBLIC LICENSE", []string{"AGPL"}},
		"commercial": {"All rights reserved.", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, classify(c.text)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLicencesOfAModule(t *testing.T) {
	dir := t.TempDir()
	if _, err := licences(dir); err == nil {
		t.Error("a module without a licence passes")
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("LICENSE.md", mit)
	write("SQLITE-LICENSE", "the authors dedicated this to the public domain: dedicated to the public domain")
	write("license.go", "package x // All rights reserved.")
	got, err := licences(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"MIT", "public-domain"}, got); diff != "" {
		t.Error(diff)
	}
	write("COPYING", "All rights reserved.")
	if _, err := licences(dir); err == nil {
		t.Error("a text nobody knows passes")
	}
}
