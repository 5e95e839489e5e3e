//go:build !race

package guard

import (
	"bufio"
	"cmp"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "write what is measured to limits.txt instead of comparing it")

const limitsFile = "limits.txt"

// sense says which way a figure is better.
type sense int

const (
	fewer sense = iota
	more
)

// limit is a line of limits.txt.
type limit struct {
	value   float64
	percent float64 // by which the figure may be worse
	order   int
}

// book holds the limits, and what was measured.
type book struct {
	limits   map[string]limit
	measured []line
}

type line struct {
	name    string
	value   float64
	percent float64
}

// clearly is by how many percent more than its limit a figure must be better to be told of.
const clearly = 5

// costs is filled by TestMain and looked at by every test.
var costs = &book{limits: map[string]limit{}}

// check compares a figure with its limit; percent is for a line that is not there yet.
func (b *book) check(t *testing.T, name string, value float64, s sense, percent float64) {
	t.Helper()
	t.Logf("%-44s %g", name, value)
	l, known := b.limits[name]
	if known {
		percent = l.percent
	}
	b.measured = append(b.measured, line{name, value, percent})
	if *update {
		return
	}
	if !known {
		t.Errorf("%s = %g has no line in %s: go test ./bench/guard -update", name, value, limitsFile)
		return
	}
	switch verdict(value, l, s) {
	case worse:
		t.Errorf("%s = %g, and was %g: worse by more than %g %%", name, value, l.value, l.percent)
	case better:
		t.Logf("%s = %g, and was %g: better; write that down with -update", name, value, l.value)
	}
}

type verdictKind int

const (
	same verdictKind = iota
	worse
	better
)

func verdict(value float64, l limit, s sense) verdictKind {
	lo, hi := l.value*(1-l.percent/100), l.value*(1+l.percent/100)
	low, high := worse, better
	if s == fewer {
		low, high = better, worse
	}
	const rounding = 1e-9
	switch {
	case value < lo-rounding && low == worse, value > hi+rounding && high == worse:
		return worse
	case value < l.value*(1-(l.percent+clearly)/100) && low == better, value > l.value*(1+(l.percent+clearly)/100) && high == better:
		return better
	}
	return same
}

// TestVerdict shows that the guard can fail.
func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		value float64
		sense sense
		want  verdictKind
	}{
		{100, fewer, same},
		{102, fewer, same},
		{102.1, fewer, worse},
		{95, fewer, same},
		{92, fewer, better},
		{100, more, same},
		{98, more, same},
		{97.9, more, worse},
		{106, more, same},
		{108, more, better},
	} {
		require.Equal(t, c.want, verdict(c.value, limit{value: 100, percent: 2}, c.sense), "%g", c.value)
	}
	require.Equal(t, same, verdict(0, limit{}, fewer))
	require.Equal(t, worse, verdict(1, limit{}, fewer), "no allocation is the limit, and there is one")
}

func readLimits() (map[string]limit, error) {
	f, err := os.Open(limitsFile)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all := map[string]limit{}
	in := bufio.NewScanner(f)
	for in.Scan() {
		text := strings.TrimSpace(in.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		var name string
		l := limit{order: len(all)}
		if _, err := fmt.Sscanf(text, "%s %g ±%g%%", &name, &l.value, &l.percent); err != nil {
			return nil, fmt.Errorf("%s: %q: %w", limitsFile, text, err)
		}
		if _, twice := all[name]; twice {
			return nil, fmt.Errorf("%s: %s stands there twice", limitsFile, name)
		}
		all[name] = l
	}
	return all, in.Err()
}

// write puts the measured figures in the place of their lines, and leaves the others.
func (b *book) write() error {
	for _, m := range b.measured {
		l, known := b.limits[m.name]
		if !known {
			l.order = len(b.limits)
		}
		b.limits[m.name] = limit{m.value, m.percent, l.order}
	}
	names := make([]string, 0, len(b.limits))
	for name := range b.limits {
		names = append(names, name)
	}
	slices.SortFunc(names, func(x, y string) int { return cmp.Compare(b.limits[x].order, b.limits[y].order) })
	var out strings.Builder
	out.WriteString("# What things cost. The guard fails where a figure is worse by more than its percentage. `go test ./bench/guard -update` writes them.\n\n")
	for _, name := range names {
		fmt.Fprintf(&out, "%-44s %.6g ±%g%%\n", name, b.limits[name].value, b.limits[name].percent)
	}
	return os.WriteFile(limitsFile, []byte(out.String()), 0o644)
}

func TestMain(m *testing.M) {
	flag.Parse()
	var err error
	if costs.limits, err = readLimits(); err != nil && !(*update && os.IsNotExist(err)) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if costs.limits == nil {
		costs.limits = map[string]limit{}
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if code == 0 && *update {
			if err := costs.write(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = 1
			}
		}
		os.Exit(code)
	}))
}
