package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/text"
)

// BenchmarkTextSearch searches 100,000 texts of 50 words, whose words' frequencies follow Zipf's law, in sealed segments.
func BenchmarkTextSearch(b *testing.B) {
	ctx := context.Background()
	eng, err := engine.Open(b.TempDir(), &engine.Options{Sync: engine.SyncNone})
	require.NoError(b, err)
	defer func() { require.NoError(b, eng.Close()) }()
	c, err := eng.CreateCollection(ctx, textSchema(text.Standard))
	require.NoError(b, err)
	rng := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(rng, 1.1, 8, 50_000)
	const texts, batch = 100_000, 10_000
	for from := 0; from < texts; from += batch {
		ids, bodies := make([]int64, batch), make([]string, batch)
		for i := range ids {
			words := make([]string, 50)
			for j := range words {
				words[j] = fmt.Sprint("w", zipf.Uint64())
			}
			ids[i], bodies[i] = int64(from+i), strings.Join(words, " ")
		}
		_, err := c.Insert(ctx, column.Int64("id", ids), column.VarChar("body", bodies))
		require.NoError(b, err)
	}
	_, err = c.Flush(ctx)
	require.NoError(b, err)
	bench := func(kind string) {
		for name, words := range map[string]string{"rare": "w20000 w31000", "common": "w3 w10", "mixed": "w1 w500 w20000 w7"} {
			b.Run(kind+"/"+name, func(b *testing.B) {
				for range b.N {
					_, err := c.Search(ctx, query.Nearest("words", words))
					require.NoError(b, err)
				}
			})
		}
	}
	bench("scan")
	require.NoError(b, c.CreateIndex(ctx, schema.Index{Field: "words", Metric: "BM25"}))
	require.NoError(b, c.WaitIndexed(ctx))
	bench("index")
}
