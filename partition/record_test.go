package partition

// This file is of the package itself: only a write on its way encodes a record, and only recovery decodes one.

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/segment"
	"github.com/selkiedb/selkie/segment/segmenttest"
)

// recordSample is three partitions of one schema, and a write of each kind to them.
func recordSample(t testing.TB, key *schema.Field) ([]*Partition, []*Write) {
	s := segmenttest.Finish(t, schema.New("c").With(key).With(segmenttest.Scalars()...).With(segmenttest.Vectors()...))
	var parts []*Partition
	for id := range uint64(3) {
		parts = append(parts, New(id+5, &Env{Clock: NewClock(0), Now: time.Now}, s, Restored{}))
	}
	rng := rand.New(rand.NewPCG(1, 1))
	keys := func(n int) column.Keys {
		if key.Type == schema.TypeVarChar {
			return segmenttest.StringKeys(rng, n)
		}
		return segmenttest.IntKeys(rng, n)
	}
	batch := func(n int) *column.Batch { return segmenttest.Batch(t, rng, s, keys(n)) }
	a, b := batch(7), batch(3)
	return parts, []*Write{
		{Kind: KindInsert, Collection: 9, Parts: []Part{{parts[0], a}}, Keys: a.Keys(), AllowDuplicates: true},
		{Kind: KindInsert, Collection: 9, Parts: []Part{{parts[2], a}, {parts[1], b}}, Keys: joinKeys([]column.Keys{a.Keys(), b.Keys()}), AllowDuplicates: true},
		{Kind: KindUpsert, Collection: 9, Parts: []Part{{parts[1], b}}, Keys: b.Keys(), Scope: parts, AllowDuplicates: true},
		{Kind: KindDelete, Collection: 9, Keys: keys(4), Scope: parts[1:2], AllowDuplicates: true},
		{Kind: KindDelete, Collection: 9, Keys: keys(1), Scope: parts, Everywhere: true, AllowDuplicates: true},
	}
}

func finder(parts []*Partition) func(id uint64) *Partition {
	return func(id uint64) *Partition {
		for _, p := range parts {
			if p.id == id {
				return p
			}
		}
		return nil
	}
}

func TestRecordRoundTrip(t *testing.T) {
	for _, key := range []*schema.Field{schema.Int64("id").PrimaryKey(), schema.VarChar("id", 256).PrimaryKey()} {
		parts, writes := recordSample(t, key)
		for _, w := range writes {
			raw := w.encode(nil, 77)
			coll, place, err := RecordHead(raw)
			require.NoError(t, err)
			require.Equal(t, [2]uint64{9, 77}, [2]uint64{coll, place})
			got, err := DecodeWrite(raw, finder(parts), parts)
			require.NoError(t, err)
			require.Equal(t, w.Kind, got.Kind)
			require.Equal(t, w.Everywhere, got.Everywhere)
			require.Equal(t, w.Scope, got.Scope)
			require.Equal(t, len(w.Parts), len(got.Parts))
			require.Equal(t, w.Keys.Len(), got.Keys.Len())
			for i := range w.Keys.Len() {
				require.Equal(t, w.Keys.At(i), got.Keys.At(i))
			}
			for i, p := range w.Parts {
				require.Same(t, p.Partition, got.Parts[i].Partition)
				require.Equal(t, p.Batch.AppendEncode(nil), got.Parts[i].Batch.AppendEncode(nil))
			}
			for n := range raw {
				_, err := DecodeWrite(raw[:n], finder(parts), parts)
				require.ErrorIs(t, err, ErrBadRecord, "%d bytes of %d", n, len(raw))
			}
			_, err = DecodeWrite(append(raw, 0, 0, 0, 0, 0, 0, 0, 0), finder(parts), parts)
			require.Error(t, err)
		}
	}
}

// A part of a partition that was dropped since is left out. Its keys still say which older rows an upsert replaced.
func TestRecordOfDroppedPartition(t *testing.T) {
	parts, writes := recordSample(t, schema.Int64("id").PrimaryKey())
	left := parts[:2]
	got, err := DecodeWrite(writes[1].encode(nil, 0), finder(left), left)
	require.NoError(t, err)
	require.Len(t, got.Parts, 1)
	require.Same(t, parts[1], got.Parts[0].Partition)
	got, err = DecodeWrite(writes[3].encode(nil, 0), finder(parts[:1]), parts[:1])
	require.NoError(t, err)
	require.Empty(t, got.Scope)
	require.False(t, got.Everywhere, "a delete of one partition does not become one of all")
}

// A partition that was made while a write was under way is not touched by its replay.
func TestRecordReach(t *testing.T) {
	parts, writes := recordSample(t, schema.Int64("id").PrimaryKey())
	for _, w := range []*Write{writes[2], writes[4]} {
		w.Scope = parts[:2]
		raw := w.encode(nil, 0)
		got, err := DecodeWrite(raw, finder(parts), parts)
		require.NoError(t, err)
		require.Equal(t, parts[:2], got.Scope)
		_, err = DecodeWrite(raw[:len(raw)-8], finder(parts), parts)
		require.ErrorIs(t, err, ErrBadRecord)
	}
}

func FuzzDecodeWrite(f *testing.F) {
	parts, writes := recordSample(f, schema.Int64("id").PrimaryKey())
	for _, w := range writes {
		f.Add(w.encode(nil, 3))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _, _ = RecordHead(b)
		w, err := DecodeWrite(b, finder(parts), parts)
		if err != nil {
			return
		}
		for _, p := range w.Parts {
			require.Len(t, p.Batch.Cols, len(parts[0].Schema().Fields))
			require.Equal(t, p.Batch.Rows, p.Batch.Keys().Len())
		}
		require.GreaterOrEqual(t, w.Keys.Len(), 0)
	})
}

func TestNamesOfKinds(t *testing.T) {
	require.Equal(t, []string{"insert", "upsert", "delete", "kind(99)"}, []string{KindInsert.String(), KindUpsert.String(), KindDelete.String(), Kind(99).String()})
	info := SegmentInfo{ID: 3, State: segment.StateSealed, Rows: 5, Live: 4, Bytes: 100, MinLSN: 1, MaxLSN: 9}
	require.Equal(t, "000003 sealed rows=5 live=4 bytes=100 lsn=1..9", info.String())
}
