package engine_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector"
)

// ledger is the model: what a store must hold. A row is a key and a version; its other values follow from the two.
type ledger struct{ colls map[string]*ledgerColl }

type ledgerColl struct {
	kind  collKind
	parts map[string]*ledgerPart // with a partition key, one without a name
	extra string                 // name of the field that was added; "" for none
}

type ledgerPart struct {
	rows map[int][]ledgerRow // by key
	auto bool                // rows may be sealed without being asked: how many is not known
}

type ledgerRow struct {
	ver    int64
	sealed bool
	extra  int64 // what the added field holds; 0 is null
}

// extraNames are the names that the added field may have.
var extraNames = []string{"extra", "more"}

// extraOf is the name of the added field, "" if there is none.
func extraOf(s *schema.Schema) string {
	for _, name := range extraNames {
		if _, ok := s.Field(name); ok {
			return name
		}
	}
	return ""
}

func extraValue(key int, ver int64) int64 { return 1 + ver*100_000 + int64(key) }

// withExtra adds the column of the added field, if the collection has it.
func withExtra(c *engine.Collection, keys []int, ver int64, cols []*column.Column) []*column.Column {
	name := extraOf(c.Schema())
	if name == "" {
		return cols
	}
	var values []int64
	for _, k := range keys {
		values = append(values, extraValue(k, ver))
	}
	return append(cols, column.Int64(name, values))
}

type collKind int

const (
	plainColl collKind = iota // Int64 key, two shards
	keyedColl                 // partition key over three hidden partitions
	dupColl                   // allows duplicates
	textColl                  // VarChar key
)

const ledgerDim = 4

func (k collKind) schema(name string) *schema.Schema {
	s := schema.New(name)
	if k == textColl {
		s.With(schema.VarChar("id", 64).PrimaryKey())
	} else {
		s.With(schema.Int64("id").PrimaryKey())
	}
	s.With(schema.Int64("ver"), schema.VarChar("note", 200).Nullable(), schema.FloatVector("v", ledgerDim))
	switch k {
	case plainColl:
		s.WithShards(2)
	case keyedColl:
		s.With(schema.Int64("tenant").PartitionKey()).WithPartitions(3)
	case dupColl:
		s.WithDuplicateKeys()
	}
	return s
}

func textKey(key int) string { return fmt.Sprintf("key-%05d", key) }

func (k collKind) keys(keys []int) column.Keys {
	if k == textColl {
		out := make([]string, len(keys))
		for i, n := range keys {
			out[i] = textKey(n)
		}
		return column.StringKeys(out...)
	}
	out := make([]int64, len(keys))
	for i, n := range keys {
		out[i] = int64(n)
	}
	return column.IntKeys(out...)
}

func vectorOf(key int, ver int64) []float32 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d/%d", key, ver)
	rng := rand.New(rand.NewPCG(h.Sum64(), 1))
	v := make([]float32, ledgerDim)
	for i := range v {
		v[i] = rng.Float32()*2 - 1
	}
	return v
}

// noteOf returns the row's text; ok is false for null.
func noteOf(key int, ver int64) (note string, ok bool) {
	return fmt.Sprintf("%d/%d %s", key, ver, strings.Repeat("x", (key*7+int(ver))%40)), (key+int(ver))%3 != 0
}

func tenantOf(key int, ver int64) int64 { return (int64(key) + ver) % 5 }

func (k collKind) columns(keys []int, ver int64) []*column.Column {
	var ids []int64
	var texts, notes []string
	var vers, tenants []int64
	var valid []bool
	var flat []float32
	for _, key := range keys {
		ids = append(ids, int64(key))
		texts = append(texts, textKey(key))
		vers = append(vers, ver)
		tenants = append(tenants, tenantOf(key, ver))
		note, ok := noteOf(key, ver)
		notes, valid = append(notes, note), append(valid, ok)
		flat = append(flat, vectorOf(key, ver)...)
	}
	cols := []*column.Column{
		column.Int64("ver", vers), column.VarChar("note", notes).WithValid(valid), column.FloatVectorFlat("v", ledgerDim, flat),
	}
	if k == textColl {
		cols = append(cols, column.VarChar("id", texts))
	} else {
		cols = append(cols, column.Int64("id", ids))
	}
	if k == keyedColl {
		cols = append(cols, column.Int64("tenant", tenants))
	}
	return cols
}

