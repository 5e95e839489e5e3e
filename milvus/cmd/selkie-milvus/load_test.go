package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
)

const (
	loadClients = 64
	loadDim     = 32
	loadBudget  = 64 << 20
	loadRows    = 4000 // of a client, about
)

// Many clients insert, change, delete, search, query, iterate and flush at once. Each knows what its own rows must be, and nothing goes wrong. Then the
// server is told to end while they go on: what it has begun is finished, what it has not is refused as Unavailable, and the store holds what was answered.
func TestManyClients(t *testing.T) {
	length := 3 * time.Second
	if *long {
		length = 10 * time.Minute
	}
	drawn := cmp.Or(*seed, rand.Uint64())
	t.Logf("seed %d", drawn)
	dir := filepath.Join(t.TempDir(), "store")
	served := exec.CommandContext(t.Context(), os.Args[0], "serve", "-addr", "127.0.0.1:0", "-memory", strconv.Itoa(loadBudget), dir)
	served.Env = append(os.Environ(), asCommand+"=1", "GOMEMLIMIT="+strconv.Itoa(loadBudget))
	pipe, err := served.StdoutPipe()
	require.NoError(t, err)
	served.Stderr = os.Stderr
	require.NoError(t, served.Start())
	lines := bufio.NewScanner(pipe)
	require.True(t, lines.Scan())
	addr := lines.Text()[strings.LastIndex(lines.Text(), " at ")+4:]
	var said sync.WaitGroup
	said.Go(func() {
		for lines.Scan() {
			if !strings.Contains(lines.Text(), "level=INFO") {
				t.Log(lines.Text())
			}
		}
	})

	first := dial(t, addr, plain())
	createLoaded(t, first)
	clients := make([]*loadClient, loadClients)
	var running sync.WaitGroup
	var ending atomic.Bool
	for i := range clients {
		clients[i] = &loadClient{
			MilvusServiceClient: dial(t, addr, plain()), n: int64(i), draw: rand.New(rand.NewPCG(drawn, uint64(i))), rows: map[int64]int64{}, doubt: map[int64]bool{}, ending: &ending,
		}
		running.Go(func() { clients[i].run(t.Context()) })
	}
	peak, calls, refused := int64(0), 0, 0
	for end := time.Now().Add(length); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		peak = max(peak, resident(served.Process.Pid))
	}
	ending.Store(true)
	begun := time.Now()
	require.NoError(t, served.Process.Signal(os.Interrupt))
	said.Wait()
	require.NoError(t, served.Wait(), "the server ends well")
	ended := time.Since(begun)
	running.Wait()
	for _, c := range clients {
		require.NoError(t, c.err, "client %d", c.n)
		calls += c.calls
		refused += c.refused
	}
	t.Logf("%d calls of %d clients in %v, %d refused at the end, which took %v; at most %d MiB resident with a budget of %d MiB",
		calls, loadClients, length, refused, ended.Round(time.Millisecond), peak>>20, loadBudget>>20)
	require.GreaterOrEqual(t, refused, 1)
	require.LessOrEqual(t, peak, int64(3*loadBudget), "what the guide says that a process needs")
	checkLoaded(t, dir, clients)
}

// resident is the memory of a process, but for mapped files; 0 where the system does not tell.
func resident(pid int) int64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	var size, all, files int64 // in pages
	if n, _ := fmt.Sscan(string(b), &size, &all, &files); n < 3 {
		return 0
	}
	return (all - files) * int64(os.Getpagesize())
}

