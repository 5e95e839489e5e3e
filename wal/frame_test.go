package wal_test

import (
	"bytes"
	"testing"

	"github.com/selkiedb/selkie/wal"
	"github.com/stretchr/testify/require"
)

func TestFrameHeaderBelongsToItsPlace(t *testing.T) {
	f := wal.TestFrame{Kind: wal.KindDataFrame, Length: 5, PayloadCRC: 77, Salt: 0x1122334455667788, LSN: 9, Durable: 4096}
	b := wal.AppendFrame([]byte("prefix"), 8192, f)[6:]
	require.Len(t, b, wal.FrameHeaderLen)
	require.True(t, wal.FrameAt(b, 8192, f.Salt))
	require.False(t, wal.FrameAt(b, 8200, f.Salt), "other offset")
	require.False(t, wal.FrameAt(b, 8192, f.Salt+1), "other file")
	require.False(t, wal.FrameAt(b[:wal.FrameHeaderLen-1], 8192, f.Salt), "short")
	for i := range b {
		for bit := range 8 {
			c := bytes.Clone(b)
			c[i] ^= 1 << bit
			require.False(t, wal.FrameAt(c, 8192, f.Salt), "byte %d bit %d", i, bit)
		}
	}
	require.False(t, wal.FrameAt(make([]byte, wal.FrameHeaderLen), 8192, f.Salt), "zeros")
}

func TestFrameSpan(t *testing.T) {
	for n, want := range map[int64]int64{0: 40, 1: 48, 7: 48, 8: 48, 9: 56, 1 << 30: 1<<30 + 40} {
		require.Equal(t, want, wal.FrameSpan(n))
	}
}

// fileSpec builds a one-file log by hand.
type fileSpec struct {
	b []byte
}

const testSalt = 0xfeedface12345678

func newFileSpec(size int64) *fileSpec {
	b := make([]byte, size)
	copy(b, wal.EncodeFileHeader(1, testSalt, size, 1, 0, 0, 0))
	return &fileSpec{b}
}

// put writes a frame with a valid header at off and returns the offset behind it.
func (s *fileSpec) put(off int64, f wal.TestFrame, p []byte) int64 {
	f.Salt, f.PayloadCRC = testSalt, wal.Checksum(p)
	if f.Length == 0 {
		f.Length = uint32(len(p))
	}
	copy(s.b[off:], wal.AppendFrame(nil, off, f))
	copy(s.b[off+wal.FrameHeaderLen:], p)
	return off + wal.FrameSpan(int64(len(p)))
}

func (s *fileSpec) collect() ([]record, error) {
	return collect(wal.Options{FS: images{"000001.wal": s.b}.fs(), Dir: "wal", FirstSeq: 1}, 0)
}

