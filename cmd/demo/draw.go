package main

import (
	"fmt"
	"strings"

	"github.com/selkiedb/selkie/engine"
)

// barWidth is how many cells stand for a full segment.
const barWidth = 32

// drawSegments makes a table of segments with a bar for the bytes of each. A
// growing segment is full, and sealed, at sealBytes.
func drawSegments(s *screen, segments []engine.SegmentInfo, sealBytes int64) string {
	full := sealBytes
	for _, seg := range segments {
		full = max(full, seg.Bytes)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "  %-8s %-8s %6s %11s\n", "segment", "state", "rows", "bytes")
	for _, seg := range segments {
		state := seg.State.String()
		fmt.Fprintf(&b, "  %-8s %s %6d %11s  %s\n", seg.ID,
			s.paint(stateStyle(state), fmt.Sprintf("%-8s", state)), seg.Rows, byteSize(seg.Bytes),
			s.paint(stateStyle(state), bar(seg.Bytes, full)))
	}
	return b.String()
}

func stateStyle(state string) style {
	switch state {
	case "growing":
		return cyan
	case "sealing":
		return yellow
	}
	return green
}

// bar draws n of full, to an eighth of a cell.
func bar(n, full int64) string {
	eighths := int(n * barWidth * 8 / full)
	text := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		text += string([]rune("▏▎▍▌▋▊▉")[rest-1])
	}
	return text
}

func byteSize(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
