package engine_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector"
)

// TestModel runs random calls against an engine and against a map, and compares all that can be read after each. Nothing that was
// acknowledged may be missing, neither after an orderly close nor after a crash that leaves all or nothing of what was not synced.
func TestModel(t *testing.T) {
	steps := 0
	defer func() { figures(t, "%d operations, everything read after each", steps) }()
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t)
		defer m.end()
		t.Repeat(map[string]func(*rapid.T){
			"create partition": m.createPartition,
			"drop partition":   m.dropPartition,
			"insert":           m.insert,
			"insert more":      m.insert,
			"upsert":           m.upsert,
			"delete":           m.delete,
			"flush":            m.flush,
			"flush all":        m.flushAll,
			"reopen":           m.reopen,
			"crash":            m.crash,
			"": func(t *rapid.T) {
				steps++
				m.check(t)
			},
		})
	})
}

// flavour is a kind of collection.
type flavour struct {
	name                               string
	shards                             int
	str, keyed, duplicates, auto, rich bool // rich: null vectors and dynamic keys
}

var flavours = []flavour{
	{name: "plain"},
	{name: "3 shards", shards: 3},
	{name: "string keys", str: true},
	{name: "partition key", keyed: true},
	{name: "partition key, 2 shards, string keys", keyed: true, shards: 2, str: true},
	{name: "duplicates", duplicates: true},
	{name: "duplicates, 3 shards, string keys", duplicates: true, shards: 3, str: true},
	{name: "auto id", auto: true},
	{name: "auto id, 2 shards, string keys", auto: true, shards: 2, str: true},
	{name: "null, default, dynamic", rich: true},
}

func (f flavour) schema() *schema.Schema {
	id := schema.Int64("id")
	if f.str {
		id = schema.VarChar("id", 40)
	}
	id.PrimaryKey()
	if f.auto {
		id.AutoID()
	}
	vec, tenant := schema.FloatVector("v", 3), schema.Int64("tenant")
	if f.rich {
		vec.Nullable()
	}
	s := schema.New("model").With(id, vec, tenant, schema.VarChar("note", 20).Nullable(), schema.Int32("n").Default(7))
	if f.keyed {
		tenant.PartitionKey()
		s.WithPartitions(3)
	}
	if f.duplicates {
		s.WithDuplicateKeys()
	}
	if f.rich {
		s.EnableDynamicField()
	}
	if f.shards > 0 {
		s.WithShards(f.shards)
	}
	return s
}

// modelRow is what a row holds. A nil vector, note or extra is null, or not there.
type modelRow struct {
	key    column.Key
	ver    int // no two rows have the same
	tenant int64
	note   *string
	n      int32
	vec    []float32
	extra  *float64
	sealed bool // a flush said so
}

func (r *modelRow) String() string {
	text := func(p *string) string {
		if p == nil {
			return "null"
		}
		return fmt.Sprintf("%q", *p)
	}
	extra := "none"
	if r.extra != nil {
		extra = fmt.Sprint(*r.extra)
	}
	return fmt.Sprintf("%v: v=%v tenant=%d note=%s n=%d extra=%s", r.key, r.vec, r.tenant, text(r.note), r.n, extra)
}

// machine is an engine and what it should hold.
type machine struct {
	ctx    context.Context
	f      flavour
	opts   engine.Options
	fs     *vfs.MemFS
	eng    *engine.Engine
	coll   *engine.Collection
	parts  map[string][]*modelRow
	ver    int
	newest column.Key // generated
	quiet  string     // the partition that was flushed last, with nothing since; "*" for all
}

func newMachine(t *rapid.T) *machine {
	m := &machine{ctx: context.Background(), f: rapid.SampledFrom(flavours).Draw(t, "flavour"), fs: vfs.NewCrashableMem()}
	m.opts = engine.Options{
		SegmentRows:  int64(rapid.SampledFrom([]int{0, 8}).Draw(t, "SegmentRows")),
		SegmentBytes: int64(rapid.SampledFrom([]int{0, 500}).Draw(t, "SegmentBytes")),
		LogFileBytes: 1 << 14, LogBytes: int64(rapid.SampledFrom([]int{0, 1 << 15}).Draw(t, "LogBytes")), Tick: time.Millisecond, CacheBytes: 1 << 20,
	}
	m.open(t)
	var err error
	m.coll, err = m.eng.CreateCollection(m.ctx, m.f.schema())
	require.NoError(t, err)
	m.parts = map[string][]*modelRow{engine.DefaultPartition: nil}
	return m
}

