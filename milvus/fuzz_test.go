package milvus_test

import (
	"cmp"
	"context"
	"flag"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/milvus"
)

var seed = flag.Uint64("seed", 0, "what is drawn at random; 0: anew")

// target is a server with a collection of every type, and requests that are right.
type target struct {
	*milvus.Server
	create *milvuspb.CreateCollectionRequest
	rows   *milvuspb.InsertRequest
	seeds  []proto.Message
}

func newTarget(t testing.TB) *target {
	eng, err := engine.Open("data", &engine.Options{FS: vfs.NewMem(), Sync: engine.SyncNone})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, eng.Close()) })
	x := &target{}
	x.Server, err = milvus.New(eng, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, x.Close()) })
	s, data := everyType()
	x.create = &milvuspb.CreateCollectionRequest{CollectionName: "all", Schema: marshal(t, s)}
	x.rows = &milvuspb.InsertRequest{CollectionName: "all", NumRows: 2, FieldsData: data}
	x.renew(t)
	search := func(params ...string) *milvuspb.SearchRequest {
		r := nearest(t, "all", kv(append(params, "anns_field", "fv", "topk", "3")...), floats(1, 2))
		r.Dsl, r.OutputFields = "id > 0", []string{"*"}
		return r
	}
	scored := search()
	scored.FunctionScore = &schemapb.FunctionScore{Functions: []*schemapb.FunctionSchema{
		function("", "reranker", "boost", "filter", "id > 0", "weight", "2"),
	}}
	x.seeds = []proto.Message{
		search("params", `{"ef": 10, "radius": 9, "range_filter": 0.5}`), search("group_by_field", "int8", "group_size", "2"),
		search("iterator", "True", "search_iter_v2", "True", "search_iter_batch_size", "2"), scored,
		&milvuspb.HybridSearchRequest{CollectionName: "all", RankParams: kv("limit", "3", "strategy", "weighted", "params", `{"weights": [0.5, 1]}`), Requests: []*milvuspb.SearchRequest{search(), search()}},
		&milvuspb.QueryRequest{CollectionName: "all", Expr: `id in [1, 2] and text like "a%" or json["k"] == 1`, OutputFields: []string{"*"}, QueryParams: kv("limit", "3", "order_by_fields", "id:desc")},
		&milvuspb.QueryRequest{CollectionName: "all", Expr: "id > {x}", ExprTemplateValues: map[string]*schemapb.TemplateValue{"x": {Val: &schemapb.TemplateValue_Int64Val{Int64Val: 1}}}, QueryParams: kv("limit", "3", "iterator", "True")},
		x.rows, &milvuspb.UpsertRequest{CollectionName: "all", NumRows: 2, FieldsData: data},
		&milvuspb.UpsertRequest{CollectionName: "all", NumRows: 2, PartialUpdate: true, FieldsData: data[:3]},
		&milvuspb.DeleteRequest{CollectionName: "all", Expr: "id in [1]"},
		&milvuspb.RunAnalyzerRequest{AnalyzerParams: `{"type": "english"}`, Placeholder: [][]byte{[]byte("two lions")}},
		&milvuspb.AlterCollectionRequest{CollectionName: "all", Properties: kv("a", "b")},
		&milvuspb.AddCollectionFieldRequest{CollectionName: "all", Schema: marshal(t, &schemapb.FieldSchema{Name: "x", DataType: schemapb.DataType_Int64, Nullable: true})},
		&milvuspb.AlterCollectionFieldRequest{CollectionName: "all", FieldName: "text", Properties: kv("max_length", "10")},
		&milvuspb.CreateIndexRequest{CollectionName: "all", FieldName: "fv", ExtraParams: kv("index_type", "HNSW", "params", `{"M": 4}`)},
		&milvuspb.CreateCollectionRequest{CollectionName: "x", Schema: marshal(t, articles(`{"type": "english"}`)), Properties: kv("collection.ttl.seconds", "60")},
	}
	return x
}

// changing are the seeds, at the end, that change what there is besides rows: they take longer.
const changing = 5

// renew makes the collection anew, with two rows.
func (x *target) renew(t testing.TB) {
	t.Helper()
	ctx := context.Background()
	for _, do := range []func() (*commonpb.Status, error){
		func() (*commonpb.Status, error) {
			return x.DropCollection(ctx, &milvuspb.DropCollectionRequest{CollectionName: "all"})
		},
		func() (*commonpb.Status, error) { return x.CreateCollection(ctx, x.create) },
		func() (*commonpb.Status, error) { return answered(x.Insert(ctx, x.rows)) },
	} {
		s, err := do()
		require.NoError(t, err)
		ok(t, s)
	}
}

