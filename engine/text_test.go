package engine_test

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/text"
	"github.com/selkiedb/selkie/vector"
)

func textSchema(analyzer string) *schema.Schema {
	return schema.New("texts").With(
		schema.Int64("id").PrimaryKey(), schema.VarChar("body", 1000).Nullable().Analyze(analyzer), schema.SparseFloatVector("words"),
		schema.Int64("n").Default(0),
	).WithFunction(schema.BM25("body", "words"))
}

// Four texts of 2, 5, 3 and 2 words, so of 3 in the mean. "red" is in two of the four: its weight is ln((4-2+.5)/(2+.5)+1) = ln 2; so it is with "lion".
func TestBM25ByHand(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	eng, err := engine.Open("db", &engine.Options{FS: fs})
	require.NoError(t, err)
	c, err := eng.CreateCollection(ctx, textSchema(text.Standard))
	require.NoError(t, err)
	other, err := c.CreatePartition(ctx, "other")
	require.NoError(t, err)
	_, err = c.Insert(ctx, column.Int64("id", []int64{1, 2, 5}),
		column.VarChar("body", []string{"Red lion", "red, red TIGER in grass!", ""}).WithValid([]bool{true, true, false}))
	require.NoError(t, err)
	_, err = other.Insert(ctx, column.Int64("id", []int64{3, 4, 6}), column.VarChar("body", []string{"lion lion lion", "grey wolf", "to be gone red"}))
	require.NoError(t, err)
	_, err = c.Delete(ctx, column.IntKeys(6))
	require.NoError(t, err)

	ln2 := math.Log(2)
	one := ln2 * 1 * 2.2 / (1 + 1.2*(0.25+0.75*2/3))   // once in 2 words
	two := ln2 * 2 * 2.2 / (2 + 1.2*(0.25+0.75*5/3))   // twice in 5
	three := ln2 * 3 * 2.2 / (3 + 1.2*(0.25+0.75*3/3)) // three times in 3
	type hit struct {
		id    int64
		score float64
	}
	check := func(note string) {
		t.Helper()
		for words, want := range map[string][]hit{
			"red":            {{1, one}, {2, two}}, // which are equal: 2.2/1.9 = 4.4/3.8
			"lion RED":       {{1, 2 * one}, {3, three}, {2, two}},
			"lion lion":      {{3, 2 * three}, {1, 2 * one}}, // a word asked for twice counts twice
			"wolf elephants": {{4, math.Log(3.5/1.5+1) * 2.2 / (1 + 1.2*(0.25+0.75*2/3))}},
			"elephant":       {},
			"":               {},
		} {
			got, err := c.Search(ctx, query.Nearest("words", words).Output("body"))
			require.NoError(t, err)
			require.Len(t, got, len(want), "%s: %q", note, words)
			for i, h := range got {
				require.Equal(t, want[i].id, h.Key.Int, "%s: %q", note, words)
				require.InDelta(t, want[i].score, h.Score, 1e-6, "%s: %q", note, words)
				require.NotEmpty(t, h.Row.String("body"))
			}
		}
		// A search of one partition has the whole collection's counts.
		got, err := other.Search(ctx, query.Nearest("words", "red lion"))
		require.NoError(t, err)
		require.Len(t, got, 1)
		require.InDelta(t, three, got[0].Score, 1e-6, note)
		got, err = c.Search(ctx, query.Nearest("words", "red lion").Partitions("other"))
		require.NoError(t, err)
		require.Len(t, got, 1)
		require.InDelta(t, three, got[0].Score, 1e-6, note)
	}
	check("growing")
	_, err = other.Flush(ctx)
	require.NoError(t, err)
	check("growing and sealed")
	_, err = c.Flush(ctx)
	require.NoError(t, err)
	check("sealed")
	_, err = c.Insert(ctx, column.Int64("id", []int64{7, 8}), column.VarChar("body", []string{"red red", "wolf"}))
	require.NoError(t, err)
	_, err = c.Flush(ctx)
	require.NoError(t, err)
	_, err = c.Delete(ctx, column.IntKeys(7, 8))
	require.NoError(t, err)
	check("dead rows in sealed segments")
	for _, p := range c.Partitions() {
		err = p.Compact(ctx)
		require.NoError(t, err)
	}
	check("compacted")
	require.NoError(t, eng.Close())
	eng, err = engine.Open("db", &engine.Options{FS: fs})
	require.NoError(t, err)
	c, err = eng.Collection("texts")
	require.NoError(t, err)
	other, err = c.Partition("other")
	require.NoError(t, err)
	check("reopened")
	require.NoError(t, eng.Close())
}

