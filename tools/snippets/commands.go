package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// command is a line of a shell block.
type command struct {
	from string
	line string
}

// findCommands returns the lines of shell blocks that begin with "$ ". A line
// that ends with a backslash goes on in the next one.
func findCommands(blocks []block) []command {
	var found []command
	for _, b := range blocks {
		if b.lang != "console" && b.lang != "sh" {
			continue
		}
		goesOn := false
		for i, line := range strings.Split(b.text, "\n") {
			text, isCommand := strings.CutPrefix(line, "$ ")
			switch {
			case goesOn:
				found[len(found)-1].line += "\n" + line
			case isCommand:
				found = append(found, command{from: fmt.Sprintf("%s:%d", b.document, b.line+i), line: text})
			default:
				continue
			}
			goesOn = strings.HasSuffix(line, "\\")
		}
	}
	return found
}

func (c command) run(ctx context.Context, root string, limit time.Duration) (string, error) {
	return runLimited(ctx, limit, root, "bash", "-euo", "pipefail", "-c", c.line)
}
