package engine_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector"
)

// setClock is a clock that stands still until it is moved.
type setClock struct{ ms atomic.Int64 }

func (c *setClock) now() time.Time { return time.UnixMilli(c.ms.Load()) }

// mortal is a row of the model of expiry.
type mortal struct {
	expires int64 // 0: never
	sealed  bool
}

// Random writes while time passes: what has expired is in no result and no count, whatever was flushed, compacted or reopened.
func TestExpiry(t *testing.T) {
	const life = 700 * time.Millisecond
	for name, s := range map[string]func() *schema.Schema{
		"entity": func() *schema.Schema {
			return schema.New("c").ExpireAt("until").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", 2), schema.Int64("until").Nullable())
		},
		"collection": func() *schema.Schema {
			return schema.New("c").WithShards(2).ExpireAfter(life).With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", 2))
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			rng := seeded(t)
			fs := vfs.NewMem()
			clock := &setClock{}
			clock.ms.Store(1_700_000_000_000)
			open := func() (*engine.Engine, *engine.Collection) {
				eng, err := engine.Open("db", &engine.Options{FS: fs, Now: clock.now, CompactBytes: -1, Tick: time.Hour})
				require.NoError(t, err)
				c, err := eng.Collection("c")
				if err != nil {
					c, err = eng.CreateCollection(ctx, s())
					require.NoError(t, err)
					err = c.CreateIndex(ctx, schema.Index{Field: "v", Metric: "L2"})
				}
				require.NoError(t, err)
				return eng, c
			}
			eng, c := open()
			model := map[int64]*mortal{}
			live := func() (ids []int64, sealed int64) {
				for id, m := range model {
					if m.expires != 0 && m.expires <= clock.ms.Load() {
						delete(model, id)
						continue
					}
					ids = append(ids, id)
					if m.sealed {
						sealed++
					}
				}
				slices.Sort(ids)
				return ids, sealed
			}
			write := func(insert bool, ids ...int64) {
				var vecs [][]float32
				var until []int64
				var valid []bool
				fresh := map[int64]*mortal{}
				for _, id := range ids {
					at, ok := clock.ms.Load()+rng.Int64N(2000)-200, rng.IntN(4) > 0
					vecs, until, valid = append(vecs, []float32{float32(id), 1}), append(until, at), append(valid, ok)
					fresh[id] = &mortal{expires: at}
					switch {
					case name == "collection":
						fresh[id].expires = clock.ms.Load() + life.Milliseconds()
					case !ok:
						fresh[id].expires = 0
					}
				}
				cols := []*column.Column{column.Int64("id", ids), column.FloatVector("v", 2, vecs)}
				if name == "entity" {
					cols = append(cols, column.Int64("until", until).WithValid(valid))
				}
				now, _ := live()
				there := 0
				for _, id := range ids {
					if _, ok := slices.BinarySearch(now, id); ok {
						there++
					}
				}
				var res engine.WriteResult
				var err error
				if insert {
					if res, err = c.Insert(ctx, cols...); there > 0 {
						var dup *engine.DuplicateKeyError
						require.ErrorAs(t, err, &dup)
						require.Equal(t, there, dup.Total, "those that have expired are not there")
						return
					}
					there = 0
				} else {
					res, err = c.Upsert(ctx, cols...)
				}
				require.NoError(t, err)
				require.Equal(t, [2]int{len(ids), there}, [2]int{res.Inserted, res.Deleted})
				for id, m := range fresh {
					model[id] = m
				}
			}
			check := func(step int) {
				t.Helper()
				want, sealed := live()
				n, err := c.Count(ctx)
				require.NoError(t, err)
				require.EqualValues(t, len(want), n, "step %d", step)
				require.Equal(t, sealed, c.NumEntities(), "step %d", step)
				st := c.Stats()
				require.EqualValues(t, len(want), st.Growing+st.Sealing+st.Sealed)
				require.Equal(t, st.Physical, st.Deleted+n)
				got := idsOf(t, c, "")
				require.Equal(t, len(want), len(got))
				require.True(t, slices.Equal(want, got))
				n, err = c.CountWhere(ctx, query.Where("id >= 20"))
				require.NoError(t, err)
				require.EqualValues(t, len(slices.DeleteFunc(slices.Clone(want), func(id int64) bool { return id < 20 })), n)
				for _, exact := range []bool{false, true} {
					req := query.Nearest("v", []float32{17, 1}).Metric(vector.L2).Limit(100)
					if exact {
						req.Exact()
					}
					hits, err := c.Search(ctx, req)
					require.NoError(t, err)
					found := mapped(hits, func(h engine.Hit) int64 { return h.Key.Int })
					slices.Sort(found)
					require.Equal(t, len(want), len(found))
					require.True(t, slices.Equal(want, found))
				}
				keys := column.IntKeys()
				for id := range int64(40) {
					keys.Ints = append(keys.Ints, id)
				}
				rows, err := c.Get(ctx, keys, "v")
				require.NoError(t, err)
				require.Equal(t, len(want), rows.Len())
			}
			for step := range 150 {
				some := mapped(rng.Perm(40)[:1+rng.IntN(8)], func(i int) int64 { return int64(i) })
				switch rng.IntN(9) {
				case 0, 1, 2:
					write(true, some...)
				case 3:
					write(false, some...)
				case 4:
					now, _ := live()
					res, err := c.Delete(ctx, column.IntKeys(some...))
					require.NoError(t, err)
					gone := 0
					for _, id := range some {
						if _, ok := slices.BinarySearch(now, id); ok {
							gone++
						}
						delete(model, id)
					}
					require.Equal(t, gone, res.Deleted)
				case 5:
					_, err := c.Flush(ctx)
					require.NoError(t, err)
					for _, m := range model {
						m.sealed = true
					}
				case 6:
					require.NoError(t, c.Compact(ctx))
				case 7:
					require.NoError(t, eng.Close())
					eng, c = open()
				default:
					clock.ms.Add(rng.Int64N(600))
				}
				check(step)
			}
			// The bytes go, and the segment with the last row.
			_, err := c.Flush(ctx)
			require.NoError(t, err)
			for _, m := range model {
				m.sealed = true
			}
			require.NoError(t, c.Compact(ctx))
			require.Equal(t, c.NumEntities(), c.Stats().Physical)
			clock.ms.Add(10_000)
			for id, m := range model {
				if m.expires != 0 {
					delete(model, id)
				}
			}
			check(-1)
			require.NoError(t, c.Compact(ctx))
			require.Equal(t, c.NumEntities(), c.Stats().Physical)
			require.EqualValues(t, len(model), c.Stats().Physical)
			require.NoError(t, eng.Close())
		})
	}
}

