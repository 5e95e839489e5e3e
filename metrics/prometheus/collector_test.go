package prometheus_test

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	prom "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	selkieprom "github.com/selkiedb/selkie/metrics/prometheus"
	"github.com/selkiedb/selkie/schema"
)

type fixed engine.Metrics

func (f fixed) Metrics() engine.Metrics { return engine.Metrics(f) }

// TestNames: the linter of Prometheus has nothing to say, and every figure is there.
func TestNames(t *testing.T) {
	c := selkieprom.NewCollector(fixed{}, nil)
	problems, err := testutil.CollectAndLint(c)
	require.NoError(t, err)
	require.Empty(t, problems)
	fields := 0
	var count func(t reflect.Type)
	count = func(t reflect.Type) {
		if t.Kind() != reflect.Struct {
			fields++
			return
		}
		for i := range t.NumField() {
			count(t.Field(i).Type)
		}
	}
	count(reflect.TypeFor[engine.Metrics]())
	require.Equal(t, fields, testutil.CollectAndCount(c), "a figure of engine.Metrics is no number")
}

func TestValues(t *testing.T) {
	m := fixed{InsertedRows: 7, GrowingBytes: 1 << 20, OldestSnapshot: 1500 * time.Millisecond, VisibleLSN: 12}
	m.Segments.Sealed = 5
	c := selkieprom.NewCollector(m, map[string]string{"store": "words"})
	require.NoError(t, testutil.CollectAndCompare(c, strings.NewReader(`
# HELP selkie_growing_bytes Memory of growing and sealing segments.
# TYPE selkie_growing_bytes gauge
selkie_growing_bytes{store="words"} 1.048576e+06
# HELP selkie_inserted_rows_total Rows inserted.
# TYPE selkie_inserted_rows_total counter
selkie_inserted_rows_total{store="words"} 7
# HELP selkie_oldest_snapshot_seconds Age of the oldest open snapshot.
# TYPE selkie_oldest_snapshot_seconds gauge
selkie_oldest_snapshot_seconds{store="words"} 1.5
# HELP selkie_sealed_rows Live rows in sealed segments.
# TYPE selkie_sealed_rows gauge
selkie_sealed_rows{store="words"} 5
# HELP selkie_visible_lsn Newest place in the commit order that readers see.
# TYPE selkie_visible_lsn gauge
selkie_visible_lsn{store="words"} 12
`), "selkie_growing_bytes", "selkie_inserted_rows_total", "selkie_oldest_snapshot_seconds", "selkie_sealed_rows", "selkie_visible_lsn"))
}

// TestEngine: two stores beside each other in one registry.
func TestEngine(t *testing.T) {
	ctx := context.Background()
	reg := prom.NewPedanticRegistry()
	for _, name := range []string{"a", "b"} {
		eng, err := engine.Open("db", &engine.Options{FS: vfs.NewMem()})
		require.NoError(t, err)
		defer func() { require.NoError(t, eng.Close()) }()
		require.NoError(t, reg.Register(selkieprom.NewCollector(eng, map[string]string{"store": name})))
		coll, err := eng.CreateCollection(ctx, schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", 2)))
		require.NoError(t, err)
		_, err = coll.Insert(ctx, column.Int64("id", []int64{1, 2, 3}), column.FloatVectorFlat("v", 2, make([]float32, 6)))
		require.NoError(t, err)
		_, err = coll.Flush(ctx)
		require.NoError(t, err)
	}
	n, err := testutil.GatherAndCount(reg, "selkie_sealed_rows")
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP selkie_flushed_rows_total Rows that flushes wrote.
# TYPE selkie_flushed_rows_total counter
selkie_flushed_rows_total{store="a"} 3
selkie_flushed_rows_total{store="b"} 3
`), "selkie_flushed_rows_total"))
}
