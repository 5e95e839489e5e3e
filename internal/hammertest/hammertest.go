// Package hammertest gives decoders spoiled inputs in a tight loop. A fuzzer that watches coverage tries better inputs, this tries many more: it
// begins with right ones, spoils them, and goes on with those that were taken for good.
package hammertest

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"testing"
)

var (
	inputs = flag.Int64("hammer", 0, "how many spoiled inputs a decoder gets, with figures; 0: 20,000 without")
	seed   = flag.Uint64("hammer.seed", 0, "seed of the spoiled inputs; 0 draws one")
)

const (
	quick   = 20_000
	batch   = 128 // inputs between two looks at what was allocated
	pool    = 256 // inputs that are spoiled further
	maxSize = 64 << 10
)

// Decoder is what is tried.
type Decoder struct {
	Seeds [][]byte // right inputs
	// Try decodes b, which it may change but not keep, and reports whether it was taken for good. It fails the test, or panics, on what must
	// not be.
	Try func(b []byte) bool
	// PerInput and PerByte bound the bytes that Try may allocate, on average over a batch of inputs.
	PerInput, PerByte uint64
	// Slow divides the number of inputs.
	Slow int64
}

// Run tries spoiled inputs. A failure names the seed and the input.
func Run(t *testing.T, d Decoder) {
	t.Helper()
	s, n := *seed, max(*inputs, 0)
	for s == 0 {
		s = rand.Uint64()
	}
	if n == 0 {
		n = quick
	}
	n = max(1, n/max(1, d.Slow))
	h := &spoiler{rng: rand.New(rand.NewPCG(s, 0)), pool: append([][]byte(nil), d.Seeds...), seeds: len(d.Seeds)}
	var in []byte
	i := int64(0)
	defer func() {
		r := recover()
		if r != nil {
			t.Errorf("panic: %v\n%s", r, debug.Stack())
		}
		if t.Failed() {
			t.Errorf("-hammer.seed %d, input %d: %x", s, i, in)
		}
	}()
	var good int64
	spent, allowed := allocated(), uint64(1<<20)
	for ; i < n && !t.Failed(); i++ {
		in = h.next()
		kept := append(make([]byte, 0, len(in)), in...)
		if d.Try(in) {
			good++
			h.keep(kept)
		}
		allowed += d.PerInput + d.PerByte*uint64(len(kept)) + 4*uint64(len(kept)) + 1024
		if i%batch == batch-1 {
			now := allocated()
			if now-spent > allowed {
				t.Fatalf("%d bytes were allocated for %d inputs, at most %d expected", now-spent, batch, allowed)
			}
			spent, allowed = now, 1<<20
		}
	}
	t.Logf("seed %d: %d inputs, %d taken for good", s, n, good)
	if *inputs > 0 {
		fmt.Fprintf(os.Stdout, "%s: seed %d, %d inputs, %d taken for good\n", t.Name(), s, n, good)
	}
}

func allocated() uint64 {
	m := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(m)
	return m[0].Value.Uint64()
}

// spoiler makes inputs from inputs.
type spoiler struct {
	rng   *rand.Rand
	pool  [][]byte // the seeds stay at its head
	seeds int
	buf   []byte
}

// keep has an input spoiled further.
func (h *spoiler) keep(b []byte) {
	switch {
	case len(b) > maxSize || h.rng.IntN(4) > 0:
	case len(h.pool) < pool+h.seeds:
		h.pool = append(h.pool, b)
	default:
		h.pool[h.seeds+h.rng.IntN(pool)] = b
	}
}

func (h *spoiler) pick() []byte {
	if h.rng.IntN(3) == 0 {
		return h.pool[h.rng.IntN(h.seeds)]
	}
	return h.pool[h.rng.IntN(len(h.pool))]
}

// telling are numbers that lengths and offsets go wrong at.
var telling = []uint64{0, 1, 2, 7, 8, 255, 256, 1<<15 - 1, 1 << 15, 1<<16 - 1, 1 << 16, 1 << 20, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<63 - 1, 1 << 63, ^uint64(0)}

func (h *spoiler) next() []byte {
	b := append(h.buf[:0], h.pick()...)
	for range 1 + h.rng.IntN(1+h.rng.IntN(8)) {
		b = h.spoil(b)
	}
	h.buf = b
	return b
}

func (h *spoiler) spoil(b []byte) []byte {
	r := h.rng
	if len(b) == 0 {
		return append(b, byte(r.Uint32()), byte(r.Uint32()))
	}
	at := r.IntN(len(b))
	if r.IntN(3) == 0 {
		at = r.IntN(min(len(b), 64)) // headers come first
	}
	n := 1 + r.IntN(min(len(b)-at, 1+r.IntN(32)))
	switch r.IntN(12) {
	case 0, 1:
		b[at] ^= 1 << r.IntN(8)
	case 2:
		b[at] = byte(r.Uint32())
	case 3:
		b[at] += byte(r.IntN(9) - 4)
	case 4, 5:
		h.number(b[at:], telling[r.IntN(len(telling))])
	case 6:
		if len(b)-at >= 4 {
			v := binary.LittleEndian.Uint32(b[at:])
			binary.LittleEndian.PutUint32(b[at:], v+uint32(r.IntN(65)-32))
		}
	case 7:
		return b[:at]
	case 8:
		return append(b[:at], b[at+n:]...)
	case 9:
		if len(b)+n <= maxSize {
			b = append(b, b[len(b)-n:]...)
			copy(b[at+n:], b[at:len(b)-n])
		}
	case 10:
		other := h.pick()
		if len(other) > 0 {
			from := r.IntN(len(other))
			copy(b[at:min(len(b), at+n)], other[from:])
		}
	case 11:
		other := h.pick()
		if from := min(at, len(other)); len(b[:at])+len(other)-from <= maxSize {
			return append(b[:at], other[from:]...)
		}
	}
	return b
}

// number writes v in some width, in as much room as there is.
func (h *spoiler) number(b []byte, v uint64) {
	if h.rng.IntN(4) == 0 && v > 0 {
		v--
	}
	for i := range min(len(b), 1<<h.rng.IntN(4)) {
		b[i] = byte(v >> (8 * i))
	}
}