// bm25Oracle scores texts, nil for null, by the definition. The hits are in order.
func bm25Oracle(a *text.Analyzer, texts map[int64]*string, words string, k1, b float64) []scoredRow {
	split := func(s string) (out []string) {
		a.Each([]byte(s), func(_ int, term []byte) { out = append(out, string(term)) })
		return out
	}
	docs, length := map[int64][]string{}, 0
	for id, s := range texts {
		if s != nil {
			docs[id] = split(*s)
			length += len(docs[id])
		}
	}
	n := float64(len(docs))
	with := map[string]float64{}
	for _, d := range docs {
		seen := map[string]bool{}
		for _, w := range d {
			if !seen[w] {
				seen[w] = true
				with[w]++
			}
		}
	}
	var out []scoredRow
	for id, d := range docs {
		sum, hit := 0.0, false
		for _, w := range split(words) {
			f := 0.0
			for _, x := range d {
				if x == w {
					f++
				}
			}
			if f > 0 {
				hit = true
				sum += math.Log((n-with[w]+0.5)/(with[w]+0.5)+1) * f * (k1 + 1) / (f + k1*(1-b+b*float64(len(d))/(float64(length)/n)))
			}
		}
		if hit {
			out = append(out, scoredRow{ranked{id: id}, sum})
		}
	}
	slices.SortFunc(out, func(x, y scoredRow) int { return cmp.Or(-cmp.Compare(x.score, y.score), cmp.Compare(x.r.id, y.r.id)) })
	return out
}

var vocabulary = strings.Fields("the red lion lions running ran runs tiger grass walks walking and of in sea ship ships sailing Wolf wolves happy happily")

func randomText(rng *rand.Rand, most int) string {
	words := make([]string, rng.IntN(most+1))
	for i := range words {
		words[i] = vocabulary[min(rng.IntN(len(vocabulary)), rng.IntN(len(vocabulary)))]
	}
	return strings.Join(words, " ")
}

// Random writes, flushes, compactions and reopenings: scores stay those of the definition over what is alive, for every analyzer.
func TestBM25AgainstOracle(t *testing.T) {
	ctx := context.Background()
	for _, name := range []string{text.Standard, text.English, text.Whitespace} {
		t.Run(name, func(t *testing.T) {
			rng := seeded(t)
			a, err := text.ByName(name)
			require.NoError(t, err)
			fs := vfs.NewMem()
			open := func() (*engine.Engine, *engine.Collection) {
				eng, err := engine.Open("db", &engine.Options{FS: fs, SegmentRows: 60})
				require.NoError(t, err)
				c, err := eng.Collection("texts")
				if err != nil {
					s := textSchema(name).WithShards(2)
					s.Functions[0].Parameters(1.6, 0.5)
					c, err = eng.CreateCollection(ctx, s)
				}
				require.NoError(t, err)
				return eng, c
			}
			eng, c := open()
			if name != text.Whitespace { // searched by an index once segments have it
				require.NoError(t, c.CreateIndex(ctx, schema.Index{Field: "words"}))
			}
			texts := map[int64]*string{}
			for step := range 60 {
				switch rng.IntN(6) {
				case 0:
					_, err = c.Flush(ctx)
				case 1:
					err = c.Compact(ctx)
				case 2:
					ids := column.IntKeys(rng.Int64N(200), rng.Int64N(200), rng.Int64N(200))
					for _, id := range ids.Ints {
						delete(texts, id)
					}
					_, err = c.Delete(ctx, ids)
				case 3:
					require.NoError(t, eng.Close())
					eng, c = open()
				default:
					var ids []int64
					var bodies []string
					var valid []bool
					for _, id := range rng.Perm(200)[:1+rng.IntN(40)] {
						s := randomText(rng, 12)
						ids, bodies, valid = append(ids, int64(id)), append(bodies, s), append(valid, rng.IntN(9) > 0)
						if texts[int64(id)] = &s; !valid[len(valid)-1] {
							texts[int64(id)] = nil
						}
					}
					_, err = c.Upsert(ctx, column.Int64("id", ids), column.VarChar("body", bodies).WithValid(valid))
				}
				require.NoError(t, err)
				if step%3 != 0 {
					continue
				}
				if step%2 == 0 {
					require.NoError(t, c.WaitIndexed(ctx))
				}
				words := []string{randomText(rng, 4), randomText(rng, 2)}
				got, err := c.SearchMany(ctx, query.Nearest("words", words...).Limit(300))
				require.NoError(t, err)
				for i, w := range words {
					want := bm25Oracle(a, texts, w, 1.6, 0.5)
					require.Len(t, got[i], len(want), "%q", w)
					scores := map[int64]float64{}
					for _, x := range want {
						scores[x.r.id] = x.score
					}
					for j, h := range got[i] {
						require.InDelta(t, want[j].score, h.Score, 1e-4, "%q at %d", w, j)
						require.InDelta(t, scores[h.Key.Int], h.Score, 1e-4, "%q of %v", w, h.Key)
					}
				}
				// The filter takes the same words for equal.
				n, err := c.CountWhere(ctx, query.Where(fmt.Sprintf("text_match(body, %q)", words[0])))
				require.NoError(t, err)
				require.EqualValues(t, len(bm25Oracle(a, texts, words[0], 1.6, 0.5)), n, "%q", words[0])
			}
			require.NoError(t, eng.Close())
		})
	}
}

