package segmenttest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/segment"
)

// Input is what a view is to show. Rows are counted through the batches, from 0.
type Input struct {
	Schema  *schema.Schema
	Batches []*column.Batch
	Dead    []int // dead in the view
	Later   []int // alive in the view, dead for a younger one
}

func (in Input) rows() (n int) {
	for _, b := range in.Batches {
		n += b.Rows
	}
	return n
}

// Keys are the primary keys of all rows.
func (in Input) Keys() column.Keys {
	b := column.NewBuilder(in.Schema.PrimaryKey().Width(), false)
	for _, x := range in.Batches {
		d := x.Keys().Data()
		b.AppendData(d, 0, d.Rows)
	}
	return column.KeysOf(in.Schema.PrimaryKey(), b.Data())
}

func (in Input) column(f *schema.Field) column.Data {
	b := column.NewBuilder(f.Width(), false)
	for _, x := range in.Batches {
		d := x.Cols[in.Schema.Index(f.Name)]
		b.AppendData(d, 0, d.Rows)
	}
	return b.Data()
}

// Run holds the views that the maker gives to the contract of segment.View. A maker writes the rows of the input, all of them and
// nothing else, and returns a view that sees all of them; what comes after the view's LSN is up to it.
func Run(t *testing.T, maker func(t *testing.T, in Input) segment.View) {
	rng := rand.New(rand.NewPCG(1, 2))
	few := append(Scalars(), Vectors()...)
	intKey, strKey := schema.Int64("id").PrimaryKey(), schema.VarChar("id", 256).PrimaryKey()
	split := func(s *schema.Schema, keys column.Keys, parts int) (out []*column.Batch) {
		for i := range parts {
			out = append(out, Batch(t, rng, s, keys.Slice(i*keys.Len()/parts, (i+1)*keys.Len()/parts)))
		}
		return out
	}
	pick := func(n, of int) []int { return rng.Perm(of)[:n] }

	t.Run("every type, integer keys", func(t *testing.T) {
		s := Finish(t, schema.New("c").With(intKey.Clone()).With(few...))
		in := Input{Schema: s, Batches: split(s, IntKeys(rng, 3000), 7)}
		perm := pick(700, 3000)
		in.Dead, in.Later = perm[:500], perm[500:]
		check(t, rng, in, maker(t, in))
	})
	t.Run("every type, string keys", func(t *testing.T) {
		s := Finish(t, schema.New("c").With(Vectors()...).With(Scalars()...).With(strKey.Clone()))
		in := Input{Schema: s, Batches: split(s, StringKeys(rng, 2000), 3)}
		in.Dead = pick(100, 2000)
		check(t, rng, in, maker(t, in))
	})
	t.Run("one row", func(t *testing.T) {
		s := Finish(t, schema.New("c").With(strKey.Clone()).With(few...))
		in := Input{Schema: s, Batches: split(s, column.StringKeys(""), 1)}
		check(t, rng, in, maker(t, in))
	})
	t.Run("ascending keys", func(t *testing.T) {
		s := Finish(t, schema.New("c").With(intKey.Clone(), schema.FloatVector("v", 2)))
		in := Input{Schema: s, Batches: split(s, column.IntKeys(slices.Sorted(slices.Values(IntKeys(rng, 500).Ints))...), 5)}
		in.Dead = pick(1, 500)
		check(t, rng, in, maker(t, in))
	})
	t.Run("duplicate keys", func(t *testing.T) {
		for _, key := range []*schema.Field{intKey, strKey} {
			s := Finish(t, schema.New("c").With(key.Clone(), schema.FloatVector("v", 2), schema.Int32("n")).WithDuplicateKeys())
			const n = 40000 // of one key there are more than a chunk holds
			keys := column.IntKeys(fill(n, func() int64 { return max(0, rng.Int64N(40)-20) * 3 })...)
			if key.Type == schema.TypeVarChar {
				keys = column.StringKeys(fill(n, func() string { return fmt.Sprint(max(0, rng.IntN(40)-20)*3, "abcdefg") })...)
			}
			in := Input{Schema: s, Batches: split(s, keys, 4)}
			perm := pick(500, n)
			in.Dead, in.Later = perm[:400], perm[400:]
			check(t, rng, in, maker(t, in))
		}
	})
	t.Run("all dead", func(t *testing.T) {
		s := Finish(t, schema.New("c").With(intKey.Clone(), schema.FloatVector("v", 2)))
		in := Input{Schema: s, Batches: split(s, IntKeys(rng, 70), 2), Dead: pick(70, 70)}
		check(t, rng, in, maker(t, in))
	})
	t.Run("many narrow rows", func(t *testing.T) {
		s := Finish(t, schema.New("c").With(intKey.Clone(), schema.Bool("flag").Nullable(), schema.VarChar("s", 12).Nullable(),
			schema.BinaryVector("bits", 8), schema.FloatVector("v", 2).Nullable()))
		in := Input{Schema: s, Batches: split(s, IntKeys(rng, 140_000), 3)}
		perm := pick(3000, 140_000)
		in.Dead, in.Later = perm[:2000], perm[2000:]
		check(t, rng, in, maker(t, in))
	})
	t.Run("few wide rows", func(t *testing.T) {
		s := Finish(t, schema.New("c").With(intKey.Clone(), schema.FloatVector("v", schema.MaxDim), schema.BinaryVector("bits", schema.MaxBinaryDim),
			schema.Float16Vector("h", 3000).Nullable(), schema.VarChar("s", schema.MaxVarChar)))
		in := Input{Schema: s, Batches: split(s, IntKeys(rng, 23), 5), Dead: pick(3, 23)}
		check(t, rng, in, maker(t, in))
	})
}