func createLoaded(t *testing.T, c milvuspb.MilvusServiceClient) {
	t.Helper()
	typed := func(name string, of schemapb.DataType) *schemapb.FieldSchema {
		return &schemapb.FieldSchema{Name: name, DataType: of}
	}
	s := &schemapb.CollectionSchema{Name: "load", Fields: []*schemapb.FieldSchema{
		typed("id", schemapb.DataType_Int64), typed("owner", schemapb.DataType_Int64), typed("n", schemapb.DataType_Int64), typed("v", schemapb.DataType_FloatVector),
	}}
	s.Fields[0].IsPrimaryKey = true
	s.Fields[3].TypeParams = []*commonpb.KeyValuePair{{Key: "dim", Value: strconv.Itoa(loadDim)}}
	raw, err := proto.Marshal(s)
	require.NoError(t, err)
	for _, do := range []func() (*commonpb.Status, error){
		func() (*commonpb.Status, error) {
			return c.CreateCollection(t.Context(), &milvuspb.CreateCollectionRequest{CollectionName: "load", Schema: raw})
		},
		func() (*commonpb.Status, error) {
			return c.CreateIndex(t.Context(), &milvuspb.CreateIndexRequest{CollectionName: "load", FieldName: "v", ExtraParams: pairs("index_type", "HNSW", "metric_type", "L2")})
		},
		func() (*commonpb.Status, error) {
			return c.LoadCollection(t.Context(), &milvuspb.LoadCollectionRequest{CollectionName: "load"})
		},
	} {
		s, err := do()
		require.NoError(t, err)
		require.Zero(t, s.GetCode(), s.GetReason())
	}
}

func pairs(kv ...string) []*commonpb.KeyValuePair {
	var out []*commonpb.KeyValuePair
	for i := 0; i < len(kv); i += 2 {
		out = append(out, &commonpb.KeyValuePair{Key: kv[i], Value: kv[i+1]})
	}
	return out
}

// loadClient makes calls one after another, and knows what its rows hold.
type loadClient struct {
	milvuspb.MilvusServiceClient
	n      int64
	draw   *rand.Rand
	next   int64
	rows   map[int64]int64 // what field n holds, by key
	doubt  map[int64]bool  // keys of a write that was not answered
	ending *atomic.Bool    // the server may refuse

	calls, refused int
	err            error
}

// run goes on until the server is gone, or something is wrong.
func (c *loadClient) run(ctx context.Context) {
	steps := []struct {
		weight int
		do     func(context.Context) error
	}{
		{20, c.insert},
		{15, c.upsert},
		{15, c.remove},
		{25, c.search},
		{15, c.query},
		{4, c.count},
		{3, c.hybrid},
		{2, c.iterate},
		{1, c.flush},
	}
	for {
		at := c.draw.IntN(100)
		for _, s := range steps {
			if at -= s.weight; at >= 0 {
				continue
			}
			c.calls++
			err := s.do(ctx)
			if err == nil {
				break
			}
			if c.ending.Load() && status.Code(err) == codes.Unavailable {
				c.refused++
				return
			}
			c.err = err
			return
		}
	}
}

// good makes an error of an answer.
func good(s *commonpb.Status, err error) error {
	if err == nil && s.GetCode() != 0 {
		err = fmt.Errorf("code %d: %s", s.GetCode(), s.GetReason())
	}
	return err
}

// columns are rows of some keys, each with a new number.
func (c *loadClient) columns(keys []int64) (fields []*schemapb.FieldData, numbers []int64) {
	owners, v := make([]int64, len(keys)), make([]float32, loadDim*len(keys))
	numbers = make([]int64, len(keys))
	for i := range keys {
		owners[i], numbers[i] = c.n, c.draw.Int64()
	}
	for i := range v {
		v[i] = c.draw.Float32()
	}
	ints := func(name string, values []int64) *schemapb.FieldData {
		return &schemapb.FieldData{FieldName: name, Type: schemapb.DataType_Int64, Field: &schemapb.FieldData_Scalars{
			Scalars: &schemapb.ScalarField{Data: &schemapb.ScalarField_LongData{LongData: &schemapb.LongArray{Data: values}}},
		}}
	}
	return []*schemapb.FieldData{
		ints("id", keys), ints("owner", owners), ints("n", numbers),
		{FieldName: "v", Type: schemapb.DataType_FloatVector, Field: &schemapb.FieldData_Vectors{
			Vectors: &schemapb.VectorField{Dim: loadDim, Data: &schemapb.VectorField_FloatVector{FloatVector: &schemapb.FloatArray{Data: v}}},
		}},
	}, numbers
}

// some draws keys of rows that are there.
func (c *loadClient) some(n int) []int64 {
	keys := slices.Sorted(maps.Keys(c.rows))
	c.draw.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return keys[:min(n, len(keys))]
}

