package hosted

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/selkiedb/selkie/bench/harness/dataset"
	"github.com/selkiedb/selkie/bench/harness/worker"
	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/text"
	"github.com/selkiedb/selkie/vector"
)

// texts is a store whose rows have a made text beside the set's vector: of wordsOf words each, whose frequencies follow Zipf's law.
type texts struct {
	set  *dataset.Set
	rows int
	eng  *engine.Engine
	part *engine.Partition
}

const (
	wordsOf    = 50
	vocabulary = 50_000
)

func (t *texts) close() error {
	if t == nil {
		return nil
	}
	return t.eng.Close()
}

// withTexts makes the store, sealed and indexed, if it is not that of the set.
func (s *selkie) withTexts(ctx context.Context, rows int) (*texts, error) {
	if s.texts != nil && s.texts.set == s.set && s.texts.rows == rows {
		return s.texts, nil
	}
	if err := s.texts.close(); err != nil {
		return nil, err
	}
	s.texts = nil
	s.stores++
	t := &texts{set: s.set, rows: rows}
	var err error
	if t.eng, err = engine.Open(fmt.Sprintf("%s/texts-%d", s.store, s.stores), &engine.Options{Sync: engine.SyncNone}); err != nil {
		return nil, err
	}
	if err := t.fill(ctx); err != nil {
		t.eng.Close()
		return nil, err
	}
	s.texts = t
	return t, nil
}

func (t *texts) fill(ctx context.Context) error {
	coll, err := t.eng.CreateCollection(ctx, schema.New("texts").With(
		schema.Int64("id").PrimaryKey(), schema.VarChar("body", 1000).Analyze(text.Standard), schema.SparseFloatVector("words"),
		schema.FloatVector("vector", t.set.Dim),
	).WithFunction(schema.BM25("body", "words")))
	if err != nil {
		return err
	}
	if t.part, err = coll.Partition(engine.DefaultPartition); err != nil {
		return err
	}
	zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.1, 8, vocabulary)
	const batch = 5000
	vectors := make([]float32, batch*t.set.Dim)
	for lo := 0; lo < t.rows; lo += batch {
		n := min(batch, t.rows-lo)
		if err := t.set.Read(lo, lo+n, vectors[:n*t.set.Dim]); err != nil {
			return err
		}
		ids, bodies := make([]int64, n), make([]string, n)
		for i := range n {
			words := make([]string, wordsOf)
			for j := range words {
				words[j] = fmt.Sprint("w", zipf.Uint64())
			}
			ids[i], bodies[i] = int64(lo+i), strings.Join(words, " ")
		}
		if _, err := t.part.Insert(ctx, column.Int64("id", ids), column.VarChar("body", bodies), column.FloatVectorFlat("vector", t.set.Dim, vectors[:n*t.set.Dim])); err != nil {
			return err
		}
	}
	if _, err := t.part.Flush(ctx); err != nil {
		return err
	}
	for _, x := range []schema.Index{{Field: "words", Metric: "BM25"}, {Field: "vector", Metric: t.set.Metric.String()}} {
		if err := coll.CreateIndex(ctx, x); err != nil {
			return err
		}
	}
	return coll.WaitIndexed(ctx)
}

// questions are the words that a kind of text search asks for: query i's.
var questions = map[string]func(i int) string{
	"rare":   func(i int) string { return fmt.Sprintf("w%d w%d", 20_000+i, 31_000+i) },
	"common": func(i int) string { return fmt.Sprintf("w%d w%d", 3+i%5, 10+i%7) },
	"mixed":  func(i int) string { return fmt.Sprintf("w%d w%d w%d w%d", i%3, 500+i, 20_000+i, 7+i%5) },
}

// text searches by BM25 for the words of a kind, or by the vector, or by both at once, their ranks fused.
func (s *selkie) text(ctx context.Context, args worker.Args) (worker.Args, error) {
	n, err := numbers(args, "rows", "count")
	if err != nil {
		return nil, err
	}
	ask, by := questions[args["words"]], args["by"]
	if ask == nil && by != "vector" {
		return nil, fmt.Errorf("words %q", args["words"])
	}
	t, err := s.withTexts(ctx, min(n["rows"], s.set.Rows))
	if err != nil {
		return nil, err
	}
	words := func(i int) *query.Search { return query.Nearest("words", ask(i)).Limit(10) }
	near := func(i int) *query.Search {
		return query.Nearest("vector", s.set.Query(i%s.set.Meta.Queries)).Metric(s.set.Metric).Limit(10)
	}
	hits := 0
	out, err := timed(args, n["count"], func(i int) (err error) {
		var found []engine.Hit
		switch by {
		case "text":
			found, err = t.part.Search(ctx, words(i).Metric(vector.BM25))
		case "vector":
			found, err = t.part.Search(ctx, near(i))
		default:
			found, err = t.part.HybridSearch(ctx, query.NewHybrid(words(i), near(i)).RRF(60).Limit(10))
		}
		hits += len(found)
		return err
	})
	if err == nil && hits == 0 {
		err = fmt.Errorf("%d searches found nothing", n["count"])
	}
	return out, err
}
