package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFrameReplacesTheOneBefore(t *testing.T) {
	var out strings.Builder
	s := &screen{out: &out, live: true}
	s.frame("a\nb\n")
	require.Equal(t, "\x1b[2Ka\n\x1b[2Kb\n\x1b[J", out.String())
	out.Reset()
	s.frame("c\n")
	require.Equal(t, "\x1b[2A\x1b[2Kc\n\x1b[J", out.String(), "up over both lines, and nothing of them left")
	out.Reset()
	s.printf("text")
	s.frame("d\n")
	require.Equal(t, "text\n\x1b[2Kd\n\x1b[J", out.String(), "what was printed stays")
}

func TestNoControlCodesWithoutTerminal(t *testing.T) {
	var out strings.Builder
	s := &screen{out: &out}
	s.frame("a\n")
	s.heading(1, "b")
	require.Equal(t, "\n1  b\n", out.String())
}

func TestBar(t *testing.T) {
	require.Equal(t, "", bar(0, 10))
	require.Equal(t, strings.Repeat("█", barWidth), bar(10, 10))
	require.Equal(t, strings.Repeat("█", barWidth/2), bar(5, 10))
	require.Equal(t, "▏", bar(1, barWidth*8))
	require.Equal(t, "█▉", bar(15, barWidth*8))
}

func TestByteSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 5 << 20: "5.0 MiB"} {
		require.Equal(t, want, byteSize(n))
	}
}
