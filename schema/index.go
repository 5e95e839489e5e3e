package schema

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// IndexKind names a kind of index, with Milvus's name.
type IndexKind string

// The kinds of index.
const (
	// IndexAuto lets the engine choose: a graph over 8-bit codes for dense vectors, BIN_FLAT for binary ones,
	// SPARSE_INVERTED_INDEX for sparse ones.
	IndexAuto IndexKind = "AUTOINDEX"
	// IndexFlat has every search compare all dense vectors exactly.
	IndexFlat IndexKind = "FLAT"
	// IndexHNSW is a graph over 8-bit codes whose degree and build effort are given: M, 2 to 2,048 (30), and efConstruction, at
	// least 1 (360).
	IndexHNSW IndexKind = "HNSW"
	// IndexHNSWSQ is IndexHNSW with the codes named by sq_type: SQ8 (the default), SQ4U, or SQ6, BF16, FP16, for which 8-bit codes stand in.
	// refine and refine_type are accepted: the best candidates are always scored with the full vectors.
	IndexHNSWSQ IndexKind = "HNSW_SQ"
	// IndexBinFlat has every search compare all binary vectors.
	IndexBinFlat IndexKind = "BIN_FLAT"
	// IndexSparse finds sparse vectors by an inverted index, exactly. inverted_index_algo may be DAAT_MAXSCORE (the default), DAAT_WAND or
	// TAAT_NAIVE: the results are the same.
	IndexSparse IndexKind = "SPARSE_INVERTED_INDEX"

	// IndexInverted finds the rows of a scalar field, or of an array's elements, by value, for filters: comparisons, in, like,
	// array_contains. Of a JSON field, or the dynamic one, json_path names the place that is indexed, as a filter does (meta["a"]["b"]), and
	// json_cast_type the values there: BOOL, DOUBLE, VARCHAR, or ARRAY_ before one of them for the elements of an array. The other kinds of scalar index that Milvus has are accepted where it accepts them, and are made the same way.
	IndexInverted IndexKind = "INVERTED"
	// IndexBitmap is for Bool, integers, VarChar and arrays of them, but not for a primary key.
	IndexBitmap IndexKind = "BITMAP"
	// IndexSort is for numbers and VarChar.
	IndexSort IndexKind = "STL_SORT"
	// IndexTrie is for VarChar.
	IndexTrie IndexKind = "TRIE"
)

// Index defines an index of a field. Params hold the parameters of the kind under Milvus's names.
type Index struct {
	Name   string // default: the field's name
	Field  string
	Kind   IndexKind // default: IndexAuto
	Metric string    // of vectors: L2, IP, COSINE; HAMMING, JACCARD; default: COSINE, for binary vectors HAMMING, for sparse ones IP, for those of a function BM25
	Params map[string]string
}

// Bounds of the parameters of IndexHNSW and IndexHNSWSQ, and their defaults.
const (
	MinM, DefaultM, MaxM  = 2, 30, 2048
	DefaultEfConstruction = 360
)

// kindNames lists the kinds that are there; absentKinds those of Milvus that are not.
var (
	kindNames   = []IndexKind{IndexAuto, IndexFlat, IndexHNSW, IndexHNSWSQ, IndexBinFlat, IndexSparse, IndexInverted, IndexBitmap, IndexSort, IndexTrie}
	absentKinds = []string{
		"IVF_FLAT", "IVF_SQ8", "IVF_PQ", "IVF_RABITQ", "BIN_IVF_FLAT", "HNSW_PQ", "HNSW_PRQ", "SCANN", "DISKANN", "MINHASH_LSH",
		"NGRAM", "RTREE",
	}
)

