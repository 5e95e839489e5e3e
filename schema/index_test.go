package schema_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/schema"
)

func indexed(t *testing.T) *schema.Schema {
	s, err := schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", 4), schema.BinaryVector("bits", 8),
		schema.SparseFloatVector("sp")).Finish()
	require.NoError(t, err)
	return s
}

func TestIndexDefaults(t *testing.T) {
	s := indexed(t)
	for name, c := range map[string]struct{ give, want schema.Index }{
		"dense":  {schema.Index{Field: "v"}, schema.Index{Name: "v", Field: "v", Kind: schema.IndexAuto, Metric: "COSINE", Params: map[string]string{}}},
		"binary": {schema.Index{Field: "bits"}, schema.Index{Name: "bits", Field: "bits", Kind: schema.IndexAuto, Metric: "HAMMING", Params: map[string]string{}}},
		"sparse": {
			schema.Index{Field: "sp", Kind: "sparse_wand", Params: map[string]string{"inverted_index_algo": "daat_wand"}},
			schema.Index{Name: "sp", Field: "sp", Kind: schema.IndexSparse, Metric: "IP", Params: map[string]string{"inverted_index_algo": "DAAT_WAND"}},
		},
		"hnsw": {
			schema.Index{Name: " x ", Field: " v ", Kind: "hnsw", Metric: "l2", Params: map[string]string{"M": " 016"}},
			schema.Index{Name: "x", Field: "v", Kind: schema.IndexHNSW, Metric: "L2", Params: map[string]string{"M": "16", "efConstruction": "360"}},
		},
		"quantized": {
			schema.Index{Field: "v", Kind: schema.IndexHNSWSQ, Metric: "IP", Params: map[string]string{"sq_type": "SQ4U", "refine": "true"}},
			schema.Index{
				Name: "v", Field: "v", Kind: schema.IndexHNSWSQ, Metric: "IP",
				Params: map[string]string{"M": "30", "efConstruction": "360", "sq_type": "SQ4U", "refine": "TRUE"},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, f, err := c.give.Check(s)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
			require.Equal(t, got.Field, f.Name)
			again, _, err := got.Check(s)
			require.NoError(t, err)
			require.True(t, got.Same(again), "a checked definition stays as it is")
		})
	}
}

func TestIndexRefusals(t *testing.T) {
	s := indexed(t)
	for want, x := range map[string]schema.Index{
		`field "w": no such field in collection "c"`:                                                                       {Field: "w"},
		`field "id", value "HNSW": this kind of index does not fit a field of type Int64`:                                  {Field: "id", Kind: schema.IndexHNSW},
		`field "id", value "BITMAP": this kind of index does not fit a primary key`:                                        {Field: "id", Kind: schema.IndexBitmap},
		`field "id", value "TRIE": this kind of index does not fit a field of type Int64`:                                  {Field: "id", Kind: schema.IndexTrie},
		`field "id", value "L2": an index of type Int64 has no metric`:                                                     {Field: "id", Metric: "L2"},
		`field "v", value "INVERTED": this kind of index does not fit a field of type FloatVector`:                         {Field: "v", Kind: schema.IndexInverted},
		`value "1x": index name must begin with an ASCII letter or '_'`:                                                    {Field: "v", Name: "1x"},
		`field "v", value "IVF_FLAT": this kind of index is not there yet; there are`:                                      {Field: "v", Kind: "ivf_flat"},
		`field "v", value "FASTEST": no such kind of index; there are`:                                                     {Field: "v", Kind: "fastest"},
		`field "v", value "BIN_FLAT": this kind of index does not fit a field of type FloatVector`:                         {Field: "v", Kind: schema.IndexBinFlat},
		`field "bits", value "HNSW": this kind of index does not fit a field of type BinaryVector`:                         {Field: "bits", Kind: schema.IndexHNSW},
		`field "sp", value "FLAT": this kind of index does not fit a field of type SparseFloatVector`:                      {Field: "sp", Kind: schema.IndexFlat},
		`field "v", value "HAMMING": the metric of an index of type FloatVector must be one of [COSINE L2 IP]`:             {Field: "v", Metric: "hamming"},
		`field "v", value "1": parameter "M" of an index of kind HNSW must be a number in [2, 2048]`:                       {Field: "v", Kind: schema.IndexHNSW, Params: map[string]string{"M": "1"}},
		`field "v", value "many": parameter "efConstruction" of an index of kind HNSW must be a number in [1, 2147483647]`: {Field: "v", Kind: schema.IndexHNSW, Params: map[string]string{"efConstruction": "many"}},
		`field "v", value "SQ5": parameter "sq_type" of an index of kind HNSW_SQ must be one of [SQ4U SQ6 SQ8 BF16 FP16]`:  {Field: "v", Kind: schema.IndexHNSWSQ, Params: map[string]string{"sq_type": "sq5"}},
		`field "v", value "7": an index of kind AUTOINDEX has no parameter "nlist"`:                                        {Field: "v", Params: map[string]string{"nlist": "7"}},
	} {
		_, _, err := x.Check(s)
		require.ErrorIs(t, err, schema.ErrInvalid)
		require.ErrorContains(t, err, want)
	}
}