func (m *machine) open(t *rapid.T) {
	o := m.opts
	o.FS = m.fs
	var err error
	m.eng, err = engine.Open("db", &o)
	require.NoError(t, err)
}

func (m *machine) end() {
	if m.eng != nil {
		_ = m.eng.Close()
	}
}

// part draws a partition; nil stands for the collection, which writes to the default one or by the partition key.
func (m *machine) part(t *rapid.T) (string, *engine.Partition) {
	if m.f.keyed || rapid.IntRange(0, 3).Draw(t, "by collection") == 0 {
		return engine.DefaultPartition, nil
	}
	name := rapid.SampledFrom(slices.Sorted(maps.Keys(m.parts))).Draw(t, "partition")
	p, err := m.coll.Partition(name)
	require.NoError(t, err)
	return name, p
}

func (m *machine) createPartition(t *rapid.T) {
	name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name")
	_, err := m.coll.CreatePartition(m.ctx, name)
	_, exists := m.parts[name]
	switch {
	case m.f.keyed:
		require.ErrorIs(t, err, engine.ErrInvalid)
	case exists:
		require.ErrorIs(t, err, engine.ErrExists)
	default:
		require.NoError(t, err)
		m.parts[name] = nil
	}
}

func (m *machine) dropPartition(t *rapid.T) {
	name := rapid.SampledFrom([]string{"a", "b", "c", engine.DefaultPartition}).Draw(t, "name")
	err := m.coll.DropPartition(m.ctx, name)
	_, exists := m.parts[name]
	switch {
	case m.f.keyed || name == engine.DefaultPartition:
		require.ErrorIs(t, err, engine.ErrInvalid)
	case !exists:
		require.ErrorIs(t, err, engine.ErrNotFound)
	default:
		require.NoError(t, err)
		delete(m.parts, name)
	}
}

func (m *machine) key(i int) column.Key {
	if m.f.str {
		return column.Key{Str: strings.Repeat("k", i%3) + fmt.Sprint(i), IsStr: true}
	}
	return column.Key{Int: int64(i) - 10}
}

func modelKeys(keys []column.Key) column.Keys {
	if len(keys) == 0 || !keys[0].IsStr {
		ints := make([]int64, len(keys))
		for i, k := range keys {
			ints[i] = k.Int
		}
		return column.IntKeys(ints...)
	}
	strs := make([]string, len(keys))
	for i, k := range keys {
		strs[i] = k.Str
	}
	return column.StringKeys(strs...)
}

func (m *machine) live() (all []*modelRow) {
	for _, name := range slices.Sorted(maps.Keys(m.parts)) {
		all = append(all, m.parts[name]...)
	}
	return all
}

// drawKey draws a key from few, so that calls often meet; with generated keys one of those that were there lately.
func (m *machine) drawKey(t *rapid.T) column.Key {
	if live := m.live(); m.f.auto && len(live) > 0 && rapid.IntRange(0, 4).Draw(t, "existing") > 0 {
		return live[rapid.IntRange(0, len(live)-1).Draw(t, "row")].key
	}
	return m.key(rapid.IntRange(0, 39).Draw(t, "key"))
}

func (m *machine) drawRows(t *rapid.T) []*modelRow {
	rows := make([]*modelRow, rapid.IntRange(1, 9).Draw(t, "rows"))
	for i := range rows {
		m.ver++
		r := &modelRow{key: m.drawKey(t), ver: m.ver, n: 7, tenant: rapid.Int64Range(0, 4).Draw(t, "tenant"), vec: []float32{float32(m.ver % 31), float32(m.ver / 31), 1}}
		if s := rapid.SampledFrom([]string{"", "x", "über", "null"}).Draw(t, "note"); s != "null" {
			r.note = &s
		}
		if v := rapid.Int32Range(5, 9).Draw(t, "n"); v != 5 {
			r.n = v // 5 stands for none: the default
		}
		if m.f.rich && rapid.IntRange(0, 4).Draw(t, "null vector") == 0 {
			r.vec = nil
		}
		if m.f.rich && rapid.Bool().Draw(t, "extra") {
			x := float64(m.ver) / 2
			r.extra = &x
		}
		rows[i] = r
	}
	return rows
}