func newLedger() *ledger { return &ledger{colls: map[string]*ledgerColl{}} }

func (l *ledger) clone() *ledger {
	out := newLedger()
	for name, c := range l.colls {
		cc := &ledgerColl{kind: c.kind, parts: map[string]*ledgerPart{}, extra: c.extra}
		for pn, p := range c.parts {
			pp := &ledgerPart{rows: make(map[int][]ledgerRow, len(p.rows)), auto: p.auto}
			for k, rows := range p.rows {
				pp.rows[k] = slices.Clone(rows)
			}
			cc.parts[pn] = pp
		}
		out.colls[name] = cc
	}
	return out
}

func (p *ledgerPart) count() (all, sealed int64) {
	for _, rows := range p.rows {
		for _, r := range rows {
			all++
			if r.sealed {
				sealed++
			}
		}
	}
	return all, sealed
}

// content describes everything that readers see, the same for equal contents.
func (l *ledger) content() string {
	var b strings.Builder
	for _, cn := range slices.Sorted(maps.Keys(l.colls)) {
		c := l.colls[cn]
		if c.extra != "" {
			fmt.Fprintf(&b, "%s has %s\n", cn, c.extra)
		}
		for _, pn := range slices.Sorted(maps.Keys(c.parts)) {
			fmt.Fprintf(&b, "%s.%s:", cn, pn)
			p := c.parts[pn]
			for _, k := range slices.Sorted(maps.Keys(p.rows)) {
				for _, r := range p.rows[k] {
					fmt.Fprintf(&b, " %d@%d", k, r.ver)
					if r.extra != 0 {
						fmt.Fprintf(&b, "+%d", r.extra)
					}
				}
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

type stepKind string

const (
	createColl stepKind = "create collection"
	createPart stepKind = "create partition"
	insert     stepKind = "insert"
	upsert     stepKind = "upsert"
	remove     stepKind = "delete"
	removeAll  stepKind = "delete in the collection"
	flush      stepKind = "flush"
	flushColl  stepKind = "flush collection"
	renameColl stepKind = "rename collection"
	renamePart stepKind = "rename partition"
	dropPart   stepKind = "drop partition"
	dropColl   stepKind = "drop collection"
	compact    stepKind = "compact collection"
	index      stepKind = "create index"
	unindex    stepKind = "drop index"
	indexVer   stepKind = "create index of scalars"
	addField   stepKind = "add field"
	moveField  stepKind = "rename field"
	dropField  stepKind = "drop field"
	reopen     stepKind = "reopen"
	backUp     stepKind = "back up"
)

// step is one call. Without a partition it goes to the collection.
type step struct {
	kind       stepKind
	coll, part string
	to         string
	collKind   collKind
	keys       []int
	ver        int64
}

func (s step) String() string {
	return fmt.Sprintf("%s %s.%s %s %d keys @%d", s.kind, s.coll, s.part, s.to, len(s.keys), s.ver)
}

func keyRange(from, n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = from + i
	}
	return out
}

var errInapplicable = errors.New("the model refuses the step")

// apply changes the model as the step changes the store. It returns errInapplicable where the store must refuse.
func (l *ledger) apply(s step) error {
	c := l.colls[s.coll]
	if (c == nil) != (s.kind == createColl) && s.kind != reopen && s.kind != backUp {
		return errInapplicable
	}
	var p *ledgerPart
	if c != nil {
		name := s.part
		if name == "" && c.kind != keyedColl {
			name = engine.DefaultPartition
		}
		p = c.parts[name]
	}
	kill := func(in *ledgerPart) {
		for _, k := range s.keys {
			delete(in.rows, k)
		}
	}
	switch s.kind {
	case createColl:
		first := engine.DefaultPartition
		if s.collKind == keyedColl {
			first = ""
		}
		l.colls[s.coll] = &ledgerColl{kind: s.collKind, parts: map[string]*ledgerPart{first: {rows: map[int][]ledgerRow{}}}}
	case createPart:
		if p != nil {
			return errInapplicable
		}
		c.parts[s.part] = &ledgerPart{rows: map[int][]ledgerRow{}}
	case insert, upsert:
		if p == nil {
			return errInapplicable
		}
		if s.kind == upsert {
			for _, x := range c.parts {
				kill(x)
			}
		}
		for _, k := range s.keys {
			if s.kind == insert && c.kind != dupColl && len(p.rows[k]) > 0 {
				return errInapplicable
			}
		}
		for _, k := range s.keys {
			row := ledgerRow{ver: s.ver}
			if c.extra != "" {
				row.extra = extraValue(k, s.ver)
			}
			p.rows[k] = append(p.rows[k], row)
			slices.SortFunc(p.rows[k], func(a, b ledgerRow) int { return int(a.ver - b.ver) })
		}
		p.auto = p.auto || s.to == "auto"
	case remove:
		if p == nil {
			return errInapplicable
		}
		kill(p)
	case removeAll:
		for _, x := range c.parts {
			kill(x)
		}
	case flush, flushColl:
		if s.kind == flush && p == nil {
			return errInapplicable
		}
		for _, x := range c.parts {
			if s.kind == flush && x != p {
				continue
			}
			for _, rows := range x.rows {
				for i := range rows {
					rows[i].sealed = true
				}
			}
		}
	case renameColl:
		if l.colls[s.to] != nil {
			return errInapplicable
		}
		delete(l.colls, s.coll)
		l.colls[s.to] = c
	case renamePart:
		if p == nil || c.parts[s.to] != nil {
			return errInapplicable
		}
		delete(c.parts, s.part)
		c.parts[s.to] = p
	case dropPart:
		if p == nil {
			return errInapplicable
		}
		delete(c.parts, s.part)
	case dropColl:
		delete(l.colls, s.coll)
	case addField, moveField, dropField:
		if (c.extra == "") != (s.kind == addField) {
			return errInapplicable
		}
		if c.extra = s.to; s.kind == moveField {
			break
		}
		for _, x := range c.parts {
			x.auto = true // growing segments are sealed
			for _, rows := range x.rows {
				for i := range rows {
					rows[i].extra = 0
				}
			}
		}
	}
	return nil
}

// session runs steps on an engine.
type session struct {
	eng  *engine.Engine
	dir  string
	opts *engine.Options
}

func (s *session) open() (err error) {
	s.eng, err = engine.Open(s.dir, s.opts)
	return err
}

func (s *session) close() error {
	if s.eng == nil {
		return nil
	}
	eng := s.eng
	s.eng = nil
	return eng.Close()
}

func (s *session) run(ctx context.Context, st step) error {
	switch st.kind {
	case reopen:
		if err := s.close(); err != nil {
			return err
		}
		return s.open()
	case backUp:
		_, err := s.eng.Backup(ctx, io.Discard, engine.BackupOptions{Verify: true})
		return err
	case createColl:
		_, err := s.eng.CreateCollection(ctx, st.collKind.schema(st.coll))
		return err
	case renameColl:
		return s.eng.RenameCollection(ctx, st.coll, st.to)
	case dropColl:
		return s.eng.DropCollection(ctx, st.coll)
	}
	c, err := s.eng.Collection(st.coll)
	if err != nil {
		return err
	}
	switch st.kind {
	case createPart:
		_, err = c.CreatePartition(ctx, st.part)
		return err
	case renamePart:
		return c.RenamePartition(ctx, st.part, st.to)
	case dropPart:
		return c.DropPartition(ctx, st.part)
	case flushColl:
		_, err = c.Flush(ctx)
		return err
	case compact:
		return c.Compact(ctx)
	case addField:
		return c.AddField(ctx, schema.Int64(st.to).Nullable())
	case moveField:
		return c.RenameField(ctx, extraOf(c.Schema()), st.to)
	case dropField:
		return c.DropField(ctx, extraOf(c.Schema()))
	case index:
		return c.CreateIndex(ctx, schema.Index{Field: "v"})
	case unindex:
		return c.DropIndex(ctx, "v")
	case indexVer:
		return c.CreateIndex(ctx, schema.Index{Field: "ver"})
	case removeAll:
		_, err = c.Delete(ctx, kindOf(c).keys(st.keys))
		return err
	}
	kind := kindOf(c)
	if kind == keyedColl {
		switch st.kind {
		case insert:
			_, err = c.Insert(ctx, withExtra(c, st.keys, st.ver, kind.columns(st.keys, st.ver))...)
		case upsert:
			_, err = c.Upsert(ctx, withExtra(c, st.keys, st.ver, kind.columns(st.keys, st.ver))...)
		case remove:
			_, err = c.Delete(ctx, kind.keys(st.keys))
		case flush:
			_, err = c.Flush(ctx)
		}
		return err
	}
	name := st.part
	if name == "" {
		name = engine.DefaultPartition
	}
	p, err := c.Partition(name)
	if err != nil {
		return err
	}
	switch st.kind {
	case insert:
		_, err = p.Insert(ctx, withExtra(c, st.keys, st.ver, kind.columns(st.keys, st.ver))...)
	case upsert:
		_, err = p.Upsert(ctx, withExtra(c, st.keys, st.ver, kind.columns(st.keys, st.ver))...)
	case remove:
		_, err = p.Delete(ctx, kind.keys(st.keys))
	case flush:
		_, err = p.Flush(ctx)
	}
	return err
}

// kindOf tells from a schema which kind of collection it is.
func kindOf(c *engine.Collection) collKind {
	s := c.Schema()
	switch {
	case s.PartitionKey() != nil:
		return keyedColl
	case s.AllowDuplicateKeys:
		return dupColl
	case s.PrimaryKey().Type == schema.TypeVarChar:
		return textColl
	}
	return plainColl
}

// observed is what a store showed.
type observed struct {
	*ledger
	sealed map[string]int64 // NumEntities by collection and partition
}

type reader interface {
	Count(ctx context.Context) (int64, error)
	NumEntities() int64
	Stats() engine.Stats
	Get(ctx context.Context, keys column.Keys, output ...string) (*column.Rows, error)
	Search(ctx context.Context, req *query.Search) ([]engine.Hit, error)
	CountWhere(ctx context.Context, req *query.Select) (int64, error)
}

// store is an engine or a snapshot of it.
type store interface {
	Collections() []string
	Collection(name string) (*engine.Collection, error)
}

// observe reads a store in every way, and checks that the ways agree. An error that the store returned is returned as it is;
// a *wrongError tells of an answer that contradicts itself.
func observe(ctx context.Context, eng store) (*observed, error) {
	o := &observed{ledger: newLedger(), sealed: map[string]int64{}}
	for _, name := range eng.Collections() {
		c, err := eng.Collection(name)
		if err != nil {
			return nil, err
		}
		lc := &ledgerColl{kind: kindOf(c), parts: map[string]*ledgerPart{}, extra: extraOf(c.Schema())}
		o.colls[name] = lc
		if lc.kind == keyedColl {
			if lc.parts[""], err = observePart(ctx, lc.kind, lc.extra, c, c.All(ctx, "*")); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			o.sealed[name+"."] = c.NumEntities()
			continue
		}
		for _, p := range c.Partitions() {
			if lc.parts[p.Name()], err = observePart(ctx, lc.kind, lc.extra, p, p.All(ctx, "*")); err != nil {
				return nil, fmt.Errorf("%s.%s: %w", name, p.Name(), err)
			}
			o.sealed[name+"."+p.Name()] = p.NumEntities()
		}
	}
	return o, nil
}

// wrongError is an answer of the store that is not true.
type wrongError struct{ text string }

func (e *wrongError) Error() string { return "wrong answer: " + e.text }

func wrong(format string, args ...any) error { return &wrongError{fmt.Sprintf(format, args...)} }

func observePart(ctx context.Context, kind collKind, extra string, r reader, all func(func(column.Row, error) bool)) (*ledgerPart, error) {
	p := &ledgerPart{rows: map[int][]ledgerRow{}}
	var keys []int
	n, prev := int64(0), -1
	for row, err := range all {
		if err != nil {
			return nil, err
		}
		key, err := checkRow(kind, row)
		if err != nil {
			return nil, err
		}
		if key < prev || key == prev && kind != dupColl {
			return nil, wrong("key %d after %d", key, prev)
		}
		if prev = key; len(p.rows[key]) == 0 {
			keys = append(keys, key)
		}
		found := ledgerRow{ver: row.Int64("ver")}
		if extra != "" {
			found.extra = row.Int64(extra)
		}
		if extra != "" && (found.extra == 0) != (row.Value(extra) == nil) {
			return nil, wrong("key %d @%d has %v in an added field", key, found.ver, row.Value(extra))
		}
		p.rows[key] = append(p.rows[key], found)
		n++
	}
	for _, rows := range p.rows {
		slices.SortFunc(rows, func(a, b ledgerRow) int { return int(a.ver - b.ver) })
	}
	count, err := r.Count(ctx)
	if err != nil {
		return nil, err
	}
	st := r.Stats()
	if count != n || st.Growing+st.Sealing+st.Sealed != n || r.NumEntities() > n {
		return nil, wrong("%d rows listed, Count says %d, NumEntities %d, Stats %+v", n, count, r.NumEntities(), st)
	}
	if len(keys) == 0 {
		return p, nil
	}
	ver, want := p.rows[keys[0]][0].ver, int64(0)
	for _, rows := range p.rows {
		for _, row := range rows {
			if row.ver <= ver {
				want++
			}
		}
	}
	found, err := r.CountWhere(ctx, query.Where(fmt.Sprintf("ver <= %d", ver)))
	if err != nil {
		return nil, err
	}
	if found != want {
		return nil, wrong("%d rows up to version %d, a filter finds %d", want, ver, found)
	}
	rows, err := r.Get(ctx, kind.keys(keys), "*")
	if err != nil {
		return nil, err
	}
	if int64(rows.Len()) != n {
		return nil, wrong("%d rows listed, %d got by their keys", n, rows.Len())
	}
	for _, row := range rows.All() {
		if _, err := checkRow(kind, row); err != nil {
			return nil, err
		}
	}
	for i := 0; i < len(keys); i += max(1, len(keys)/3) {
		key := keys[i]
		ver := p.rows[key][0].ver
		hits, err := r.Search(ctx, query.Nearest("v", vectorOf(key, ver)).Metric(vector.L2).Limit(2).Output("*"))
		if err != nil {
			return nil, err
		}
		if len(hits) != min(2, int(n)) || hits[0].Score != 0 || hits[0].Row.Int64("ver") != ver {
			return nil, wrong("the row nearest to key %d @%d is not itself: %v", key, ver, hits)
		}
		if got, err := checkRow(kind, hits[0].Row); err != nil || got != key {
			return nil, wrong("the row nearest to key %d is %d: %v", key, got, err)
		}
	}
	return p, nil
}

// checkRow holds a row's values against what its key and version ask for.
func checkRow(kind collKind, row column.Row) (key int, err error) {
	if kind == textColl {
		text, ok := strings.CutPrefix(row.String("id"), "key-")
		if key, err = strconv.Atoi(text); !ok || err != nil {
			return 0, wrong("key %q", row.String("id"))
		}
	} else {
		key = int(row.Int64("id"))
	}
	ver := row.Int64("ver")
	note, ok := noteOf(key, ver)
	if got := row.Value("note"); ok && got != any(note) || !ok && got != nil {
		return 0, wrong("key %d @%d has the note %v", key, ver, got)
	}
	if !slices.Equal(row.FloatVector("v"), vectorOf(key, ver)) {
		return 0, wrong("key %d @%d has the vector %v", key, ver, row.FloatVector("v"))
	}
	if kind == keyedColl && row.Int64("tenant") != tenantOf(key, ver) {
		return 0, wrong("key %d @%d has the tenant %d", key, ver, row.Int64("tenant"))
	}
	return key, nil
}

// match finds the state among those allowed that the store is in.
func (o *observed) match(allowed []*ledger) (*ledger, error) {
	content := o.content()
	var same []*ledger
	for _, l := range allowed {
		if l.content() == content {
			same = append(same, l)
		}
	}
	if len(same) == 0 {
		return nil, wrong("none of the %d states allowed\nfound:\n%soldest allowed:\n%snewest allowed:\n%s", len(allowed), content,
			allowed[0].content(), allowed[len(allowed)-1].content())
	}
	for name, got := range o.sealed {
		coll, part, _ := strings.Cut(name, ".")
		ok := false
		var counts []int64
		for _, l := range same {
			p := l.colls[coll].parts[part]
			all, sealed := p.count()
			counts = append(counts, sealed)
			// A partition key's collection is several partitions, each of which is flushed as a whole, but not all at once.
			ok = ok || got == sealed || (p.auto || len(allowed) > 1 && part == "") && got >= sealed && got <= all
		}
		if !ok {
			return nil, wrong("%s has NumEntities %d, allowed are %v", name, got, counts)
		}
	}
	return same[len(same)-1], nil
}