// check holds a view to the contract.
func check(t *testing.T, rng *rand.Rand, in Input, v segment.View) {
	t.Helper()
	c := &checker{t: t, ctx: context.Background(), rng: rng, in: in, v: v, keys: in.Keys()}
	require.EqualValues(t, in.rows(), v.Rows())
	require.NotZero(t, v.ID())
	c.findPlaces()
	c.checkDead()
	for _, f := range in.Schema.Fields {
		want := in.column(f).Pick(c.inputOf)
		c.checkScan(f, want)
		c.checkRead(f, want)
	}
	c.checkLater()
	c.checkFind()
	c.checkOrder()
	c.checkCancel()
}

// checker knows which row of the input lies where in the view.
type checker struct {
	t       *testing.T
	ctx     context.Context
	rng     *rand.Rand
	in      Input
	v       segment.View
	keys    column.Keys
	inputOf []uint32 // by row of the view
	rowOf   []uint32 // by row of the input
}

// findPlaces reads all keys: the n-th row of a key in the view is the n-th of it in the input.
func (c *checker) findPlaces() {
	byKey := map[column.Key][]uint32{}
	for i := range c.keys.Len() {
		byKey[c.keys.At(i)] = append(byKey[c.keys.At(i)], uint32(i))
	}
	b := column.NewBuilder(c.in.Schema.PrimaryKey().Width(), false)
	require.NoError(c.t, c.v.Scan(c.ctx, c.in.Schema.PrimaryKey(), 0, c.v.Rows(), func(_ uint32, d column.Data) error {
		b.AppendData(d, 0, d.Rows)
		return nil
	}))
	have := column.KeysOf(c.in.Schema.PrimaryKey(), b.Data())
	require.Equal(c.t, c.keys.Len(), have.Len())
	c.rowOf = make([]uint32, have.Len())
	for row := range have.Len() {
		left := byKey[have.At(row)]
		require.NotEmpty(c.t, left, "key %v is there once too often", have.At(row))
		c.inputOf = append(c.inputOf, left[0])
		c.rowOf[left[0]] = uint32(row)
		byKey[have.At(row)] = left[1:]
	}
}