// write gives the rows to the engine, as maps or as columns.
func (m *machine) write(t *rapid.T, p *engine.Partition, rows []*modelRow, upsert bool) (engine.WriteResult, error) {
	if m.f.rich || rapid.Bool().Draw(t, "as maps") {
		list := make([]map[string]any, len(rows))
		for i, r := range rows {
			list[i] = map[string]any{"tenant": r.tenant}
			if !m.f.auto || upsert {
				list[i]["id"] = r.key.Int
				if r.key.IsStr {
					list[i]["id"] = r.key.Str
				}
			}
			if r.vec != nil {
				list[i]["v"] = r.vec
			}
			if r.note != nil {
				list[i]["note"] = *r.note
			}
			if r.n != 7 {
				list[i]["n"] = r.n
			}
			if r.extra != nil {
				list[i]["extra"] = *r.extra
			}
		}
		switch {
		case p == nil && upsert:
			return m.coll.UpsertRows(m.ctx, list)
		case p == nil:
			return m.coll.InsertRows(m.ctx, list)
		case upsert:
			return p.UpsertRows(m.ctx, list)
		}
		return p.InsertRows(m.ctx, list)
	}
	var keys []column.Key
	var vecs [][]float32
	var tenants []int64
	var notes []string
	var ns []int32
	var hasNote, hasN []bool
	for _, r := range rows {
		keys, vecs, tenants, ns = append(keys, r.key), append(vecs, r.vec), append(tenants, r.tenant), append(ns, r.n)
		hasNote, hasN = append(hasNote, r.note != nil), append(hasN, r.n != 7)
		if r.note == nil {
			notes = append(notes, "does not matter")
		} else {
			notes = append(notes, *r.note)
		}
	}
	cols := []*column.Column{
		column.FloatVector("v", 3, vecs), column.Int64("tenant", tenants), column.VarChar("note", notes).WithValid(hasNote),
		column.Int32("n", ns).WithValid(hasN),
	}
	if !m.f.auto || upsert {
		id, _ := m.coll.Schema().Field("id")
		cols = append(cols, column.FromData(id, modelKeys(keys).Data()))
	}
	switch {
	case p == nil && upsert:
		return m.coll.Upsert(m.ctx, cols...)
	case p == nil:
		return m.coll.Insert(m.ctx, cols...)
	case upsert:
		return p.Upsert(m.ctx, cols...)
	}
	return p.Insert(m.ctx, cols...)
}

func repeats(rows []*modelRow) bool {
	seen := map[column.Key]bool{}
	for _, r := range rows {
		if seen[r.key] {
			return true
		}
		seen[r.key] = true
	}
	return false
}

func (m *machine) insert(t *rapid.T) {
	m.quiet = ""
	name, p := m.part(t)
	rows := m.drawRows(t)
	res, err := m.write(t, p, rows, false)
	var held []column.Key // rows of the call whose key is there already
	for _, r := range rows {
		if slices.ContainsFunc(m.parts[name], func(have *modelRow) bool { return have.key == r.key }) {
			held = append(held, r.key)
		}
	}
	switch {
	case m.f.auto:
		require.NoError(t, err)
		for i, r := range rows {
			r.key = res.Keys.At(i)
			require.Negative(t, cmpGenerated(m.newest, r.key), "generated keys ascend")
			m.newest = r.key
		}
	case !m.f.duplicates && (repeats(rows) || len(held) > 0):
		var dup *engine.DuplicateKeyError
		require.ErrorIs(t, err, engine.ErrDuplicateKey)
		require.ErrorAs(t, err, &dup)
		require.Equal(t, repeats(rows), dup.Twice)
		if !dup.Twice {
			require.Equal(t, len(held), dup.Total)
			require.Equal(t, held, dup.Keys, "in the order of the rows")
		}
		return
	default:
		require.NoError(t, err)
	}
	require.Equal(t, [3]int{len(rows), 0, len(rows)}, [3]int{res.Inserted, res.Deleted, res.Keys.Len()})
	m.parts[name] = append(m.parts[name], rows...)
}

// cmpGenerated compares generated keys; strings hold decimal numbers.
func cmpGenerated(a, b column.Key) int {
	if !b.IsStr {
		return a.Compare(b)
	}
	return cmp.Or(cmp.Compare(len(a.Str), len(b.Str)), strings.Compare(a.Str, b.Str))
}

func (m *machine) remove(keys []column.Key, from ...string) (n int) {
	for _, name := range from {
		before := len(m.parts[name])
		m.parts[name] = slices.DeleteFunc(m.parts[name], func(r *modelRow) bool { return slices.Contains(keys, r.key) })
		n += before - len(m.parts[name])
	}
	return n
}