// TestDecisionRule builds the cases of the recovery rule by hand.
func TestDecisionRule(t *testing.T) {
	const start = wal.FileHeaderLen
	data := func(lsn, durable uint64) wal.TestFrame {
		return wal.TestFrame{Kind: wal.KindDataFrame, LSN: lsn, Durable: durable}
	}
	mark := func(lsn, durable uint64) wal.TestFrame {
		return wal.TestFrame{Kind: wal.KindMarkFrame, LSN: lsn, Durable: durable}
	}
	cases := []struct {
		name  string
		build func(s *fileSpec)
		n     int    // records replayed
		kind  string // corruption, or none
	}{
		{"empty", func(*fileSpec) {}, 0, ""},
		{"torn, a later frame knew nothing of it", func(s *fileSpec) {
			off := s.put(start, data(1, start), []byte("one"))
			hole := off
			off = s.put(off, data(2, uint64(hole)), []byte("two"))
			s.put(off, data(3, uint64(hole)), []byte("three"))
			s.b[hole] ^= 1
		}, 1, ""},
		{"damaged, a later frame knew it to be durable", func(s *fileSpec) {
			off := s.put(start, data(1, start), []byte("one"))
			hole := off
			off = s.put(off, data(2, uint64(hole)), []byte("two"))
			s.put(off, data(3, uint64(off)), []byte("three"))
			s.b[hole] ^= 1
		}, 1, wal.KindFrame},
		{"damaged, found far behind", func(s *fileSpec) {
			off := s.put(start, data(1, start), []byte("one"))
			s.b[start+wal.FrameHeaderLen] ^= 1
			s.put(int64(len(s.b))-wal.FrameHeaderLen, mark(1, uint64(off)), nil)
		}, 0, wal.KindFrame},
		{"damaged, found across a read", func(s *fileSpec) {
			off := s.put(start, data(1, start), []byte("one"))
			s.b[start+wal.FrameHeaderLen] ^= 1
			s.put(start+(1<<20)-8, mark(1, uint64(off)), nil)
		}, 0, wal.KindFrame},
		{"covering frame with another salt", func(s *fileSpec) {
			off := s.put(start, data(1, start), []byte("one"))
			s.b[start+wal.FrameHeaderLen] ^= 1
			s.put(off, mark(1, uint64(off)), nil)
			s.b[off+8] ^= 1
		}, 0, ""},
		{"padding", func(s *fileSpec) {
			off := s.put(start, data(1, start), []byte("one"))
			s.b[off-1] = 1
			s.put(off, mark(1, uint64(off)), nil)
		}, 0, wal.KindFrame},
		{"lsn gap", func(s *fileSpec) { s.put(s.put(start, data(1, start), nil), data(3, start), nil) }, 1, wal.KindSequence},
		{"lsn repeated", func(s *fileSpec) { s.put(s.put(start, data(1, start), nil), data(1, start), nil) }, 1, wal.KindSequence},
		{"first lsn", func(s *fileSpec) { s.put(start, data(2, start), nil) }, 0, wal.KindSequence},
		{"mark with foreign lsn", func(s *fileSpec) { s.put(start, mark(5, start), nil) }, 0, wal.KindSequence},
		{"durable beyond itself", func(s *fileSpec) { s.put(start, data(1, start+8), nil) }, 0, wal.KindSequence},
		{"durable goes back", func(s *fileSpec) {
			off := s.put(start, data(1, start), nil)
			off = s.put(off, data(2, uint64(off)), nil)
			s.put(off, data(3, start), nil)
		}, 2, wal.KindSequence},
		{"unknown kind", func(s *fileSpec) { s.put(start, wal.TestFrame{Kind: 9, Durable: start}, nil) }, 0, wal.KindFrame},
		{"mark with payload", func(s *fileSpec) { s.put(start, mark(0, start), []byte("x")) }, 0, wal.KindFrame},
		{"length beyond the file", func(s *fileSpec) {
			f := data(1, start)
			f.Length = 1 << 31
			s.put(start, f, nil)
		}, 0, wal.KindFrame},
		{"rotated, next file missing", func(s *fileSpec) {
			off := s.put(start, data(1, start), []byte("one"))
			s.put(off, wal.TestFrame{Kind: wal.KindRotateEnd, LSN: 1, Durable: uint64(off)}, nil)
		}, 1, wal.KindMissing},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newFileSpec(2 << 20)
			c.build(s)
			got, err := s.collect()
			require.Len(t, got, c.n)
			if c.kind == "" {
				require.NoError(t, err)
				return
			}
			var ce *wal.CorruptionError
			require.ErrorAs(t, err, &ce)
			require.Equal(t, c.kind, ce.Kind)
		})
	}
}

// TestFullFile replays and goes on after a file that is filled to its last byte, which this code never writes.
func TestFullFile(t *testing.T) {
	const size = 8 << 10
	s := newFileSpec(size)
	f := wal.TestFrame{Kind: wal.KindDataFrame, LSN: 1, Durable: wal.FileHeaderLen}
	s.put(wal.FileHeaderLen, f, make([]byte, size-wal.FileHeaderLen-wal.FrameHeaderLen))
	fs, a := images{"000001.wal": s.b}.fs(), newAcks()
	opts := a.with(wal.Options{FS: fs, Dir: "wal", FirstSeq: 1})
	mustOpen(t, opts, func(l *wal.Log) { mustAppend(t, l, a, []byte("two")) })
	got, err := collect(opts, 0)
	require.NoError(t, err)
	require.Len(t, got, 2)
}