func (c *checker) checkDead() {
	dead := c.v.Dead()
	require.EqualValues(c.t, len(c.in.Dead), dead.Count())
	want := map[uint32]bool{}
	for _, i := range c.in.Dead {
		want[c.rowOf[i]] = true
	}
	for row := range c.v.Rows() {
		if dead.Has(row) != want[row] {
			require.Equal(c.t, want[row], dead.Has(row), "row %d", row)
		}
	}
}

// same compares two values, and what of them is null.
func (c *checker) same(f *schema.Field, want column.Data, i int, have column.Data, j int) {
	if want.IsNull(i) != have.IsNull(j) || string(want.Value(i)) != string(have.Value(j)) {
		require.Equal(c.t, want.IsNull(i), have.IsNull(j), "field %s, row %d: null", f.Name, i)
		require.Equal(c.t, want.Value(i), have.Value(j), "field %s, row %d", f.Name, i)
	}
}

func (c *checker) checkScan(f *schema.Field, want column.Data) {
	n := c.v.Rows()
	ranges := [][2]uint32{{0, n}, {0, 1}, {n - 1, n}, {n, n}, {n / 2, n / 2}, {0, n + 10}}
	for range 4 {
		from := c.rng.Uint32N(n)
		ranges = append(ranges, [2]uint32{from, from + c.rng.Uint32N(n-from+1)})
	}
	for _, r := range ranges {
		next := r[0]
		require.NoError(c.t, c.v.Scan(c.ctx, f, r[0], r[1], func(first uint32, d column.Data) error {
			require.Equal(c.t, next, first, "field %s: runs follow each other", f.Name)
			require.Positive(c.t, d.Rows)
			require.Equal(c.t, f.Width(), d.Width)
			for i := range d.Rows {
				c.same(f, want, int(first)+i, d, i)
			}
			next += uint32(d.Rows)
			return nil
		}))
		require.Equal(c.t, min(r[1], n), next, "field %s: the runs cover [%d, %d)", f.Name, r[0], r[1])
	}
	stop := errors.New("stop")
	calls := 0
	require.ErrorIs(c.t, c.v.Scan(c.ctx, f, 0, n, func(uint32, column.Data) error {
		calls++
		return stop
	}), stop)
	require.Equal(c.t, 1, calls, "an error ends the scan")
}

func (c *checker) checkRead(f *schema.Field, want column.Data) {
	n := c.v.Rows()
	random := make([]uint32, 200)
	for i := range random {
		random[i] = c.rng.Uint32N(n)
	}
	ascending := slices.Compact(slices.Sorted(slices.Values(random)))
	all := make([]uint32, min(n, 5000))
	for i := range all {
		all[i] = uint32(i)
	}
	for name, rows := range map[string][]uint32{
		"none": nil, "last": {n - 1}, "ascending": ascending, "all": all, "any order": random, "repeated": {n - 1, 0, n - 1, n - 1, 0},
		"repeated in order": {0, 0, n - 1, n - 1},
	} {
		b := column.NewBuilder(f.Width(), f.IsNullable)
		b.AppendRow(want, 0) // what is in the builder stays
		require.NoError(c.t, c.v.Read(c.ctx, f, rows, b))
		d := b.Data()
		require.Equal(c.t, len(rows)+1, d.Rows, "field %s, %s", f.Name, name)
		c.same(f, want, 0, d, 0)
		for i, row := range rows {
			c.same(f, want, int(row), d, i+1)
		}
	}
}

// checkLater reads fields that the schema got after the segment was made.
func (c *checker) checkLater() {
	s := c.in.Schema.Clone()
	s.With(schema.Int64("later_int").Nullable(), schema.VarChar("later_text", 9).Nullable().Default("déjà"),
		schema.Int16("later_number").Default(7), schema.FloatVector("later_vector", 3).Nullable(), schema.VarChar("later_empty", 9).Default(""))
	s = Finish(c.t, s)
	for _, f := range s.Fields[len(c.in.Schema.Fields):] {
		one := column.NewBuilder(f.Width(), true)
		raw, err := f.DefaultBytes()
		require.NoError(c.t, err)
		one.AppendValue(raw, raw != nil)
		want := one.Data().Pick(make([]uint32, c.v.Rows()))
		require.Equal(c.t, f.DefaultValue == nil, want.IsNull(0))
		c.checkScan(f, want)
		c.checkRead(f, want)
	}
}