// call makes a request of bytes, for the handler of a seed. What is no message of the kind is not asked.
func (x *target) call(t testing.TB, seed int, raw []byte) (asked bool) {
	m := x.seeds[seed].ProtoReflect().New().Interface()
	if proto.Unmarshal(raw, m) != nil {
		return false
	}
	ctx := context.Background()
	var a *commonpb.Status
	var err error
	switch r := m.(type) {
	case *milvuspb.CreateCollectionRequest:
		if a, err = x.CreateCollection(ctx, r); a.GetCode() == 0 && r.GetCollectionName() != "all" {
			_, err = x.DropCollection(ctx, &milvuspb.DropCollectionRequest{DbName: r.GetDbName(), CollectionName: r.GetCollectionName()})
		}
	case *milvuspb.InsertRequest:
		a, err = answered(x.Insert(ctx, r))
	case *milvuspb.UpsertRequest:
		a, err = answered(x.Upsert(ctx, r))
	case *milvuspb.DeleteRequest:
		a, err = answered(x.Delete(ctx, r))
	case *milvuspb.SearchRequest:
		a, err = answered(x.Search(ctx, r))
	case *milvuspb.HybridSearchRequest:
		a, err = answered(x.HybridSearch(ctx, r))
	case *milvuspb.QueryRequest:
		a, err = answered(x.Query(ctx, r))
	case *milvuspb.RunAnalyzerRequest:
		a, err = answered(x.RunAnalyzer(ctx, r))
	case *milvuspb.CreateIndexRequest:
		if a, err = x.CreateIndex(ctx, r); a.GetCode() == 0 {
			_, err = x.DropIndex(ctx, &milvuspb.DropIndexRequest{CollectionName: "all"})
		}
	case *milvuspb.AlterCollectionRequest:
		a, err = x.AlterCollection(ctx, r)
	case *milvuspb.AddCollectionFieldRequest:
		a, err = x.AddCollectionField(ctx, r)
	case *milvuspb.AlterCollectionFieldRequest:
		a, err = x.AlterCollectionField(ctx, r)
	}
	if err != nil || a == nil || (a.GetCode() == 0) != (a.GetErrorCode() == commonpb.ErrorCode_Success) {
		require.Failf(t, "a wrong answer", "%T %x: %v, %v", m, raw, a, err)
	}
	return true
}

func answered[A statusOf](a A, err error) (*commonpb.Status, error) { return a.GetStatus(), err }

// No bytes that are a message make a handler panic, and every refusal has both codes.
func FuzzHandlers(f *testing.F) {
	x := newTarget(f)
	for i, m := range x.seeds {
		f.Add(uint8(i), marshal(f, m))
	}
	f.Fuzz(func(t *testing.T, seed uint8, raw []byte) { x.call(t, int(seed)%len(x.seeds), raw) })
}

// The same, in a loop of its own that is quicker than the fuzzer's, which keeps books: right requests are changed in their bytes, a little or a lot.
func TestHandlersBearAnything(t *testing.T) {
	executions := 20_000
	if *long {
		executions = 10_000_000
	}
	drawn := cmp.Or(*seed, rand.Uint64())
	t.Logf("seed %d", drawn)
	draw := rand.New(rand.NewPCG(drawn, 0))
	x := newTarget(t)
	var raws [][]byte
	for _, m := range x.seeds {
		raws = append(raws, marshal(t, m))
	}
	asked := 0
	var last []byte
	which := 0
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("panic by %T %x", x.seeds[which], last)
			panic(p)
		}
	}()
	tries := 0
	for ; asked < executions; tries++ {
		if tries%5000 == 4999 {
			x.renew(t)
		}
		which = draw.IntN(len(raws) - changing)
		if draw.IntN(200) == 0 {
			which = len(raws) - 1 - draw.IntN(changing)
		}
		last = mutate(draw, raws[which], raws)
		if x.call(t, which, last) {
			asked++
		}
	}
	t.Logf("%d requests, and %d that were no messages", asked, tries-asked)
}

// mutate changes a message's bytes in one or two places.
func mutate(draw *rand.Rand, raw []byte, others [][]byte) []byte {
	b := slices.Clone(raw)
	for range 1 + draw.IntN(2) {
		if len(b) == 0 {
			return b
		}
		at := draw.IntN(len(b))
		switch draw.IntN(20) {
		case 0:
			b = b[:at]
		case 1:
			b = slices.Delete(b, at, min(len(b), at+1+draw.IntN(4)))
		case 2:
			b = slices.Insert(b, at, byte(draw.Uint32()))
		case 3: // part of another message
			o := others[draw.IntN(len(others))]
			from := draw.IntN(len(o))
			b = append(b[:at], o[from:]...)
		case 4:
			b[at] = []byte{0, 1, 0x7f, 0x80, 0xff, '{', '[', '"', '-', '9'}[draw.IntN(10)]
		default:
			b[at] ^= 1 << draw.IntN(8)
		}
	}
	return b
}