// A snapshot is of one moment: what expires while it is read stays in it. The clock of the system may go back; what has expired does not come back.
func TestExpiryInSnapshots(t *testing.T) {
	ctx := context.Background()
	clock := &setClock{}
	clock.ms.Store(1_700_000_000_000)
	eng := openMem(t, engine.Options{Now: clock.now, Tick: time.Hour})
	c, err := eng.CreateCollection(ctx, schema.New("c").ExpireAfter(time.Second).With(
		schema.Int64("id").PrimaryKey(), schema.Int64("n").Default(1), schema.FloatVector("v", 2)))
	require.NoError(t, err)
	put := func(id int64) {
		_, err := c.Insert(ctx, column.Int64("id", []int64{id}), column.FloatVector("v", 2, [][]float32{{float32(id), 1}}))
		require.NoError(t, err)
	}
	put(1)
	_, err = c.Flush(ctx)
	require.NoError(t, err)
	put(2)
	it, err := c.QueryIterator(ctx, query.All(), 1)
	require.NoError(t, err)
	defer it.Close()
	clock.ms.Add(1000)
	for range 2 {
		rows, err := it.Next(ctx)
		require.NoError(t, err)
		require.Equal(t, 1, rows.Len())
	}
	require.Empty(t, idsOf(t, c, ""))
	clock.ms.Add(-900)
	require.Empty(t, idsOf(t, c, ""), "the clock went back")
	put(1)
	require.Equal(t, []int64{1}, idsOf(t, c, ""))
	clock.ms.Add(1500)
	put(3)
	clock.ms.Add(500)
	// A partial update is an upsert: the entity has its time to live again. The time of insertion is for reading, by name.
	_, err = c.UpsertPartial(ctx, column.Int64("id", []int64{3}), column.Int64("n", []int64{9}))
	require.NoError(t, err)
	clock.ms.Add(800)
	rows, err := c.Get(ctx, column.IntKeys(1, 3), "*", schema.InsertedName)
	require.NoError(t, err)
	require.Equal(t, 1, rows.Len())
	require.EqualValues(t, 9, rows.At(0).Int64("n"))
	require.Equal(t, clock.ms.Load()-800, rows.At(0).Int64(schema.InsertedName))
	_, err = c.UpsertPartial(ctx, column.Int64("id", []int64{1}), column.Int64("n", []int64{9}))
	require.ErrorContains(t, err, "there is no entity with primary key 1")
	_, err = c.InsertRows(ctx, []map[string]any{{"id": 5, "v": []float32{1, 2}, schema.InsertedName: 7}})
	require.ErrorContains(t, err, "cannot be given")
}
