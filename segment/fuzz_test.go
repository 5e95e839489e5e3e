package segment

// This file is of the package itself: the decoders of a segment's pieces are not exported, because nothing but a segment holds them,
// and a table's own checksums would keep a fuzzer away from them.

import (
	"encoding/binary"
	"hash/crc32"
	"runtime"
	"slices"
	"testing"
	"time"

	flatbuffers "github.com/google/flatbuffers/go"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/segment/internal/fb"
)

// bounded runs fn and fails if it allocated more than limit bytes. Other goroutines of the test are idle.
func bounded(t *testing.T, limit uint64, fn func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > limit {
		t.Fatalf("%d bytes allocated, at most %d expected", n, limit)
	}
}

func FuzzDecodeRows(f *testing.F) {
	for _, rows := range [][]uint32{nil, {0}, {1, 2, 3, 900, 70_000}, slices.Repeat([]uint32{5}, 3)} {
		raw, err := EncodeRows(nil, rows)
		require.NoError(f, err)
		f.Add(raw[8:], true)
		f.Add(raw, false)
	}
	f.Fuzz(func(t *testing.T, b []byte, seal bool) {
		if seal { // a body under a good checksum
			head := binary.LittleEndian.AppendUint32(nil, uint32(len(b)))
			b = append(binary.LittleEndian.AppendUint32(head, crc32.Checksum(b, castagnoli)), b...)
		}
		// A run in the bitmap of four bytes stands for 65,536 rows of four bytes each, of which at most limit are let through.
		const limit = 1 << 16
		var rows []uint32
		var err error
		bounded(t, uint64(len(b))*64+limit*24+1<<20, func() { rows, _, err = DecodeRows(b, limit) })
		if err != nil {
			require.ErrorIs(t, err, ErrBadTombstones)
			return
		}
		for i, r := range rows {
			if r >= limit || i > 0 && rows[i-1] >= r {
				t.Fatalf("row %d after %v", r, rows[max(i-1, 0)])
			}
		}
	})
}

func chunkOf(width int, valid bool, values ...string) []byte {
	b := column.NewBuilder(width, valid)
	for i, v := range values {
		ok := !valid || i%3 != 1
		if !ok {
			v = string(make([]byte, width))
		}
		b.AppendValue([]byte(v), ok)
	}
	return appendChunk(nil, b.Data())
}

func TestChunkRoundTrip(t *testing.T) {
	for _, width := range []int{0, 1, 3, 8} {
		for _, valid := range []bool{false, true} {
			b := column.NewBuilder(width, valid)
			for i := range 100 {
				raw := make([]byte, width)
				if width == 0 {
					raw = make([]byte, i%7)
				}
				for j := range raw {
					raw[j] = byte(i + j)
				}
				b.AppendValue(raw, !valid || i%5 != 0)
			}
			// A slice from the middle: its offsets do not begin at 0.
			want := b.Data().Slice(10, 60)
			raw := appendChunk([]byte("12345678"), want)
			require.Equal(t, "12345678", string(raw[:8]))
			got, err := decodeChunk(raw[8:], width)
			require.NoError(t, err)
			require.Equal(t, want.Rows, got.Rows)
			for i := range want.Rows {
				require.Equal(t, want.IsNull(i), got.IsNull(i))
				require.Equal(t, want.Value(i), got.Value(i))
			}
			for n := range raw[8:] {
				_, err := decodeChunk(raw[8:8+n], width)
				require.ErrorIs(t, err, errBadChunk, "cut to %d bytes", n)
			}
			_, err = decodeChunk(append(raw[8:], 0), width)
			require.ErrorIs(t, err, errBadChunk)
		}
	}
	_, err := decodeChunk(chunkOf(8, false, "12345678"), 4)
	require.ErrorIs(t, err, errBadChunk, "another width")
}

func FuzzDecodeChunk(f *testing.F) {
	f.Add(chunkOf(0, false, "a", "", "bcd"), uint16(0))
	f.Add(chunkOf(0, true, "a", "x", "", "bcd"), uint16(0))
	f.Add(chunkOf(4, true, "abcd", "efgh", "ijkl"), uint16(4))
	f.Add(chunkOf(1, false, "a"), uint16(1))
	f.Fuzz(func(t *testing.T, b []byte, width uint16) {
		b = slices.Clone(b)
		var d column.Data
		var err error
		bounded(t, 1<<20, func() { d, err = decodeChunk(b, int(width)) })
		if err != nil {
			require.ErrorIs(t, err, errBadChunk)
			return
		}
		size := 0
		for i := range d.Rows { // every value can be read
			size += len(d.Value(i))
			d.IsNull(i)
		}
		require.LessOrEqual(t, size, len(b))
		again, err := decodeChunk(appendChunk(nil, d), int(width))
		require.NoError(t, err)
		require.Equal(t, d.Rows, again.Rows)
	})
}

