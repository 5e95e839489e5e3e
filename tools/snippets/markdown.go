package main

import (
	"fmt"
	"strings"
)

// block is a fenced block of a document.
type block struct {
	document string
	line     int    // of the block's first line of text, from 1
	lang     string // the info string's first word
	mark     string // and the rest of it
	text     string
}

func (b block) from() string { return fmt.Sprintf("%s:%d", b.document, b.line) }

// findBlocks returns the fenced blocks of a document. Fences are of backquotes,
// three or more; a block ends with a fence at least as long as its first.
func findBlocks(document, text string) ([]block, error) {
	var (
		blocks []block
		open   *block
		fence  string
		indent int
	)
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSuffix(line, "\r")
		trimmed := strings.TrimLeft(line, " \t")
		rest := strings.TrimLeft(trimmed, "`")
		ticks := trimmed[:len(trimmed)-len(rest)]
		rest = strings.TrimSpace(rest)
		switch {
		case open == nil && len(ticks) >= 3 && !strings.Contains(rest, "`"):
			lang, mark, _ := strings.Cut(rest, " ")
			open = &block{document: document, line: i + 2, lang: lang, mark: strings.TrimSpace(mark)}
			fence, indent = ticks, len(line)-len(trimmed)
			if lang == "go" && open.mark != "" && open.mark != "run" {
				return nil, fmt.Errorf("%s:%d: a Go block is marked `go` or `go run`, not `go %s`", document, i+1, open.mark)
			}
		case open != nil && len(ticks) >= len(fence) && rest == "":
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			// A block in a list item is indented as its fence is.
			inner := min(indent, len(line)-len(trimmed))
			open.text += line[inner:] + "\n"
		}
	}
	if open != nil {
		return nil, fmt.Errorf("%s: the block does not end", open.from())
	}
	return blocks, nil
}