// Check refuses a definition that does not fit the schema, and returns it with every default filled in: names trimmed, kind and
// metric in capitals, parameters that were left out at their defaults. The kind stays IndexAuto. The error wraps ErrInvalid.
func (x Index) Check(s *Schema) (Index, *Field, error) {
	f, ok := s.Field(strings.TrimSpace(x.Field))
	if !ok {
		return x, nil, Invalid(x.Field, nil, "no such field in collection %q", s.Name)
	}
	x.Field = f.Name
	if x.Name = strings.TrimSpace(x.Name); x.Name == "" {
		x.Name = f.Name
	}
	if err := ValidName("index", x.Name); err != nil {
		return x, nil, err
	}
	var err error
	if x.Kind, err = checkKind(f, x.Kind); err != nil {
		return x, nil, err
	}
	if x.Metric, err = checkMetric(f, s.MadeBy(f.Name), x.Metric); err != nil {
		return x, nil, err
	}
	x.Params, err = checkParams(f, x.Kind, x.Params)
	return x, f, err
}

func checkKind(f *Field, k IndexKind) (IndexKind, error) {
	k = IndexKind(strings.ToUpper(strings.TrimSpace(string(k))))
	switch {
	case k == "":
		k = IndexAuto
	case k == "SPARSE_WAND":
		k = IndexSparse
	case slices.Contains(absentKinds, string(k)):
		return k, Invalid(f.Name, string(k), "this kind of index is not there yet; there are %v", kindNames)
	case !slices.Contains(kindNames, k):
		return k, Invalid(f.Name, string(k), "no such kind of index; there are %v", kindNames)
	}
	if !f.Type.IsVector() {
		return k, checkScalarKind(f, k)
	}
	fits := true
	switch f.Type {
	case TypeBinaryVector:
		fits = k == IndexAuto || k == IndexBinFlat
	case TypeSparseFloatVector:
		fits = k == IndexAuto || k == IndexSparse
	default:
		fits = k != IndexBinFlat && k != IndexSparse && !k.IsScalar()
	}
	if !fits {
		return k, Invalid(f.Name, string(k), "this kind of index does not fit a field of type %v", f.Type)
	}
	return k, nil
}

// IsScalar reports whether the kind is one of scalar fields only.
func (k IndexKind) IsScalar() bool {
	return k == IndexInverted || k == IndexBitmap || k == IndexSort || k == IndexTrie
}

// checkScalarKind refuses a kind that does not fit a field that is no vector, by Milvus's rules.
func checkScalarKind(f *Field, k IndexKind) error {
	t := f.Type
	if t == TypeArray {
		t = f.ElementType
	}
	number := t == TypeInt8 || t == TypeInt16 || t == TypeInt32 || t == TypeInt64 || t == TypeFloat || t == TypeDouble
	float := t == TypeFloat || t == TypeDouble
	fits := number || t == TypeBool || t == TypeVarChar
	if f.Type == TypeJSON {
		fits = k == IndexAuto || k == IndexInverted
	}
	switch k {
	case IndexAuto, IndexInverted:
	case IndexBitmap:
		if f.IsPrimaryKey {
			return Invalid(f.Name, string(k), "this kind of index does not fit a primary key")
		}
		fits = fits && !float
	case IndexSort:
		fits = fits && f.Type != TypeArray && t != TypeBool
	case IndexTrie:
		fits = f.Type == TypeVarChar
	default:
		fits = false
	}
	if !fits {
		return Invalid(f.Name, string(k), "this kind of index does not fit a field of type %v", f.Type)
	}
	return nil
}

// checkMetric returns the metric's name in capitals.
func checkMetric(f *Field, by *Function, m string) (string, error) {
	if !f.Type.IsVector() {
		if m != "" {
			return m, Invalid(f.Name, m, "an index of type %v has no metric", f.Type)
		}
		return "", nil
	}
	fit := []string{"COSINE", "L2", "IP"}
	switch f.Type {
	case TypeBinaryVector:
		fit = []string{"HAMMING", "JACCARD"}
	case TypeSparseFloatVector:
		fit = []string{"IP"}
	}
	if by != nil {
		fit = []string{string(by.Kind)}
	}
	m = strings.ToUpper(strings.TrimSpace(m))
	if m == "" {
		return fit[0], nil
	}
	if !slices.Contains(fit, m) {
		return m, Invalid(f.Name, m, "the metric of an index of type %v must be one of %v", f.Type, fit)
	}
	return m, nil
}

