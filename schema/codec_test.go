package schema_test

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/text"
)

// everyType is a schema with a field of every type and every option.
func everyType(t testing.TB) *schema.Schema {
	s, err := schema.New("everything").Describe("all there is").WithShards(2).WithPartitions(32).WithDuplicateKeys().
		EnableDynamicField().
		With(
			schema.VarChar("id", 64).PrimaryKey().AutoID().Describe("made by the engine"),
			schema.Int64("tenant").PartitionKey(),
			schema.Bool("flag").Default(true),
			schema.Int8("i8").Nullable().Default(-8),
			schema.Int16("i16").Nullable(),
			schema.Int32("i32").Default(int32(32)),
			schema.Float("f").Default(1.5),
			schema.Double("d").Default(-2),
			schema.VarChar("title", 100).Nullable().Default(""),
			schema.JSON("doc").Nullable(),
			schema.Array("tags", schema.TypeVarChar, 10).MaxElementLength(20),
			schema.Array("scores", schema.TypeFloat, 5).Nullable(),
			schema.FloatVector("v", 4),
			schema.Float16Vector("h", 6),
			schema.BFloat16Vector("b", 2).Nullable(),
			schema.Int8Vector("i", 3),
			schema.BinaryVector("bits", 16),
			schema.SparseFloatVector("sparse"),
		).Finish()
	require.NoError(t, err)
	return s
}

// everyExtra is a schema with everything that format 2 has beyond format 1.
func everyExtra(t testing.TB) *schema.Schema {
	s, err := schema.New("extras").ExpireAfter(90*time.Minute).
		With(
			schema.Int64("id").PrimaryKey(),
			schema.VarChar("body", 500).Nullable().Analyze(text.English),
			schema.VarChar("raw", 50).Analyze(text.Whitespace),
			schema.SparseFloatVector("words"),
			schema.SparseFloatVector("raw_words"),
		).
		WithFunction(schema.BM25("body", "words"), schema.BM25("raw", "raw_words").Parameters(2, 0)).Finish()
	require.NoError(t, err)
	return s
}

func TestFinishExtras(t *testing.T) {
	s := everyExtra(t)
	words, _ := s.Field("words")
	raw, _ := s.Field("raw_words")
	require.True(t, words.IsNullable && !raw.IsNullable, "as their inputs are")
	k1, b := s.MadeBy("words").Numbers()
	require.Equal(t, [2]float64{1.2, 0.75}, [2]float64{k1, b})
	k1, b = s.MadeBy("raw_words").Numbers()
	require.Equal(t, [2]float64{2, 0}, [2]float64{k1, b})
	require.Nil(t, s.MadeBy("body"))
	inserted, ok := s.Field(schema.InsertedName)
	require.True(t, ok && inserted.IsInsertTime)
	again, err := s.Finish()
	require.NoError(t, err)
	require.Equal(t, s, again)
}

func TestEncodeDecode(t *testing.T) {
	for _, s := range []*schema.Schema{everyType(t), everyExtra(t)} {
		testEncodeDecode(t, s)
	}
	plain, extra := schema.Encode(nil, everyType(t)), schema.Encode(nil, everyExtra(t))
	require.NotEqual(t, plain, extra)
}

func testEncodeDecode(t *testing.T, s *schema.Schema) {
	prefix := []byte("prefix")
	b := schema.Encode(prefix, s)
	require.Equal(t, "prefix", string(b[:len(prefix)]))
	got, err := schema.Decode(b[len(prefix):])
	require.NoError(t, err)
	require.Equal(t, s, got)
	require.True(t, s.Equal(got))
}

// The golden file is read for ever; a new format gets a file of its own. What is written may differ in bytes with the
// flatbuffers library, so only the reading is compared.
func TestGoldenSchema(t *testing.T) {
	for path, s := range map[string]*schema.Schema{"testdata/schema-1.hex": everyType(t), "testdata/schema-2.hex": everyExtra(t)} {
		testGoldenSchema(t, path, s)
	}
}

func testGoldenSchema(t *testing.T, path string, s *schema.Schema) {
	if os.Getenv("SELKIE_UPDATE_GOLDEN") != "" {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(hex.Dump(schema.Encode(nil, s))), 0o644))
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var raw []byte
	for line := range strings.Lines(string(text)) {
		part, err := hex.DecodeString(strings.ReplaceAll(line[10:58], " ", ""))
		require.NoError(t, err)
		raw = append(raw, part...)
	}
	got, err := schema.Decode(raw)
	require.NoError(t, err)
	require.Equal(t, s, got)
}

// Every cut and every flipped byte is either refused or leaves a schema that passes Validate; nothing panics.
func TestDecodeDamaged(t *testing.T) {
	for _, s := range []*schema.Schema{everyType(t), everyExtra(t)} {
		testDecodeDamaged(t, schema.Encode(nil, s))
	}
}

func testDecodeDamaged(t *testing.T, b []byte) {
	for n := range b {
		if s, err := schema.Decode(b[:n]); err == nil {
			require.NoError(t, s.Validate())
		} else {
			require.ErrorIs(t, err, schema.ErrCorrupt)
		}
	}
	for i := range b {
		for _, flip := range []byte{1, 0x80, 0xff} {
			bad := append([]byte(nil), b...)
			bad[i] ^= flip
			if s, err := schema.Decode(bad); err == nil {
				require.NoError(t, s.Validate())
			} else {
				require.ErrorIs(t, err, schema.ErrCorrupt)
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(schema.Encode(nil, everyType(f)))
	f.Add(schema.Encode(nil, everyExtra(f)))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := schema.Decode(b)
		if err != nil {
			require.ErrorIs(t, err, schema.ErrCorrupt)
			return
		}
		require.NoError(t, s.Validate())
		again, err := schema.Decode(schema.Encode(nil, s))
		require.NoError(t, err)
		require.Equal(t, s, again)
	})
}
