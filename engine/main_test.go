package engine_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

var (
	long     = flag.Bool("long", false, "run the tests of crashes, kills, damage and faults at full length; they print figures")
	seedFlag = flag.Uint64("seed", 0, "seed of the random tests; 0 draws one")
)

// seeded returns a generator, and prints the seed so that a failure can be had again with -seed.
func seeded(t testing.TB) *rand.Rand {
	t.Helper()
	seed := *seedFlag
	for seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// figures prints what a long run counted, also without -v.
func figures(t testing.TB, format string, args ...any) {
	t.Helper()
	if *long {
		fmt.Printf("%s: %s\n", t.Name(), fmt.Sprintf(format, args...))
		return
	}
	t.Logf(format, args...)
}

func TestMain(m *testing.M) {
	flag.Parse()
	if runAsChild() {
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// How long tests wait for the background, and how often they look.
const (
	waitLong = 30 * time.Second
	waitStep = time.Millisecond
)
