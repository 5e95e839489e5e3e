package engine

// This file is of the package itself: an edit's own checksum keeps everybody else away from its decoder.

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/internal/hammertest"
	"github.com/selkiedb/selkie/schema"
)

// catalogueFile gives the catalogue of a store that went through a little of everything.
func catalogueFile(t testing.TB) []byte {
	ctx := context.Background()
	fs := vfs.NewMem()
	e, err := Open("db", &Options{FS: fs, CompactBytes: -1})
	require.NoError(t, err)
	c, err := e.CreateCollection(ctx, schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", 2)).WithShards(2))
	require.NoError(t, err)
	p, err := c.CreatePartition(ctx, "p")
	require.NoError(t, err)
	for i := range int64(3) {
		_, err = p.Upsert(ctx, column.Int64("id", []int64{i, i + 1, 9}), column.FloatVectorFlat("v", 2, make([]float32, 6)))
		require.NoError(t, err)
		_, err = p.Flush(ctx)
		require.NoError(t, err)
	}
	require.NoError(t, c.CreateIndex(ctx, schema.Index{Field: "v", Kind: schema.IndexHNSW, Metric: "L2", Params: map[string]string{"M": "8"}}))
	require.NoError(t, c.CreateIndex(ctx, schema.Index{Field: "id"}))
	require.NoError(t, c.DropIndex(ctx, "id"))
	require.NoError(t, c.Compact(ctx))
	_, err = e.CreateCollection(ctx, schema.New("d").With(schema.VarChar("id", 9).PrimaryKey(), schema.FloatVector("v", 2)))
	require.NoError(t, err)
	require.NoError(t, e.DropCollection(ctx, "d"))
	require.NoError(t, e.Close())
	names, err := fs.List("db")
	require.NoError(t, err)
	seqs := catalogues(names)
	f, err := fs.Open(fs.PathJoin("db", catalogueName(seqs[len(seqs)-1])))
	require.NoError(t, err)
	defer f.Close()
	raw, err := io.ReadAll(f)
	require.NoError(t, err)
	return raw
}

// TestHammerCatalogue spoils edits under right checksums: what is taken for good is a state that can be written and read again.
func TestHammerCatalogue(t *testing.T) {
	raw := catalogueFile(t)
	read := &catalogue{seq: binary.LittleEndian.Uint64(raw[16:]), salt: binary.LittleEndian.Uint64(raw[24:]), state: newState()}
	var seeds [][]byte
	for at := int64(catFramesAt); at < int64(len(raw)); {
		payload, size, err := read.frame(raw[at:])
		require.NoError(t, err)
		seeds = append(seeds, payload)
		read.number++
		at += size
	}
	require.Greater(t, len(seeds), 8)
	base := newState()
	for _, b := range seeds[:5] {
		e, err := decodeEdit(b)
		require.NoError(t, err)
		base.apply(e)
	}
	hammertest.Run(t, hammertest.Decoder{Seeds: seeds, PerInput: 64 << 10, PerByte: 4 << 10, Slow: 4, Try: func(b []byte) bool {
		e, err := decodeEdit(b)
		if err != nil {
			if !errors.Is(err, errBadEdit) && !errors.Is(err, ErrVersion) && !errors.Is(err, ErrInvalid) {
				t.Fatal(err)
			}
			return false
		}
		st := base.clone()
		if st.check(e) != nil {
			return true
		}
		st.apply(e)
		whole, err := st.snapshot().encode()
		require.NoError(t, err)
		_, err = decodeEdit(whole)
		require.NoError(t, err)
		return true
	}})
}

// TestHammerCatalogueFile spoils the file as a whole.
func TestHammerCatalogueFile(t *testing.T) {
	raw := catalogueFile(t)
	seq := binary.LittleEndian.Uint64(raw[16:])
	hammertest.Run(t, hammertest.Decoder{Seeds: [][]byte{raw}, PerInput: 256 << 10, PerByte: 256, Slow: 10, Try: func(b []byte) bool {
		_, err := (&catalogue{seq: seq, state: newState()}).read("CATALOGUE", b)
		if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
			t.Fatal(err)
		}
		return err == nil
	}})
}
