package milvus

import (
	"sync"
	"time"
)

// logicalBits are the low bits of a timestamp, a counter within one millisecond.
const logicalBits = 18

// clock gives out timestamps as Milvus has them: milliseconds since 1970 and a counter, each greater than the one before.
type clock struct {
	now  func() time.Time
	mu   sync.Mutex // guards last; nothing is locked under it
	last uint64
}

func (c *clock) next() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(c.last+1, timestamp(c.now()))
	return c.last
}

// timestamp is the first timestamp of an instant.
func timestamp(t time.Time) uint64 { return uint64(max(t.UnixMilli(), 0)) << logicalBits }