func (c *checker) checkFind() {
	dead := map[int]bool{}
	for _, i := range c.in.Dead {
		dead[i] = true
	}
	pk := c.in.Schema.PrimaryKey()
	b := column.NewBuilder(pk.Width(), false)
	all := c.keys.Data()
	want := map[[2]uint32]bool{} // place in the list, row
	byKey := map[column.Key][]int{}
	for i := range c.keys.Len() {
		byKey[c.keys.At(i)] = append(byKey[c.keys.At(i)], i)
	}
	ask := c.rng.Perm(c.keys.Len())[:min(300, c.keys.Len())]
	if n := len(c.in.Dead); n > 0 {
		ask = append(ask, c.in.Dead[:min(n, 50)]...) // some of them again
	}
	ask = append(ask, c.in.Later[:min(len(c.in.Later), 50)]...)
	asked := map[column.Key]bool{}
	for n, i := range ask {
		if k := c.keys.At(i); len(byKey[k]) > 100 && asked[k] {
			continue // a key with very many rows is asked for once
		} else {
			asked[k] = true
		}
		if n%3 == 0 { // keys that are not there, before, between and after
			b.AppendData(absent(c.rng, pk), 0, 1)
		}
		place := uint32(b.Rows())
		b.AppendRow(all, i)
		for _, same := range byKey[c.keys.At(i)] {
			if !dead[same] {
				want[[2]uint32{place, c.rowOf[same]}] = true
			}
		}
	}
	require.NoError(c.t, c.v.Find(c.ctx, column.KeysOf(pk, b.Data()), func(i int, row uint32) {
		at := [2]uint32{uint32(i), row}
		if !want[at] {
			require.True(c.t, want[at], "key %d, row %d: not there, dead, or called for twice", i, row)
		}
		delete(want, at)
	}))
	require.Empty(c.t, want)
}

func absent(rng *rand.Rand, pk *schema.Field) column.Data {
	if pk.Type == schema.TypeVarChar {
		return column.StringKeys([]string{"absent", "\x00", "zzzz", "k"}[rng.IntN(4)]).Data()
	}
	return column.IntKeys([]int64{1<<63 - 1, -1 << 63, 1, 22, -13}[rng.IntN(5)]).Data()
}

func (c *checker) checkOrder() {
	order, err := c.v.KeyOrder(c.ctx)
	require.NoError(c.t, err)
	if order == nil {
		for row := range c.v.Rows() {
			order = append(order, row)
		}
	}
	require.Len(c.t, order, int(c.v.Rows()))
	seen := make([]bool, c.v.Rows())
	for i, row := range order {
		require.False(c.t, seen[row], "row %d is in the order twice", row)
		seen[row] = true
		if i == 0 {
			continue
		}
		d := c.keys.At(int(c.inputOf[order[i-1]])).Compare(c.keys.At(int(c.inputOf[row])))
		if d > 0 || d == 0 && order[i-1] > row {
			require.Fail(c.t, "out of order", "rows %d and %d", order[i-1], row)
		}
	}
}

func (c *checker) checkCancel() {
	ctx, cancel := context.WithCancel(c.ctx)
	cancel()
	pk := c.in.Schema.PrimaryKey()
	require.ErrorIs(c.t, c.v.Scan(ctx, pk, 0, c.v.Rows(), func(uint32, column.Data) error { return nil }), context.Canceled)
	require.ErrorIs(c.t, c.v.Read(ctx, pk, []uint32{0}, column.NewBuilder(pk.Width(), false)), context.Canceled)
	require.ErrorIs(c.t, c.v.Find(ctx, c.keys.Slice(0, 1), func(int, uint32) {}), context.Canceled)
	_, err := c.v.KeyOrder(ctx)
	require.ErrorIs(c.t, err, context.Canceled)
}
