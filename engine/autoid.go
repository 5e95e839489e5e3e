package engine

import (
	"strconv"
	"sync"
	"time"

	"github.com/selkiedb/selkie/column"
)

// autoID hands out primary keys: 64-bit numbers that ascend, made of the time in milliseconds and a counter, so that stores made
// apart rarely collide and keys sort by the time of insertion.
type autoID struct {
	mu   sync.Mutex // guards last
	last int64
	now  func() time.Time
}

const autoIDBits = 18 // of the counter within a millisecond, as in Milvus's timestamps

// seen tells of a key that is in use: no smaller one will be given out.
func (a *autoID) seen(id int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = max(a.last, id)
}

// next returns n keys, larger than all before.
func (a *autoID) next(n int) ([]int64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	first := max(a.last+1, a.now().UnixMilli()<<autoIDBits)
	out := make([]int64, n)
	for i := range out {
		out[i] = first + int64(i)
	}
	a.last = first + int64(n) - 1
	return out, nil
}

// seenKey is seen for a key of either type.
func (a *autoID) seenKey(k column.Key) {
	if !k.IsStr {
		a.seen(k.Int)
		return
	}
	if id, err := strconv.ParseInt(k.Str, 10, 64); err == nil {
		a.seen(id)
	}
}
