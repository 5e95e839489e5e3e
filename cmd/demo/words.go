package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/selkiedb/selkie/cmd/demo/data"
	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
)

const (
	wordBatch = 20 // words of one insert
	redraw    = 30 * time.Millisecond
)

// probes are the words whose neighbours are shown.
var probes = []string{"king", "paris", "piano", "river", "monday"}

func wordSchema(name string, dim int) *schema.Schema {
	return schema.New(name).With(
		schema.Int64("id").PrimaryKey(),
		schema.VarChar("word", 64),
		schema.FloatVector("vector", dim),
	)
}

// rowBytes is about what a word takes in a segment.
func rowBytes(w *data.Words) int { return 4*w.Dim + 8 + 12 }

// insertWords inserts the words of rows [lo, hi) in one call. Row i has the
// word and the vector of i modulo the number of words.
func insertWords(ctx context.Context, part *engine.Partition, w *data.Words, lo, hi int) error {
	var (
		ids     []int64
		texts   []string
		vectors []float32
	)
	for i := lo; i < hi; i++ {
		word := i % len(w.Text)
		ids = append(ids, int64(i))
		texts = append(texts, w.Text[word])
		vectors = append(vectors, w.Vector(word)...)
	}
	_, err := part.Insert(ctx,
		column.Int64("id", ids),
		column.VarChar("word", texts),
		column.FloatVectorFlat("vector", w.Dim, vectors),
	)
	return err
}

// wordsChapter inserts words and lets the segments seal by themselves.
func wordsChapter(ctx context.Context, s *screen, eng *engine.Engine, w *data.Words, rows int, sealBytes int64) error {
	s.heading(2, fmt.Sprintf("%d words of %d dimensions", rows, w.Dim))
	coll, err := eng.CreateCollection(ctx, wordSchema("words", w.Dim))
	if err != nil {
		return err
	}
	if err := coll.CreateIndex(ctx, schema.Index{Field: "vector", Metric: "COSINE"}); err != nil {
		return err
	}
	part, err := coll.CreatePartition(ctx, "english")
	if err != nil {
		return err
	}

	start := time.Now()
	if err := insertAll(ctx, s, part, w, rows, sealBytes); err != nil {
		return err
	}
	took := time.Since(start)
	s.frame("") // the rest goes below plain lines
	s.printf("%s", strings.TrimSuffix(drawSegments(s, part.Segments(), sealBytes), "\n"))
	s.printf("inserted %d words in %.2f s, %d at a time, each call durable when it returned", rows, took.Seconds(), wordBatch)
	s.printf("segments sealed by themselves hold %d of them", part.NumEntities())

	receipt, err := part.Flush(ctx)
	if err != nil {
		return err
	}
	s.printf("flushed the last %d in %v: NumEntities -> %d", receipt.Rows, receipt.Duration.Round(10*time.Microsecond), part.NumEntities())
	if n := part.NumEntities(); n != int64(rows) {
		return fmt.Errorf("NumEntities is %d after the flush, want %d", n, rows)
	}
	start = time.Now()
	if err := coll.WaitIndexed(ctx); err != nil {
		return err
	}
	s.printf("%d segments indexed in the background, %v after the flush", part.Stats().Indexed, time.Since(start).Round(time.Millisecond))
	if err := showNeighbours(ctx, s, part, w, rows); err != nil {
		return err
	}
	return showSpeed(ctx, s, part, w, rows)
}

// showSpeed searches for words by the index, and by comparing all of them.
func showSpeed(ctx context.Context, s *screen, part *engine.Partition, w *data.Words, rows int) error {
	const k = 10
	measure := func(searches int, choose func(*query.Search) *query.Search) ([][]engine.Hit, time.Duration, error) {
		found := make([][]engine.Hit, searches)
		start := time.Now()
		for i := range found {
			hits, err := part.Search(ctx, choose(query.Nearest("vector", w.Vector(i%min(rows, len(w.Text)))).Limit(k)))
			if err != nil {
				return nil, 0, err
			}
			found[i] = hits
		}
		return found, time.Since(start) / time.Duration(searches), nil
	}
	exact, slow, err := measure(200, (*query.Search).Exact)
	if err != nil {
		return err
	}
	indexed, fast, err := measure(2000, func(q *query.Search) *query.Search { return q })
	if err != nil {
		return err
	}
	same, all := 0, 0
	for i, hits := range exact {
		all += len(hits)
		for _, h := range hits {
			if slices.ContainsFunc(indexed[i], func(x engine.Hit) bool { return x.Key == h.Key }) {
				same++
			}
		}
	}
	s.printf("a search takes %v by the index, %v by comparing all; of %d nearest words the index found %d", fast.Round(time.Microsecond),
		slow.Round(time.Microsecond), all, same)
	return nil
}

// insertAll draws the segments as they grow and seal.
func insertAll(ctx context.Context, s *screen, part *engine.Partition, w *data.Words, rows int, sealBytes int64) error {
	progress := progressbar.NewOptions(rows,
		progressbar.OptionSetVisibility(s.live),
		progressbar.OptionSetWriter(&strings.Builder{}), // drawn by frame, below the segments
		progressbar.OptionSetWidth(barWidth),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionSetItsString("words"),
	)
	var last time.Time
	for lo := 0; lo < rows; lo += wordBatch {
		hi := min(lo+wordBatch, rows)
		if err := insertWords(ctx, part, w, lo, hi); err != nil {
			return err
		}
		if err := progress.Set(hi); err != nil {
			return err
		}
		if now := time.Now(); s.live && now.Sub(last) >= redraw {
			last = now
			s.frame(drawSegments(s, part.Segments(), sealBytes) + strings.Trim(progress.String(), "\r\n") + "\n")
		}
	}
	return nil
}

// showNeighbours shows the words nearest to a few, and holds them against a
// look at all the words.
func showNeighbours(ctx context.Context, s *screen, part *engine.Partition, w *data.Words, rows int) error {
	const k = 6
	same, all := 0, 0
	for _, probe := range probes {
		i := slices.Index(w.Text[:rows], probe)
		if i < 0 {
			continue
		}
		hits, err := part.Search(ctx, query.Nearest("vector", w.Vector(i)).Limit(k).Output("word"))
		if err != nil {
			return err
		}
		want := nearestWords(w, i, rows, k)
		var line []string
		for _, hit := range hits {
			word := hit.Row.String("word")
			line = append(line, fmt.Sprintf("%s %.2f", word, hit.Score))
			if slices.Contains(want, word) {
				same++
			}
		}
		all += len(want)
		s.printf("  %-8s %s", probe, strings.Join(line[1:], ", "))
	}
	if all == 0 {
		return nil
	}
	s.printf("%d of %d neighbours are those of an exact look at all words", same, all)
	if same*10 < all*9 {
		return fmt.Errorf("only %d of %d neighbours are the nearest ones", same, all)
	}
	return nil
}

// nearestWords returns the k words of the first rows that are nearest to word i
// by cosine, itself among them.
func nearestWords(w *data.Words, i, rows, k int) []string {
	order := make([]int, rows)
	score := make([]float64, rows)
	for j := range order {
		order[j], score[j] = j, cosine(w.Vector(i), w.Vector(j))
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(score[b], score[a]) })
	var words []string
	for _, j := range order[:min(k, rows)] {
		words = append(words, w.Text[j])
	}
	return words
}

func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i := range a {
		ab += float64(a[i]) * float64(b[i])
		aa += float64(a[i]) * float64(a[i])
		bb += float64(b[i]) * float64(b[i])
	}
	return ab / math.Sqrt(aa*bb)
}