// param is one parameter of a kind: a number in [lo, hi], or one of a list of words.
type param struct {
	name   string
	def    string // "" leaves it out
	lo, hi int
	words  []string
}

// jsonCasts are the values of a JSON field that can be indexed.
var jsonCasts = []string{"BOOL", "DOUBLE", "VARCHAR", "ARRAY_BOOL", "ARRAY_DOUBLE", "ARRAY_VARCHAR"}

const maxInt32 = 1<<31 - 1

var kindParams = map[IndexKind][]param{
	IndexHNSW: {
		{name: "M", def: strconv.Itoa(DefaultM), lo: MinM, hi: MaxM},
		{name: "efConstruction", def: strconv.Itoa(DefaultEfConstruction), lo: 1, hi: maxInt32},
	},
	IndexHNSWSQ: {
		{name: "M", def: strconv.Itoa(DefaultM), lo: MinM, hi: MaxM},
		{name: "efConstruction", def: strconv.Itoa(DefaultEfConstruction), lo: 1, hi: maxInt32},
		{name: "sq_type", def: "SQ8", words: []string{"SQ4U", "SQ6", "SQ8", "BF16", "FP16"}},
		{name: "refine", words: []string{"TRUE", "FALSE"}},
		{name: "refine_type", words: []string{"SQ6", "SQ8", "BF16", "FP16", "FP32"}},
	},
	IndexSparse: {
		{name: "inverted_index_algo", def: "DAAT_MAXSCORE", words: []string{"DAAT_MAXSCORE", "DAAT_WAND", "TAAT_NAIVE"}},
	},
}

func checkParams(f *Field, k IndexKind, given map[string]string) (map[string]string, error) {
	out := map[string]string{}
	rest := maps.Clone(given)
	params := kindParams[k]
	if f.Type == TypeJSON {
		if out["json_path"] = strings.TrimSpace(rest["json_path"]); out["json_path"] == "" {
			return nil, Invalid(f.Name, nil, "an index of type JSON needs the parameter %q", "json_path")
		}
		delete(rest, "json_path")
		params = []param{{name: "json_cast_type", def: " ", words: jsonCasts}}
	}
	for _, p := range params {
		v, ok := rest[p.name]
		delete(rest, p.name)
		if !ok {
			v = p.def
		}
		if !ok && v == "" {
			continue
		}
		if p.words != nil {
			if v = strings.ToUpper(strings.TrimSpace(v)); !slices.Contains(p.words, v) {
				return nil, Invalid(f.Name, v, "parameter %q of an index of kind %s must be one of %v", p.name, k, p.words)
			}
		} else if n, err := strconv.Atoi(strings.TrimSpace(v)); err != nil || n < p.lo || n > p.hi {
			return nil, Invalid(f.Name, v, "parameter %q of an index of kind %s must be a number in [%d, %d]", p.name, k, p.lo, p.hi)
		} else {
			v = strconv.Itoa(n)
		}
		out[p.name] = v
	}
	for _, name := range slices.Sorted(maps.Keys(rest)) {
		return nil, Invalid(f.Name, rest[name], "an index of kind %s has no parameter %q", k, name)
	}
	return out, nil
}

// Number returns a numeric parameter of a checked definition, or 0 if it has none of the name.
func (x Index) Number(name string) int {
	n, _ := strconv.Atoi(x.Params[name])
	return n
}

// Same reports whether two checked definitions would make the same index under the same name.
func (x Index) Same(y Index) bool {
	return x.Name == y.Name && x.Field == y.Field && x.Kind == y.Kind && x.Metric == y.Metric && maps.Equal(x.Params, y.Params)
}
