package segment

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"sort"
	"sync/atomic"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
)

// never is when a row without a time of expiry expires.
const never = math.MaxInt64

// expiryOf is when a row whose field holds from expires, in milliseconds since 1970.
func expiryOf(from, after int64) int64 {
	if from > never-after {
		return never
	}
	return from + after
}

// expiries are the times at which rows of a sealed segment expire. They are read when the segment is opened: 12 bytes a row that expires.
type expiries struct {
	at   []int64 // ascending
	rows []uint32

	readers atomic.Pointer[expiredDead] // what with returned last to readers, who have dead rows
	writers atomic.Pointer[expiredDead] // to writers, who have none
	counter atomic.Pointer[expiredDead] // and to Gone
}

// expiredDead is a set of dead rows with the first n that expire.
type expiredDead struct {
	base, dead *Dead
	n          int
}

// readExpiries reads the times at which rows expire, if the schema has any.
func (s *Sealed) readExpiries(sch *schema.Schema) error {
	f, ok := sch.Field(sch.TTLField)
	if sch.TTLField == "" || !ok {
		return nil
	}
	c := s.cols[uint32(f.ID)]
	if c == nil {
		return nil // the field came later: no row expires
	}
	x := &expiries{}
	err := s.walkChunks(context.Background(), c, 0, len(c.starts), func(chunk int, d column.Data) error {
		if d.Width != 8 {
			return errors.New("the field of expiry holds no numbers of 64 bits")
		}
		for i := range d.Rows {
			if !d.IsNull(i) {
				x.at = append(x.at, expiryOf(int64(binary.LittleEndian.Uint64(d.Value(i))), sch.TTLAfter.Milliseconds()))
				x.rows = append(x.rows, c.starts[chunk]+uint32(i))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	sort.Stable((*byTime)(x))
	s.expiry = x
	return nil
}

type byTime expiries

func (x *byTime) Len() int           { return len(x.at) }
func (x *byTime) Less(i, j int) bool { return x.at[i] < x.at[j] }
func (x *byTime) Swap(i, j int) {
	x.at[i], x.at[j] = x.at[j], x.at[i]
	x.rows[i], x.rows[j] = x.rows[j], x.rows[i]
}

func (x *expiries) bytes() int64 {
	if x == nil {
		return 0
	}
	return int64(12 * len(x.at))
}

// with returns the dead rows and those that have expired by now. kept remembers it for the next time.
func (x *expiries) with(base *Dead, now int64, kept *atomic.Pointer[expiredDead]) *Dead {
	n := sort.Search(len(x.at), func(i int) bool { return x.at[i] > now })
	if n == 0 {
		return base
	}
	last := kept.Load()
	if last != nil && last.base == base && last.n == n {
		return last.dead
	}
	next := &expiredDead{base: base, n: n}
	if last != nil && last.base == base && last.n < n {
		next.dead = last.dead.With(x.rows[last.n:n])
	} else {
		next.dead = base.With(x.rows[:n])
	}
	kept.Store(next)
	return next.dead
}

// Without returns the view without the rows that have expired by now, in milliseconds since 1970: they are dead in it.
func (v *SealedView) Without(now int64) *SealedView {
	if v.s.expiry == nil {
		return v
	}
	dead := v.s.expiry.with(v.dead, now, &v.s.expiry.readers)
	if dead == v.dead {
		return v
	}
	return &SealedView{s: v.s, dead: dead}
}

// Expired reports whether a row has expired by now.
func (s *Sealed) Expired(row uint32, now int64) bool {
	return s.expiry != nil && s.expiry.with(nil, now, &s.expiry.writers).Has(row)
}

// Gone is the number of rows that carry a tombstone, visible or not yet, or have expired by now.
func (s *Sealed) Gone(now int64) uint32 {
	marked := s.tombs.marked.Load()
	if s.expiry == nil {
		return marked.Count()
	}
	return s.expiry.with(marked, now, &s.expiry.counter).Count()
}

// Without returns the view without the rows that have expired by now; see SealedView.Without. REQUIRES: nobody has used v yet.
func (v *GrowingView) Without(now int64) *GrowingView {
	if v.g.ttl >= 0 && v.g.firstExpiry.Load() <= now {
		v.now, v.expires = now, true
	}
	return v
}

// Expired reports whether a row has expired by now.
func (g *Growing) Expired(row uint32, now int64) bool {
	if g.ttl < 0 {
		return false
	}
	raw, ok := g.cols[g.ttl].value(row)
	return ok && expiryOf(int64(getUint64(raw)), g.schema.TTLAfter.Milliseconds()) <= now
}

// expired reports whether a row is left out of the view because it has expired.
func (v *GrowingView) expired(row uint32) bool { return v.expires && v.g.Expired(row, v.now) }

// lessExpired adds the rows that have expired to a set of dead ones.
func (v *GrowingView) lessExpired(dead *Dead) *Dead {
	if !v.expires {
		return dead
	}
	var rows []uint32
	for row := range v.rows {
		if v.g.Expired(row, v.now) {
			rows = append(rows, row)
		}
	}
	if len(rows) == 0 {
		return dead
	}
	return dead.With(rows)
}

// noteExpiry keeps the earliest time at which a row expires. REQUIRES: the caller is the one writer.
func (g *Growing) noteExpiry(b *column.Batch) {
	if g.ttl < 0 {
		return
	}
	first := g.firstExpiry.Load()
	d := b.Cols[g.ttl]
	for i := range d.Rows {
		if !d.IsNull(i) {
			first = min(first, expiryOf(int64(binary.LittleEndian.Uint64(d.Value(i))), g.schema.TTLAfter.Milliseconds()))
		}
	}
	g.firstExpiry.Store(first)
}