func TestTextSearchInOtherWays(t *testing.T) {
	ctx := context.Background()
	rng := seeded(t)
	eng := openMem(t, engine.Options{})
	s := textSchema(text.English).With(schema.FloatVector("v", 2))
	c, err := eng.CreateCollection(ctx, s)
	require.NoError(t, err)
	require.NoError(t, c.CreateIndex(ctx, schema.Index{Field: "words", Kind: schema.IndexSparse, Metric: "BM25"}))
	require.ErrorContains(t, c.CreateIndex(ctx, schema.Index{Name: "x", Field: "words", Metric: "IP"}), "must be one of [BM25]")
	a, err := text.ByName(text.English)
	require.NoError(t, err)
	texts := map[int64]*string{}
	for id := range int64(150) {
		s := randomText(rng, 12)
		texts[id] = &s
		_, err := c.Insert(ctx, column.Int64("id", []int64{id}), column.VarChar("body", []string{s}), column.Int64("n", []int64{id % 5}),
			column.FloatVector("v", 2, [][]float32{{float32(id), 0}}))
		require.NoError(t, err)
		if id%60 == 50 {
			_, err := c.Flush(ctx)
			require.NoError(t, err)
		}
	}
	require.NoError(t, c.WaitIndexed(ctx))
	want := bm25Oracle(a, texts, "red lions", 1.2, 0.75)

	// Filters do not change the counts.
	got, err := c.Search(ctx, query.Nearest("words", "red lions").Filter("n == 2").Limit(200))
	require.NoError(t, err)
	some := slices.DeleteFunc(slices.Clone(want), func(x scoredRow) bool { return x.r.id%5 != 2 })
	require.Len(t, got, len(some))
	for i, h := range got {
		require.InDelta(t, some[i].score, h.Score, 1e-5)
	}
	it, err := c.SearchIterator(ctx, query.Nearest("words", "red lions"), 7)
	require.NoError(t, err)
	defer it.Close()
	n := 0
	for h, err := range it.All(ctx) {
		require.NoError(t, err)
		require.InDelta(t, want[n].score, h.Score, 1e-5)
		n++
	}
	require.Equal(t, len(want), n)
	hits, err := c.HybridSearch(ctx, query.NewHybrid(
		query.Nearest("words", "red lions").Limit(20), query.Nearest("v", []float32{3, 0}).Metric(vector.L2).Limit(20)).Weighted(1, 0))
	require.NoError(t, err)
	require.InDelta(t, 2*math.Atan(want[0].score)/math.Pi, hits[0].Score, 1e-5)

	// A changed text is found by its new words, an untouched one by its old.
	_, err = c.UpsertPartial(ctx, column.Int64("id", []int64{3}), column.VarChar("body", []string{"zebra"}))
	require.NoError(t, err)
	_, err = c.UpsertPartial(ctx, column.Int64("id", []int64{3}), column.Int64("n", []int64{77}))
	require.NoError(t, err)
	got, err = c.Search(ctx, query.Nearest("words", "Zebras").Output("*"))
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.EqualValues(t, 77, got[0].Row.Int64("n"))
	require.False(t, got[0].Row.Has("words"), "what functions make is not read")

	for text, fn := range map[string]func() error{
		"cannot be given": func() error {
			_, err := c.Insert(ctx, column.Int64("id", []int64{999}), column.VarChar("body", []string{"x"}), column.FloatVector("v", 2, [][]float32{{1, 1}}),
				column.SparseFloatVector("words", []column.Sparse{{}}))
			return err
		},
		"it cannot be read": func() error {
			_, err := c.Search(ctx, query.Nearest("v", []float32{1, 2}).Output("words"))
			return err
		},
		"it takes a string": func() error {
			_, err := c.Search(ctx, query.Nearest("words", column.Sparse{}))
			return err
		},
		"a string does not fit a field of type FloatVector": func() error {
			_, err := c.Search(ctx, query.Nearest("v", "red"))
			return err
		},
		"metric does not fit": func() error {
			_, err := c.Search(ctx, query.Nearest("words", "red").Metric(vector.IP))
			return err
		},
	} {
		require.ErrorContains(t, fn(), text)
	}
}