func (m *machine) upsert(t *rapid.T) {
	m.quiet = ""
	name, p := m.part(t)
	rows := m.drawRows(t)
	res, err := m.write(t, p, rows, true)
	if repeats(rows) {
		require.ErrorIs(t, err, engine.ErrDuplicateKey)
		return
	}
	require.NoError(t, err)
	var keys []column.Key
	for _, r := range rows {
		keys = append(keys, r.key)
		if m.f.auto && cmpGenerated(m.newest, r.key) < 0 {
			m.newest = r.key
		}
	}
	gone := m.remove(keys, slices.Collect(maps.Keys(m.parts))...)
	require.Equal(t, [3]int{len(rows), gone, len(rows)}, [3]int{res.Inserted, res.Deleted, res.Keys.Len()})
	m.parts[name] = append(m.parts[name], rows...)
}

func (m *machine) delete(t *rapid.T) {
	m.quiet = ""
	name, p := m.part(t)
	keys := make([]column.Key, rapid.IntRange(1, 12).Draw(t, "keys"))
	for i := range keys {
		keys[i] = m.drawKey(t)
	}
	keys = append(keys, keys[0]) // twice
	var res engine.WriteResult
	var err error
	want := 0
	if p == nil {
		res, err = m.coll.Delete(m.ctx, modelKeys(keys))
		want = m.remove(keys, slices.Collect(maps.Keys(m.parts))...)
	} else {
		res, err = p.Delete(m.ctx, modelKeys(keys))
		want = m.remove(keys, name)
	}
	require.NoError(t, err)
	require.Equal(t, [2]int{0, want}, [2]int{res.Inserted, res.Deleted})
}

func (m *machine) flush(t *rapid.T) {
	if m.f.keyed {
		m.flushAll(t)
		return
	}
	name, p := m.part(t)
	if p == nil {
		p, _ = m.coll.Partition(name)
	}
	_, err := p.Flush(m.ctx)
	require.NoError(t, err)
	m.quiet = name
	for _, r := range m.parts[name] {
		r.sealed = true
	}
}

func (m *machine) flushAll(t *rapid.T) {
	_, err := m.coll.Flush(m.ctx)
	require.NoError(t, err)
	m.quiet = "*"
	for _, r := range m.live() {
		r.sealed = true
	}
}

func (m *machine) reopen(t *rapid.T) {
	require.NoError(t, m.eng.Close())
	m.again(t)
}

func (m *machine) crash(t *rapid.T) {
	percent := rapid.SampledFrom([]int{0, 100}).Draw(t, "unsynced percent that is kept")
	clone := m.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(1, 1))})
	require.NoError(t, m.eng.Close())
	m.fs = clone
	m.again(t)
}

func (m *machine) again(t *rapid.T) {
	m.open(t)
	var err error
	m.coll, err = m.eng.Collection("model")
	require.NoError(t, err)
	require.True(t, m.f.schema().Equal(m.coll.Schema()))
}

// modelReader is what a partition and a collection have in common.
type modelReader interface {
	Count(ctx context.Context) (int64, error)
	NumEntities() int64
	Stats() engine.Stats
	Segments() []engine.SegmentInfo
	Get(ctx context.Context, keys column.Keys, output ...string) (*column.Rows, error)
	SearchMany(ctx context.Context, req *query.Search) ([][]engine.Hit, error)
}

func (m *machine) check(t *rapid.T) {
	var names []string
	for _, p := range m.coll.Partitions() {
		names = append(names, p.Name())
	}
	if !m.f.keyed {
		require.ElementsMatch(t, slices.Collect(maps.Keys(m.parts)), names)
		name := rapid.SampledFrom(slices.Sorted(maps.Keys(m.parts))).Draw(t, "look at")
		p, err := m.coll.Partition(name)
		require.NoError(t, err)
		m.checkReader(t, p, m.parts[name], m.quiet == "*" || m.quiet == name)
		m.checkAll(t, m.parts[name], func(yield func(column.Row, error) bool) { p.All(m.ctx, "*")(yield) })
	}
	m.checkReader(t, m.coll, m.live(), m.quiet == "*")
	m.checkAll(t, m.live(), func(yield func(column.Row, error) bool) { m.coll.All(m.ctx, "*")(yield) })
}

func (m *machine) checkReader(t *rapid.T, r modelReader, want []*modelRow, flushed bool) {
	n, err := r.Count(m.ctx)
	require.NoError(t, err)
	require.EqualValues(t, len(want), n)
	atLeast := int64(0)
	for _, row := range want {
		if row.sealed {
			atLeast++
		}
	}
	sealed := r.NumEntities()
	require.GreaterOrEqual(t, sealed, atLeast, "what a flush sealed stays sealed")
	require.LessOrEqual(t, sealed, n)
	if flushed {
		require.Equal(t, n, sealed)
	}
	st := r.Stats()
	require.Equal(t, n, st.Growing+st.Sealing+st.Sealed)
	require.Equal(t, n, st.Physical-st.Deleted)
	var live, physical int64
	for _, s := range r.Segments() {
		require.LessOrEqual(t, s.Live, s.Rows)
		live, physical = live+s.Live, physical+s.Rows
	}
	require.Equal(t, n, live)
	require.GreaterOrEqual(t, physical, n)
	m.checkGet(t, r, want)
	m.checkSearch(t, r, want)
}

