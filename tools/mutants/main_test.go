package main

import (
	"go/parser"
	"go/token"
	"regexp"
	"testing"
)

// Every break still fits the source, and is Go.
func TestMutantsFit(t *testing.T) {
	if len(mutants) < 15 {
		t.Errorf("%d breaks", len(mutants))
	}
	names := map[string]bool{}
	for _, m := range mutants {
		if names[m.name] {
			t.Errorf("%s: twice", m.name)
		}
		names[m.name] = true
		text, err := m.broken("../..")
		if err != nil {
			t.Errorf("%s: %v", m.name, err)
			continue
		}
		if _, err := parser.ParseFile(token.NewFileSet(), m.file, text, 0); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
		if _, err := regexp.Compile(m.run); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
}
