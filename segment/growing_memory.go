package segment

import (
	"sync"
	"unsafe"
)

const (
	populateBytes = 64 << 10 // memory of this size and more is had from the system at once
	spareBytes    = 1 << 20  // a column has at most so much ready
)

// alignedBytes allocates n bytes that begin at a multiple of eight, so that any element type may be read in place.
func alignedBytes(n int) []byte {
	if n == 0 {
		return nil
	}
	words := make([]uint64, (n+7)/8)
	b := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), n)
	if n >= populateBytes {
		populate(b)
	}
	return b
}

// spareChunks are full chunks that were made ahead of need, by whoever had time.
type spareChunks struct {
	mu     sync.Mutex // guards what follows; nothing is locked under it
	chunks [][]byte
}

// take returns one, or nil if there is none.
func (s *spareChunks) take() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.chunks) - 1
	if last < 0 {
		return nil
	}
	b := s.chunks[last]
	s.chunks[last], s.chunks = nil, s.chunks[:last]
	return b
}

func (s *spareChunks) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.chunks)
}

func (s *spareChunks) add(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.chunks = append(s.chunks, b)
}

// ahead makes the full chunks that n rows take, as far as they are worth it, and returns the bytes newly allocated. Two at a time may make one
// too many each.
func (c *chunks) ahead(n int) (grown int64) {
	size := c.width << c.shift
	if size < populateBytes || n*c.width < populateBytes {
		return 0
	}
	want := min((n-1)>>c.shift+1, spareBytes/size)
	for c.spare.len() < want {
		c.spare.add(alignedBytes(size))
		grown += int64(size)
	}
	return grown
}
