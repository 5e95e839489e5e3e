package main

import (
	"reflect"
	"strings"
	"testing"
)

func lines(l ...string) string { return strings.Join(l, "\n") + "\n" }

func TestFindBlocks(t *testing.T) {
	got, err := findBlocks("a.md", lines(
		"# Title",             // 1
		"```go",               // 2
		"a := 1",              // 3
		"```",                 // 4
		"- item",              // 5
		"  ```go run",         // 6
		"  b := 2",            // 7
		"    c()",             // 8
		"",                    // 9
		"  ```",               // 10
		"````text",            // 11
		"```go",               // 12
		"````",                // 13
		"``` no fence ` here", // 14
		"```",                 // 15
		"```",                 // 16
	))
	if err != nil {
		t.Fatal(err)
	}
	want := []block{
		{"a.md", 3, "go", "", "a := 1\n"},
		{"a.md", 7, "go", "run", "b := 2\n  c()\n\n"},
		{"a.md", 12, "text", "", "```go\n"},
		{"a.md", 16, "", "", ""},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestFindBlocksRefuses(t *testing.T) {
	for _, text := range []string{"```go\na\n", "```go skip\n```\n"} {
		if _, err := findBlocks("a.md", text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestFindCommands(t *testing.T) {
	got := findCommands([]block{
		{"README.md", 10, "console", "", lines("$ echo a \\", "  b", "a b", "$echo", "$ true")},
		{"README.md", 20, "sh", "", lines("$ ls")},
		{"README.md", 30, "text", "", lines("$ rm")},
	})
	var from []string
	for _, c := range got {
		from = append(from, c.from+" "+c.line)
	}
	want := []string{"README.md:10 echo a \\\n  b", "README.md:14 true", "README.md:20 ls"}
	if !reflect.DeepEqual(from, want) {
		t.Errorf("got %q, want %q", from, want)
	}
}