// rowText gives a row in the words of the model.
func (m *machine) rowText(row column.Row) (column.Key, string) {
	r := modelRow{tenant: row.Int64("tenant"), n: int32(row.Int64("n")), vec: row.FloatVector("v")}
	if r.key = (column.Key{Int: row.Int64("id")}); m.f.str {
		r.key = column.Key{Str: row.String("id"), IsStr: true}
	}
	if s, ok := row.Value("note").(string); ok {
		r.note = &s
	}
	switch x := row.Value("extra").(type) {
	case float64:
		r.extra = &x
	case int64:
		f := float64(x)
		r.extra = &f
	}
	return r.key, r.String()
}

func sortedTexts(rows []*modelRow) []string {
	rows = slices.Clone(rows)
	slices.SortFunc(rows, func(a, b *modelRow) int { return cmp.Or(a.key.Compare(b.key), strings.Compare(a.String(), b.String())) })
	out := make([]string, len(rows))
	for i, r := range rows {
		out[i] = r.String()
	}
	return out
}

// inOrder checks that keys ascend, and puts the rows of equal keys in the order of their texts.
func inOrder(t *rapid.T, keys []column.Key, texts []string) []string {
	require.True(t, slices.IsSortedFunc(keys, column.Key.Compare), "keys ascend: %v", keys)
	for from := 0; from < len(keys); {
		to := from + 1
		for to < len(keys) && keys[to] == keys[from] {
			to++
		}
		slices.Sort(texts[from:to])
		from = to
	}
	return texts
}

func (m *machine) checkGet(t *rapid.T, r modelReader, want []*modelRow) {
	var ask []column.Key
	for range 5 {
		ask = append(ask, m.drawKey(t))
	}
	var found []*modelRow
	for _, row := range want {
		if slices.Contains(ask, row.key) {
			found = append(found, row)
		}
	}
	rows, err := r.Get(m.ctx, modelKeys(ask), "*")
	require.NoError(t, err)
	var keys []column.Key
	texts := []string{}
	for _, row := range rows.All() {
		k, s := m.rowText(row)
		keys, texts = append(keys, k), append(texts, s)
	}
	require.Equal(t, sortedTexts(found), inOrder(t, keys, texts))
}

func (m *machine) checkAll(t *rapid.T, want []*modelRow, all func(func(column.Row, error) bool)) {
	var keys []column.Key
	texts := []string{}
	for row, err := range all {
		require.NoError(t, err)
		k, s := m.rowText(row)
		keys, texts = append(keys, k), append(texts, s)
	}
	require.Equal(t, sortedTexts(want), inOrder(t, keys, texts))
}

func (m *machine) checkSearch(t *rapid.T, r modelReader, want []*modelRow) {
	want = slices.DeleteFunc(slices.Clone(want), func(r *modelRow) bool { return r.vec == nil })
	queries := [][]float32{{3.5, 2, 1}}
	for range min(3, len(want)) {
		queries = append(queries, want[rapid.IntRange(0, len(want)-1).Draw(t, "row")].vec)
	}
	limit := rapid.IntRange(1, 6).Draw(t, "limit")
	lists, err := r.SearchMany(m.ctx, query.Nearest("v", queries...).Metric(vector.L2).Limit(limit).Output("v"))
	require.NoError(t, err)
	require.Len(t, lists, len(queries))
	for i, q := range queries {
		dist := func(v []float32) (d float32) { // small numbers: exact
			for j := range v {
				d += (v[j] - q[j]) * (v[j] - q[j])
			}
			return d
		}
		slices.SortFunc(want, func(a, b *modelRow) int { return cmp.Or(cmp.Compare(dist(a.vec), dist(b.vec)), a.key.Compare(b.key)) })
		top := want[:min(limit, len(want))]
		require.Len(t, lists[i], len(top))
		for j, hit := range lists[i] {
			require.Equal(t, dist(top[j].vec), hit.Score)
			require.Equal(t, top[j].key, hit.Key)
			require.Equal(t, hit.Score, dist(hit.Row.FloatVector("v")), "the row that comes with a hit is the one that was found")
		}
	}
}