// write carries out a change of some keys; one that is not answered leaves them in doubt.
func (c *loadClient) write(keys []int64, call func() (*milvuspb.MutationResult, error)) error {
	a, err := call()
	if err = good(a.GetStatus(), err); err != nil {
		for _, k := range keys {
			c.doubt[k] = true
		}
	}
	return err
}

func (c *loadClient) insert(ctx context.Context) error {
	if len(c.rows) > loadRows {
		return c.remove(ctx)
	}
	keys := make([]int64, 1+c.draw.IntN(100))
	for i := range keys {
		keys[i] = c.n<<32 + c.next
		c.next++
	}
	fields, numbers := c.columns(keys)
	return c.wrote(keys, numbers, c.write(keys, func() (*milvuspb.MutationResult, error) {
		return c.Insert(ctx, &milvuspb.InsertRequest{CollectionName: "load", NumRows: uint32(len(keys)), FieldsData: fields})
	}))
}

func (c *loadClient) upsert(ctx context.Context) error {
	keys := c.some(20)
	if len(keys) == 0 {
		return nil
	}
	fields, numbers := c.columns(keys)
	return c.wrote(keys, numbers, c.write(keys, func() (*milvuspb.MutationResult, error) {
		return c.Upsert(ctx, &milvuspb.UpsertRequest{CollectionName: "load", NumRows: uint32(len(keys)), FieldsData: fields})
	}))
}

func (c *loadClient) wrote(keys, numbers []int64, err error) error {
	if err != nil {
		return err
	}
	for i, k := range keys {
		c.rows[k] = numbers[i]
	}
	return nil
}

func (c *loadClient) remove(ctx context.Context) error {
	keys := c.some(30)
	if len(keys) == 0 {
		return nil
	}
	err := c.write(keys, func() (*milvuspb.MutationResult, error) {
		return c.Delete(ctx, &milvuspb.DeleteRequest{CollectionName: "load", Expr: "id in " + strings.ReplaceAll(fmt.Sprint(keys), " ", ",")})
	})
	if err == nil {
		for _, k := range keys {
			delete(c.rows, k)
		}
	}
	return err
}

// nearest is a search among the client's own rows.
func (c *loadClient) nearest(topk int, more ...string) (*milvuspb.SearchRequest, error) {
	var v []byte
	for range loadDim {
		v = binary.LittleEndian.AppendUint32(v, math.Float32bits(c.draw.Float32()))
	}
	group, err := proto.Marshal(&commonpb.PlaceholderGroup{Placeholders: []*commonpb.PlaceholderValue{{Tag: "$0", Type: commonpb.PlaceholderType_FloatVector, Values: [][]byte{v}}}})
	return &milvuspb.SearchRequest{
		CollectionName: "load", Dsl: fmt.Sprintf("owner == %d", c.n), DslType: commonpb.DslType_BoolExprV1, Nq: 1, OutputFields: []string{"n"},
		SearchParams: pairs(append([]string{"anns_field", "v", "topk", strconv.Itoa(topk), "metric_type", "L2"}, more...)...),
		SearchInput:  &milvuspb.SearchRequest_PlaceholderGroup{PlaceholderGroup: group},
	}, err
}

// found checks hits: the client's own rows as they are now, and as many as asked for.
func (c *loadClient) found(d *schemapb.SearchResultData, want int) error {
	ids := d.GetIds().GetIntId().GetData()
	if len(ids) != want || len(d.GetFieldsData()) != 1 {
		return fmt.Errorf("%d hits with %d fields, %d hits expected", len(ids), len(d.GetFieldsData()), want)
	}
	for i, n := range d.GetFieldsData()[0].GetScalars().GetLongData().GetData() {
		if have, ok := c.rows[ids[i]]; !ok || have != n {
			return fmt.Errorf("hit %d holds %d, written was %d, %v", ids[i], n, have, ok)
		}
	}
	return nil
}

func (c *loadClient) search(ctx context.Context) error {
	r, err := c.nearest(10)
	if err != nil {
		return err
	}
	a, err := c.Search(ctx, r)
	if err := good(a.GetStatus(), err); err != nil {
		return err
	}
	return c.found(a.GetResults(), min(10, len(c.rows)))
}

