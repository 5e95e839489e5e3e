package schema_test

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/schema"
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

func TestEncodeDecode(t *testing.T) {
	s := everyType(t)
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
	const path = "testdata/schema-1.hex"
	s := everyType(t)
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
	b := schema.Encode(nil, everyType(t))
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