func sampleMeta() *Meta {
	return &Meta{
		ID: 9, Partition: 4, Shard: 3, Token: 1 << 60, SchemaVersion: 2, Rows: 1000, MinLSN: 5, MaxLSN: 77, Created: time.Unix(0, 12345),
		filterChunks: 2, filterBytes: 320, split: true,
		columns: []columnMeta{
			{
				field: 100, typ: schema.TypeInt64, width: 8, bytes: 8000, starts: []uint32{0, 600}, sums: []uint32{1, 2},
				bounds: []Bounds{{Min: []byte("a"), Max: []byte("bb")}, {Min: []byte{}, Max: []byte("c")}},
			},
			{field: 103, typ: schema.TypeFloatVector, width: 40, nullable: true, nulls: 17, bytes: 40000, starts: []uint32{0}, sums: []uint32{9}},
		},
	}
}

func TestMetaRoundTrip(t *testing.T) {
	want := sampleMeta()
	raw := want.encode()
	got, err := decodeMeta(raw)
	require.NoError(t, err)
	require.Equal(t, want, got)
	for i := range raw {
		bad := slices.Clone(raw)
		bad[i] ^= 4
		_, err := decodeMeta(bad)
		require.Error(t, err, "byte %d", i)
		_, err = decodeMeta(raw[:i])
		require.Error(t, err, "%d bytes", i)
	}
}

func TestMetaRefuses(t *testing.T) {
	for name, spoil := range map[string]func(m *Meta){
		"no rows":            func(m *Meta) { m.Rows = 0 },
		"too many rows":      func(m *Meta) { m.Rows = MaxRows + 1 },
		"LSNs":               func(m *Meta) { m.MinLSN = m.MaxLSN + 1 },
		"first chunk":        func(m *Meta) { m.columns[0].starts[0] = 1 },
		"chunks descend":     func(m *Meta) { m.columns[0].starts = []uint32{0, 0} },
		"chunk beyond":       func(m *Meta) { m.columns[0].starts[1] = 1000 },
		"checksums":          func(m *Meta) { m.columns[0].sums = []uint32{1} },
		"bounds":             func(m *Meta) { m.columns[0].bounds = m.columns[0].bounds[:1] },
		"column of no chunk": func(m *Meta) { m.columns[1].starts, m.columns[1].sums = nil, nil },
	} {
		t.Run(name, func(t *testing.T) {
			m := sampleMeta()
			spoil(m)
			_, err := decodeMeta(m.encode())
			require.ErrorIs(t, err, errBadMeta)
		})
	}
}

func FuzzDecodeMeta(f *testing.F) {
	f.Add(sampleMeta().encode()[8:])
	small := sampleMeta()
	small.columns = small.columns[:1]
	f.Add(small.encode()[8:])
	f.Fuzz(func(t *testing.T, body []byte) {
		raw := binary.LittleEndian.AppendUint32(nil, crc32.Checksum(body, castagnoli))
		raw = append(binary.LittleEndian.AppendUint32(raw, 0), body...)
		var m *Meta
		var err error
		bounded(t, uint64(len(body))*64+1<<20, func() { m, err = decodeMeta(raw) })
		if err != nil {
			return
		}
		require.NotZero(t, m.Rows)
		for i := range m.columns {
			c := &m.columns[i]
			require.NotEmpty(t, c.starts)
			require.Equal(t, len(c.starts), len(c.sums))
			require.Less(t, c.chunkOf(m.Rows-1), len(c.starts))
		}
	})
}

// A table of a flatbuffer may be named many times: what its copies take together must be bounded by the bytes that are there.
func TestMetaSharedColumn(t *testing.T) {
	c := columnMeta{field: 100, typ: schema.TypeFloat, width: 4}
	for i := range uint32(4000) {
		c.starts, c.sums = append(c.starts, i), append(c.sums, i)
	}
	b := flatbuffers.NewBuilder(1024)
	at := c.encode(b)
	fb.MetaStartColumnsVector(b, 1000)
	for range 1000 {
		b.PrependUOffsetT(at)
	}
	columns := b.EndVector(1000)
	fb.MetaStart(b)
	fb.MetaAddVersion(b, FormatVersion)
	fb.MetaAddRows(b, 4000)
	fb.MetaAddColumns(b, columns)
	b.Finish(fb.MetaEnd(b))
	body := b.FinishedBytes()
	raw := binary.LittleEndian.AppendUint32(nil, crc32.Checksum(body, castagnoli))
	raw = append(binary.LittleEndian.AppendUint32(raw, 0), body...)
	var err error
	bounded(t, uint64(len(raw))*16+1<<20, func() { _, err = decodeMeta(raw) })
	require.ErrorIs(t, err, errBadMeta)
}