func (c *loadClient) hybrid(ctx context.Context) error {
	a, err := c.nearest(5)
	if err != nil {
		return err
	}
	b, err := c.nearest(5)
	if err != nil {
		return err
	}
	got, err := c.HybridSearch(ctx, &milvuspb.HybridSearchRequest{
		CollectionName: "load", Requests: []*milvuspb.SearchRequest{a, b}, OutputFields: []string{"n"}, RankParams: pairs("strategy", "rrf", "limit", "5"),
	})
	if err := good(got.GetStatus(), err); err != nil {
		return err
	}
	return c.found(got.GetResults(), min(5, len(c.rows)))
}

// iterate goes through the nearest rows in three steps.
func (c *loadClient) iterate(ctx context.Context) error {
	r, err := c.nearest(20, "iterator", "True", "search_iter_v2", "True", "search_iter_batch_size", "20")
	if err != nil {
		return err
	}
	params := r.GetSearchParams()
	for step := range 3 {
		a, err := c.Search(ctx, r)
		if err := good(a.GetStatus(), err); err != nil {
			return err
		}
		if err := c.found(a.GetResults(), max(0, min(20, len(c.rows)-20*step))); err != nil {
			return err
		}
		r.SearchParams = append(slices.Clip(params), pairs("search_iter_id", a.GetResults().GetSearchIteratorV2Results().GetToken())...)
	}
	return nil
}

func (c *loadClient) query(ctx context.Context) error {
	keys := c.some(50)
	a, err := c.Query(ctx, &milvuspb.QueryRequest{
		CollectionName: "load", Expr: "id in " + strings.ReplaceAll(fmt.Sprint(keys), " ", ","), OutputFields: []string{"n"},
	})
	if err := good(a.GetStatus(), err); err != nil {
		return err
	}
	ids, numbers := a.GetFieldsData()[0].GetScalars().GetLongData().GetData(), a.GetFieldsData()[1].GetScalars().GetLongData().GetData()
	if len(ids) != len(keys) {
		return fmt.Errorf("%d of %d rows found", len(ids), len(keys))
	}
	for i, id := range ids {
		if c.rows[id] != numbers[i] {
			return fmt.Errorf("row %d holds %d, written was %d", id, numbers[i], c.rows[id])
		}
	}
	return nil
}

func (c *loadClient) count(ctx context.Context) error {
	a, err := c.Query(ctx, &milvuspb.QueryRequest{CollectionName: "load", Expr: fmt.Sprintf("owner == %d", c.n), OutputFields: []string{"count(*)"}})
	if err := good(a.GetStatus(), err); err != nil {
		return err
	}
	if n := a.GetFieldsData()[0].GetScalars().GetLongData().GetData()[0]; n != int64(len(c.rows)) {
		return fmt.Errorf("%d rows, %d expected", n, len(c.rows))
	}
	return nil
}

func (c *loadClient) flush(ctx context.Context) error {
	a, err := c.Flush(ctx, &milvuspb.FlushRequest{CollectionNames: []string{"load"}})
	return good(a.GetStatus(), err)
}

// checkLoaded wants every client's rows in the store, but for those in doubt.
func checkLoaded(t *testing.T, dir string, clients []*loadClient) {
	t.Helper()
	eng, err := engine.Open(dir, &engine.Options{ReadOnly: true})
	require.NoError(t, err)
	defer func() { require.NoError(t, eng.Close()) }()
	coll, err := eng.Collection("load")
	require.NoError(t, err)
	seen := make([]int, len(clients))
	for row, err := range coll.Iterate(t.Context(), query.Where("").Output("owner", "n")) {
		require.NoError(t, err)
		id, c := row.Int64("id"), clients[row.Int64("owner")]
		if c.doubt[id] {
			continue
		}
		n, ok := c.rows[id]
		require.True(t, ok, "row %d was deleted", id)
		require.Equal(t, n, row.Int64("n"))
		seen[c.n]++
	}
	for i, c := range clients {
		want := len(c.rows)
		for id := range c.doubt {
			if _, ok := c.rows[id]; ok {
				want--
			}
		}
		require.Equal(t, want, seen[i], "rows of client %d", i)
	}
}
