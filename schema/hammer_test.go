package schema_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/internal/hammertest"
	"github.com/selkiedb/selkie/schema"
)

func TestHammer(t *testing.T) {
	seeds := [][]byte{schema.Encode(nil, everyType(t)), schema.Encode(nil, everyExtra(t))}
	hammertest.Run(t, hammertest.Decoder{Seeds: seeds, PerInput: 64 << 10, PerByte: 256, Slow: 4, Try: func(b []byte) bool {
		s, err := schema.Decode(b)
		if err != nil {
			if !errors.Is(err, schema.ErrCorrupt) {
				t.Fatal(err)
			}
			return false
		}
		require.NoError(t, s.Validate())
		again, err := schema.Decode(schema.Encode(nil, s))
		require.NoError(t, err)
		if !reflect.DeepEqual(s, again) {
			t.Fatalf("%v, then %v", s, again)
		}
		return true
	}})
}
